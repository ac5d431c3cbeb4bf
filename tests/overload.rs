//! Attacks on the built binary: memory stays under a stated bound, and others are answered
//! rightly. `cargo test --release --test overload -- --nocapture` prints what each costs.
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(clippy::indexing_slicing, clippy::print_stdout, reason = "a test")]
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]
#![allow(clippy::big_endian_bytes, reason = "as gRPC has it")]
#![allow(clippy::disallowed_methods, reason = "times are printed, not asserted")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use doublon::api::v1;
use doublon::client::Client;
use h2::client::SendRequest;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::codegen::{Bytes, http};

use crate::support::process::Process;

/// What the process may have at any time: twice the bytes that calls may have under way,
/// and what it has at rest.
const MEMORY_BYTES_MAX: u64 = 768 << 20;
const ARTICLES: u32 = 60;
const IDLE_CONNECTIONS: usize = 1000;
/// How long the others are measured.
const MEASURED: Duration = Duration::from_millis(1500);
const MESSAGE_BYTES: usize = (16 << 20) - 64;

fn text(number: u32) -> String {
    let words = (0..6000).map(|it| format!("w{number}x{it}"));
    words.collect::<Vec<_>>().join(" ")
}

fn teaser(number: u32) -> String {
    let text = text(number);
    text.split(' ').skip(100).take(30).collect::<Vec<_>>().join(" ")
}

struct Row {
    attack: &'static str,
    peak: u64,
    p50: Duration,
    p99: Duration,
    calls: usize,
    what: String,
}

/// Asks as others do, and checks the answers. Gives the latencies.
async fn others(address: &str) -> Vec<Duration> {
    let mut client = Client::connect(address).await.unwrap();
    let (begin, mut times) = (Instant::now(), Vec::new());
    while begin.elapsed() < MEASURED || times.len() < 20 {
        let number = times.len() as u32 % ARTICLES;
        let request = v1::MatchTeaserRequest { text: teaser(number), ..Default::default() };
        let start = Instant::now();
        let answer = client.match_teaser(request).await.unwrap();
        times.push(start.elapsed());
        assert_eq!(answer.matches[0].article_id, format!("a{number}"));
    }
    times.sort_unstable();
    times
}

async fn measured(
    server: &Process,
    attack: &'static str,
    attackers: JoinSet<()>,
    what: impl FnOnce() -> String,
) -> Row {
    tokio::time::sleep(Duration::from_millis(300)).await;
    let times = others(&server.address).await;
    let peak = server.memory().1;
    let what = what();
    drop(attackers);
    assert!(peak < MEMORY_BYTES_MAX, "{attack}: {} MiB", peak >> 20);
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    let row = Row { attack, peak, p50: at(50), p99: at(99), calls: times.len(), what };
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.forget_peak();
    row
}

/// A connection of HTTP/2 whose streams may have so many bytes under way to us.
async fn connection(address: &str, window: u32) -> Option<SendRequest<Bytes>> {
    let stream = TcpStream::connect(address).await.ok()?;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window).max_concurrent_reset_streams(100_000);
    let (sender, connection) = builder.handshake(stream).await.ok()?;
    tokio::spawn(async move { connection.await.ok() });
    sender.ready().await.ok()
}

fn request(method: &str) -> http::Request<()> {
    let uri = format!("http://doublon/doublon.v1.DoublonService/{method}");
    http::Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

fn message(bytes: &[u8]) -> Bytes {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[0][..], &length, bytes].concat().into()
}

