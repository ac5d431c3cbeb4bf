//! Stories and their members, as rows: protobuf messages, so that fields can be added.

use prost::Message;
use serde::{Deserialize, Serialize};

use crate::engine::error::EngineError;
use crate::engine::rows::{key, ordered_32, ordered_64};
use crate::engine::story::StoryId;
use crate::store::ArticleNumber;

/// Sites of a story that are remembered, at most: the first ones.
pub(in crate::engine) const SITES_MAX: usize = 64;

/// What is known of a story as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::engine) struct Story {
    /// Members.
    pub(in crate::engine) count: u64,
    /// The member that was published first.
    pub(in crate::engine) canonical: u32,
    /// When that was.
    pub(in crate::engine) canonical_ms: i64,
    /// The founder, then other members by which articles join.
    pub(in crate::engine) core: Vec<u32>,
    /// Hashes of the members' sites.
    pub(in crate::engine) sites: Vec<u32>,
    /// When an article joined it last.
    pub(in crate::engine) last_joined_ms: u64,
}

/// What is known of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::engine) struct Member {
    /// By which member it joined; `None` for a founder, or where that one is gone.
    pub(in crate::engine) joined_by: Option<u32>,
    pub(in crate::engine) is_core: bool,
    /// When it was published, or stored where that is not known.
    pub(in crate::engine) published_ms: i64,
    /// Hash of its site.
    pub(in crate::engine) site: u32,
    /// When it joined.
    pub(in crate::engine) joined_ms: u64,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct StoryRecord {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(uint32, tag = "2")]
    canonical: u32,
    #[prost(sint64, tag = "3")]
    canonical_ms: i64,
    #[prost(uint32, repeated, tag = "4")]
    core: Vec<u32>,
    #[prost(fixed32, repeated, tag = "5")]
    sites: Vec<u32>,
    #[prost(uint64, tag = "6")]
    last_joined_ms: u64,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct MemberRecord {
    #[prost(uint32, optional, tag = "1")]
    joined_by: Option<u32>,
    #[prost(bool, tag = "2")]
    is_core: bool,
    #[prost(sint64, tag = "3")]
    published_ms: i64,
    #[prost(fixed32, tag = "4")]
    site: u32,
    #[prost(uint64, tag = "5")]
    joined_ms: u64,
}

impl Story {
    /// Of one article.
    pub(in crate::engine) fn alone(number: u32) -> Self {
        Self {
            count: 1,
            canonical: number,
            canonical_ms: 0,
            core: vec![number],
            sites: Vec::new(),
            last_joined_ms: 0,
        }
    }

    pub(in crate::engine) fn encode(&self) -> Vec<u8> {
        let Self { count, canonical, canonical_ms, core, sites, last_joined_ms } = self.clone();
        StoryRecord { count, canonical, canonical_ms, core, sites, last_joined_ms }.encode_to_vec()
    }

    pub(in crate::engine) fn decode(bytes: &[u8]) -> Result<Self, EngineError> {
        let record = StoryRecord::decode(bytes).map_err(|it| damaged(&it))?;
        let StoryRecord { count, canonical, canonical_ms, core, sites, last_joined_ms } = record;
        Ok(Self { count, canonical, canonical_ms, core, sites, last_joined_ms })
    }

    /// Counts a member's site and time.
    pub(in crate::engine) fn add(&mut self, number: u32, member: &Member) {
        self.count += 1;
        if self.count == 1 || (member.published_ms, number) < (self.canonical_ms, self.canonical) {
            (self.canonical_ms, self.canonical) = (member.published_ms, number);
        }
        self.last_joined_ms = self.last_joined_ms.max(member.joined_ms);
        if member.site != 0 && self.sites.len() < SITES_MAX && !self.sites.contains(&member.site) {
            self.sites.push(member.site);
        }
    }
}

impl Member {
    /// One by itself.
    pub(in crate::engine) fn founder() -> Self {
        Self { joined_by: None, is_core: true, published_ms: 0, site: 0, joined_ms: 0 }
    }

    pub(in crate::engine) fn encode(&self) -> Vec<u8> {
        let Self { joined_by, is_core, published_ms, site, joined_ms } = *self;
        MemberRecord { joined_by, is_core, published_ms, site, joined_ms }.encode_to_vec()
    }

    pub(in crate::engine) fn decode(bytes: &[u8]) -> Result<Self, EngineError> {
        let record = MemberRecord::decode(bytes).map_err(|it| damaged(&it))?;
        let MemberRecord { joined_by, is_core, published_ms, site, joined_ms } = record;
        Ok(Self { joined_by, is_core, published_ms, site, joined_ms })
    }
}

fn damaged(error: &prost::DecodeError) -> EngineError {
    EngineError::DamagedRow { what: "story", problem: error.to_string() }
}

pub(in crate::engine) fn story_key(id: StoryId) -> [u8; 4] {
    ordered_32(id.0)
}

pub(in crate::engine) fn member_key(id: StoryId, number: ArticleNumber) -> Vec<u8> {
    key([&story_key(id), &ordered_32(number.0)])
}

/// The story that was joined last first.
pub(in crate::engine) fn time_key(id: StoryId, story: &Story) -> Vec<u8> {
    key([&ordered_64(u64::MAX - story.last_joined_ms), &story_key(id)])
}

/// The story with most members first.
pub(in crate::engine) fn size_key(id: StoryId, story: &Story) -> Vec<u8> {
    key([&ordered_64(u64::MAX - story.count), &story_key(id)])
}
