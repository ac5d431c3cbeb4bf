//! Rows as they should be, by those that they are derived from: stories by their members,
//! the orders of teasers by the teasers, counters by what they count.

use std::collections::BTreeMap;

use crate::engine::error::EngineError;
use crate::engine::rows::{Counter, KEYS_END, PREFIX_BYTES, key, ordered_32, u32_at, u64_at};
use crate::engine::story::StoryId;
use crate::engine::story::record::{Member, SITES_MAX, Story, size_key, story_key, time_key};
use crate::engine::verify::Mend;
use crate::engine::watch::record::StandingTeaser;
use crate::engine::watch::shelf;
use crate::store::{Row, Space, Store, StoreError};

const BATCH: usize = 10_000;
/// What is derived from other rows alone.
const DERIVED: [Space; 7] = [
    Space::TeaserId,
    Space::TeaserBySeen,
    Space::TeaserByTimes,
    Space::StoryOf,
    Space::Story,
    Space::StoryByTime,
    Space::StoryBySize,
];

/// The rows of the derived spaces, counters, and counts of references.
pub(super) struct Expected {
    rows: BTreeMap<(Space, Vec<u8>), Vec<u8>>,
    /// The least value of counters that may be greater.
    least: BTreeMap<Vec<u8>, u64>,
}

impl Expected {
    pub(super) fn of(store: &dyn Store) -> Result<Self, EngineError> {
        let mut expected = Self { rows: BTreeMap::new(), least: BTreeMap::new() };
        expected.stories(store)?;
        expected.teasers(store)?;
        expected.resolutions(store)?;
        expected.references(store)?;
        Ok(expected)
    }

    fn set(&mut self, space: Space, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.rows.insert((space, key.into()), value.into());
    }

    fn stories(&mut self, store: &dyn Store) -> Result<(), EngineError> {
        let mut members_of: BTreeMap<u32, Vec<(u32, Member)>> = BTreeMap::new();
        each(store, Space::Member, &mut |(key, value)| {
            if let (Some(id), Some(number), Ok(member)) =
                (u32_at(key, 0), u32_at(key, 4), Member::decode(value))
            {
                members_of.entry(id).or_default().push((number, member));
            }
        })?;
        let mut listed = 0_u64;
        for (id, members) in members_of {
            let id = StoryId(id);
            let known = match store.row(Space::Story, &story_key(id)) {
                Ok(row) => row.and_then(|it| Story::decode(&it).ok()),
                Err(StoreError::DamagedRow(_)) => None,
                Err(error) => return Err(error.into()),
            };
            let summed = summary(&members, known.as_ref());
            for (number, _) in &members {
                self.set(Space::StoryOf, ordered_32(*number), story_key(id));
            }
            if summed.count > 1 {
                listed += 1;
                self.set(Space::StoryByTime, time_key(id, &summed), []);
                self.set(Space::StoryBySize, size_key(id, &summed), []);
            }
            self.set(Space::Story, story_key(id), summed.encode());
        }
        self.count(Counter::Stories, listed);
        Ok(())
    }

    fn teasers(&mut self, store: &dyn Store) -> Result<(), EngineError> {
        let (mut count, mut next) = (0_u64, 0_u64);
        let mut teasers = Vec::new();
        each(store, Space::Teaser, &mut |(key, value)| {
            teasers.extend(u32_at(key, 0).zip(StandingTeaser::decode(value).ok()));
        })?;
        for (number, teaser) in teasers {
            count += 1;
            next = next.max(u64::from(number) + 1);
            self.set(Space::TeaserId, teaser.id.0, ordered_32(number));
            self.set(Space::TeaserBySeen, shelf::seen_key(&teaser, number), []);
            self.set(Space::TeaserByTimes, shelf::times_key(&teaser, number), []);
        }
        self.count(Counter::Teasers, count);
        self.least.insert(Counter::TeaserNext.key().to_vec(), next);
        Ok(())
    }

    fn resolutions(&mut self, store: &dyn Store) -> Result<(), EngineError> {
        let mut next = 0;
        let mut first = None;
        each(store, Space::Resolution, &mut |(key, _)| {
            let at = u64_at(key, 0).unwrap_or(0);
            first.get_or_insert(at);
            next = at + 1;
        })?;
        self.least.insert(Counter::ResolutionNext.key().to_vec(), next);
        if let Some(first) = first {
            self.count(Counter::ResolutionFirst, first);
        }
        Ok(())
    }

