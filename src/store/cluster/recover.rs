//! What is done about a commit that was interrupted: it is finished if all that it brings is
//! there, else it is taken back wherever it was applied.

use redis::Value;

use crate::cluster::{Command, reply};
use crate::hash;
use crate::store::cluster::intent::Intent;
use crate::store::cluster::layout::Layout;
use crate::store::cluster::steps::{self, Told};
use crate::store::cluster::turn::{self, Asking, Held, TURN_NUMBERS};
use crate::store::cluster::{ClusterStore, number, unexpected};
use crate::store::{ArticleNumber, StoreError};

/// What becomes of a commit that is not known to be whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pending {
    /// It may have been acknowledged, or built upon.
    Finish,
    /// The one of this sequence was not, if it is this node's.
    TakeBack(u64),
}

/// What became of a commit in the partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applied {
    Done,
    /// Others have the turn.
    TurnOver,
    /// Some are at this sequence already.
    Behind(u64),
}

impl Applied {
    pub(super) fn read(replies: &[Value]) -> Result<Self, StoreError> {
        let mut ahead = 0;
        for it in replies {
            let Value::Int(it) = it else { return Err(unexpected()) };
            match u64::try_from(*it) {
                Ok(seq) => ahead = ahead.max(seq),
                Err(_) => return Ok(Self::TurnOver),
            }
        }
        Ok(if ahead == 0 { Self::Done } else { Self::Behind(ahead) })
    }
}

impl ClusterStore {
    /// Sees to what turns left that were not ended. The numbers of what was finished, whose
    /// postings may be missing.
    pub(super) fn recover(
        &self,
        holder: &str,
        held: &mut Held,
        pending: Pending,
    ) -> Result<Vec<ArticleNumber>, StoreError> {
        if held.is_settled() {
            return Ok(Vec::new());
        }
        // What came behind the commit that is known is there by half.
        self.take_back(holder, held)?;
        let redone = self.see_to_pending(holder, held, pending)?;
        held.intent.clear();
        held.is_unclean = false;
        Ok(redone)
    }

    fn see_to_pending(
        &self,
        holder: &str,
        held: &mut Held,
        pending: Pending,
    ) -> Result<Vec<ArticleNumber>, StoreError> {
        if held.intent.is_empty() {
            return Ok(Vec::new());
        }
        let damaged = StoreError::Damaged("the last commit in the cluster");
        let mut intent = Intent::decode(&held.intent).ok_or(damaged)?;
        let is_refused =
            pending == Pending::TakeBack(intent.seq) && intent.holder == self.shared.holder;
        if !is_refused && self.is_whole(&intent)? {
            tracing::info!(commit = intent.seq, "finishing a commit that was interrupted");
            self.finish(holder, held, &mut intent)?;
            return Ok(intent.inserted);
        }
        tracing::info!(commit = intent.seq, "taking back a commit that was interrupted");
        turn::revoke(&self.shared.cluster, (holder, held.fence), &intent)?;
        (held.seq, held.count) = (intent.seq.saturating_sub(1), intent.count);
        self.take_back(holder, held)?;
        Ok(Vec::new())
    }

    fn is_whole(&self, intent: &Intent) -> Result<bool, StoreError> {
        let replies = self.shared.cluster.read(&intent.presence(self.layout()))?;
        Ok(replies.iter().all(|it| *it == Value::Int(1)))
    }

    fn finish(&self, holder: &str, held: &mut Held, intent: &mut Intent) -> Result<(), StoreError> {
        let cluster = &self.shared.cluster;
        let replies = cluster.write(&intent.commands(self.layout(), held.fence, true))?;
        match Applied::read(&replies)? {
            Applied::Done => {}
            Applied::TurnOver => return Err(StoreError::TurnLost),
            Applied::Behind(ahead) => self.go_behind(holder, held, (intent, ahead))?,
        }
        cluster.write(&intent.removals(self.layout()))?;
        Ok(())
    }

    /// Takes back what was applied of a commit that is not there, and lets nothing of it come
    /// any more.
    fn take_back(&self, holder: &str, held: &mut Held) -> Result<(), StoreError> {
        let (layout, cluster) = (self.layout(), &self.shared.cluster);
        let doubtful = held.seq + 1;
        let fence = |held: &Held| {
            let fence = |it| steps::fence((layout, it), held.fence, doubtful);
            cluster.write(&(0..layout.partitions).map(fence).collect::<Vec<_>>())
        };
        let read = |replies: &[Value]| -> Result<(u64, u64), StoreError> {
            let all = replies.iter().map(|it| Told::read(it).ok_or_else(unexpected));
            let all = all.collect::<Result<Vec<_>, _>>()?;
            let seq = all.iter().map(|it| it.seq).max().unwrap_or(0);
            Ok((seq, all.iter().map(|it| it.fence).max().unwrap_or(0)))
        };
        let mut replies = fence(held)?;
        let (mut seq, fence_max) = read(&replies)?;
        if fence_max > held.fence {
            // The turn has been set back.
            turn::forward(cluster, holder, held, fence_max + 1)?;
            replies = fence(held)?;
            seq = read(&replies)?.0;
        }
        if seq > doubtful {
            // Later ones are there, so that it was made, and is gone where this is known.
            return Ok(());
        }
        let undo = (0..layout.partitions)
            .zip(&replies)
            .filter_map(|(it, reply)| Told::read(reply)?.undo((layout, it), held.fence));
        let undo: Vec<Command> = undo.collect();
        if undo.is_empty() {
            return Ok(());
        }
        let partitions = undo.len();
        tracing::info!(commit = doubtful, partitions, "taking back what was not committed");
        let is_over = |it: &Value| *it != Value::Int(0);
        if cluster.write(&undo)?.iter().any(is_over) { Err(StoreError::TurnLost) } else { Ok(()) }
    }

