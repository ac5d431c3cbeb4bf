//! Records: bytes under article numbers and ids, and rows beside them, durable when a
//! commit returns. Knows no text, no sketch and no index.

pub mod cluster;
pub mod damage;
pub mod draft;
pub mod embedded;
pub(crate) mod pack;
pub mod pending;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::ClusterError;
use crate::store::cluster::Orphans;
use crate::store::damage::{Damage, DamageLog};

/// The store's own name for an article's content: ascending in the order in
/// which contents were stored. Content that replaces other content gets a new
/// number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArticleNumber(pub u32);

impl ArticleNumber {
    /// The greatest number that is given out: the index uses those above it.
    pub const MAX: Self = Self((7 << 29) - 1);
}

/// The parts of a record, kept apart because they are read apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The article as it was given.
    Article,
    /// What is computed from it.
    Features,
}

/// What rows are about: each has its own keys, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Space {
    /// Counters.
    Counter = 0,
    /// Teasers that wait, by number.
    Teaser = 1,
    /// Their numbers, by id.
    TeaserId = 2,
    /// Their numbers, by when they were seen last.
    TeaserBySeen = 3,
    /// Their numbers, by how often they were seen.
    TeaserByTimes = 4,
    /// Teasers whose article has come, in that order.
    Resolution = 5,
    /// Members of stories, by story and article number.
    Member = 6,
    /// Stories, by the number of a member.
    StoryOf = 7,
    /// What is known of a story as a whole.
    Story = 8,
    /// Stories, by when an article joined them last.
    StoryByTime = 9,
    /// Stories, by their size.
    StoryBySize = 10,
    /// Who teased an article.
    Reference = 11,
    /// What an article was before.
    Revision = 12,
    /// Article numbers, by when they expire.
    Expiry = 13,
    /// When articles were stored, by the number of the first of some in a row.
    StoredAt = 14,
    /// What came to wait and what waits no longer, of the last commits; where nodes share a
    /// store.
    ShelfLog = 15,
}

impl Space {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Counter,
        Self::Teaser,
        Self::TeaserId,
        Self::TeaserBySeen,
        Self::TeaserByTimes,
        Self::Resolution,
        Self::Member,
        Self::StoryOf,
        Self::Story,
        Self::StoryByTime,
        Self::StoryBySize,
        Self::Reference,
        Self::Revision,
        Self::Expiry,
        Self::StoredAt,
        Self::ShelfLog,
    ];
}

/// Behind all keys that begin with a prefix, which is not all of 0xff.
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    [prefix, &KEYS_END].concat()
}

/// Behind every key.
pub const KEYS_END: [u8; 64] = [0xff; 64];

/// What a row, or rows that begin alike, are called by.
pub type RowKey = (Space, Vec<u8>);

/// A row: its key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// One change.
#[derive(Debug, Clone)]
pub enum Write {
    /// Stores a record under a new number, and its id.
    Insert {
        /// Greater than every number before.
        number: ArticleNumber,
        /// The caller's name for the article.
        id: String,
        /// [`Part::Article`].
        article: Vec<u8>,
        /// [`Part::Features`].
        features: Vec<u8>,
    },
    /// Removes a record, and its id where that still names it.
    Remove {
        /// The record.
        number: ArticleNumber,
        /// Its id.
        id: String,
    },
    /// Sets a row.
    Set {
        /// What it is about.
        space: Space,
        /// Its key.
        key: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// Removes a row, if it is there.
    Unset {
        /// What it is about.
        space: Space,
        /// Its key.
        key: Vec<u8>,
    },
    /// Gives no content a number before this one.
    Reserve {
        /// The number of the next content, if it would be less.
        next: ArticleNumber,
    },
}

/// What one commit left, while others go on. Its methods are those of [`Store`].
pub trait View: fmt::Debug + Send + Sync {
    /// As [`Store::read`].
    fn read(
        &self,
        part: Part,
        numbers: &[ArticleNumber],
        visit: &mut dyn FnMut(ArticleNumber, &[u8]),
    ) -> Result<(), StoreError>;

    /// As [`Store::scan`].
    fn scan(
        &self,
        part: Part,
        after: Option<ArticleNumber>,
        count_max: usize,
    ) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError>;

    /// As [`Store::row`].
    fn row(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// As [`Store::rows`], but tells `found` of those that are damaged.
    fn rows(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        count_max: usize,
        found: &mut dyn FnMut(Damage),
    ) -> Result<Vec<Row>, StoreError>;

    /// The numbers of all articles, ascending.
    fn numbers(&self) -> Result<Vec<ArticleNumber>, StoreError>;

    /// As [`Store::state`].
    fn state(&self) -> Result<State, StoreError>;
}

/// Where records are kept. All calls take batches; none is retried inside.
pub trait Store: fmt::Debug + Send + Sync {
    /// The numbers of the articles with these ids, in their order.
    fn numbers(&self, ids: &[&str]) -> Result<Vec<Option<ArticleNumber>>, StoreError>;

