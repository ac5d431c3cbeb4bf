//! The index in a cluster: posting lists that any number of nodes share. A batch of questions
//! takes one round trip for the lists, and one more where filters or shared anchors need to
//! know more of the articles; what is proposed from them is the same as from memory
//! (`propose`), but for keys with more postings than are listed.

mod append;
mod fetched;
mod group;
mod tidy;

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::Value;

use crate::clock::Clock;
use crate::cluster::{Asker, Cluster, ClusterError, ClusterSettings, Command, reply};
use crate::hash::HashMap;
use crate::index::cluster::append::Staged;
use crate::index::cluster::fetched::{COLUMN_BYTES, Column, Fetched, FetchedColumns};
use crate::index::cluster::group::{Groups, Kind, Place};
use crate::index::cluster::tidy::Tidy;
use crate::index::keys::Keys;
use crate::index::propose::{Lists as _, Proposer, block_keys};
use crate::index::{
    Counts, Entry, Filter, ImageError, Index, IndexError, NearQuery, TeaserProposal, TeaserQuery,
    TermProposal, TermQuery, Wanted,
};
use crate::store::cluster::{self, ClusterStore, Layout};
use crate::store::{ArticleNumber, Part, Store, StoreError};

/// Columns of one string.
const COLUMNS_TOGETHER: u32 = 64;
/// Columns that one batch of questions fetches, at most.
const COLUMNS_MAX: usize = 16_384;
/// Anchors from which on what else is known of an article may matter.
const ANCHORS_MIN: usize = 2;
/// Questions up to which candidates are asked for ahead, and these of each, at most.
const ASKED_AHEAD_MAX: usize = 8;
const CANDIDATES_AHEAD_MAX: usize = 32;
/// For how long the number of articles is not asked for again, in milliseconds.
const COUNT_FRESH_MS: u64 = 200;

/// An index in a cluster.
#[derive(Debug, Clone)]
pub struct ClusterIndex {
    shared: Arc<Shared>,
    asker: Asker,
}

#[derive(Debug)]
struct Shared {
    cluster: Arc<Cluster>,
    groups: Groups,
    layout: Layout,
    clock: Clock,
    /// What the writer has put in and not brought to the cluster yet.
    staged: Mutex<Staged>,
    article_count: AtomicU64,
    /// When the count was asked for, in milliseconds of the clock and one.
    counted_ms: AtomicU64,
    tidy: Tidy,
}

/// What was fetched for some questions.
#[derive(Default)]
struct Answer {
    anchors: Fetched,
    bands: Fetched,
    blocks: Fetched,
    terms: Fetched,
    columns: FetchedColumns,
    article_count: u64,
}

/// A store and its index.
pub type Backing = (Arc<dyn Store>, Arc<dyn Index>);

/// The store that a cluster has, or a new one, and its index.
pub fn open(settings: ClusterSettings, clock: Clock) -> Result<Backing, StoreError> {
    let cluster = Arc::new(Cluster::connect(settings)?);
    let store = ClusterStore::open(Arc::clone(&cluster))?;
    let index = ClusterIndex::open(cluster, store.articles_planned(), clock);
    Ok((Arc::new(store), Arc::new(index)))
}

