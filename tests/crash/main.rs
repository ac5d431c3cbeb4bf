//! The built binary, killed while clients write: what was acknowledged is there after the
//! next start, what was not is there wholly or not at all, and the index is that of the
//! records. 3 rounds; `DOUBLON_CRASH_ROUNDS=200` for more, `DOUBLON_CRASH_SEED` for others.
//! A kill loses no page that the system has taken: what a power cut loses is tested in
//! `tests/faults.rs`.
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(clippy::indexing_slicing, clippy::print_stdout, reason = "a test")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]
#![allow(clippy::disallowed_methods, reason = "times are printed, not asserted")]

mod check;
#[path = "../support/mod.rs"]
mod support;
mod writer;

use std::time::{Duration, Instant};

use doublon::engine::checkpoint;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::check::UnderWay;
use crate::support::process::Process;
use crate::writer::{Random, Writer};

const WRITERS: u32 = 6;
/// How long is written before the end of a round, at most.
const WRITING_MS_MAX: u64 = 500;
/// How long after a stop was asked for the kill comes, at most.
const STOPPING_MS_MAX: u64 = 40;

#[derive(Debug, Default)]
struct Figures {
    kills: u64,
    /// While it was stopping.
    late_kills: u64,
    stops: u64,
    under_way: UnderWay,
    starts_ms: Vec<u128>,
    checkpoints: u64,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlasts_a_kill() {
    let rounds = number("DOUBLON_CRASH_ROUNDS").unwrap_or(3);
    let seed = number("DOUBLON_CRASH_SEED").unwrap_or(1);
    let mut random = Random(seed);
    let folder = TempDir::new().unwrap();
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    let mut figures = Figures::default();
    let begin = Instant::now();
    for round in 0..rounds {
        let has_checkpoint = folder.path().join(checkpoint::FILE_NAME).exists();
        figures.checkpoints += u64::from(has_checkpoint);
        let start = Instant::now();
        let mut server = Process::in_folder(folder.path());
        figures.starts_ms.push(start.elapsed().as_millis());
        let mut client = server.client().await;
        let found = check::check(&mut client, &mut writers, &mut random).await;
        figures.under_way.done += found.done;
        figures.under_way.not_done += found.not_done;
        let (copy, rebuilt) = check::rebuilt(folder.path());
        check::compare(&mut client, &rebuilt, (&writers, &mut random)).await;
        drop((rebuilt, copy));
        writers = write_and_end(&mut server, writers, (&mut random, &mut figures)).await;
        let log = server.log();
        let is_fault = |it: &&String| it.contains("ERROR") || it.contains("a fault");
        assert_eq!(log.iter().find(is_fault), None, "round {round}");
    }
    let server = Process::in_folder(folder.path());
    let mut client = server.client().await;
    check::check(&mut client, &mut writers, &mut random).await;
    print(&mut figures, &writers, (rounds, seed), begin.elapsed());
}

/// All clients write, until the server is killed or stopped at some moment.
async fn write_and_end(
    server: &mut Process,
    writers: Vec<Writer>,
    (random, figures): (&mut Random, &mut Figures),
) -> Vec<Writer> {
    let mut tasks = JoinSet::new();
    for mut writer in writers {
        let mut client = server.client().await;
        tasks.spawn(async move {
            writer.write(&mut client).await;
            writer
        });
    }
    tokio::time::sleep(Duration::from_millis(random.below(WRITING_MS_MAX))).await;
    match random.below(10) {
        0..7 => {
            figures.kills += 1;
            server.kill();
        }
        7..9 => {
            figures.late_kills += 1;
            server.signal("-TERM");
            tokio::time::sleep(Duration::from_millis(random.below(STOPPING_MS_MAX))).await;
            server.kill();
        }
        _ => {
            figures.stops += 1;
            server.signal("-TERM");
            let status = server.ended(Duration::from_secs(30)).await;
            assert!(status.is_some_and(|it| it.success()), "{status:?} {:?}", server.log());
        }
    }
    let mut writers = tasks.join_all().await;
    writers.sort_by_key(|it| it.name);
    writers
}

fn print(figures: &mut Figures, writers: &[Writer], (rounds, seed): (u64, u64), time: Duration) {
    let settled = |it: &Writer| it.articles.values().all(check::is_settled);
    assert!(writers.iter().all(settled));
    let starts = &mut figures.starts_ms;
    starts.sort_unstable();
    let acknowledged: u64 = writers.iter().map(|it| it.acknowledged).sum();
    let live: usize = writers.iter().map(|it| it.live().count()).sum();
    println!(
        "{rounds} rounds of seed {seed} in {:.0} s: {} kills, {} while stopping, {} stops; \
         {acknowledged} changes acknowledged, none lost; of those under way {} were done and {} \
         not, none half; {live} articles at the end; a start took {} ms, at most {}; {} from a \
         checkpoint",
        time.as_secs_f64(),
        figures.kills,
        figures.late_kills,
        figures.stops,
        figures.under_way.done,
        figures.under_way.not_done,
        starts[starts.len() / 2],
        starts[starts.len() - 1],
        figures.checkpoints,
    );
}
