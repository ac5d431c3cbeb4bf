//! Stories: articles that are near-duplicates. Joined on verified relations only: every
//! member is a duplicate of one of a few core members, and each of those of the founder,
//! so that likeness is not handed on along a chain.
//!
//! An article without a near-duplicate is a story of its own, of which nothing is stored.

pub(super) mod change;
pub(super) mod record;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::engine::article::ArticleId;
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::find::{Duplicate, Subject};
use crate::engine::record::StoredArticle;
use crate::engine::rows::{self, Listing, ordered_32, u32_at};
use crate::engine::story::record::{Member, Story, story_key};
use crate::matching::overlap::{Overlap, Relation};
use crate::store::draft::Draft;
use crate::store::{ArticleNumber, Space, StoreError};

/// Members of one story, at most: the next duplicate founds another one.
pub const MEMBERS_MAX: u64 = 4096;
/// Members by which others join, at most.
pub const CORE_MAX: usize = 8;

/// The name of a story: the number of the content that founded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StoryId(pub u32);

/// In which order stories are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoryOrder {
    /// Those that an article joined last first.
    Recent,
    /// Those with most members first.
    Size,
}

/// Which stories are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoryQuestion {
    /// In which order.
    pub order: StoryOrder,
    /// With a member of one of these sites; none lets all pass.
    pub sites: Vec<u32>,
    /// With so many members.
    pub members_min: u64,
}

/// A story without its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorySummary {
    /// Its name.
    pub id: StoryId,
    /// The member that was published first.
    pub canonical: ArticleId,
    /// The title of that one.
    pub title: String,
    /// Members.
    pub member_count: u64,
    /// Their sites, as far as they are remembered.
    pub site_count: usize,
    /// When an article joined it last, in milliseconds since the Unix epoch.
    pub last_joined_ms: u64,
}

/// A story and a page of its members.
#[derive(Debug, Clone)]
pub struct StoryPage {
    /// Its name.
    pub id: StoryId,
    /// The member that was published first.
    pub canonical: ArticleId,
    /// Members in all.
    pub member_count: u64,
    /// Those of the page, in the order in which they were stored.
    pub members: Listing<StoryMember>,
}

/// An article of a story.
#[derive(Debug, Clone)]
pub struct StoryMember {
    /// The article; without its text.
    pub stored: StoredArticle,
    /// What it is to the canonical member; `None` for little in common.
    pub relation: Option<Relation>,
    /// Its shingles on the left, those of the canonical member on the right.
    pub overlap: Overlap,
    /// Whether others join by it.
    pub is_core: bool,
    /// By which member it joined; `None` for a founder.
    pub joined_by: Option<ArticleId>,
}

impl fmt::Display for StoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl TryFrom<String> for StoryId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a story's id is an s and a number")
    }
}

impl From<StoryId> for String {
    fn from(id: StoryId) -> Self {
        id.to_string()
    }
}

impl StoryId {
    /// From its name.
    pub fn parse(text: &str) -> Option<Self> {
        text.strip_prefix('s')?.parse().ok().map(Self)
    }
}

impl Engine {
    /// A story and a page of its members.
    pub fn story(
        &self,
        id: StoryId,
        token: &str,
        page_size: usize,
    ) -> Result<StoryPage, EngineError> {
        let gone = || EngineError::StoryNotFound(id.to_string());
        let draft = self.core.draft();
        let (story, alone) = match story(&draft, id)? {
            Some(story) => (story, false),
            // Of one article only, unless that one is in another story, or gone.
            None if draft.row(Space::StoryOf, &ordered_32(id.0))?.is_none() => {
                (Story::alone(id.0), true)
            }
            None => return Err(gone()),
        };
        let canonical = ArticleNumber(story.canonical);
        let features = self.core.features([canonical])?.remove(&canonical).ok_or_else(gone)?;
        let subject = Subject::of(features.fields.text());
        let read = |key: &[u8], row: &[u8]| {
            let number = ArticleNumber(u32_at(key, 4).unwrap_or(0));
            self.member(number, &Member::decode(row)?, &subject)
        };
        let members = if alone {
            let member = self.member(canonical, &Member::founder(), &subject)?;
            Listing { items: member.into_iter().collect(), next: None }
        } else {
            let all = (Space::Member, &story_key(id)[..]);
            rows::list(self.core.store.as_ref(), all, (token, page_size), read)?
        };
        Ok(StoryPage { id, canonical: features.id, member_count: story.count, members })
    }