impl ClusterIndex {
    /// The index of a store that is planned for so many articles.
    pub fn open(cluster: Arc<Cluster>, articles_planned: u64, clock: Clock) -> Self {
        let prefix = cluster.settings().prefix.clone();
        let groups = Groups::new(&prefix, articles_planned);
        let shared = Shared {
            tidy: Tidy::start(Arc::clone(&cluster), groups.clone()),
            cluster,
            groups,
            layout: Layout::new(&prefix, articles_planned),
            clock,
            staged: Mutex::default(),
            article_count: AtomicU64::new(0),
            counted_ms: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared), asker: Asker::Reader }
    }

    fn staged(&self) -> MutexGuard<'_, Staged> {
        self.shared.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, commands: &[Command]) -> Result<Vec<Value>, IndexError> {
        Ok(self.shared.cluster.ask(commands, self.asker)?)
    }

    /// Where the lists of these keys are, those of a group together.
    fn places(&self, keys: &[(Kind, u64)]) -> Vec<(Place, u64)> {
        let place = |it: &(Kind, u64)| (self.shared.groups.place(it.0, it.1), it.1);
        let mut wanted: Vec<(Place, u64)> = keys.iter().map(place).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// Asks for the groups that they are in.
    fn groups_of(&self, wanted: &[(Place, u64)]) -> Vec<Command> {
        let first = wanted.chunk_by(is_beside).filter_map(|it| it.first());
        first
            .map(|(it, _)| Command::new("GET", &self.shared.groups.key(it.kind, it.group)))
            .collect()
    }

    /// Asks ahead for what candidates of a few questions will be judged by, when it is not
    /// known yet how many anchors they have: some are asked for in vain, which is less than
    /// another round trip.
    fn ask_ahead(&self, answer: &Answer, queries: &[NearQuery<'_>]) {
        if self.asker != Asker::Writer || queries.len() > ASKED_AHEAD_MAX {
            return;
        }
        let mut numbers: Vec<ArticleNumber> = Vec::new();
        for query in queries {
            let likely = answer.proposer().near(*query);
            numbers.extend(likely.into_iter().take(CANDIDATES_AHEAD_MAX));
        }
        let staged = self.staged();
        numbers.retain(|it| !staged.entries.contains_key(&it.0));
        drop(staged);
        let layout = &self.shared.layout;
        let asked = numbers.iter().flat_map(|it| layout.record_and_mark(Part::Features, *it));
        self.shared.cluster.ask_ahead(asked);
    }

    /// The lists of these keys, and the number of articles, in one round trip.
    fn fetch(&self, keys: &[(Kind, u64)]) -> Result<Answer, IndexError> {
        self.fetch_lists(keys, true)
    }

    /// The same; the number of articles only if it matters.
    fn fetch_lists(&self, keys: &[(Kind, u64)], counts: bool) -> Result<Answer, IndexError> {
        let wanted = self.places(keys);
        let mut commands = self.groups_of(&wanted);
        let now_ms = u64::try_from(self.shared.clock.elapsed().as_millis()).unwrap_or(0) + 1;
        let counted_ms = self.shared.counted_ms.load(Ordering::Acquire);
        let is_old = counted_ms == 0 || now_ms.saturating_sub(counted_ms) > COUNT_FRESH_MS;
        let counts = counts && (is_old || !self.staged().entries.is_empty());
        if counts {
            commands.push(cluster::count(&self.shared.cluster));
        }
        let mut replies = self.ask(&commands)?;
        if counts && let Some(count) = replies.pop() {
            let count = reply::number(&count).unwrap_or(0);
            self.shared.article_count.store(count, Ordering::Release);
            self.shared.counted_ms.store(now_ms, Ordering::Release);
        }
        let mut answer = Answer::default();
        for (together, reply) in wanted.chunk_by(is_beside).zip(&replies) {
            let Value::BulkString(bytes) = reply else { continue };
            for (Place { kind, tag, .. }, key) in together {
                let list = group::list(*kind, bytes, *tag);
                if list.frequency() == 0 {
                    continue;
                }
                if *kind == Kind::Block {
                    let simhashes = list.numbers.iter().copied().zip(list.simhashes.clone());
                    answer.columns.simhashes.extend(simhashes);
                }
                answer.of(*kind).0.insert(*key, list);
            }
        }
        self.add_staged(&wanted, &mut answer);
        Ok(answer)
    }

    /// What the writer has put in counts as if it were there.
    fn add_staged(&self, wanted: &[(Place, u64)], answer: &mut Answer) {
        let staged = self.staged();
        answer.article_count =
            self.shared.article_count.load(Ordering::Acquire) + staged.entries.len() as u64;
        if staged.entries.is_empty() && staged.news.is_empty() {
            return;
        }
        for (number, entry) in staged.entries.iter().chain(&staged.news) {
            answer.columns.columns.insert(*number, Column::of(entry));
            answer.columns.simhashes.insert(*number, entry.keys.sketch.simhash.bits());
        }
        for (place, key) in wanted {
            let Some(numbers) = staged.by_key.get(&(place.kind, *key)) else { continue };
            let list = answer.of(place.kind).0.entry(*key).or_default();
            for number in numbers {
                list.push(*number);
            }
        }
    }

    /// Asks for a column.
    fn column_of(&self, number: u32) -> Command {
        let (key, start) = self.column(number);
        Command::new("GETRANGE", &key).arg(start).arg(start + COLUMN_BYTES - 1)
    }

    /// What filters and shared anchors need to know of articles, in one round trip, or none.
    fn fetch_columns(
        &self,
        answer: &mut Answer,
        filters: &[&Filter],
        counts_anchors: bool,
    ) -> Result<(), IndexError> {
        let numbers = answer.needs_columns(filters, counts_anchors);
        let commands: Vec<Command> = numbers.iter().map(|it| self.column_of(*it)).collect();
        let replies = self.ask(&commands)?;
        for (number, reply) in numbers.iter().zip(&replies) {
            if let Value::BulkString(bytes) = reply
                && let Some(column) = Column::decode(bytes)
            {
                answer.columns.columns.insert(*number, column);
            }
        }
        Ok(())
    }
}

impl Answer {
    fn proposer(&self) -> Proposer<'_, Fetched, FetchedColumns> {
        let Self { anchors, bands, blocks, terms, columns, article_count } = self;
        Proposer { anchors, bands, blocks, terms, columns, article_count: *article_count }
    }

    /// The articles of which filters and shared anchors need to know more.
    fn needs_columns(&self, filters: &[&Filter], counts_anchors: bool) -> Vec<u32> {
        let has_facets = filters
            .iter()
            .any(|it| Filter { numbers: 0..u32::MAX, ..(*it).clone() } != Filter::all());
        let mut seen: HashMap<u32, usize> = HashMap::default();
        if has_facets {
            for lists in [&self.anchors, &self.bands, &self.blocks, &self.terms] {
                for number in lists.0.values().flat_map(|it| &it.numbers) {
                    seen.insert(*number, ANCHORS_MIN + 1);
                }
            }
        } else if counts_anchors {
            for number in self.anchors.0.values().flat_map(|it| &it.numbers) {
                *seen.entry(*number).or_default() += 1;
            }
        }
        let is_needed =
            |it: &(&u32, &usize)| *it.1 > ANCHORS_MIN && !self.columns.columns.contains_key(it.0);
        let mut numbers: Vec<u32> = seen.iter().filter(is_needed).map(|it| *it.0).collect();
        numbers.sort_unstable();
        numbers.truncate(COLUMNS_MAX);
        numbers
    }

    fn of(&mut self, kind: Kind) -> &mut Fetched {
        match kind {
            Kind::Anchor => &mut self.anchors,
            Kind::Band => &mut self.bands,
            Kind::Block => &mut self.blocks,
            Kind::Term => &mut self.terms,
        }
    }
}

