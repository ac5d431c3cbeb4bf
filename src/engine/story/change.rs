//! How articles join and leave stories. Only the writer does.

use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::find::{Duplicate, Subject};
use crate::engine::rows::{Counter, ordered_32, prefix_end, u32_at};
use crate::engine::story::record::{Member, Story, member_key, size_key, story_key, time_key};
use crate::engine::story::{CORE_MAX, MEMBERS_MAX, StoryId, story, story_of};
use crate::index::Facets;
use crate::matching::overlap::Relation;
use crate::store::draft::Draft;
use crate::store::{ArticleNumber, Space};

/// Stories of an article's duplicates that it tries to join, at most.
const TRIED_MAX: usize = 4;
/// Jaccard similarity from which on an article joins by one that it is contained in: at
/// most about three times as long.
const CONTAINED_JACCARD_MIN: f64 = 0.3;
/// Members that had joined by one that leaves, whose relation to the others is verified
/// anew, at most. The rest stays by what was verified.
const ORPHANS_MAX: usize = 256;

/// An article that is stored.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Joining<'a> {
    pub(in crate::engine) number: ArticleNumber,
    pub(in crate::engine) subject: &'a Subject,
    pub(in crate::engine) facets: Facets,
    /// The stored articles that it is related to, closest first.
    pub(in crate::engine) duplicates: &'a [Duplicate],
    /// Where the content before it was, if it replaces one.
    pub(in crate::engine) before: Option<Left>,
    pub(in crate::engine) now_ms: u64,
}

/// Where an article was that has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Left {
    story: StoryId,
    /// Whether nobody is left there.
    was_alone: bool,
}

/// A story that an article can join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Choice {
    pub(in crate::engine) story: StoryId,
    joined_by: u32,
    is_core: bool,
}

/// The first story whose core has a duplicate of a text: `first`, then those of its
/// duplicates in their order.
pub(in crate::engine) fn choose(
    core: &Core,
    draft: &Draft,
    (subject, duplicates): (&Subject, &[Duplicate]),
    first: Option<StoryId>,
) -> Result<Option<Choice>, EngineError> {
    let like: Vec<Duplicate> = duplicates.iter().filter(|it| is_like(it)).cloned().collect();
    let mut tried: Vec<StoryId> = first.into_iter().collect();
    for duplicate in &like {
        let id = story_of(draft, duplicate.number)?;
        if tried.len() < TRIED_MAX && !tried.contains(&id) {
            tried.push(id);
        }
    }
    for id in tried {
        // Of a story of one article nothing is stored.
        let members = story(draft, id)?.unwrap_or_else(|| Story::alone(id.0));
        if members.count >= MEMBERS_MAX {
            continue;
        }
        let mut by = best_of(&members.core, &like);
        if by.is_none() {
            // They may be further down than those that were found.
            let numbers: Vec<ArticleNumber> =
                members.core.iter().map(|it| ArticleNumber(*it)).collect();
            by = best_of(&members.core, &core.relate(subject, &numbers)?);
        }
        if let Some((joined_by, relation)) = by {
            let is_of_founder = members.core.first() == Some(&joined_by);
            let is_core =
                is_of_founder && relation == Relation::Duplicate && members.core.len() < CORE_MAX;
            return Ok(Some(Choice { story: id, joined_by, is_core }));
        }
    }
    Ok(None)
}

/// Whether an article joins by another that it is so related to. One that contains it is
/// as good as a duplicate; one that it is contained in may contain others too, which have
/// nothing to do with it, unless it is not much longer.
fn is_like(related: &Duplicate) -> bool {
    match related.relation {
        Relation::Duplicate | Relation::Contains => true,
        Relation::ContainedIn => related.overlap.jaccard() >= CONTAINED_JACCARD_MIN,
        Relation::Overlaps => false,
    }
}

/// The first core member by which an article can join.
fn best_of(core: &[u32], related: &[Duplicate]) -> Option<(u32, Relation)> {
    core.iter().find_map(|number| {
        let it = related.iter().find(|it| it.number.0 == *number && is_like(it))?;
        Some((*number, it.relation))
    })
}

/// Lets an article join a story, or found one.
pub(in crate::engine) fn join(
    core: &Core,
    draft: &mut Draft,
    joining: &Joining<'_>,
) -> Result<StoryId, EngineError> {
    let Joining { number, subject, facets, duplicates, before, now_ms } = *joining;
    let first = before.filter(|it| !it.was_alone).map(|it| it.story);
    let published_ms = facets.published_s.map(|it| it.saturating_mul(1000));
    let stored_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let mut member = Member {
        joined_by: None,
        is_core: true,
        published_ms: published_ms.unwrap_or(stored_ms),
        site: facets.site,
        joined_ms: now_ms,
    };
    let Some(choice) = choose(core, draft, (subject, duplicates), first)? else {
        let Some(Left { story: id, was_alone: true }) = before else {
            return Ok(StoryId(number.0));
        };
        // Its story is what it was, with other content.
        let mut story = Story { count: 0, core: vec![number.0], ..Story::alone(number.0) };
        story.add(number.0, &member);
        set_member(draft, id, number, &member);
        set_story(draft, id, None, &story)?;
        return Ok(id);
    };
    let id = choice.story;
    let old = story(draft, id)?;
    let mut new = match &old {
        Some(story) => story.clone(),
        None => with_founder(core, draft, id, now_ms)?,
    };
    member.joined_by = Some(choice.joined_by);
    member.is_core = choice.is_core;
    if choice.is_core {
        new.core.push(number.0);
    }
    new.add(number.0, &member);
    set_member(draft, id, number, &member);
    set_story(draft, id, old.as_ref(), &new)?;
    Ok(id)
}

