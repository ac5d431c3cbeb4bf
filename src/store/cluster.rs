//! Records and rows in a cluster of Valkey or Redis, shared by any number of nodes.
//!
//! A commit is one batch to all nodes at once, answered when the replicas have it that must:
//! the new postings and records; what the commit does to ids, rows and commit marks, as one
//! value (the intent); and that applied to each partition, which remembers how it is undone.
//! Where the batch was interrupted, whoever has the next turn finishes the commit if its
//! intent and its records are there, and takes it back in all partitions if not, so that
//! it is there whole or not at all.

mod check;
mod commit;
mod intent;
mod layout;
mod ranges;
mod recover;
mod steps;
mod sweep;
mod turn;
mod view;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use redis::Value;

use crate::clock::Clock;
use crate::cluster::reply;
use crate::cluster::{Asker, Cluster, ClusterError, Command};
use crate::hash;
use crate::store::cluster::commit::OwnTurn;
use crate::store::cluster::layout::LIVE_NUMBERS;
pub(crate) use crate::store::cluster::layout::Layout;
pub use crate::store::cluster::sweep::Orphans;
use crate::store::cluster::view::ClusterView;
use crate::store::damage::{Damage, DamageLog};
use crate::store::{
    ArticleNumber, Part, Row, RowKey, Space, State, Store, StoreError, Turn, View, Write,
};

/// The format of what stands in the cluster.
const FORMAT: u64 = 1;

/// Makes a store, or tells what there is. `KEYS`: turn. `ARGV`: format, identity, articles.
const MAKE: &str = r"
if redis.call('HEXISTS', KEYS[1], 'format') == 0 then
  redis.call('HSET', KEYS[1], 'format', ARGV[1], 'identity', ARGV[2], 'articles', ARGV[3],
    'seq', 0, 'done', 0, 'next', 0, 'count', 0, 'fence', 0, 'holder', '')
end
return redis.call('HMGET', KEYS[1], 'format', 'identity', 'articles')
";

/// A store in a cluster.
#[derive(Debug, Clone)]
pub struct ClusterStore {
    shared: Arc<Shared>,
    asker: Asker,
}

#[derive(Debug)]
struct Shared {
    cluster: Arc<Cluster>,
    layout: Layout,
    identity: u64,
    /// Articles that it was planned for when it was made.
    articles: u64,
    /// This process, as one that has turns.
    holder: String,
    turn: Mutex<OwnTurn>,
    damage: DamageLog,
    clock: Clock,
}

impl ClusterStore {
    /// Opens the store that a cluster has under its prefix, or makes one.
    pub fn open(cluster: Arc<Cluster>) -> Result<Self, StoreError> {
        let key = Layout::turn(&cluster);
        let settings = cluster.settings().clone();
        let is_there = cluster.read(&[Command::new("HEXISTS", &key).arg("format")])?;
        let make = Command::script(MAKE, &[&key])
            .arg(FORMAT)
            .arg(hash::random_64() >> 1)
            .arg(settings.articles);
        // A store that is there is opened whether replicas are there or not.
        let replies = if is_there.first() == Some(&Value::Int(1)) {
            cluster.read(&[make])?
        } else {
            cluster.write(&[make])?
        };
        let parts = list(replies.first().unwrap_or(&Value::Nil))?;
        let [format, identity, articles] = parts else { return Err(unexpected()) };
        let format = number(format)?;
        if format != FORMAT {
            let found = u32::try_from(format).unwrap_or(u32::MAX);
            let expected = u32::try_from(FORMAT).unwrap_or(u32::MAX);
            return Err(StoreError::ClusterFormat { found, expected });
        }
        let articles = number(articles)?;
        if articles != settings.articles {
            tracing::info!(
                articles,
                "the cluster is planned for as many articles as when it was first used"
            );
        }
        let shared = Shared {
            layout: Layout::new(&settings.prefix, articles),
            identity: number(identity)?,
            articles,
            holder: format!("{:016x}", hash::random_64()),
            turn: Mutex::default(),
            damage: DamageLog::default(),
            clock: Clock::system(),
            cluster,
        };
        Ok(Self { shared: Arc::new(shared), asker: Asker::Reader })
    }

    /// Articles that it was planned for when it was made.
    pub fn articles_planned(&self) -> u64 {
        self.shared.articles
    }

    fn read_all(&self, commands: &[Command]) -> Result<Vec<Value>, StoreError> {
        Ok(self.shared.cluster.ask(commands, self.asker)?)
    }

    fn layout(&self) -> &Layout {
        &self.shared.layout
    }

    /// Asks for the number of an id.
    fn number_of(&self, id: &str) -> Command {
        Command::new("HGET", &self.layout().id(id).1).arg(id)
    }

