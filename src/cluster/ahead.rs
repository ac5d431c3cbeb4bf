//! What a node's writer asks before it has to, and what it holds back: both go with its next
//! batch, so that a commit takes few of them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::Value;

use crate::cluster::batch::Lanes;
use crate::cluster::{Cluster, ClusterError, Command};
use crate::hash::{HashMap, HashSet};

/// A command as it goes over the wire.
type Wire = Vec<u8>;

/// What is done with the replies to writes that were held back.
type Done = Box<dyn FnOnce(&[Value]) + Send>;

/// What waits for the next batch of the writer, and what came with the last ones.
#[derive(Default)]
pub(super) struct Ahead(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    asked: Vec<Command>,
    known: HashMap<Wire, Value>,
    held: Vec<(Vec<Command>, Done)>,
}

impl Ahead {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    /// Asks with the next batch of the writer.
    pub(crate) fn ask_ahead(&self, commands: impl IntoIterator<Item = Command>) {
        self.ahead.lock().asked.extend(commands);
    }

    /// The replies to what the writer asks: those that came ahead, and the others in one batch
    /// with what was asked ahead. Only the latter is remembered.
    pub(super) fn ask_as_writer(&self, commands: &[Command]) -> Result<Vec<Value>, ClusterError> {
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
        let known: HashSet<&Wire> = wires.iter().collect();
        batch.extend(asked.into_iter().filter(|it| !known.contains(&it.wire())));
        let mut came = self.run(&batch, Lanes::READ)?;
        let ahead = came.split_off(missing.len());
        for (place, value) in missing.iter().zip(came) {
            if let Some(reply) = replies.get_mut(*place) {
                *reply = Some(value);
            }
        }
        let asked = batch.iter().skip(missing.len()).map(Command::wire);
        self.ahead.lock().known.extend(asked.zip(ahead));
        Ok(replies.into_iter().flatten().collect())
    }

    /// Writes, and asks in the same batch what was asked ahead. What came before is forgotten.
    pub(crate) fn write_and_ask(&self, commands: &[Command]) -> Result<Vec<Value>, ClusterError> {
        let asked = {
            let mut waiting = self.ahead.lock();
            waiting.known.clear();
            std::mem::take(&mut waiting.asked)
        };
        let mut batch = commands.to_vec();
        batch.extend(asked);
        let mut replies = self.run(&batch, Lanes::Split { writes: commands.len() })?;
        let known = replies.split_off(commands.len());
        let asked = batch.iter().skip(commands.len());
        self.ahead.lock().known.extend(asked.map(Command::wire).zip(known));
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

    /// Forgets what was asked ahead and what is held back.
    pub(crate) fn forget_ahead(&self) {
        let waiting = std::mem::take(&mut *self.ahead.lock());
        drop(waiting);
    }
}

impl Command {
    fn wire(&self) -> Wire {
        self.cmd.get_packed_command()
    }
}
