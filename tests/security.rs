//! Nothing let in: tokens and their roles, limits, TLS, and what stays out of the
//! log, with the built binary.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use doublon::api::v1;
use doublon::client::access::Access;
use doublon::client::{Client, ClientError};
use doublon::clock::Clock;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;
use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

const TEXT: &str = "The lighthouse keeper of Port Lannec has written down every storm of the last \
                    forty years, and on Friday her notebooks go on show in the harbour hall.";
/// A file is looked at every second.
const RELOAD_MAX: Duration = Duration::from_secs(5);

fn doublon() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doublon"));
    for (name, _) in std::env::vars().filter(|it| it.0.starts_with("DOUBLON_")) {
        command.env_remove(name);
    }
    command
}

/// A server in a process of its own, and its log.
struct Serve {
    child: Child,
    address: String,
    log: Arc<Mutex<String>>,
}

impl Serve {
    fn start(arguments: &[&str]) -> Self {
        let mut command = doublon();
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(arguments);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let before = said.len();
            assert!(lines.read_line(&mut said).unwrap() > 0, "it ended: {said}");
            if let Some((_, address)) = said[before..].split_once("listening on ") {
                break address.trim().trim_end_matches("\"}}").to_owned();
            }
        };
        let log = Arc::new(Mutex::new(said));
        let logged = Arc::clone(&log);
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                *logged.lock().unwrap() += &(line + "\n");
            }
        });
        Self { child, address, log }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        doublon().args(["--server", &self.address]).args(arguments).output().unwrap()
    }

    async fn client(&self, token: Option<&str>) -> Client {
        let access = Access { token: token.map(str::to_owned), ..Access::default() };
        Client::connect_with(&self.address, &access).await.unwrap()
    }

    fn logged(&self, part: &str) -> bool {
        within(RELOAD_MAX, || self.log.lock().unwrap().contains(part))
    }

    fn stop(mut self) -> String {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        // The last lines.
        within(RELOAD_MAX, || self.log.lock().unwrap().contains("stopped"));
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn within(time: Duration, holds: impl Fn() -> bool) -> bool {
    let clock = Clock::system();
    while !holds() {
        if clock.elapsed() > time {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What `doublon token new` prints.
fn new_token(file: &Path, role: &str, options: &[&str]) -> String {
    let mut command = doublon();
    command.args(["token", "new", "--role", role, "--tokens"]).arg(file).args(options);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn put_of(id: &str) -> v1::PutArticleRequest {
    let article =
        v1::Article { article_id: id.to_owned(), text: TEXT.to_owned(), ..v1::Article::default() };
    v1::PutArticleRequest { article: Some(article), ..Default::default() }
}

fn teaser() -> v1::MatchTeaserRequest {
    v1::MatchTeaserRequest { text: TEXT.to_owned(), ..Default::default() }
}

/// Code and reason of a refusal.
fn refusal<T: std::fmt::Debug>(result: Result<T, ClientError>) -> (Code, String) {
    let error = result.unwrap_err();
    let ClientError::Refused { code, reason, .. } = &error else { unreachable!("{error}") };
    (*code, reason.trim_start_matches("ERROR_REASON_").to_owned())
}

fn denied() -> (Code, String) {
    (Code::PermissionDenied, "PERMISSION_DENIED".to_owned())
}

fn unknown() -> (Code, String) {
    (Code::Unauthenticated, "UNAUTHENTICATED".to_owned())
}

#[tokio::test]
async fn calls_need_a_token_whose_role_allows_them() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("tokens");
    let [read, write, admin] = ["read", "write", "admin"].map(|it| new_token(&file, it, &[]));
    let serve = Serve::start(&["--in-memory", "--tokens", file.to_str().unwrap()]);
    let wrong = format!("{}0", &read[..read.len() - 1]);
    let wrong = if wrong == read { format!("{}1", &read[..read.len() - 1]) } else { wrong };
    for token in [None, Some(""), Some(wrong.as_str())] {
        let mut client = serve.client(token).await;
        assert_eq!(refusal(client.stats().await), unknown());
        assert_eq!(refusal(client.put_article(put_of("a")).await), unknown());
        assert_eq!(refusal(client.match_teaser(teaser()).await), unknown());
    }
    let mut client = serve.client(Some(&read)).await;
    client.stats().await.unwrap();
    client.match_teaser(teaser()).await.unwrap();
    assert_eq!(refusal(client.put_article(put_of("a")).await), denied());
    assert_eq!(refusal(client.delete_article("a").await), denied());
    let puts = tokio_stream::iter([v1::PutArticlesRequest { put: Some(put_of("a")) }]);
    assert_eq!(refusal(client.put_articles(puts).await), denied());
    for token in [&write, &admin] {
        let mut client = serve.client(Some(token)).await;
        client.put_article(put_of("a")).await.unwrap();
        client.match_teaser(teaser()).await.unwrap();
    }
    // Everything at once is for administrators.
    for (token, is_let_in) in [(&read, false), (&write, false), (&admin, true)] {
        let mut client = serve.client(Some(token)).await;
        let head = v1::ImportRequest { lines: b"{}".to_vec(), ..Default::default() };
        let calls = [
            client.back_up().await.map(drop),
            client.export(v1::ExportRequest::default()).await.map(drop),
            client.import(tokio_stream::once(head)).await.map(drop),
        ];
        for call in calls {
            if is_let_in { call.unwrap() } else { assert_eq!(refusal(call), denied()) }
        }
    }
    // The command line, which takes its token from the environment too.
    let output = serve.run(&["get", "a"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("give one with --token or DOUBLON_TOKEN"));
    assert!(serve.run(&["get", "a", "--token", &read]).status.success());
    let mut command = doublon();
    command.args(["stats", "--server", &serve.address]).env("DOUBLON_TOKEN", &read);
    assert!(command.output().unwrap().status.success());
}

#[tokio::test]
async fn health_is_open_and_reflection_is_not() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("tokens");
    new_token(&file, "read", &[]);
    let serve = Serve::start(&["--in-memory", "--tokens", file.to_str().unwrap()]);
    let endpoint = Endpoint::from_shared(format!("http://{}", serve.address)).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let request = tonic_health::pb::HealthCheckRequest::default();
    HealthClient::new(channel.clone()).check(request).await.unwrap();
    let request = tonic_reflection::pb::v1::ServerReflectionRequest::default();
    let mut reflection = ServerReflectionClient::new(channel);
    let status = reflection.server_reflection_info(tokio_stream::iter([request])).await;
    assert_eq!(status.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn tokens_come_and_go_while_it_runs() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("tokens");
    let first = new_token(&file, "write", &["--name", "first"]);
    let serve = Serve::start(&["--in-memory", "--tokens", file.to_str().unwrap()]);
    let mut of_first = serve.client(Some(&first)).await;
    of_first.put_article(put_of("a")).await.unwrap();
    // A stream that stays open.
    let (send, items) = tokio::sync::mpsc::channel(1);
    let items = tokio_stream::wrappers::ReceiverStream::new(items);
    let mut answers = of_first.put_articles(items).await.unwrap();
    send.send(v1::PutArticlesRequest { put: Some(put_of("b")) }).await.unwrap();
    assert!(answers.next().await.unwrap().is_ok());

    let second = new_token(&file, "read", &["--name", "second"]);
    let mut of_second = serve.client(Some(&second)).await;
    assert_eq!(refusal(of_second.stats().await), unknown());
    assert!(serve.logged("tokens were read again count=2"));
    of_second.stats().await.unwrap();

    let text = fs::read_to_string(&file).unwrap();
    let kept: Vec<&str> = text.lines().filter(|it| !it.contains("name=first")).collect();
    fs::write(&file, kept.join("\n")).unwrap();
    assert!(serve.logged("tokens were read again count=1"));
    assert_eq!(refusal(of_first.stats().await), unknown());
    of_second.stats().await.unwrap();
    send.send(v1::PutArticlesRequest { put: Some(put_of("c")) }).await.ok();
    let ended = async {
        while let Some(answer) = answers.next().await {
            if let Err(status) = answer {
                return Some(status.code());
            }
        }
        None
    };
    let ended = tokio::time::timeout(RELOAD_MAX, ended).await;
    assert_eq!(ended, Ok(Some(Code::Unauthenticated)));

    // A file that is wrong takes nobody in and puts nobody out.
    fs::write(&file, "nonsense\n").unwrap();
    assert!(serve.logged("the tokens stay as they were"));
    of_second.stats().await.unwrap();
}

#[tokio::test]
async fn a_token_makes_no_more_requests_than_it_may() {
    const RATE: usize = 10;
    const ITEMS: usize = 25;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("tokens");
    let slow = new_token(&file, "read", &["--rate", "10"]);
    let free = new_token(&file, "read", &[]);
    let serve = Serve::start(&["--in-memory", "--tokens", file.to_str().unwrap()]);
    let mut client = serve.client(Some(&slow)).await;
    let clock = Clock::system();
    let mut refused = 0;
    for _ in 0..3 * RATE {
        if let Err(error) = client.match_teaser(teaser()).await {
            let limited = (Code::ResourceExhausted, "RATE_LIMITED".to_owned());
            assert_eq!(refusal(Err::<(), _>(error)), limited);
            refused += 1;
        }
    }
    let earned = RATE as f64 * (1.0 + clock.elapsed().as_secs_f64());
    let done = 3 * RATE - refused;
    assert!(done >= RATE && done as f64 <= earned + 1.0, "{done} of {earned}");
    let mut other = serve.client(Some(&free)).await;
    for _ in 0..3 * RATE {
        other.match_teaser(teaser()).await.unwrap();
    }
    // A stream is slowed down instead, and loses nothing.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let clock = Clock::system();
    let items = (0..ITEMS).map(|_| v1::MatchTeasersRequest { r#match: Some(teaser()) });
    let answers = client.match_teasers(tokio_stream::iter(items)).await.unwrap();
    let answers: Vec<_> = answers.collect().await;
    assert_eq!(answers.iter().filter(|it| it.is_ok()).count(), ITEMS);
    let owed = (ITEMS - RATE) as f64 / RATE as f64;
    assert_eq!(refusal(client.stats().await).1, "RATE_LIMITED");
    assert!(clock.elapsed().as_secs_f64() < owed + 2.0, "{:?}", clock.elapsed());
}

/// A CA, and a certificate of it for the loopback addresses.
struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key, as PEM.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let params = CertificateParams::new(names).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Into files `NAME.cert` and `NAME.key`.
    fn issue_into(&self, folder: &TempDir, name: &str) -> (String, String) {
        let (cert, key) = self.issue();
        (write(folder, &format!("{name}.cert"), &cert), write(folder, &format!("{name}.key"), &key))
    }
}

fn write(folder: &TempDir, name: &str, content: &str) -> String {
    let path = folder.path().join(name);
    // In one step, as who renews certificates does.
    fs::write(path.with_extension("new"), content).unwrap();
    fs::rename(path.with_extension("new"), &path).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_server_of_another_ca_is_not_spoken_to() {
    let folder = TempDir::new().unwrap();
    let (ca, other) = (Ca::new(), Ca::new());
    let (cert, key) = ca.issue_into(&folder, "server");
    let (ca, other) = (write(&folder, "ca", &ca.pem), write(&folder, "other", &other.pem));
    let serve = Serve::start(&["--in-memory", "--tls-cert", &cert, "--tls-key", &key]);
    let article = write(&folder, "article", TEXT);
    assert!(serve.run(&["--tls-ca", &ca, "put", "--id", "a", &article]).status.success());
    assert!(serve.run(&["--tls-ca", &ca, "match-teaser", TEXT]).status.success());
    let https = format!("https://{}", serve.address);
    let refused = serve.run(&["--server", &https, "stats"]);
    assert!(!refused.status.success(), "the system's CAs do not know it");
    let refused = serve.run(&["--tls-ca", &other, "stats"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = stderr(&refused);
    assert!(said.contains("invalid peer certificate") && said.contains("--tls-ca"), "{said}");
    // Plain HTTP/2 is no TLS.
    assert_eq!(serve.run(&["stats"]).status.code(), Some(2));
    assert!(serve.logged("connection refused"));
}

#[test]
fn who_has_no_certificate_is_not_let_in_where_one_is_asked_for() {
    let folder = TempDir::new().unwrap();
    let (ca, clients, strangers) = (Ca::new(), Ca::new(), Ca::new());
    let (cert, key) = ca.issue_into(&folder, "server");
    let (client_cert, client_key) = clients.issue_into(&folder, "client");
    let (stranger_cert, stranger_key) = strangers.issue_into(&folder, "stranger");
    let (ca, clients) = (write(&folder, "ca", &ca.pem), write(&folder, "clients", &clients.pem));
    let serve = Serve::start(&[
        "--in-memory",
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
        "--tls-client-ca",
        &clients,
    ]);
    let tls = ["--tls-ca", &ca, "stats"];
    let without = serve.run(&tls);
    assert_eq!(without.status.code(), Some(2), "{}", stderr(&without));
    let with = |cert: &str, key: &str| {
        serve.run(&[&tls[..], &["--tls-cert", cert, "--tls-key", key]].concat())
    };
    let stranger = with(&stranger_cert, &stranger_key);
    assert_eq!(stranger.status.code(), Some(2), "{}", stderr(&stranger));
    let client = with(&client_cert, &client_key);
    assert!(client.status.success(), "{}", stderr(&client));
    let mut command = doublon();
    command.args(["--server", &serve.address]).args(tls);
    command.env("DOUBLON_CLIENT_CERT", &client_cert).env("DOUBLON_CLIENT_KEY", &client_key);
    assert!(command.output().unwrap().status.success());
}

/// The certificate that a server shows.
async fn shown(address: &str, ca: &Ca) -> CertificateDer<'static> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    let folder = TempDir::new().unwrap();
    let ca = Ca::new();
    let (cert, key) = ca.issue_into(&folder, "server");
    let serve = Serve::start(&["--in-memory", "--tls-cert", &cert, "--tls-key", &key]);
    let on_disk = || CertificateDer::from_pem_file(&cert).unwrap();
    let access = Access { ca: Some(ca.pem.clone().into_bytes()), ..Access::default() };
    let mut connected = Client::connect_with(&serve.address, &access).await.unwrap();
    connected.stats().await.unwrap();
    let first = shown(&serve.address, &ca).await;
    assert_eq!(first, on_disk());
    ca.issue_into(&folder, "server");
    assert!(serve.logged("certificates were read again"));
    let second = shown(&serve.address, &ca).await;
    assert_eq!(second, on_disk());
    assert_ne!(first, second);
    // Who was connected still is.
    connected.stats().await.unwrap();
}

#[tokio::test]
async fn who_does_not_shake_hands_keeps_nobody_out() {
    let folder = TempDir::new().unwrap();
    let ca = Ca::new();
    let (cert, key) = ca.issue_into(&folder, "server");
    let serve = Serve::start(&["--in-memory", "--tls-cert", &cert, "--tls-key", &key]);
    let silent: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect(&serve.address).unwrap()).collect();
    let access = Access { ca: Some(ca.pem.into_bytes()), ..Access::default() };
    let mut client = Client::connect_with(&serve.address, &access).await.unwrap();
    client.stats().await.unwrap();
    drop(silent);
    serve.stop();
}

#[test]
fn other_machines_are_not_served_without_tls_and_tokens() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("tokens");
    new_token(&file, "read", &[]);
    let tokens = file.to_str().unwrap();
    let (cert, key) = Ca::new().issue_into(&folder, "server");
    let everywhere = ["serve", "--listen", "0.0.0.0:0", "--in-memory"];
    let tls = ["--tls-cert", &cert, "--tls-key", &key];
    for arguments in [vec![], vec!["--tokens", tokens], tls.to_vec()] {
        let output = doublon().args(everywhere).args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = stderr(&output);
        assert!(said.contains("other machines can reach"), "{said}");
        assert!(!said.contains("listening on"), "{said}");
    }
    for arguments in [vec!["--insecure"], [&tls[..], &["--tokens", tokens]].concat()] {
        let mut command = doublon();
        command.args(everywhere).args(&arguments);
        let serve = Serve::spawn(command);
        assert!(serve.address.starts_with("0.0.0.0:"));
        serve.stop();
    }
    // What is a client's would leave the server open without a word.
    let output = doublon().args(["serve", "--in-memory", "--token", "x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("give the server --tokens"));
}

#[tokio::test]
async fn the_data_folder_is_its_owner_s() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("new/data");
    let serve = Serve::start(&["--data-dir", data.to_str().unwrap()]);
    serve.client(None).await.put_article(put_of("a")).await.unwrap();
    serve.stop();
    let mode = |it: &Path| fs::metadata(it).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let mut files = 0;
    for file in fs::read_dir(&data).unwrap().map(|it| it.unwrap().path()) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
        files += 1;
    }
    assert_eq!(files, 2, "doublon.redb and doublon.index");
}

#[tokio::test]
async fn the_audit_log_names_who_and_what_and_no_text() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("tokens");
    let write = new_token(&file, "write", &["--name", "crawler-1"]);
    let read = new_token(&file, "read", &["--name", "reader"]);
    let serve = Serve::start(&["--in-memory", "--tokens", file.to_str().unwrap()]);
    let mut client = serve.client(Some(&write)).await;
    client.put_article(put_of("an id\nof two lines")).await.unwrap();
    client.delete_article("nobody").await.unwrap_err();
    client.match_teaser(teaser()).await.unwrap();
    let page = v1::AnalyzePageRequest { text: TEXT.to_owned(), ..Default::default() };
    client.analyze_page(page).await.unwrap();
    let puts = [put_of("b"), put_of("")].map(|it| v1::PutArticlesRequest { put: Some(it) });
    let answers = client.put_articles(tokio_stream::iter(puts)).await.unwrap();
    assert_eq!(answers.collect::<Vec<_>>().await.len(), 2);
    serve.client(Some(&read)).await.put_article(put_of("c")).await.unwrap_err();
    serve.client(Some("doublon_guess")).await.stats().await.unwrap_err();
    let log = serve.stop();
    let events: Vec<&str> =
        log.lines().filter(|it| it.contains(" write ") || it.contains(" refused ")).collect();
    let service = "method=\"/doublon.v1.DoublonService";
    for (event, parts) in events.iter().zip([
        [
            " write ",
            "/PutArticle\" token=\"crawler-1\"",
            "article=\"an id\\nof two lines\" code=Ok",
        ],
        [" write ", "/DeleteArticle\" token=\"crawler-1\"", "article=\"nobody\" code=NotFound"],
        [" write ", "/PutArticles\" token=\"crawler-1\"", "done=1 failed=1 code=Ok"],
        [" refused ", "/PutArticle\" token=\"reader\"", "code=PermissionDenied"],
        [" refused ", "/GetStats\" peer=127.0.0.1:", "code=Unauthenticated"],
    ]) {
        assert!(event.contains(service) && event.contains("peer=127.0.0.1:"), "{event}");
        for part in parts {
            assert!(event.contains(part), "{part} not in {event}");
        }
    }
    assert_eq!(events.len(), 5, "{log}");
    for secret in ["lighthouse", "Lannec", &write, &read, "doublon_guess"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
