//! The real service, started in this process on a free port, and the samples.
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod place;
pub(crate) mod process;
pub(crate) mod redis;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use doublon::api::v1;
use doublon::client::Client;
use doublon::service::{self, Settings};
use doublon::text::cues::Cues;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) address: String,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), service::ServeError>>,
}

/// What a test serves with.
pub(crate) fn settings(data_dir: Option<PathBuf>) -> Settings {
    let (cache_bytes, drain_timeout) = (16 << 20, Duration::from_secs(5));
    let cluster = place::settings(data_dir.as_deref());
    Settings { cache_bytes, drain_timeout, cluster, ..Settings::new(data_dir) }
}

impl Server {
    pub(crate) async fn in_memory() -> Self {
        Self::start(None).await
    }

    pub(crate) async fn start(data_dir: Option<PathBuf>) -> Self {
        Self::start_with(data_dir, Cues::builtin().clone()).await
    }

    pub(crate) async fn start_with(data_dir: Option<PathBuf>, cues: Cues) -> Self {
        Self::run(Settings { cues: Arc::new(cues), ..settings(data_dir) }).await
    }

    pub(crate) async fn without_texts() -> Self {
        Self::run(Settings { keeps_text: false, ..settings(None) }).await
    }

    pub(crate) async fn run(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(service::run(listener, settings, async move {
            stopped.await.ok();
        }));
        let mut client = Client::connect(&address).await.unwrap();
        while client.stats().await.is_err() {
            assert!(!running.is_finished(), "the service did not start");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { client, address, stop: Some(stop), running }
    }

    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        self.running.await.unwrap().unwrap();
    }

    pub(crate) fn put(
        &mut self,
        id: &str,
        text: &str,
    ) -> impl Future<Output = v1::PutArticleResponse> + use<'_> {
        let request = put_request(id, text);
        async { self.client.put_article(request).await.unwrap() }
    }

    pub(crate) async fn put_of(&mut self, site: &str, id: &str, text: &str) {
        let mut request = put_request(id, text);
        if let Some(article) = &mut request.article {
            site.clone_into(&mut article.site);
        }
        self.client.put_article(request).await.unwrap();
    }

    pub(crate) async fn teaser(&mut self, text: &str) -> v1::MatchTeaserResponse {
        let request = v1::MatchTeaserRequest { text: text.to_owned(), ..Default::default() };
        self.client.match_teaser(request).await.unwrap()
    }

    pub(crate) async fn duplicates(&mut self, text: &str) -> Vec<v1::Duplicate> {
        let subject = v1::find_duplicates_request::Subject::Text(text.to_owned());
        let request = v1::FindDuplicatesRequest { subject: Some(subject), ..Default::default() };
        self.client.find_duplicates(request).await.unwrap().duplicates
    }

    pub(crate) async fn page(&mut self, text: &str) -> v1::AnalyzePageResponse {
        let request = v1::AnalyzePageRequest { text: text.to_owned(), ..Default::default() };
        self.client.analyze_page(request).await.unwrap()
    }
}

pub(crate) fn put_request(id: &str, text: &str) -> v1::PutArticleRequest {
    let article =
        v1::Article { article_id: id.to_owned(), text: text.to_owned(), ..v1::Article::default() };
    v1::PutArticleRequest { article: Some(article), ..Default::default() }
}

/// A page of `tests/samples`: its text, and what each line is.
pub(crate) struct SamplePage {
    pub(crate) text: String,
    pub(crate) kinds: Vec<(v1::SegmentKind, String)>,
}

impl SamplePage {
    pub(crate) fn read(name: &str) -> Self {
        let file = sample(name);
        let lines = file.lines().map(|line| {
            let (kind, text) = line.split_once('\t').unwrap();
            let kind = v1::SegmentKind::from_str_name(&format!("SEGMENT_KIND_{kind}")).unwrap();
            (kind, text.to_owned())
        });
        let kinds: Vec<_> = lines.collect();
        let lines: Vec<&str> = kinds.iter().map(|it| it.1.as_str()).collect();
        let text = lines.join("\n");
        Self { text, kinds }
    }

    pub(crate) fn of_kind(&self, kind: v1::SegmentKind) -> Vec<&str> {
        self.kinds.iter().filter(|it| it.0 == kind).map(|it| it.1.as_str()).collect()
    }

    pub(crate) fn body(&self) -> String {
        self.of_kind(v1::SegmentKind::Body).join("\n")
    }
}

pub(crate) fn sample(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name);
    std::fs::read_to_string(path).unwrap()
}

pub(crate) fn slice(text: &str, span: Option<v1::ByteSpan>) -> &str {
    let span = span.unwrap();
    &text[span.start_byte as usize..span.end_byte as usize]
}

/// Words of their own: `count` from the `first` on.
pub(crate) fn words(first: u32, count: u32) -> String {
    (first..first + count).map(|it| format!("w{it}")).collect::<Vec<_>>().join(" ")
}

/// The rows of a file of the smoke data, which is of our own writing.
pub(crate) fn rows(name: &str) -> Vec<serde_json::Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/eval").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|it| serde_json::from_str(it).unwrap()).collect()
}

/// A field of a row; empty where it is not there.
pub(crate) fn field(row: &serde_json::Value, key: &str) -> String {
    row[key].as_str().unwrap_or_default().to_owned()
}

/// A service that has the articles of the smoke data in one language.
pub(crate) async fn with_articles(language: &str) -> Server {
    let mut server = Server::in_memory().await;
    for row in rows("articles.jsonl").iter().filter(|it| it["lang"] == language) {
        let mut put = put_request(&field(row, "id"), &field(row, "text"));
        let article = put.article.as_mut().unwrap();
        article.title = field(row, "title");
        article.description = field(row, "lead");
        server.client.put_article(put).await.unwrap();
    }
    server
}
