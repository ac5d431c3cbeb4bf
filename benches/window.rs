//! A window on time: articles of ninety simulated days with a retention of thirty, by a
//! clock that is moved by hand: `cargo bench --bench window`. A million articles take some
//! ten minutes; every five days it prints what memory and disk are taken. They level off
//! when the first articles expire, and stay level.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "what was measured is printed")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use doublon::api::{convert, v1};
use doublon::clock::Clock;
use doublon::engine::put::PutRequest;
use doublon::engine::teaser::{TeaserRequest, Watch};
use doublon::engine::{Engine, Options};
use doublon::index::memory::MemoryIndex;
use doublon::load::articles::Corpus;
use doublon::store::embedded::EmbeddedStore;

const DAY: Duration = Duration::from_secs(24 * 3600);
const DAYS: u32 = 90;
const RETENTION_DAYS: u32 = 30;
/// Articles in all, measured and as a smoke test.
const ARTICLES: (u32, u32) = (1_000_000, 270);
/// Articles of one call, and teasers that are watched beside it.
const BATCH: u32 = 500;
const TEASERS: u64 = 10;
/// Of these teasers the articles come so many calls later.
const CALLS_AHEAD: u64 = 20;
/// Days between two lines.
const SHOWN_DAYS: u32 = 5;
const START_MS: u64 = 1_800_000_000_000;

fn main() {
    let is_measured = std::env::args().any(|it| it == "--bench");
    let articles = if is_measured { ARTICLES.0 } else { ARTICLES.1 };
    let batch = BATCH.min(articles / DAYS);
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(EmbeddedStore::open(folder.path(), 64 << 20).unwrap());
    let clock = Clock::manual(START_MS);
    let options = Options {
        folder: Some(folder.path().to_owned()),
        keeps_text: false,
        retention: Some(RETENTION_DAYS * DAY),
        ..Options::new(clock.clone())
    };
    let engine = Engine::open(store, Arc::new(MemoryIndex::default()), options, |_, _| {}).unwrap();
    let corpus = Corpus::new(1);
    let calls = articles / batch;
    let step = DAYS * DAY / calls;
    let shown = calls * SHOWN_DAYS / DAYS;
    println!("  day  articles   waiting   index MB   store MB   RSS MB  articles/s");
    let (mut resolved, mut most) = (0, 0);
    let mut since = now();
    for call in 0..calls {
        let first = u64::from(call * batch);
        watch(&engine, &corpus, first + CALLS_AHEAD * u64::from(batch));
        let requests: Vec<PutRequest> = (first..first + u64::from(batch))
            .map(|it| {
                let article = Some(corpus.article(it));
                let put = v1::PutArticleRequest { article, ..Default::default() };
                convert::put_article(put).unwrap()
            })
            .collect();
        for answer in engine.put(requests) {
            resolved += answer.unwrap().resolved.len();
        }
        clock.advance(step);
        if (call + 1) % shown == 0 {
            let stats = engine.stats().unwrap();
            most = most.max(stats.article_count);
            let rate = f64::from(shown * batch) / since.elapsed().as_secs_f64();
            println!(
                "{:5} {:9} {:9} {:10} {:10} {:8} {rate:11.0}",
                (call + 1) * DAYS / calls,
                stats.article_count,
                stats.standing_teasers,
                stats.index.bytes >> 20,
                stats.store_bytes >> 20,
                resident_bytes() >> 20,
            );
            since = now();
        }
    }
    println!("{resolved} teasers were resolved when their articles came");
    // A third of the articles, and what one grain of time and one commit leave.
    let kept = u64::from(articles) * u64::from(RETENTION_DAYS) / u64::from(DAYS);
    assert!(most <= kept + u64::from(3 * shown * batch), "{most} articles");
    assert!(resolved > 0, "teasers are resolved");
}

fn watch(engine: &Engine, corpus: &Corpus, first: u64) {
    let requests = (first..first + TEASERS).map(|it| TeaserRequest {
        watch: Some(Watch { page_url: format!("https://page.example/{it}"), ..Watch::default() }),
        ..TeaserRequest::of(corpus.teaser(it, it))
    });
    for answer in engine.watch_teasers(requests.collect()) {
        drop(answer.unwrap());
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}

/// Bytes of memory that this process has; 0 where they are not told.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
    let kib = line.and_then(|it| it.trim().trim_end_matches(" kB").parse().ok());
    kib.map_or(0, |kib: u64| kib << 10)
}
