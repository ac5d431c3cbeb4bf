//! A commit: the turn that it is made in, its three steps, and what is done where one of
//! them failed.

use std::sync::{MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use redis::Value;

use crate::cluster::{Command, reply, varied};
use crate::hash;
use crate::store::cluster::intent::Intent;
use crate::store::cluster::layout::Layout;
use crate::store::cluster::turn::{self, Asking, Held, Proposal, TURN_NUMBERS, Taken};
use crate::store::cluster::{ClusterStore, list, number};
use crate::store::{ArticleNumber, Part, Space, StoreError, Turn, Write};

/// Bytes of records that one batch brings, at most, but for one record.
const BATCH_BYTES: usize = 8 << 20;
/// Looks for a turn that another has: the first pause, and the longest.
const TURN_PAUSE: Duration = Duration::from_millis(1);
const TURN_PAUSE_MAX: Duration = Duration::from_millis(20);

/// Whether it sets one of a few rows that are there already.
fn is_counter(write: &Write) -> bool {
    matches!(write, Write::Set { space: Space::Counter, .. })
}

/// The turn of this node's writer.
#[derive(Debug, Default)]
pub(super) struct OwnTurn {
    held: Option<Held>,
    /// The last commit that this node knows of.
    known_seq: u64,
    /// The last turn that it had.
    known_fence: u64,
    /// The name of a turn that is asked for and not answered.
    attempt: Option<u64>,
    /// Whether numbers were used that are not committed.
    is_unclean: bool,
    /// The last turn that was ended in good order, and the commit that it had applied.
    ended: (u64, u64),
    /// A commit of which it is not known whether it is stored.
    in_doubt: Option<u64>,
}

impl ClusterStore {
    pub(super) fn begin_turn(&self, waits: bool) -> Result<Option<Turn>, StoreError> {
        let (ended, attempt, known) = {
            let mut turn = self.own_turn();
            // The same until it has been answered: a turn that was taken and not told of
            // has used nothing.
            let attempt = *turn.attempt.get_or_insert_with(|| hash::random_64() >> 1);
            (turn.ended, attempt, (turn.known_seq, turn.known_fence))
        };
        let asking = self.asking(&self.shared.holder, ended, attempt);
        let Some(mut held) = self.take_turn(&asking, waits)? else { return Ok(None) };
        let mut turn = self.own_turn();
        self.apply_pending(&self.shared.holder, &mut held)?;
        let is_first = known.1 == 0;
        if is_first || held.seq < known.0 || held.fence <= known.1 {
            self.bring_forward(&self.shared.holder, &mut held)?;
        }
        turn.attempt = None;
        let is_foreign = held.seq != turn.known_seq;
        let next = ArticleNumber(held.next);
        (turn.known_seq, turn.known_fence) = (held.seq, held.fence);
        turn.is_unclean = false;
        turn.held = Some(held);
        Ok(Some(Turn { next: Some(next), is_foreign }))
    }

    pub(super) fn end_turn(&self, is_clean: bool) {
        let mut turn = self.own_turn();
        let Some(held) = turn.held.take() else { return };
        let is_clean = is_clean && !turn.is_unclean;
        turn.is_unclean = false;
        turn.ended = if is_clean { (held.fence, held.seq) } else { (0, 0) };
        let holder = (self.shared.holder.as_str(), held.fence);
        let command = turn::ended(&self.shared.cluster, holder, held.seq, is_clean);
        drop(turn);
        self.shared.cluster.send_off(command);
    }

    pub(super) fn asking<'a>(
        &self,
        holder: &'a str,
        ended: (u64, u64),
        attempt: u64,
    ) -> Asking<'a> {
        Asking { holder, ended, attempt, identity: self.shared.identity }
    }

    /// A cluster that has lost its last commits in a failover, or was set back, would give
    /// their numbers and sequences again: what stands in the partitions says how far it was.
    pub(super) fn bring_forward(&self, holder: &str, held: &mut Held) -> Result<(), StoreError> {
        let layout = self.layout();
        let get = (0..layout.partitions).map(|it| Command::new("GET", &layout.seq(it)));
        let replies = self.shared.cluster.read(&get.collect::<Vec<_>>())?;
        let seqs = replies.iter().filter_map(|it| {
            let text = std::str::from_utf8(reply::bytes(it)?).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        let seq = seqs.max().unwrap_or(0);
        if seq <= held.seq {
            return Ok(());
        }
        let next = self.greatest_number(held.next)?.max(held.next).saturating_add(TURN_NUMBERS);
        tracing::error!(
            last = held.seq,
            applied = seq,
            "the cluster has lost its last commits, as by a failover without replicas: what was \
             acknowledged in them may be missing; going on behind them"
        );
        (held.seq, held.next) = (seq, next);
        turn::forward(&self.shared.cluster, holder, held)
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
        let mut intent = self.intent((seq, hash::random_64()), writes);
        let (bytes, fence) = (intent.encode(), held.fence);
        let count = (held.count + inserted).saturating_sub(removed);
        let adds = |it: &Write| matches!(it, Write::Insert { .. } | Write::Set { .. });
        let only_removes = removed > 0 && !writes.iter().any(|it| adds(it) && !is_counter(it));
        let proposal = Proposal { fence, seq, next, count, intent: &bytes, only_removes };
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
        let mut held = Held { seq, next, count, ..held };
        self.apply_behind(&self.shared.holder, &mut held, &mut intent).map_err(in_doubt)?;
        turn.in_doubt = None;
        turn.is_unclean = false;
        turn.known_seq = held.seq;
        turn.held = Some(held);
        Ok(())
    }

    /// Says whether the commit that was in doubt is stored.
    pub(super) fn settle(&self) -> Result<Option<bool>, StoreError> {
        let mut turn = self.own_turn();
        let Some(seq) = turn.in_doubt else { return Ok(None) };
        let holder = &self.shared.holder;
        let asking = self.asking(holder, (0, 0), hash::random_64() >> 1);
        let mut held = self.take_turn(&asking, true)?.ok_or(StoreError::TurnLost)?;
        self.apply_pending(holder, &mut held)?;
        let by = Command::new("GET", &Layout::by(&self.shared.cluster, holder));
        let replies = self.shared.cluster.read(&[by])?;
        let last = number(replies.first().unwrap_or(&Value::Nil))?;
        let end = turn::ended(&self.shared.cluster, (holder, held.fence), held.seq, true);
        self.shared.cluster.write(&[end])?;
        let (known_seq, known_fence) = (turn.known_seq, held.fence);
        *turn = OwnTurn { known_seq, known_fence, ..OwnTurn::default() };
        Ok(Some(last == seq))
    }

    fn own_turn(&self) -> MutexGuard<'_, OwnTurn> {
        self.shared.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn; `None` if another has it and it is not waited for.
    pub(super) fn take_turn(
        &self,
        asking: &Asking<'_>,
        waits: bool,
    ) -> Result<Option<Held>, StoreError> {
        let cluster = &self.shared.cluster;
        let (mut waited, mut pause) = (Duration::ZERO, TURN_PAUSE);
        let patience = cluster.settings().timeout + turn::lease(cluster);
        loop {
            let left = match turn::take(cluster, asking)? {
                Taken::Held(held) => return Ok(Some(held)),
                Taken::Busy(_) if !waits => return Ok(None),
                Taken::Busy(left) => left,
            };
            if waited > patience {
                return Err(StoreError::TurnTaken { left });
            }
            let varied = varied(pause);
            thread::sleep(varied);
            waited += varied;
            pause = (pause * 2).min(TURN_PAUSE_MAX);
        }
    }

    /// Applies what an interrupted turn committed.
    pub(super) fn apply_pending(&self, holder: &str, held: &mut Held) -> Result<(), StoreError> {
        if held.intent.is_empty() {
            return Ok(());
        }
        let intent = Intent::decode(&held.intent);
        let mut intent = intent.ok_or(StoreError::Damaged("the last commit in the cluster"))?;
        tracing::info!(commit = intent.seq, "applying a commit that was interrupted");
        self.apply_behind(holder, held, &mut intent)?;
        held.intent.clear();
        Ok(())
    }

    /// Applies a commit, behind all others where the cluster has lost some.
    fn apply_behind(
        &self,
        holder: &str,
        held: &mut Held,
        intent: &mut Intent,
    ) -> Result<(), StoreError> {
        match self.apply(intent) {
            Err(StoreError::WentBack { .. }) => {
                self.bring_forward(holder, held)?;
                intent.seq = held.seq + 1;
                self.apply(intent)?;
                held.seq = intent.seq;
                turn::forward(&self.shared.cluster, holder, held)
            }
            applied => applied,
        }
    }

    /// Brings a commit to the partitions, then removes the records that it leaves behind.
    fn apply(&self, intent: &Intent) -> Result<(), StoreError> {
        let cluster = &self.shared.cluster;
        let replies = cluster.write(&intent.commands(self.layout()))?;
        let ahead = replies.iter().map(number).collect::<Result<Vec<u64>, _>>()?;
        let ahead = ahead.into_iter().max().unwrap_or(0);
        if ahead > 0 {
            // Later commits are there: this one was applied by whoever made them. Unless they
            // are of a time that the cluster has forgotten.
            let last = self.field("seq")?;
            if last < ahead || (last == ahead && last == intent.seq) {
                return Err(StoreError::WentBack { seq: intent.seq, ahead });
            }
        }
        cluster.write(&intent.removals(self.layout()))?;
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

    fn intent(&self, (seq, id): (u64, u64), writes: &[Write]) -> Intent {
        let (layout, mut intent) = (self.layout(), Intent::new(seq, id));
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
