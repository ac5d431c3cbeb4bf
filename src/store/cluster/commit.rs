//! A commit: the turn that it is made in, and its one batch.

use std::sync::{MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use redis::Value;

use crate::cluster::{Asker, ClusterError, Command, varied};
use crate::hash;
use crate::store::cluster::intent::Intent;
use crate::store::cluster::recover::{Applied, Pending};
use crate::store::cluster::turn::{self, Asking, Committed, Goal, Held, Taken};
use crate::store::cluster::{ClusterStore, list, unexpected};
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
    /// When it was asked for, by the store's clock.
    since: Duration,
    /// The last commit that this node knows of.
    known_seq: u64,
    /// The last turn that it had.
    pub(super) known_fence: u64,
    /// The name of a turn that is asked for and not answered.
    attempt: Option<u64>,
    /// Whether numbers were used that are not committed.
    is_unclean: bool,
    /// The last turn that was ended in good order, and the commit that it had applied.
    ended: (u64, u64),
    /// A commit of which it is not known whether it is stored.
    pub(super) in_doubt: Option<u64>,
    /// Whether that may not be taken back any more.
    pub(super) stands: bool,
    /// Numbers that the last turn may have used.
    pub(super) used: u32,
}

impl OwnTurn {
    /// Nothing of the last turn is left but what it knew.
    pub(super) fn settled(&mut self, known_fence: u64) {
        *self = Self { known_seq: self.known_seq, known_fence, ..Self::default() };
    }
}

impl ClusterStore {
    pub(super) fn begin_turn(&self, waits: bool) -> Result<Option<Turn>, StoreError> {
        let (ended, attempt, known, used) = {
            let mut turn = self.own_turn();
            // The same until it has been answered: a turn that was taken and not told of
            // has used nothing.
            let attempt = *turn.attempt.get_or_insert_with(|| hash::random_64() >> 1);
            (turn.ended, attempt, (turn.known_seq, turn.known_fence), turn.used)
        };
        let asking = Asking {
            known: known.0,
            asks_ahead: true,
            used,
            ..self.asking(&self.shared.holder, ended, attempt)
        };
        let since = self.shared.clock.elapsed();
        self.shared.cluster.forget_known();
        let Some(mut held) = self.take_turn(&asking, waits)? else { return Ok(None) };
        let mut turn = self.own_turn();
        let is_foreign = held.seq != known.0 || !held.is_settled();
        let is_sound = held.is_settled() && held.follows(known);
        let news = if is_sound { held.since(known.0) } else { None };
        if news.is_none() {
            self.shared.cluster.forget_ahead();
        } else if is_foreign || held.fence != known.1 + 1 {
            // What came with the turn may be of before it.
            self.shared.cluster.forget_what_changes();
        }
        let redone = self.recover(&self.shared.holder, &mut held, Pending::Finish)?;
        if !held.follows(known) {
            self.bring_forward(&self.shared.holder, &mut held)?;
        }
        turn.attempt = None;
        let next = ArticleNumber(held.next);
        (turn.known_seq, turn.known_fence) = (held.seq, held.fence);
        (turn.is_unclean, turn.stands, turn.used) = (false, false, 0);
        turn.since = since;
        turn.held = Some(held);
        Ok(Some(Turn { next: Some(next), is_foreign, redone, news }))
    }

    pub(super) fn end_turn(&self, is_clean: bool) {
        self.shared.cluster.forget_ahead();
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
        let identity = self.shared.identity;
        Asking { holder, ended, attempt, identity, used: 0, known: 0, asks_ahead: false }
    }

    /// Does all of the writes or none, with what is held back.
    pub(super) fn commit_all(&self, writes: &[Write]) -> Result<(), StoreError> {
        let mut turn = self.own_turn();
        let held = turn.held.clone().ok_or(StoreError::Damaged("a commit without a turn"))?;
        turn.is_unclean = true;
        let (mut intent, goal) = self.goal(&held, writes)?;
        turn.used = goal.next - held.next;
        let records = self.write_first(writes)?;
        turn.in_doubt = Some(goal.seq);
        let replies = match self.send(&goal, &intent, records) {
            Ok(replies) => replies,
            // It can be taken back at once, unless the cluster does not answer.
            Err(error @ (ClusterError::Full(_) | ClusterError::Refused { .. })) => {
                drop(turn);
                return match self.settle() {
                    Ok(Some(true)) => Ok(()),
                    Ok(_) => Err(error.into()),
                    Err(_) => Err(StoreError::ClusterInDoubt(Box::new(error))),
                };
            }
            Err(error) => return Err(StoreError::ClusterInDoubt(Box::new(error))),
        };
        // Whatever else goes wrong, it is seen to before anything else is written.
        let doubt = |error: StoreError| {
            tracing::warn!(%error, "it is not known yet what became of a commit");
            StoreError::TurnEnded
        };
        let (committed, applied) = replies.split_first().ok_or_else(unexpected).map_err(doubt)?;
        match Committed::read(committed).map_err(doubt)? {
            Committed::Done => {}
            Committed::Before => return Err(StoreError::TurnEnded),
            Committed::TurnLost => return Err(StoreError::TurnLost),
        }
        let mut held = Held { seq: goal.seq, next: goal.next, count: goal.count, ..held };
        match Applied::read(applied).map_err(doubt)? {
            Applied::Done => {}
            Applied::TurnOver => return Err(StoreError::TurnEnded),
            Applied::Behind(ahead) => {
                turn.stands = true;
                let behind = self.go_behind(&self.shared.holder, &mut held, (&mut intent, ahead));
                behind.map_err(doubt)?;
            }
        }
        if self.shared.clock.since(turn.since) >= turn::lease(&self.shared.cluster) {
            // Another may have found it by half, and have taken it back.
            let own = (self.shared.holder.as_str(), held.fence);
            turn::keep(&self.shared.cluster, own).map_err(doubt)?;
        }
        turn.in_doubt = None;
        turn.used = 0;
        turn.known_seq = held.seq;
        turn.held = Some(held);
        match self.shared.cluster.write(&intent.removals(self.layout())) {
            Ok(_) => turn.is_unclean = false,
            // The turn is not ended in good order, so that the next one removes them.
            Err(error) => tracing::warn!(%error, "what a commit removes is removed later"),
        }
        Ok(())
    }

