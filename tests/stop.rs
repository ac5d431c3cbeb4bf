//! A stop in good order: health says so first, calls under way are answered, and the
//! deadline holds.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::time::Duration;

use doublon::api::v1;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::process::Process;

#[tokio::test]
async fn health_says_that_it_stops_before_it_does_and_calls_under_way_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::in_folder(folder.path());
    let mut client = server.client().await;
    let address = format!("http://{}", server.address);
    let endpoint = tonic::transport::Endpoint::from_shared(address).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    let mut seen = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let status = seen.message().await.unwrap().unwrap().status;
    assert_eq!(status, i32::from(ServingStatus::Serving));
    // A stream of which half is sent before the stop, and half after.
    let (items, received) = tokio::sync::mpsc::channel(8);
    let put = |it: u32| {
        let put = support::put_request(&format!("a{it}"), &format!("one two three four {it}"));
        v1::PutArticlesRequest { put: Some(put) }
    };
    items.send(put(0)).await.unwrap();
    let received = tokio_stream::wrappers::ReceiverStream::new(received);
    let mut answers = client.put_articles(received).await.unwrap();
    answers.message().await.unwrap().unwrap();
    server.signal("-TERM");
    let status = seen.message().await.unwrap().unwrap().status;
    assert_eq!(status, i32::from(ServingStatus::NotServing));
    items.send(put(1)).await.unwrap();
    drop(items);
    answers.message().await.unwrap().unwrap();
    // The health watch stays open, and keeps nobody.
    let ended = server.ended(Duration::from_secs(5)).await.unwrap();
    assert!(ended.success(), "{ended} {:?}", server.log());
    drop(seen);
    let server = Process::in_folder(folder.path());
    let count = server.client().await.stats().await.unwrap().article_count;
    assert_eq!(count, 2);
}
