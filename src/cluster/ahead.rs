//! What a node's writer asks before it has to, and what it holds back: both go with its next
//! batch, so that a commit takes few of them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::Value;

use crate::cluster::batch::Lanes;
use crate::cluster::{Cluster, ClusterError, Command, reply};
use crate::hash::{HashMap, HashSet};

/// Bytes of replies that are remembered, at most; others are asked for again.
const KNOWN_BYTES_MAX: usize = 64 << 20;

/// Commands of one batch whose replies are remembered, at most.
const REMEMBERED_MAX: usize = 4096;

/// A command as it goes over the wire.
type Wire = Vec<u8>;

/// What is done with the replies to writes that were held back.
type Done = Box<dyn FnOnce(&[Value]) + Send>;

/// What waits for the next batch of the writer, and what came with the last ones.
#[derive(Default)]
pub(super) struct Ahead(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    asked: Vec<(Wire, Command)>,
    /// What was asked of it, that only grows: what others have added since is known otherwise.
    grown: HashSet<Wire>,
    /// Replies, until the turn ends.
    known: HashMap<Wire, Value>,
    known_bytes: usize,
    held: Vec<(Vec<Command>, Done)>,
}

/// What is counted of a reply that is remembered.
fn size(wire: &Wire, value: &Value) -> usize {
    wire.len() + reply::bytes(value).map_or(0, <[u8]>::len)
}

impl Waiting {
    fn is_idle(&self) -> bool {
        self.asked.is_empty() && self.known.is_empty()
    }

    fn remember(&mut self, wire: Wire, value: Value) {
        let bytes = size(&wire, &value);
        if self.known_bytes + bytes <= KNOWN_BYTES_MAX {
            self.known_bytes += bytes;
            self.known.insert(wire, value);
        }
    }
}

impl Ahead {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    /// Asks with the next batch of the writer.
    pub(crate) fn ask_ahead(&self, commands: impl IntoIterator<Item = Command>) {
        let mut waiting = self.ahead.lock();
        let Waiting { asked, known, .. } = &mut *waiting;
        let named = commands.into_iter().map(|it| (it.wire(), it));
        asked.extend(named.filter(|it| !known.contains_key(&it.0)));
    }

    /// The same of what only grows, so that its reply is of use after others have written.
    pub(crate) fn ask_ahead_what_grows(&self, commands: Vec<Command>) {
        self.ahead.lock().grown.extend(commands.iter().map(Command::wire));
        self.ask_ahead(commands);
    }

    /// Forgets what others may have changed.
    pub(crate) fn forget_what_changes(&self) {
        let mut waiting = self.ahead.lock();
        let Waiting { asked, grown, known, known_bytes, .. } = &mut *waiting;
        known.retain(|wire, _| grown.contains(wire));
        *known_bytes = known.iter().map(|it| size(it.0, it.1)).sum();
        asked.clear();
    }

    /// The replies to what the writer asks: those that are known, and the others in one batch
    /// with what was asked ahead.
    pub(super) fn ask_as_writer(&self, commands: &[Command]) -> Result<Vec<Value>, ClusterError> {
        if commands.len() > REMEMBERED_MAX && self.ahead.lock().is_idle() {
            // Of so many, a round trip more is less than the work to remember them.
            return self.run(commands, Lanes::READ);
        }
        let wires: Vec<Wire> = commands.iter().map(Command::wire).collect();
        let (mut replies, asked) = {
            let mut waiting = self.ahead.lock();
            let replies: Vec<Option<Value>> =
                wires.iter().map(|it| waiting.known.get(it).cloned()).collect();
            if replies.iter().all(Option::is_some) {
                return Ok(replies.into_iter().flatten().collect());
            }
            (replies, std::mem::take(&mut waiting.asked))
        };
        let missing = replies.iter().zip(0..).filter(|it| it.0.is_none()).map(|it| it.1);
        let missing: Vec<usize> = missing.collect();
        let own = |it: &usize| commands.get(*it).cloned();
        let mut batch: Vec<Command> = missing.iter().filter_map(own).collect();
        let own: HashSet<&Wire> = wires.iter().collect();
        let others = asked.into_iter().filter(|it| !own.contains(&it.0));
        let (named, others): (Vec<Wire>, Vec<Command>) = others.unzip();
        batch.extend(others);
        let mut came = self.run(&batch, Lanes::READ)?;
        let ahead = came.split_off(missing.len());
        let mut waiting = self.ahead.lock();
        for (wire, value) in named.into_iter().zip(ahead) {
            waiting.remember(wire, value);
        }
        for (place, value) in missing.iter().zip(came) {
            if let (Some(reply), Some(wire)) = (replies.get_mut(*place), wires.get(*place)) {
                waiting.remember(wire.clone(), value.clone());
                *reply = Some(value);
            }
        }
        Ok(replies.into_iter().flatten().collect())
    }

    /// Writes, and asks in the same batch what was asked ahead.
    pub(crate) fn write_and_ask(&self, commands: &[Command]) -> Result<Vec<Value>, ClusterError> {
        let asked = std::mem::take(&mut self.ahead.lock().asked);
        let (named, asked): (Vec<Wire>, Vec<Command>) = asked.into_iter().unzip();
        let mut batch = commands.to_vec();
        batch.extend(asked);
        let mut replies = self.run(&batch, Lanes::Split { writes: commands.len() })?;
        let known = replies.split_off(commands.len());
        let mut waiting = self.ahead.lock();
        for (wire, value) in named.into_iter().zip(known) {
            waiting.remember(wire, value);
        }
        Ok(replies)
    }

    /// Holds writes back until [`Cluster::write_held`].
    pub(crate) fn hold(
        &self,
        commands: Vec<Command>,
        done: impl FnOnce(&[Value]) + Send + 'static,
    ) {
        self.ahead.lock().held.push((commands, Box::new(done)));
    }

    /// Writes, with what was held back, in one batch. The replies to what is written now.
    pub(crate) fn write_held(&self, commands: Vec<Command>) -> Result<Vec<Value>, ClusterError> {
        let held = std::mem::take(&mut self.ahead.lock().held);
        let (own, mut batch) = (commands.len(), commands);
        let mut places = Vec::with_capacity(held.len());
        for (commands, done) in held {
            places.push((batch.len()..batch.len() + commands.len(), done));
            batch.extend(commands);
        }
        let mut replies = self.write(&batch)?;
        for (place, done) in places {
            done(replies.get(place).unwrap_or_default());
        }
        replies.truncate(own);
        Ok(replies)
    }

    /// Forgets what came ahead, and not what is still to be asked.
    pub(crate) fn forget_known(&self) {
        let mut waiting = self.ahead.lock();
        waiting.known.clear();
        waiting.known_bytes = 0;
    }

    /// Forgets what was asked ahead and what is held back.
    pub(crate) fn forget_ahead(&self) {
        *self.ahead.lock() = Waiting::default();
    }
}

impl Command {
    fn wire(&self) -> Wire {
        self.cmd.get_packed_command()
    }
}