/// A story of one article, of which nothing was stored.
fn with_founder(
    core: &Core,
    draft: &mut Draft,
    id: StoryId,
    now_ms: u64,
) -> Result<Story, EngineError> {
    let number = ArticleNumber(id.0);
    let features = core.features([number])?.remove(&number);
    let stored_ms = || -> Result<i64, EngineError> {
        let stored = core.articles([number])?.remove(&number).map_or(now_ms, |it| it.stored_ms);
        Ok(i64::try_from(stored).unwrap_or(i64::MAX))
    };
    let facets = features.map(|it| it.facets);
    let published = facets.and_then(|it| it.published_s).map(|it| it.saturating_mul(1000));
    let founder = Member {
        published_ms: published.map_or_else(stored_ms, Ok)?,
        site: facets.map_or(0, |it| it.site),
        joined_ms: now_ms,
        ..Member::founder()
    };
    set_member(draft, id, number, &founder);
    let mut story = Story { count: 0, ..Story::alone(number.0) };
    story.add(number.0, &founder);
    Ok(story)
}

/// Takes an article out of its story. Those that had joined by it are verified anew: they
/// stay by another core member, or leave with those that are like them.
pub(in crate::engine) fn leave(
    core: &Core,
    draft: &mut Draft,
    number: ArticleNumber,
) -> Result<Left, EngineError> {
    let id = story_of(draft, number)?;
    let Some(old) = story(draft, id)? else { return Ok(Left { story: id, was_alone: true }) };
    unset_member(draft, id, number);
    let mut members = members(draft, id)?;
    if members.is_empty() {
        unset_story(draft, id, &old)?;
        return Ok(Left { story: id, was_alone: true });
    }
    let mut rest = Rest { id, core: old.core.clone(), strays: Vec::new() };
    if let Some(at) = rest.core.iter().position(|it| *it == number.0) {
        rest.core.remove(at);
        rest.verify(core, draft, (number, at == 0), &mut members)?;
    }
    let mut new = Story { count: 0, core: rest.core.clone(), ..old.clone() };
    (new.sites, new.last_joined_ms) = (Vec::new(), 0);
    for (number, member) in &members {
        new.add(*number, member);
    }
    if let [(only, _)] = members.as_slice()
        && *only == id.0
    {
        unset_member(draft, id, ArticleNumber(*only));
        unset_story(draft, id, &old)?;
    } else {
        set_story(draft, id, Some(&old), &new)?;
    }
    rest.place_strays(core, draft)?;
    Ok(Left { story: id, was_alone: false })
}

/// What is left of a story when a core member has gone.
struct Rest {
    id: StoryId,
    core: Vec<u32>,
    /// Members that are related to none of the core, and their texts.
    strays: Vec<(u32, Member, Subject)>,
}

impl Rest {
    fn verify(
        &mut self,
        core: &Core,
        draft: &mut Draft,
        (gone, was_founder): (ArticleNumber, bool),
        members: &mut Vec<(u32, Member)>,
    ) -> Result<(), EngineError> {
        let mut to_verify: Vec<u32> = members
            .iter()
            .filter(|it| it.1.joined_by == Some(gone.0) && !self.core.contains(&it.0))
            .map(|it| it.0)
            .take(ORPHANS_MAX)
            .collect();
        if was_founder {
            // The newest will be there longest, where articles expire.
            let newest = self.core.iter().copied().max();
            let founder = newest.or_else(|| to_verify.iter().copied().max());
            let founder = founder.or_else(|| members.last().map(|it| it.0));
            let Some(founder) = founder else { return Ok(()) };
            to_verify.retain(|it| *it != founder);
            to_verify.splice(0..0, self.core.iter().copied().filter(|it| *it != founder));
            self.core = vec![founder];
            if let Some((_, member)) = members.iter_mut().find(|it| it.0 == founder) {
                (member.joined_by, member.is_core) = (None, true);
                set_member(draft, self.id, ArticleNumber(founder), member);
            }
        }
        while !to_verify.is_empty() {
            self.verify_each(core, draft, (&to_verify, members))?;
            // Those that had joined by a member that is not of the core any more.
            let has_no_core =
                |it: &&(u32, Member)| it.1.joined_by.is_some_and(|by| !self.core.contains(&by));
            let left = members.iter().filter(has_no_core).map(|it| it.0);
            to_verify = left.take(ORPHANS_MAX).collect();
        }
        Ok(())
    }

