//! A commit: the turn that it is made in, its three steps, and what is done where one of
//! them failed.

use std::sync::{MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use redis::Value;

use crate::cluster::Command;
use crate::hash;
use crate::store::cluster::intent::Intent;
use crate::store::cluster::layout::Layout;
use crate::store::cluster::turn::{self, Held, Proposal, Taken};
use crate::store::cluster::{ClusterStore, list, number};
use crate::store::{ArticleNumber, Part, StoreError, Turn, Write};

/// Bytes of records that one batch brings, at most, but for one record.
const BATCH_BYTES: usize = 8 << 20;
/// Looks for a turn that another has: the first pause, and the longest.
const TURN_PAUSE: Duration = Duration::from_millis(1);
const TURN_PAUSE_MAX: Duration = Duration::from_millis(50);

/// The turn of this node's writer.
#[derive(Debug, Default)]
pub(super) struct OwnTurn {
    held: Option<Held>,
    /// The last commit that this node knows of.
    known_seq: u64,
    /// Whether numbers were used that are not committed.
    is_unclean: bool,
    /// The last turn that was ended in good order, and the commit that it had applied.
    ended: (u64, u64),
    /// A commit of which it is not known whether it is stored.
    in_doubt: Option<u64>,
}

impl ClusterStore {
    pub(super) fn begin_turn(&self, waits: bool) -> Result<Option<Turn>, StoreError> {
        let ended = self.own_turn().ended;
        let held = self.take_turn((&self.shared.holder, ended), waits)?;
        let Some(mut held) = held else { return Ok(None) };
        let mut turn = self.own_turn();
        turn.is_unclean = true;
        self.apply_pending(&mut held)?;
        let is_foreign = held.seq != turn.known_seq;
        let next = ArticleNumber(held.next);
        turn.known_seq = held.seq;
        turn.is_unclean = false;
        turn.held = Some(held);
        Ok(Some(Turn { next: Some(next), is_foreign }))
    }

    pub(super) fn end_turn(&self) {
        let mut turn = self.own_turn();
        let Some(held) = turn.held.take() else { return };
        let is_clean = !turn.is_unclean;
        turn.is_unclean = false;
        turn.ended = if is_clean { (held.fence, held.seq) } else { (0, 0) };
        let holder = (self.shared.holder.as_str(), held.fence);
        let command = turn::ended(&self.shared.cluster, holder, held.seq, is_clean);
        drop(turn);
        self.shared.cluster.send_off(command);
    }

    /// Does all of the writes or none.
    pub(super) fn commit_all(&self, writes: &[Write]) -> Result<(), StoreError> {
        let mut turn = self.own_turn();
        let held = turn.held.clone().ok_or(StoreError::Damaged("a commit without a turn"))?;
        turn.is_unclean = true;
        self.write_records(writes)?;
        let count = |of: fn(&Write) -> bool| writes.iter().filter(|it| of(it)).count() as u64;
        let inserted = count(|it| matches!(it, Write::Insert { .. }));
        let removed = self.still_there(writes)?;
        let next = writes.iter().fold(held.next, |next, it| match it {
            Write::Insert { number, .. } => next.max(number.0.saturating_add(1)),
            Write::Reserve { next: reserved } => next.max(reserved.0),
            Write::Remove { .. } | Write::Set { .. } | Write::Unset { .. } => next,
        });
        let seq = held.seq + 1;
        let intent = self.intent(seq, writes);
        let (bytes, fence) = (intent.encode(), held.fence);
        let count = (held.count + inserted).saturating_sub(removed);
        let proposal = Proposal { fence, seq, next, count, intent: &bytes };
        turn.in_doubt = Some(seq);
        let in_doubt = |error| {
            if let StoreError::Cluster(error) = error {
                StoreError::ClusterInDoubt(error)
            } else {
                error
            }
        };
        if !turn::commit(&self.shared.cluster, &self.shared.holder, &proposal).map_err(in_doubt)? {
            turn.in_doubt = None;
            turn.held = None;
            return Err(StoreError::TurnLost);
        }
        self.shared
            .cluster
            .write(&intent.commands(self.layout()))
            .map_err(|it| StoreError::ClusterInDoubt(it.into()))?;
        turn.in_doubt = None;
        turn.is_unclean = false;
        turn.known_seq = seq;
        turn.held = Some(Held { seq, next, count, ..held });
        Ok(())
    }

    /// Says whether the commit that was in doubt is stored.
    pub(super) fn settle(&self) -> Result<Option<bool>, StoreError> {
        let mut turn = self.own_turn();
        let Some(seq) = turn.in_doubt else { return Ok(None) };
        let holder = &self.shared.holder;
        let mut held = self.take_turn((holder, (0, 0)), true)?.ok_or(StoreError::TurnLost)?;
        self.apply_pending(&mut held)?;
        let by = Command::new("GET", &Layout::by(&self.shared.cluster, holder));
        let replies = self.shared.cluster.read(&[by])?;
        let last = number(replies.first().unwrap_or(&Value::Nil))?;
        let end = turn::ended(&self.shared.cluster, (holder, held.fence), held.seq, true);
        self.shared.cluster.write(&[end])?;
        *turn = OwnTurn { known_seq: turn.known_seq, ..OwnTurn::default() };
        Ok(Some(last == seq))
    }

    fn own_turn(&self) -> MutexGuard<'_, OwnTurn> {
        self.shared.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn; `None` if another has it and it is not waited for.
    pub(super) fn take_turn(
        &self,
        (holder, ended): (&str, (u64, u64)),
        waits: bool,
    ) -> Result<Option<Held>, StoreError> {
        let cluster = &self.shared.cluster;
        let timeout = cluster.settings().timeout;
        let (mut waited, mut pause) = (Duration::ZERO, TURN_PAUSE);
        loop {
            let left = match turn::take(cluster, holder, ended)? {
                Taken::Held(held) => return Ok(Some(held)),
                Taken::Busy(_) if !waits => return Ok(None),
                Taken::Busy(left) => left,
            };
            if waited > timeout + turn::LEASE {
                return Err(StoreError::TurnTaken { left });
            }
            let varied = pause.mul_f64(0.5 + (hash::random_64() % 1024) as f64 / 1024.0);
            thread::sleep(varied);
            waited += varied;
            pause = (pause * 2).min(TURN_PAUSE_MAX);
        }
    }

    /// Applies what an interrupted turn committed.
    pub(super) fn apply_pending(&self, held: &mut Held) -> Result<(), StoreError> {
        if held.intent.is_empty() {
            return Ok(());
        }
        let intent = Intent::decode(&held.intent);
        let intent = intent.ok_or(StoreError::Damaged("the last commit in the cluster"))?;
        tracing::info!(commit = intent.seq, "applying a commit that was interrupted");
        self.shared.cluster.write(&intent.commands(self.layout()))?;
        held.intent.clear();
        Ok(())
    }

    /// The records, in batches, each acknowledged by replicas.
    fn write_records(&self, writes: &[Write]) -> Result<(), StoreError> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for write in writes {
            let Write::Insert { number, article, features, .. } = write else { continue };
            for (part, value) in [(Part::Article, article), (Part::Features, features)] {
                let key = self.layout().record(part, *number);
                batch.push(Command::new("SET", &key).arg(value.as_slice()));
                bytes += value.len();
            }
            if bytes >= BATCH_BYTES {
                self.shared.cluster.write(&std::mem::take(&mut batch))?;
                bytes = 0;
            }
        }
        self.shared.cluster.write(&batch)?;
        Ok(())
    }

    /// How many of the records that are to be removed are there.
    fn still_there(&self, writes: &[Write]) -> Result<u64, StoreError> {
        let removed = writes.iter().filter_map(|it| match it {
            Write::Remove { number, .. } => Some(*number),
            Write::Insert { .. }
            | Write::Set { .. }
            | Write::Unset { .. }
            | Write::Reserve { .. } => None,
        });
        let mut numbers: Vec<ArticleNumber> = removed.collect();
        numbers.sort_unstable();
        numbers.dedup();
        let commands: Vec<Command> = self.live(&numbers).into_iter().map(|it| it.0).collect();
        let replies = self.shared.cluster.read(&commands)?;
        let marks = replies.iter().map(list).collect::<Result<Vec<_>, StoreError>>()?;
        Ok(marks.into_iter().flatten().filter(|it| **it == Value::Int(1)).count() as u64)
    }

    fn intent(&self, seq: u64, writes: &[Write]) -> Intent {
        let (layout, mut intent) = (self.layout(), Intent::new(seq));
        for write in writes {
            if let Write::Remove { number, id } = write {
                intent.unname(layout, id, *number);
                intent.mark(layout, *number, false);
                intent.removed.push(*number);
            }
        }
        for write in writes {
            if let Write::Insert { number, id, .. } = write {
                intent.name(layout, id, *number);
                intent.mark(layout, *number, true);
            }
        }
        for write in writes {
            match write {
                Write::Set { space, key, value } => intent.set(layout, *space, (key, value)),
                Write::Unset { space, key } => intent.unset(layout, *space, key),
                Write::Insert { .. } | Write::Remove { .. } | Write::Reserve { .. } => {}
            }
        }
        intent
    }
}