    /// Asks for a row.
    fn row_of(&self, (space, key): &RowKey) -> Command {
        let (low, high) = layout::row_bounds(*space, key);
        let rows = self.layout().rows(self.layout().partition(*space, key));
        Command::new("ZRANGEBYLEX", &rows).arg(low).arg(high)
    }

    /// Asks which of these numbers' records count.
    fn live(&self, numbers: &[ArticleNumber]) -> Vec<(Command, Vec<ArticleNumber>)> {
        if self.asker == Asker::Writer {
            // One by one, so that what was asked ahead is known.
            return numbers.iter().map(|it| (self.layout().is_live(&[*it]), vec![*it])).collect();
        }
        let mut chunks: BTreeMap<u32, Vec<ArticleNumber>> = BTreeMap::new();
        for number in numbers {
            chunks.entry(number.0 / LIVE_NUMBERS).or_default().push(*number);
        }
        chunks.into_values().map(|it| (self.layout().is_live(&it), it)).collect()
    }

    /// The field of the turn's hash, as a number.
    fn field(&self, name: &str) -> Result<u64, StoreError> {
        let replies = self.shared.cluster.read(&[field(&self.shared.cluster, name)])?;
        number(replies.first().unwrap_or(&Value::Nil))
    }
}

impl Store for ClusterStore {
    fn numbers(&self, ids: &[&str]) -> Result<Vec<Option<ArticleNumber>>, StoreError> {
        let commands: Vec<Command> = ids.iter().map(|it| self.number_of(it)).collect();
        let replies = self.read_all(&commands)?;
        replies
            .iter()
            .map(|value| {
                if matches!(value, Value::Nil) {
                    return Ok(None);
                }
                let number = u32::try_from(number(value)?).map_err(|_| unexpected())?;
                Ok(Some(ArticleNumber(number)))
            })
            .collect()
    }

    fn read(
        &self,
        part: Part,
        numbers: &[ArticleNumber],
        visit: &mut dyn FnMut(ArticleNumber, &[u8]),
    ) -> Result<(), StoreError> {
        let mut commands: Vec<Command> = numbers
            .iter()
            .map(|it| Command::new("GET", &self.layout().record(part, *it)))
            .collect();
        let (asked, chunks): (Vec<Command>, Vec<_>) = self.live(numbers).into_iter().unzip();
        commands.extend(asked);
        let replies = self.read_all(&commands)?;
        let (records, marks) = replies.split_at_checked(numbers.len()).ok_or_else(unexpected)?;
        let mut live = hash::HashSet::default();
        for (numbers, marks) in chunks.iter().zip(marks) {
            let marks = list(marks)?;
            let marked = numbers.iter().zip(marks).filter(|it| *it.1 == Value::Int(1));
            live.extend(marked.map(|it| *it.0));
        }
        for (number, record) in numbers.iter().zip(records) {
            if live.contains(number) {
                // One that is not there has gone between the two looks.
                if let Some(record) = reply::bytes(record) {
                    visit(*number, record);
                }
            }
        }
        Ok(())
    }

    fn scan(
        &self,
        part: Part,
        after: Option<ArticleNumber>,
        count_max: usize,
    ) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError> {
        let mut found: Vec<(ArticleNumber, Vec<u8>)> = Vec::new();
        let mut first = after.map_or(0, |it| it.0.saturating_add(1));
        let end = u32::try_from(self.field("next")?).unwrap_or(u32::MAX);
        while found.len() < count_max && first < end {
            let chunk = first / LIVE_NUMBERS;
            let numbers = self.numbers_of(chunk)?;
            let left = count_max - found.len();
            let wanted: Vec<ArticleNumber> =
                numbers.into_iter().filter(|it| it.0 >= first).take(left).collect();
            first = match wanted.last() {
                Some(last) if wanted.len() == left => last.0 + 1,
                _ => (chunk + 1).saturating_mul(LIVE_NUMBERS),
            };
            self.read(part, &wanted, &mut |number, bytes| found.push((number, bytes.to_vec())))?;
        }
        Ok(found)
    }

