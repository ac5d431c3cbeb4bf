//! A batch: its commands grouped by node, sent at once, and what did not come through tried
//! again, with pauses that grow and vary, until the time is up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use redis::{Pipeline, Value};
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::link::{LinkKind, Links};
use crate::cluster::slots::{Address, SlotMap, named, redirect};
use crate::cluster::{ClusterError, ClusterSettings, Command, Lane, Meter, varied};
use crate::hash;

/// The first pause before something is tried again, and the longest.
const PAUSE: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// Shares of the time: how long a node may take for one pipeline, and how long replicas may
/// take to have it.
const PATIENCE_SHARE: u32 = 2;
const REPLICA_SHARE: u32 = 4;

/// Between two looks at who serves which slots.
const RENEWED: Duration = Duration::from_secs(10);

/// What calls share.
pub(super) struct Shared {
    pub(super) settings: ClusterSettings,
    pub(super) meter: Meter,
    links: Links,
    map: Mutex<Arc<SlotMap>>,
    /// Held by who asks for the map, so that one does for all; when that failed last.
    asking: tokio::sync::Mutex<Option<(Instant, String)>>,
}

/// What became of one command.
enum Outcome {
    Done(Value),
    /// It has another node for now.
    Ask(Address),
    /// It was not done, and the map may have changed.
    Again(String),
    Failed(ClusterError),
}

/// Where the commands of a batch go.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lanes {
    All(Lane),
    /// The first ones are written, the others read from primaries.
    Split {
        writes: usize,
    },
}

impl Lanes {
    pub(super) const QUESTION: Self = Self::All(Lane::Question);
    pub(super) const READ: Self = Self::All(Lane::Read);
    pub(super) const WRITE: Self = Self::All(Lane::Write);

    fn of(self, place: usize) -> Lane {
        match self {
            Self::All(lane) => lane,
            Self::Split { writes } if place < writes => Lane::Write,
            Self::Split { .. } => Lane::Read,
        }
    }
}

/// The commands that go to one node: their places.
struct Part {
    address: Address,
    lane: LinkKind,
    places: Vec<usize>,
    is_asked: bool,
}

impl Shared {
    pub(super) fn new(settings: ClusterSettings) -> Result<Self, ClusterError> {
        let links = Links::new(&settings)?;
        let (map, meter) = (Mutex::default(), Meter::default());
        Ok(Self { settings, meter, links, map, asking: tokio::sync::Mutex::default() })
    }

    /// Asks for the map, until some node tells.
    pub(super) async fn discover(&self) -> Result<(), ClusterError> {
        let mut tries = Tries::new(self.settings.timeout);
        loop {
            match self.refresh(&SlotMap::default(), tries.left()).await {
                Ok(()) => return Ok(()),
                Err(problem) if is_for_good(&problem) => {
                    let command = "a connection".to_owned();
                    return Err(ClusterError::Refused { command, problem });
                }
                Err(problem) => tries.pause(problem).await?,
            }
        }
    }

    /// Learns of replicas that come and go, which no reply tells of.
    pub(super) async fn keep_up(&self) {
        loop {
            sleep(RENEWED).await;
            let used = self.map();
            if let Err(problem) = self.refresh(&used, self.settings.timeout).await {
                tracing::debug!(problem, "who serves which slots is not told");
            }
        }
    }

    /// The replies to all commands, in their order.
    pub(super) async fn run(
        &self,
        commands: &[Command],
        lanes: Lanes,
    ) -> Result<Vec<Value>, ClusterError> {
        tracing::trace!(commands = commands.len(), ?lanes, "a batch to the cluster");
        let mut replies: Vec<Value> = vec![Value::Nil; commands.len()];
        let mut left: Vec<usize> = (0..commands.len()).collect();
        let mut asked: BTreeMap<usize, Address> = BTreeMap::new();
        let mut tries = Tries::new(self.settings.timeout);
        loop {
            let map = self.map();
            let (parts, mut again) = self.parts(&map, commands, (&left, &asked), lanes);
            let mut problem = again.first().and_then(|it| commands.get(*it)).map(unserved);
            self.meter.trip();
            let patience = tries.left().min(self.settings.timeout / PATIENCE_SHARE);
            let sent = parts.iter().map(|it| self.send(it, commands, patience));
            let outcomes = join_all(sent).await;
            asked.clear();
            for (part, outcomes) in parts.iter().zip(outcomes) {
                for (place, outcome) in part.places.iter().zip(outcomes) {
                    match outcome {
                        Outcome::Done(value) => {
                            if let Some(reply) = replies.get_mut(*place) {
                                *reply = value;
                            }
                            continue;
                        }
                        Outcome::Ask(address) => drop(asked.insert(*place, address)),
                        Outcome::Again(it) => problem = Some(it),
                        Outcome::Failed(error) => return Err(error),
                    }
                    again.push(*place);
                }
            }
            if again.is_empty() {
                return Ok(replies);
            }
            left = again;
            if let Some(problem) = problem {
                tries.pause(problem).await?;
                // What it says is told where the next try fails.
                self.refresh(&map, tries.left()).await.ok();
            }
        }
    }