impl Index for ClusterIndex {
    fn insert(&self, entries: &[Entry]) -> Result<(), IndexError> {
        let mut staged = self.staged();
        for entry in entries {
            staged.insert(entry);
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), IndexError> {
        // Where it fails, some may be there: they are removed as those that are.
        let staged = std::mem::take(&mut *self.staged());
        // What others have put in is there.
        let entries: Vec<Entry> = staged.entries.into_values().collect();
        if entries.is_empty() {
            return Ok(());
        }
        let groups = self.postings(&entries, false);
        let commands = self.append(&entries, &groups, false);
        let shared = Arc::clone(&self.shared);
        self.shared.cluster.hold(commands, move |replies| shared.have_grown(&groups, replies));
        Ok(())
    }

    fn restore(&self, entries: &[Entry]) -> Result<(), IndexError> {
        let groups = self.postings(entries, false);
        self.append_always(&groups)?;
        match self.shared.cluster.write(&self.beside(entries, &groups, false)) {
            // They are fewer than they could be, for filters; what is there is found.
            Err(ClusterError::Full(_)) | Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn prefetch(&self, keys: &[&Keys]) {
        let wanted: Vec<(Kind, u64)> = keys.iter().flat_map(|it| asked_of(it)).collect();
        let cluster = &self.shared.cluster;
        cluster.ask_ahead_what_grows(self.groups_of(&self.places(&wanted)));
        cluster.ask_ahead([cluster::count(cluster)]);
    }

    fn prefetch_candidates(&self, keys: &[&Keys]) -> Result<(), IndexError> {
        let filter = Filter::all();
        let queries: Vec<NearQuery<'_>> =
            keys.iter().map(|keys| NearQuery { keys, shingle_count: 1, filter: &filter }).collect();
        let wanted: Vec<(Kind, u64)> = keys.iter().flat_map(|it| asked_of(it)).collect();
        let answer = self.fetch_lists(&wanted, false)?;
        self.ask_ahead(&answer, &queries);
        let columns = answer.needs_columns(&[], true);
        let columns = columns.iter().map(|it| self.column_of(*it));
        self.shared.cluster.ask_ahead(columns.chain([cluster::count(&self.shared.cluster)]));
        Ok(())
    }

    fn set_news(&self, entries: &[Entry]) {
        let mut staged = self.staged();
        staged.forget_news();
        for entry in entries {
            staged.add_news(entry);
        }
    }

    fn remove(&self, entries: &[Entry]) -> Result<(), IndexError> {
        let mut stored: Vec<Entry> = Vec::new();
        {
            let mut staged = self.staged();
            for entry in entries {
                if !staged.remove(entry) {
                    stored.push(entry.clone());
                }
            }
        }
        if stored.is_empty() {
            return Ok(());
        }
        let groups = self.postings(&stored, true);
        let commands = self.append(&stored, &groups, true);
        match self.shared.cluster.write(&commands) {
            Ok(replies) => self.shared.have_grown(&groups, &replies),
            Err(ClusterError::Full(_)) => self.append_always(&groups)?,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn near(&self, queries: &[NearQuery<'_>]) -> Result<Vec<Vec<ArticleNumber>>, IndexError> {
        let keys: Vec<(Kind, u64)> = queries.iter().flat_map(|it| asked_of(it.keys)).collect();
        let mut answer = self.fetch(&keys)?;
        self.ask_ahead(&answer, queries);
        let filters: Vec<&Filter> = queries.iter().map(|it| it.filter).collect();
        self.fetch_columns(&mut answer, &filters, true)?;
        Ok(queries.iter().map(|it| answer.proposer().near(*it)).collect())
    }

    fn teasers(&self, queries: &[TeaserQuery<'_>]) -> Result<Vec<TeaserProposal>, IndexError> {
        let all = queries.iter().flat_map(|it| it.shingles);
        let keys: Vec<(Kind, u64)> = all.map(|it| (Kind::Anchor, *it)).collect();
        let mut answer = self.fetch(&keys)?;
        // Frequencies are those of all articles.
        let filtered = queries.iter().filter(|it| it.wanted != Wanted::Frequencies);
        let filters: Vec<&Filter> = filtered.map(|it| it.filter).collect();
        self.fetch_columns(&mut answer, &filters, false)?;
        let proposer = answer.proposer();
        let propose = |it: &TeaserQuery<'_>| {
            let found = answer.anchors.find(it.shingles);
            proposer.teaser(*it, (&found, 0))
        };
        Ok(queries.iter().map(propose).collect())
    }

    fn terms(&self, queries: &[TermQuery<'_>]) -> Result<Vec<TermProposal>, IndexError> {
        let all = queries.iter().flat_map(|it| it.terms);
        let keys: Vec<(Kind, u64)> = all.map(|it| (Kind::Term, *it)).collect();
        let mut answer = self.fetch(&keys)?;
        let filters: Vec<&Filter> = queries.iter().map(|it| it.filter).collect();
        self.fetch_columns(&mut answer, &filters, false)?;
        Ok(queries.iter().map(|it| answer.proposer().terms(*it)).collect())
    }

    fn numbers_end(&self) -> u32 {
        0
    }

    fn counts(&self) -> Counts {
        let postings =
            |kind: Kind| Command::new("HGET", &self.postings_key()).arg(kind.letter().to_string());
        let mut commands: Vec<Command> = Kind::ALL.map(postings).to_vec();
        commands.push(cluster::count(&self.shared.cluster));
        // What cannot be told now is told as none.
        let replies = self.ask(&commands).unwrap_or_default();
        let mut counts = replies.iter().filter_map(reply::number);
        let mut next = || counts.next().unwrap_or_default();
        let (anchor_postings, band_postings) = (next(), next());
        let (_, term_postings) = (next(), next());
        let articles = next();
        Counts { articles, anchor_postings, band_postings, term_postings, ..Counts::default() }
    }

    fn write_image(&self, _: usize, _: u64, _: &mut dyn Write) -> Result<(), ImageError> {
        Err(ImageError::Io(io::ErrorKind::Unsupported.into()))
    }

    fn read_image(&self, _: Vec<Box<dyn Read + Send>>) -> Result<u64, ImageError> {
        Err(ImageError::Io(io::ErrorKind::Unsupported.into()))
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn for_writer(&self) -> Option<Arc<dyn Index>> {
        Some(Arc::new(Self { asker: Asker::Writer, ..self.clone() }))
    }
}

/// All that an article is found by.
fn keys_of(entry: &Entry) -> impl Iterator<Item = (Kind, u64)> + '_ {
    asked_of(&entry.keys).chain(entry.keys.terms.iter().map(|it| (Kind::Term, *it)))
}

/// What is looked up for near-duplicates.
fn asked_of(keys: &Keys) -> impl Iterator<Item = (Kind, u64)> + '_ {
    let anchors = keys.anchors.iter().map(|it| (Kind::Anchor, *it));
    let bands = keys.sketch.minhash.band_keys().map(|it| (Kind::Band, it));
    let blocks = block_keys(keys.sketch.simhash).map(|it| (Kind::Block, it));
    anchors.chain(bands).chain(blocks)
}

fn is_beside(a: &(Place, u64), b: &(Place, u64)) -> bool {
    a.0.is_beside(b.0)
}