    fn row(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.each_row(&[(space, key.to_vec())])?.into_iter().next().flatten())
    }

    fn each_row(&self, keys: &[RowKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let commands: Vec<Command> = keys.iter().map(|it| self.row_of(it)).collect();
        let replies = self.read_all(&commands)?;
        let values = replies.iter().map(|it| {
            let member = list(it)?.first().and_then(reply::bytes);
            Ok(member.and_then(layout::read_member).map(|it| it.1))
        });
        values.collect()
    }

    fn each_prefix(&self, prefixes: &[RowKey]) -> Result<Vec<Vec<Row>>, StoreError> {
        self.prefixes(prefixes)
    }

    fn rows(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        count_max: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.range(space, keys, count_max)
    }

    fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        self.commit_all(writes)
    }

    fn next_number(&self) -> Result<ArticleNumber, StoreError> {
        Ok(self.state()?.next)
    }

    fn numbers_end(&self) -> Result<ArticleNumber, StoreError> {
        let next = self.next_number()?;
        Ok(ArticleNumber(self.greatest_number(next.0)?))
    }

    fn record_count(&self) -> Result<u64, StoreError> {
        self.field("count")
    }

    fn bytes(&self) -> Result<u64, StoreError> {
        check::memory(&self.shared.cluster)
    }

    fn removed(&self) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError> {
        Ok(Vec::new())
    }

    fn forget_removed(&self, _: u64) -> Result<(), StoreError> {
        Ok(())
    }

    fn kept(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let replies = self.read_all(&[Command::new("GET", &Layout::kept(&self.shared.cluster))])?;
        Ok(replies.first().and_then(reply::bytes).map(<[u8]>::to_vec))
    }

    fn keep(&self, bytes: &[u8]) -> Result<(), StoreError> {
        // The first one that is kept stays: records are made with it.
        let key = Layout::kept(&self.shared.cluster);
        self.shared.cluster.write(&[Command::new("SET", &key).arg(bytes).arg("NX")])?;
        // The writer may have seen that there was none.
        self.shared.cluster.forget_ahead();
        Ok(())
    }

    fn recover(&self) -> Result<Option<bool>, StoreError> {
        self.settle()
    }

    fn state(&self) -> Result<State, StoreError> {
        let next = u32::try_from(self.field("next")?).map_err(|_| StoreError::NumbersUsedUp)?;
        let next = ArticleNumber(next);
        Ok(State { identity: self.shared.identity, next, removals: 0, forgotten: 0 })
    }

    fn check(&self, found: &mut dyn FnMut(Damage)) -> Result<(), StoreError> {
        self.check_records(found)
    }

    fn copy(&self, _: &mut dyn FnMut(Vec<u8>) -> bool) -> Result<(), StoreError> {
        Err(StoreError::NoCopy)
    }

    fn view(&self) -> Result<Arc<dyn View>, StoreError> {
        Ok(Arc::new(ClusterView::begin(self.clone())?))
    }

    fn damage(&self) -> &DamageLog {
        &self.shared.damage
    }

    fn begin(&self, waits: bool) -> Result<Option<Turn>, StoreError> {
        self.begin_turn(waits)
    }

    fn end(&self, is_clean: bool) {
        self.end_turn(is_clean);
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn orphans(&self) -> Result<Option<Orphans>, StoreError> {
        self.first_orphans()
    }

    fn forget_orphans(&self, orphans: &Orphans) -> Result<(), StoreError> {
        self.remove_orphans(orphans)
    }

    fn for_writer(&self) -> Option<Arc<dyn Store>> {
        Some(Arc::new(Self { asker: Asker::Writer, ..self.clone() }))
    }

    fn quiet(&self) -> Result<Option<u64>, StoreError> {
        let cluster = &self.shared.cluster;
        let is = Command::new("HMGET", &Layout::turn(cluster)).arg("holder").arg("fence");
        let replies = cluster.read(&[is])?;
        let [holder, fence] = list(replies.first().unwrap_or(&Value::Nil))? else {
            return Err(unexpected());
        };
        let is_free = reply::bytes(holder).is_none_or(<[u8]>::is_empty);
        if is_free { number(fence).map(Some) } else { Ok(None) }
    }

    fn prefetch(&self, ids: &[&str], rows: &[RowKey], kept: bool) {
        let cluster = &self.shared.cluster;
        let ids = ids.iter().map(|it| self.number_of(it));
        let rows = rows.iter().map(|it| self.row_of(it));
        let kept = kept.then(|| Command::new("GET", &Layout::kept(cluster)));
        cluster.ask_ahead(ids.chain(rows).chain(kept));
    }
}

/// Asks for a field of the turn's hash.
fn field(cluster: &Cluster, name: &str) -> Command {
    Command::new("HGET", &Layout::turn(cluster)).arg(name)
}

/// Asks for the number of articles.
pub(crate) fn count(cluster: &Cluster) -> Command {
    field(cluster, "count")
}

/// A reply that makes no sense.
fn unexpected() -> StoreError {
    StoreError::Damaged("the cluster gave a reply that is not of this store")
}

fn number(value: &Value) -> Result<u64, StoreError> {
    reply::number(value).ok_or_else(unexpected)
}

fn list(value: &Value) -> Result<&[Value], StoreError> {
    reply::list(value).ok_or_else(unexpected)
}

impl From<ClusterError> for StoreError {
    fn from(error: ClusterError) -> Self {
        Self::Cluster(Box::new(error))
    }
}