    /// An article as a member; `None` if it has gone meanwhile.
    fn member(
        &self,
        number: ArticleNumber,
        member: &Member,
        canonical: &Subject,
    ) -> Result<Option<StoryMember>, EngineError> {
        let Some(mut stored) = self.core.articles([number])?.remove(&number) else {
            return Ok(None);
        };
        stored.article.text.clear();
        let numbers = [number].into_iter().chain(member.joined_by.map(ArticleNumber));
        let mut features = self.core.features(numbers)?;
        let Some(own) = features.remove(&number) else { return Ok(None) };
        let overlap = canonical.overlap(&own).turned();
        let joined_by = member.joined_by.and_then(|it| features.remove(&ArticleNumber(it)));
        Ok(Some(StoryMember {
            stored,
            relation: overlap.relation(),
            overlap,
            is_core: member.is_core,
            joined_by: joined_by.map(|it| it.id),
        }))
    }

    /// A page of the stories of two members or more.
    pub fn list_stories(
        &self,
        question: &StoryQuestion,
        token: &str,
        page_size: usize,
    ) -> Result<Listing<StorySummary>, EngineError> {
        let draft = self.core.draft();
        let space = match question.order {
            StoryOrder::Recent => Space::StoryByTime,
            StoryOrder::Size => Space::StoryBySize,
        };
        let passes = |it: &Story| {
            it.count >= question.members_min
                && (question.sites.is_empty()
                    || question.sites.iter().any(|site| it.sites.contains(site)))
        };
        rows::list(self.core.store.as_ref(), (space, &[]), (token, page_size), |key, _| {
            let id = StoryId(u32_at(key, 8).unwrap_or(0));
            let Some(story) = story(&draft, id)?.filter(passes) else { return Ok(None) };
            let number = ArticleNumber(story.canonical);
            let canonical = self.core.articles([number])?.remove(&number);
            Ok(canonical.map(|it| StorySummary {
                id,
                canonical: it.article.id,
                title: it.article.title,
                member_count: story.count,
                site_count: story.sites.len(),
                last_joined_ms: story.last_joined_ms,
            }))
        })
    }
}

impl Core {
    /// Rows as they are stored.
    pub(super) fn draft(&self) -> Draft {
        Draft::new(Arc::clone(&self.store))
    }

    /// Rows for the writer, which writes over those that are damaged.
    pub(super) fn draft_over_damage(&self) -> Draft {
        Draft::over_damage(Arc::clone(&self.store))
    }

    /// Says of each duplicate which story it is in.
    /// One whose story is damaged is left out.
    pub(super) fn name_stories(
        &self,
        draft: &Draft,
        duplicates: &mut Vec<Duplicate>,
    ) -> Result<(), EngineError> {
        let mut failed = None;
        duplicates.retain_mut(|duplicate| match story_of(draft, duplicate.number) {
            Ok(story) => {
                duplicate.story = story;
                true
            }
            Err(EngineError::Store(error)) => {
                if let StoreError::DamagedRow(damage) = &*error {
                    self.store.damage().note(damage.clone());
                } else {
                    failed = Some(EngineError::Store(error));
                }
                false
            }
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        failed.map_or(Ok(()), Err)
    }

    /// The story that a text would join.
    pub(super) fn story_to_join(
        &self,
        draft: &Draft,
        subject: &Subject,
        duplicates: &[Duplicate],
    ) -> Result<Option<StoryId>, EngineError> {
        let chosen = change::choose(self, draft, (subject, duplicates), None)?;
        Ok(chosen.map(|it| it.story))
    }
}

/// Reads the stories of articles together, with what is known of each.
pub(super) fn fetch_stories(
    draft: &Draft,
    numbers: impl IntoIterator<Item = ArticleNumber>,
) -> Result<(), EngineError> {
    let numbers: Vec<ArticleNumber> = numbers.into_iter().collect();
    draft.fetch(numbers.iter().map(|it| (Space::StoryOf, ordered_32(it.0).to_vec())))?;
    let stories = stories_of(draft, numbers)?;
    Ok(draft.fetch(stories.iter().map(|it| (Space::Story, story_key(*it).to_vec())))?)
}

/// Reads the members of the stories of articles together.
pub(super) fn fetch_members(
    draft: &Draft,
    numbers: impl IntoIterator<Item = ArticleNumber>,
) -> Result<(), EngineError> {
    let stories = stories_of(draft, numbers)?;
    let keys = stories.iter().map(|it| (Space::Member, story_key(*it).to_vec()));
    Ok(draft.fetch_prefixes(keys)?)
}

fn stories_of(
    draft: &Draft,
    numbers: impl IntoIterator<Item = ArticleNumber>,
) -> Result<BTreeSet<StoryId>, EngineError> {
    numbers.into_iter().map(|it| story_of(draft, it)).collect()
}

pub(super) fn story_of(draft: &Draft, number: ArticleNumber) -> Result<StoryId, EngineError> {
    let row = draft.row(Space::StoryOf, &ordered_32(number.0))?;
    Ok(StoryId(row.and_then(|it| u32_at(&it, 0)).unwrap_or(number.0)))
}

/// What is stored of a story.
fn story(draft: &Draft, id: StoryId) -> Result<Option<Story>, EngineError> {
    draft.row(Space::Story, &story_key(id))?.map(|it| Story::decode(&it)).transpose()
}