    /// The replies of all primaries.
    pub(super) async fn each_primary(&self, cmd: &redis::Cmd) -> Result<Vec<Value>, ClusterError> {
        let mut tries = Tries::new(self.settings.timeout);
        loop {
            let map = self.map();
            let mut pipeline = Pipeline::new();
            pipeline.add_command(cmd.clone());
            let primaries = map.primaries();
            let patience = self.settings.timeout / PATIENCE_SHARE;
            let sent = primaries
                .iter()
                .map(|it| self.links.send((it, LinkKind::Read), &pipeline, patience));
            let replies: Result<Vec<Vec<Value>>, String> =
                join_all(sent).await.into_iter().collect();
            match replies {
                Ok(replies) => return Ok(replies.into_iter().flatten().collect()),
                Err(problem) => tries.pause(problem).await?,
            }
            self.refresh(&map, tries.left()).await.ok();
        }
    }

    fn map(&self) -> Arc<SlotMap> {
        Arc::clone(&self.map.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Which commands go where; and those whose slots nobody serves.
    fn parts(
        &self,
        map: &SlotMap,
        commands: &[Command],
        (left, asked): (&[usize], &BTreeMap<usize, Address>),
        lanes: Lanes,
    ) -> (Vec<Part>, Vec<usize>) {
        let mut homeless = Vec::new();
        let mut parts: BTreeMap<(Address, LinkKind, bool), Vec<usize>> = BTreeMap::new();
        let may_ask_replicas = self.settings.reads_from_replicas;
        let turn = if may_ask_replicas { hash::random_64() } else { 0 };
        for place in left {
            let Some(command) = commands.get(*place) else { continue };
            let lane = lanes.of(*place);
            if let Some(address) = asked.get(place) {
                let entry = (address.clone(), LinkKind::of(lane, true), true);
                parts.entry(entry).or_default().push(*place);
                continue;
            }
            let Some(shard) = map.shard(command.slot) else {
                homeless.push(*place);
                continue;
            };
            let asks_replicas = may_ask_replicas && lane == Lane::Question;
            let nodes = if asks_replicas { shard.replicas.len() as u64 + 1 } else { 1 };
            let replica = usize::try_from(turn % nodes).unwrap_or(0).checked_sub(1);
            let replica = replica.and_then(|it| shard.replicas.get(it));
            let address = replica.unwrap_or(&shard.primary);
            let entry = (address.clone(), LinkKind::of(lane, replica.is_none()), false);
            parts.entry(entry).or_default().push(*place);
        }
        let parts = parts.into_iter().map(|((address, lane, is_asked), places)| Part {
            address,
            lane,
            places,
            is_asked,
        });
        (parts.collect(), homeless)
    }

    /// What became of the commands of one node.
    async fn send(&self, part: &Part, commands: &[Command], patience: Duration) -> Vec<Outcome> {
        let own = || part.places.iter().filter_map(|it| commands.get(*it));
        let waits = part.lane == LinkKind::Write && self.settings.replicas > 0;
        let mut pipeline = Pipeline::with_capacity(part.places.len() + 1);
        for command in own() {
            if part.is_asked {
                pipeline.cmd("ASKING");
            }
            pipeline.add_command(command.cmd.clone());
        }
        if waits {
            // So that what it says comes before the reply is given up.
            let wait = (self.settings.timeout / REPLICA_SHARE).min(patience / 2);
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
            pipeline.cmd("WAIT").arg(self.settings.replicas).arg(wait_ms);
        }
        self.meter.add(pipeline.len(), own().map(Command::bytes).sum());
        let sent = self.links.send((&part.address, part.lane), &pipeline, patience).await;
        let mut replies = match sent {
            Ok(replies) => replies,
            Err(problem) => {
                return part.places.iter().map(|_| Outcome::Again(problem.clone())).collect();
            }
        };
        let acknowledged = if waits { replies.pop() } else { None };
        let step = if part.is_asked { 2 } else { 1 };
        let replies = replies.into_iter().skip(step - 1).step_by(step);
        let is_replicated = !waits || self.is_enough(acknowledged.as_ref());
        own()
            .zip(replies)
            .map(|(command, reply)| match outcome(command, reply, &part.address) {
                // Done again, it is counted again.
                Outcome::Done(_) if !is_replicated => {
                    let needed = self.settings.replicas;
                    let node = named(&part.address);
                    Outcome::Again(format!("{node}: fewer than {needed} replicas have it"))
                }
                outcome @ (Outcome::Done(_)
                | Outcome::Ask(_)
                | Outcome::Again(_)
                | Outcome::Failed(_)) => outcome,
            })
            .collect()
    }

    fn is_enough(&self, reply: Option<&Value>) -> bool {
        matches!(reply, Some(Value::Int(count)) if *count >= i64::from(self.settings.replicas))
    }

    /// Asks for the map anew, if it is still the one that was used: all nodes at once, and
    /// the first answer counts. One caller asks for all that wait.
    async fn refresh(&self, used: &SlotMap, patience: Duration) -> Result<(), String> {
        let late = |_| "no node tells who serves which slots".to_owned();
        let mut asking = timeout(patience, self.asking.lock()).await.map_err(late)?;
        let current = self.map();
        if *current != *used {
            return Ok(());
        }
        if let Some((at, problem)) = &*asking
            && at.elapsed() < PAUSE_MAX
        {
            return Err(problem.clone());
        }
        let mut nodes = current.nodes();
        nodes.extend(self.links.seeds().iter().cloned());
        nodes.sort();
        nodes.dedup();
        let asked = nodes.iter().map(|it| Box::pin(self.ask_for_map(it, patience)));
        let told = futures_util::future::select_ok(asked).await;
        let (result, failed) = match told {
            Ok((map, _)) => {
                *self.map.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(map);
                (Ok(()), None)
            }
            Err(problem) => (Err(problem.clone()), Some((Instant::now(), problem))),
        };
        *asking = failed;
        result
    }

    async fn ask_for_map(&self, node: &Address, patience: Duration) -> Result<SlotMap, String> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("CLUSTER").arg("SLOTS");
        let patience = patience.min(self.settings.timeout / PATIENCE_SHARE);
        let replies = self.links.send((node, LinkKind::Read), &pipeline, patience).await?;
        let reply = replies.first().unwrap_or(&Value::Nil);
        if let Value::ServerError(error) = reply {
            return Err(format!("{}: {error}", named(node)));
        }
        let unknown = || format!("{} does not say who serves which slots", named(node));
        SlotMap::read(reply, node).ok_or_else(unknown)
    }
}

fn unserved(command: &Command) -> String {
    format!("no node serves slot {}", command.slot)
}

/// Whether there is no use in trying again.
fn is_for_good(problem: &str) -> bool {
    const FOR_GOOD: [&str; 5] =
        ["WRONGPASS", "NOAUTH", "NOPERM", "uthentication", "cluster support disabled"];
    FOR_GOOD.iter().any(|it| problem.contains(it))
}

/// What a reply means.
fn outcome(command: &Command, reply: Value, address: &Address) -> Outcome {
    let Value::ServerError(error) = &reply else { return Outcome::Done(reply) };
    let details = error.details().unwrap_or_default();
    let again = || Outcome::Again(format!("{}: {error}", named(address)));
    match error.code() {
        "ASK" => redirect(details, address).map_or_else(again, Outcome::Ask),
        "OOM" => Outcome::Failed(ClusterError::Full(named(address))),
        "MOVED" | "TRYAGAIN" | "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "READONLY"
        | "NOREPLICAS" | "MISCONF" | "BUSY" | "UNBLOCKED" => again(),
        // A script's own error has the command's within.
        _ if error.to_string().contains("OOM command not allowed") => {
            Outcome::Failed(ClusterError::Full(named(address)))
        }
        _ => {
            let command = command.name();
            Outcome::Failed(ClusterError::Refused { command, problem: error.to_string() })
        }
    }
}

/// Tries until the time is up.
struct Tries {
    begun: Instant,
    timeout: Duration,
    pause: Duration,
}

impl Tries {
    fn new(timeout: Duration) -> Self {
        Self { begun: Instant::now(), timeout, pause: PAUSE }
    }

    fn left(&self) -> Duration {
        self.timeout.saturating_sub(self.begun.elapsed())
    }

    /// Waits before the next try, if there is time for one.
    async fn pause(&mut self, problem: String) -> Result<(), ClusterError> {
        let pause = varied(self.pause);
        if self.left() <= pause {
            return Err(ClusterError::Unavailable { waited: self.timeout, problem });
        }
        sleep(pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(())
    }
}