    /// Gives one part of those of these records that are there to `visit`. Numbers
    /// that ascend are read with fewer steps. One that is damaged is given as no bytes.
    fn read(
        &self,
        part: Part,
        numbers: &[ArticleNumber],
        visit: &mut dyn FnMut(ArticleNumber, &[u8]),
    ) -> Result<(), StoreError>;

    /// One part of the records behind `after`, ascending by number, at most
    /// `count_max`. For some in a row that are damaged, the first is given, as no bytes.
    fn scan(
        &self,
        part: Part,
        after: Option<ArticleNumber>,
        count_max: usize,
    ) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError>;

    /// The row with this key.
    fn row(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The rows with these keys, in their order.
    fn each_row(&self, keys: &[RowKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// The rows whose keys begin with each of these, which are not all of 0xff, ascending.
    fn each_prefix(&self, prefixes: &[RowKey]) -> Result<Vec<Vec<Row>>, StoreError>;

    /// The rows of a space whose keys are in a range, ascending, at most `count_max`.
    /// Those that are damaged are noted, and left out.
    fn rows(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Row>, StoreError>;

    /// Takes the turn to write: between it and [`Store::end`] no other node does. `None` if
    /// another has it and it is not waited for.
    fn begin(&self, waits: bool) -> Result<Option<Turn>, StoreError>;

    /// Ends the turn, if there is one. Unless it `is_clean`, something of a commit that
    /// failed may be somewhere.
    fn end(&self, is_clean: bool);

    /// Which turn was the last, if nobody has one: where two looks give the same, nothing was
    /// half done between.
    fn quiet(&self) -> Result<Option<u64>, StoreError>;

    /// Some of what interrupted commits left behind, if it is known and old enough.
    fn orphans(&self) -> Result<Option<Orphans>, StoreError>;

    /// Removes it.
    fn forget_orphans(&self, orphans: &Orphans) -> Result<(), StoreError>;

    /// Whether other nodes write to it too.
    fn is_shared(&self) -> bool;

    /// The same store for the writer, which reads where all writes are, and what was asked
    /// ahead; `None` if this one does.
    fn for_writer(&self) -> Option<Arc<dyn Store>>;

    /// Says which ids and rows the writer will ask for, and whether for what is kept, so that
    /// they come with the next look, or with the turn if nobody wrote before it.
    fn prefetch(&self, ids: &[&str], rows: &[RowKey], kept: bool);

    /// Does all of the writes or none: first what is removed, then what is inserted,
    /// then the rows in their order. When it returns, they outlast a crash.
    fn commit(&self, writes: &[Write]) -> Result<(), StoreError>;

    /// The number of the next content: one above the greatest ever stored.
    fn next_number(&self) -> Result<ArticleNumber, StoreError>;

    /// One above the greatest number of a content that came in; as [`Store::next_number`],
    /// without numbers that were passed over.
    fn numbers_end(&self) -> Result<ArticleNumber, StoreError>;

    /// Number of records.
    fn record_count(&self) -> Result<u64, StoreError>;

    /// Bytes that the records take on the disk, or in memory.
    fn bytes(&self) -> Result<u64, StoreError>;

    /// What was removed and is remembered: [`Part::Features`] of records that are no
    /// longer there, so that an index of an earlier state can be brought up to date.
    fn removed(&self) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError>;

    /// Forgets the removals before the one with this place in the order of all.
    fn forget_removed(&self, before: u64) -> Result<(), StoreError>;

    /// What was kept by [`Store::keep`]; `None` before.
    fn kept(&self) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keeps some bytes by which the records are read, durably.
    fn keep(&self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Opens the store again after a failure, if it is not open. Says whether the change
    /// that was in doubt is stored, once; `None` if none was.
    fn recover(&self) -> Result<Option<bool>, StoreError>;

    /// What tells this state of the records from others.
    fn state(&self) -> Result<State, StoreError>;

    /// Reads all that is stored, and tells `found` of what is not as it was written.
    fn check(&self, found: &mut dyn FnMut(Damage)) -> Result<(), StoreError>;

    /// Gives a copy of what one commit left, part by part, while others go on; stops when
    /// a part is not taken. What it means is the store's own.
    fn copy(&self, take: &mut dyn FnMut(Vec<u8>) -> bool) -> Result<(), StoreError>;

    /// What the last commit left.
    fn view(&self) -> Result<Arc<dyn View>, StoreError>;

    /// Where damage is noted that is found by the way.
    fn damage(&self) -> &DamageLog;
}

/// What a writer learns when its turn begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The number of the next content; `None` where only this writer gives numbers.
    pub next: Option<ArticleNumber>,
    /// Whether others have written since this writer's last turn.
    pub is_foreign: bool,
    /// What was stored by a commit that was interrupted, so that its postings may be missing.
    pub redone: Vec<ArticleNumber>,
    /// What others have brought since what was asked ahead, if that is known and of use.
    pub news: Option<Vec<ArticleNumber>>,
}

impl Turn {
    /// Of a store that has one writer.
    pub const ALONE: Self = Self { next: None, is_foreign: false, redone: Vec::new(), news: None };
}

/// A state of the records, as far as an index that was made from it needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Drawn at random when the store was made.
    pub identity: u64,
    /// The number of the next content.
    pub next: ArticleNumber,
    /// Removals up to here.
    pub removals: u64,
    /// Those of them that are no longer remembered, the first ones.
    pub forgotten: u64,
}

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the folder open.
    #[error(
        "the data folder {folder} is in use by another process: stop that one, or give another --data-dir"
    )]
    InUse {
        /// The folder.
        folder: String,
    },
    /// The folder cannot be made or opened.
    #[error("the data folder {folder} cannot be opened: {problem}")]
    Folder {
        /// The folder.
        folder: String,
        /// What the system says.
        problem: String,
    },
    /// The files are of another version.
    #[error(
        "the data folder has format {found}, this doublon reads formats up to {expected}: use the version that wrote it"
    )]
    Format {
        /// Format of the files.
        found: u32,
        /// Format of this build.
        expected: u32,
    },
    /// The store is a view that takes no writes.
    #[error("the store is read only")]
    ReadOnly,
    /// A file is not what was written.
    #[error("{file} is damaged: {problem}. `doublon verify` names what is; restore a backup")]
    DamagedFile {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A row is not what was written.
    #[error("{0}. `doublon rebuild` mends what can be had from the records")]
    DamagedRow(Damage),
    /// A value is not what was written.
    #[error("the store is damaged: {0}")]
    Damaged(&'static str),
    /// What is in the cluster is of another version.
    #[error(
        "what is in the cluster has format {found}, this doublon reads format {expected}: use the version that wrote it, or another --cluster-prefix"
    )]
    ClusterFormat {
        /// Format of what is there.
        found: u32,
        /// Format of this build.
        expected: u32,
    },
    /// The cluster failed; nothing of a change is stored.
    #[error("{0}")]
    Cluster(Box<ClusterError>),
    /// The cluster failed in the midst of a commit.
    #[error("{0}; whether the change is stored is known when it answers again")]
    ClusterInDoubt(Box<ClusterError>),
    /// Another node writes, and does not come to an end.
    #[error(
        "another node has the turn to write, for {left:?} at most, as while an export is under way: retry"
    )]
    TurnTaken {
        /// How long it may last.
        left: Duration,
    },
    /// The turn took too long, and another node has it now.
    #[error("the turn to write ended before the commit: nothing of it is stored, retry")]
    TurnLost,
    /// The turn ended in the midst of a commit.
    #[error(
        "the turn to write ended in the midst of the commit: whether it is stored is known in a moment, retry"
    )]
    TurnEnded,
    /// The cluster has another store by now than the one that was opened.
    #[error(
        "the cluster has lost the store that this server opened, or has another one in its place: see to the cluster, then start the server again"
    )]
    OtherStore,
    /// Parts of the cluster are of later commits than it knows of.
    #[error(
        "the cluster has lost its last commits: parts of it are at {ahead}, this one was {seq}; the next commit goes on behind them, retry"
    )]
    WentBack {
        /// The commit.
        seq: u64,
        /// The greatest that was found.
        ahead: u64,
    },
    /// A cluster is copied by its own means.
    #[error(
        "a store in a cluster has no copy of its own: back it up with the cluster's means, or with `doublon export`"
    )]
    NoCopy,
    /// All numbers were given out.
    #[error("all {} article numbers are used up: move the articles to a new data folder", ArticleNumber::MAX.0)]
    NumbersUsedUp,
    /// The database failed; nothing of the change is stored.
    #[error("the store failed ({0}): retry, and if this goes on, see to the server's disk")]
    Database(#[from] Box<redb::Error>),
    /// The database failed, and could not be opened again yet.
    #[error(
        "the store failed ({0}), and whether the change is stored is known once its disk works again: retry, and see to the server's disk"
    )]
    InDoubt(Box<redb::Error>),
    /// It failed a moment ago, and is tried again soon.
    #[error(
        "the store failed ({problem}) and is tried again soon: retry, and if this goes on, see to the server's disk"
    )]
    Failing {
        /// Why it failed.
        problem: String,
    },
}