    /// What writes come to.
    fn goal(&self, held: &Held, writes: &[Write]) -> Result<(Intent, Goal), StoreError> {
        let count = |of: fn(&Write) -> bool| writes.iter().filter(|it| of(it)).count() as u64;
        let inserted = count(|it| matches!(it, Write::Insert { .. }));
        let removed = self.still_there(writes)?;
        let next = writes.iter().fold(held.next, |next, it| match it {
            Write::Insert { number, .. } => next.max(number.0.saturating_add(1)),
            Write::Reserve { next: reserved } => next.max(reserved.0),
            Write::Remove { .. } | Write::Set { .. } | Write::Unset { .. } => next,
        });
        let adds = |it: &Write| matches!(it, Write::Insert { .. } | Write::Set { .. });
        let goal = Goal {
            fence: held.fence,
            seq: held.seq + 1,
            next,
            count: (held.count + inserted).saturating_sub(removed),
            only_removes: removed > 0 && !writes.iter().any(|it| adds(it) && !is_counter(it)),
        };
        Ok((self.intent(goal.seq, held.count, writes), goal))
    }

    /// Sends it all: the replies to the commit, then to its steps.
    fn send(
        &self,
        goal: &Goal,
        intent: &Intent,
        records: Vec<Command>,
    ) -> Result<Vec<Value>, ClusterError> {
        let cluster = &self.shared.cluster;
        let mut batch = vec![turn::commit(cluster, goal, intent)];
        batch.extend(intent.commands(self.layout(), goal.fence, goal.only_removes));
        let told = batch.len();
        batch.extend(records);
        let mut replies = cluster.write_held(batch)?;
        replies.truncate(told);
        Ok(replies)
    }

    pub(super) fn own_turn(&self) -> MutexGuard<'_, OwnTurn> {
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
                Taken::Busy(left) => left,
            };
            if asking.asks_ahead {
                cluster.forget_what_changes();
            }
            if !waits {
                cluster.forget_ahead();
                return Ok(None);
            }
            if waited > patience {
                return Err(StoreError::TurnTaken { left });
            }
            let varied = varied(pause);
            thread::sleep(varied);
            waited += varied;
            pause = (pause * 2).min(TURN_PAUSE_MAX);
        }
    }

    /// Writes the first records where they are too many for one batch; gives what is left.
    fn write_first(&self, writes: &[Write]) -> Result<Vec<Command>, StoreError> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for write in writes {
            let Write::Insert { number, article, features, .. } = write else { continue };
            if bytes >= BATCH_BYTES {
                self.shared.cluster.write(&std::mem::take(&mut batch))?;
                bytes = 0;
            }
            for (part, value) in [(Part::Article, article), (Part::Features, features)] {
                let key = self.layout().record(part, *number);
                batch.push(Command::new("SET", &key).arg(value.as_slice()));
                bytes += value.len();
            }
        }
        Ok(batch)
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
        let replies = self.shared.cluster.ask(&commands, Asker::Writer)?;
        let marks = replies.iter().map(list).collect::<Result<Vec<_>, StoreError>>()?;
        Ok(marks.into_iter().flatten().filter(|it| **it == Value::Int(1)).count() as u64)
    }

    fn intent(&self, seq: u64, count: u64, writes: &[Write]) -> Intent {
        let layout = self.layout();
        let mut intent = Intent::new((seq, hash::random_64()), count, &self.shared.holder);
        for write in writes {
            if let Write::Remove { number, id } = write {
                intent.remove(layout, id, *number);
            }
        }
        for write in writes {
            match write {
                Write::Insert { number, id, .. } => intent.insert(layout, id, *number),
                Write::Set { space, key, value } => intent.set(layout, *space, (key, value)),
                Write::Unset { space, key } => intent.unset(layout, *space, key),
                Write::Remove { .. } | Write::Reserve { .. } => {}
            }
        }
        intent
    }
}