    /// Finds for each of these members another one of the core, or takes it out.
    fn verify_each(
        &mut self,
        core: &Core,
        draft: &mut Draft,
        (to_verify, members): (&[u32], &mut Vec<(u32, Member)>),
    ) -> Result<(), EngineError> {
        let texts = core.features(to_verify.iter().map(|it| ArticleNumber(*it)))?;
        for number in to_verify.iter().copied() {
            let Some(at) = members.iter().position(|it| it.0 == number) else { continue };
            let Some(features) = texts.get(&ArticleNumber(number)) else {
                // One that cannot be read stays, by nobody.
                if let Some((_, member)) = members.get_mut(at) {
                    member.joined_by = None;
                    set_member(draft, self.id, ArticleNumber(number), member);
                }
                continue;
            };
            let subject = Subject::of(features.fields.text());
            let numbers: Vec<ArticleNumber> =
                self.core.iter().map(|it| ArticleNumber(*it)).collect();
            let by = best_of(&self.core, &core.relate(&subject, &numbers)?);
            let Some((_, member)) = members.get_mut(at) else { continue };
            if let Some((joined_by, relation)) = by {
                member.joined_by = Some(joined_by);
                member.is_core = self.core.first() == Some(&joined_by)
                    && relation == Relation::Duplicate
                    && self.core.len() < CORE_MAX;
                if member.is_core {
                    self.core.push(number);
                }
                set_member(draft, self.id, ArticleNumber(number), member);
            } else {
                unset_member(draft, self.id, ArticleNumber(number));
                let (_, member) = members.remove(at);
                self.strays.push((number, member, subject));
            }
        }
        Ok(())
    }

    /// Members that were like the one that has gone only make stories among themselves.
    fn place_strays(self, core: &Core, draft: &mut Draft) -> Result<(), EngineError> {
        let mut earlier: Vec<ArticleNumber> = Vec::new();
        for (number, member, subject) in self.strays {
            let duplicates = core.relate(&subject, &earlier)?;
            let facets = Facets {
                site: member.site,
                language: 0,
                published_s: Some(member.published_ms / 1000),
            };
            let joining = Joining {
                number: ArticleNumber(number),
                subject: &subject,
                facets,
                duplicates: &duplicates,
                before: None,
                now_ms: member.joined_ms,
            };
            join(core, draft, &joining)?;
            earlier.push(ArticleNumber(number));
        }
        Ok(())
    }
}

/// All members, in the order in which they were stored.
fn members(draft: &Draft, id: StoryId) -> Result<Vec<(u32, Member)>, EngineError> {
    let start = story_key(id);
    let end = prefix_end(&start);
    let rows = draft.rows(Space::Member, &start[..]..&end[..], usize::MAX)?;
    rows.iter().map(|(key, row)| Ok((u32_at(key, 4).unwrap_or(0), Member::decode(row)?))).collect()
}

pub(in crate::engine) fn set_member(
    draft: &mut Draft,
    id: StoryId,
    number: ArticleNumber,
    member: &Member,
) {
    draft.set(Space::Member, member_key(id, number), member.encode());
    draft.set(Space::StoryOf, ordered_32(number.0), story_key(id));
}

fn unset_member(draft: &mut Draft, id: StoryId, number: ArticleNumber) {
    draft.unset(Space::Member, member_key(id, number));
    draft.unset(Space::StoryOf, ordered_32(number.0));
}

/// Stories of one member are in no list.
fn is_listed(story: &Story) -> bool {
    story.count > 1
}

pub(in crate::engine) fn set_story(
    draft: &mut Draft,
    id: StoryId,
    old: Option<&Story>,
    new: &Story,
) -> Result<(), EngineError> {
    unlist(draft, id, old)?;
    draft.set(Space::Story, story_key(id), new.encode());
    if is_listed(new) {
        draft.set(Space::StoryByTime, time_key(id, new), []);
        draft.set(Space::StoryBySize, size_key(id, new), []);
        Counter::Stories.next(draft)?;
    }
    Ok(())
}

fn unset_story(draft: &mut Draft, id: StoryId, old: &Story) -> Result<(), EngineError> {
    unlist(draft, id, Some(old))?;
    draft.unset(Space::Story, story_key(id));
    Ok(())
}

fn unlist(draft: &mut Draft, id: StoryId, old: Option<&Story>) -> Result<(), EngineError> {
    let Some(old) = old.filter(|it| is_listed(it)) else { return Ok(()) };
    draft.unset(Space::StoryByTime, time_key(id, old));
    draft.unset(Space::StoryBySize, size_key(id, old));
    let count = Counter::Stories.get(draft)?;
    Counter::Stories.set(draft, count.saturating_sub(1));
    Ok(())
}