/// Connections that are there and say nothing more.
async fn idle(server: &Process) -> (Row, usize) {
    let before = server.memory().0;
    let mut held = Vec::new();
    for _ in 0..IDLE_CONNECTIONS {
        held.extend(connection(&server.address, 65_535).await);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let each = server.memory().0.saturating_sub(before) / held.len().max(1) as u64;
    let count = held.len();
    let what = move || format!("{count} connections, {each} bytes each");
    let row = measured(server, "idle connections", JoinSet::new(), what).await;
    drop(held);
    (row, count)
}

async fn silent_streams(server: &Process) -> Row {
    let mut held = Vec::new();
    for _ in 0..10 {
        let mut sender = connection(&server.address, 65_535).await.unwrap();
        for at in 0..200 {
            let method = if at % 2 == 0 { "PutArticles" } else { "PutArticle" };
            held.push(sender.send_request(request(method), false).unwrap());
            sender = sender.ready().await.unwrap();
        }
    }
    let count = held.len();
    let what = move || format!("{count} streams without a message");
    let row = measured(server, "silent streams", JoinSet::new(), what).await;
    drop(held);
    row
}

async fn slow_readers(server: &Process) -> Row {
    let list =
        v1::ListArticlesRequest { page_size: 1000, include_text: true, ..Default::default() };
    let list = message(&list.encode_to_vec());
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut sender = connection(&server.address, 1).await.unwrap();
        for _ in 0..100 {
            let (answer, mut body) = sender.send_request(request("ListArticles"), false).unwrap();
            body.send_data(list.clone(), true).unwrap();
            held.push(answer);
            sender = sender.ready().await.unwrap();
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let count = held.len();
    let what = move || format!("{count} answers of 3 MiB that nobody reads");
    let row = measured(server, "slow readers", JoinSet::new(), what).await;
    drop(held);
    row
}

/// Messages of 16 MiB that all but arrive.
async fn large_messages(server: &Process) -> Row {
    let (mut attackers, refused) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
    let bytes = message(&vec![b'a'; MESSAGE_BYTES]);
    let bytes = bytes.slice(..bytes.len() - 1);
    for _ in 0..60 {
        let (address, bytes) = (server.address.clone(), bytes.clone());
        let refused = Arc::clone(&refused);
        attackers.spawn(async move {
            let mut sender = connection(&address, 65_535).await.unwrap();
            let (answer, mut body) = sender.send_request(request("PutArticle"), false).unwrap();
            body.send_data(bytes, false).ok();
            let answer = answer.await.unwrap();
            // 8 is RESOURCE_EXHAUSTED.
            let status = answer.headers().get("grpc-status").unwrap().to_str().unwrap();
            refused.fetch_add(u64::from(status == "8"), Ordering::Relaxed);
            std::future::pending::<()>().await;
        });
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let what = move || {
        let refused = refused.load(Ordering::Relaxed);
        assert!(refused > 0, "nobody was refused");
        format!("60 messages of 16 MiB without their end, {refused} refused")
    };
    measured(server, "16 MiB messages", attackers, what).await
}

async fn rapid_resets(server: &Process) -> Row {
    let (mut attackers, resets) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
    for _ in 0..4 {
        let (address, resets) = (server.address.clone(), Arc::clone(&resets));
        attackers.spawn(async move {
            loop {
                let Some(mut sender) = connection(&address, 65_535).await else { continue };
                while let Ok((answer, mut body)) = sender.send_request(request("GetStats"), false) {
                    body.send_reset(h2::Reason::CANCEL);
                    drop(answer);
                    resets.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    match sender.ready().await {
                        Ok(it) => sender = it,
                        Err(_) => break,
                    }
                }
            }
        });
    }
    let what = move || format!("{} resets", resets.load(Ordering::Relaxed));
    measured(server, "rapid resets", attackers, what).await
}

/// Pings, as fast as they go, whose answers are read or not.
async fn pings(server: &Process, are_read: bool) -> Row {
    let (mut attackers, sent) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
    for _ in 0..4 {
        let (address, sent) = (server.address.clone(), Arc::clone(&sent));
        attackers.spawn(async move {
            let stream = TcpStream::connect(&address).await.unwrap();
            let (mut read, mut write) = stream.into_split();
            let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
            write.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
            write.write_all(&settings).await.unwrap();
            let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
            let many = ping.repeat(1000);
            let reading = async {
                let mut bytes = vec![0; 1 << 16];
                while are_read && read.read(&mut bytes).await.is_ok_and(|it| it > 0) {}
                std::future::pending::<()>().await;
            };
            let writing = async {
                while write.write_all(&many).await.is_ok() {
                    sent.fetch_add(1000, Ordering::Relaxed);
                }
            };
            tokio::join!(reading, writing);
        });
    }
    let what = move || format!("{} pings", sent.load(Ordering::Relaxed));
    let attack = if are_read { "ping flood" } else { "pings, unread" };
    measured(server, attack, attackers, what).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacks_take_no_memory_without_bound_and_others_are_answered() {
    let server = Process::start(&["--in-memory"]);
    let mut client = server.client().await;
    for number in 0..ARTICLES {
        let put = support::put_request(&format!("a{number}"), &text(number));
        client.put_article(put).await.unwrap();
    }
    server.forget_peak();
    let calm = measured(&server, "calm", JoinSet::new(), String::new).await;
    let (idle, connections) = idle(&server).await;
    assert!(connections >= IDLE_CONNECTIONS / 2, "{connections}");
    let rows = [
        calm,
        idle,
        silent_streams(&server).await,
        slow_readers(&server).await,
        large_messages(&server).await,
        rapid_resets(&server).await,
        pings(&server, true).await,
        pings(&server, false).await,
        measured(&server, "calm again", JoinSet::new(), String::new).await,
    ];
    println!("| attack | memory, peak | p50 | p99 | calls of another client | of what |");
    println!("|---|---|---|---|---|---|");
    for Row { attack, peak, p50, p99, calls, what } in rows {
        println!(
            "| {attack} | {} MiB | {:.1} ms | {:.1} ms | {calls} | {what} |",
            peak >> 20,
            p50.as_secs_f64() * 1e3,
            p99.as_secs_f64() * 1e3
        );
    }
    // Room is given back, and nothing has ended in a fault.
    let put = support::put_request("a0", &text(ARTICLES));
    client.put_article(put).await.unwrap();
    let log = server.log();
    assert!(!log.iter().any(|it| it.contains("fault") || it.contains("panic")), "{log:?}");
}

#[tokio::test]
async fn a_configuration_is_checked_without_being_run() {
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_doublon"));
        let output = command.args(["serve", "--check-config"]).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (code, said) = run(&["--data-dir", data.to_str().unwrap()]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(!data.exists());
    let (code, said) = run(&["--cache-mib", "0", "--drain-seconds", "x", "--log-format", "y"]);
    assert_eq!(code, Some(2));
    for wrong in ["--cache-mib", "--drain-seconds", "--log-format"] {
        assert!(said.contains(wrong), "{said}");
    }
    let (code, said) = run(&["--tokens", "/no/such/file"]);
    assert_eq!(code, Some(2), "{said}");
}