    fn references(&mut self, store: &dyn Store) -> Result<(), EngineError> {
        let mut counts: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        each(store, Space::Reference, &mut |(key, _)| {
            if let Some(prefix) = key.get(..PREFIX_BYTES) {
                let is_one = u64::from(key.len() > PREFIX_BYTES);
                *counts.entry(prefix.to_vec()).or_default() += is_one;
            }
        })?;
        for (prefix, count) in counts {
            self.set(Space::Reference, prefix, count.to_le_bytes());
        }
        Ok(())
    }

    fn count(&mut self, counter: Counter, value: u64) {
        self.set(Space::Counter, counter.key(), value.to_le_bytes());
    }

    /// Whether a row can be had from others.
    pub(super) fn mends_row(&self, space: Space, key: &[u8]) -> bool {
        self.rows.contains_key(&(space, key.to_vec()))
            || (space == Space::Counter && self.least.contains_key(key))
    }

    /// What has to be written for the rows to be as expected.
    pub(super) fn mends(&self, store: &dyn Store) -> Result<Vec<Mend>, EngineError> {
        let mut mends = Vec::new();
        for ((space, key), value) in &self.rows {
            let problem = match store.row(*space, key) {
                Ok(Some(row)) if row == *value => continue,
                Ok(None) if *space == Space::Counter && value.iter().all(|it| *it == 0) => continue,
                Ok(Some(_)) => "it does not fit what it is made from",
                Ok(None) => "it is missing",
                Err(StoreError::DamagedRow(_)) => "it can be had from others",
                Err(error) => return Err(error.into()),
            };
            mends.push(Mend::set(*space, key, (value.clone(), problem)));
        }
        for space in DERIVED {
            each(store, space, &mut |(key, _)| {
                if !self.rows.contains_key(&(space, key.to_vec())) {
                    mends.push(Mend::unset(space, key));
                }
            })?;
        }
        for (key, least) in &self.least {
            let found = match store.row(Space::Counter, key) {
                Ok(row) => Some(row.and_then(|it| u64_of(&it)).unwrap_or(0)),
                Err(StoreError::DamagedRow(_)) => None,
                Err(error) => return Err(error.into()),
            };
            if found.is_none_or(|it| it < *least) {
                let value = (least.to_le_bytes().to_vec(), "it is behind what it counts");
                mends.push(Mend::set(Space::Counter, key, value));
            }
        }
        Ok(mends)
    }
}

/// What is known of a story, by its members. What does not follow from them (the order of
/// the core, which sites of many are remembered) is kept where it can be so.
fn summary(members: &[(u32, Member)], known: Option<&Story>) -> Story {
    let is_member = |it: &u32| members.iter().any(|(number, _)| number == it);
    let mut story = Story { count: 0, ..Story::alone(0) };
    for (number, member) in members {
        story.add(*number, member);
    }
    let mut core: Vec<(bool, u32)> = members
        .iter()
        .filter(|it| it.1.is_core)
        .map(|it| (it.1.joined_by.is_some(), it.0))
        .collect();
    core.sort_unstable();
    story.core = core.into_iter().map(|it| it.1).collect();
    let Some(known) = known else { return story };
    if !known.core.is_empty() && known.core.iter().all(is_member) {
        story.core.clone_from(&known.core);
    }
    let sorted = |it: &[u32]| {
        let mut sites = it.to_vec();
        sites.sort_unstable();
        sites
    };
    if story.sites.len() == SITES_MAX || sorted(&story.sites) == sorted(&known.sites) {
        story.sites.clone_from(&known.sites);
    }
    story
}

/// What is done with a key and its value.
type Visit<'a> = dyn FnMut((&[u8], &[u8])) + 'a;

fn each(store: &dyn Store, space: Space, visit: &mut Visit<'_>) -> Result<(), EngineError> {
    let mut start = Vec::new();
    loop {
        let rows: Vec<Row> = store.rows(space, &start[..]..&KEYS_END[..], BATCH)?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        start = key([last, &[0]]);
        for (key, value) in &rows {
            visit((key, value));
        }
    }
}

fn u64_of(row: &[u8]) -> Option<u64> {
    row.try_into().ok().map(u64::from_le_bytes)
}