    /// Applies a commit behind all others, where the cluster has lost some that were later.
    pub(super) fn go_behind(
        &self,
        holder: &str,
        held: &mut Held,
        (intent, ahead): (&mut Intent, u64),
    ) -> Result<(), StoreError> {
        let behind = StoreError::WentBack { seq: intent.seq, ahead };
        self.bring_forward(holder, held)?;
        intent.seq = held.seq + 1;
        let replies =
            self.shared.cluster.write(&intent.commands(self.layout(), held.fence, true))?;
        if Applied::read(&replies)? != Applied::Done {
            return Err(behind);
        }
        held.seq = intent.seq;
        turn::forward(&self.shared.cluster, holder, held, held.fence)
    }

    /// A cluster that has lost its last commits in a failover, or was set back, would give
    /// their numbers and sequences again: what stands in the partitions says how far it was.
    pub(super) fn bring_forward(&self, holder: &str, held: &mut Held) -> Result<(), StoreError> {
        let layout = self.layout();
        let get = (0..layout.partitions).map(|it| Command::new("GET", &layout.seq(it)));
        let replies = self.shared.cluster.read(&get.collect::<Vec<_>>())?;
        let field = |reply: &Value, at: usize| {
            let text = std::str::from_utf8(reply::bytes(reply)?).ok()?;
            text.split(' ').nth(at)?.parse::<u64>().ok()
        };
        let max = |at| replies.iter().filter_map(|it| field(it, at)).max().unwrap_or(0);
        let (seq, fence) = (max(0), max(2));
        if seq <= held.seq && fence <= held.fence {
            return Ok(());
        }
        if seq > held.seq {
            let next = self.greatest_number(held.next)?.max(held.next);
            tracing::error!(
                last = held.seq,
                applied = seq,
                "the cluster has lost its last commits, as by a failover without replicas: what \
                 was acknowledged in them may be missing; going on behind them"
            );
            (held.seq, held.next) = (seq, next.saturating_add(TURN_NUMBERS));
        }
        let fence = if fence > held.fence { fence + 1 } else { held.fence };
        turn::forward(&self.shared.cluster, holder, held, fence)
    }

    /// Says whether the commit that was in doubt is stored. Nobody was told that it is.
    pub(super) fn settle(&self) -> Result<Option<bool>, StoreError> {
        let mut turn = self.own_turn();
        let Some(seq) = turn.in_doubt else { return Ok(None) };
        self.shared.cluster.forget_ahead();
        let holder = &self.shared.holder;
        let asking = self.asking(holder, (0, 0), hash::random_64() >> 1);
        let asking = Asking { used: turn.used, ..asking };
        let mut held = self.take_turn(&asking, true)?.ok_or(StoreError::TurnLost)?;
        // Where nobody had the turn between, nobody has built on it.
        let is_alone = held.fence == turn.known_fence + 1 && !turn.stands;
        let pending = if is_alone { Pending::TakeBack(seq) } else { Pending::Finish };
        // Something of it may be in partitions, whatever became of the turn.
        held.is_unclean = true;
        let redone = self.recover(holder, &mut held, pending)?;
        let by = Command::new("GET", &Layout::by(&self.shared.cluster, holder));
        let replies = self.shared.cluster.read(&[by])?;
        let last = number(replies.first().unwrap_or(&Value::Nil))?;
        self.end_recovered((holder, held.fence), held.seq, &redone)?;
        turn.settled(held.fence);
        Ok(Some(last == seq))
    }

    /// Ends a turn in which nothing was done but to recover. What was finished stays pending
    /// until a writer has seen to its postings.
    pub(super) fn end_recovered(
        &self,
        holder: (&str, u64),
        seq: u64,
        redone: &[ArticleNumber],
    ) -> Result<(), StoreError> {
        let applied = if redone.is_empty() { seq } else { 0 };
        let end = turn::ended(&self.shared.cluster, holder, applied, true);
        self.shared.cluster.write(&[end])?;
        Ok(())
    }
}
