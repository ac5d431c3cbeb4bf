//! A backup of a running service: of one moment, and a folder like any other.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use doublon::client::Client;
use support::process::doublon;
use support::{Server, put_request};

fn text(number: u32) -> String {
    (0..40).map(|it| format!("w{}", number * 7919 + it)).collect::<Vec<_>>().join(" ")
}

async fn is_there(client: &mut Client, number: u32) -> bool {
    client.get_article(format!("a{number}")).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_writes_is_of_one_moment_and_starts() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(Some(folder.path().join("data"))).await;
    for number in 0..20 {
        server.put(&format!("a{number}"), &text(number)).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (mut client, stopped) = (server.client.clone(), Arc::clone(&stop));
    let writing = tokio::spawn(async move {
        let mut number = 20;
        while !stopped.load(Ordering::Relaxed) {
            let put = put_request(&format!("a{number}"), &text(number));
            client.put_article(put).await.unwrap();
            number += 1;
        }
        number
    });
    let copy = folder.path().join("copy");
    let (address, dir) = (server.address.clone(), copy.to_str().unwrap().to_owned());
    let back_up = move || doublon(&["--server", &address, "backup", &dir]);
    let (again, (code, said)) = {
        let first = tokio::task::spawn_blocking(back_up.clone()).await.unwrap();
        (tokio::task::spawn_blocking(back_up).await.unwrap(), first)
    };
    stop.store(true, Ordering::Relaxed);
    let written = writing.await.unwrap();
    assert!(code == Some(0) && said.contains(" articles in "), "{code:?} {said}");
    assert!(again.0 == Some(2) && again.1.contains("has articles already"), "{again:?}");
    assert!(written > 25, "nothing was written meanwhile");
    server.stop().await;
    assert_eq!(doublon(&["verify", copy.to_str().unwrap()]).0, Some(0));
    check_copy(&copy, written).await;
}

/// What was written first is there, and what came later is not, without a gap.
async fn check_copy(copy: &Path, written: u32) {
    let mut server = Server::start(Some(copy.to_owned())).await;
    let count = server.client.stats().await.unwrap().article_count;
    assert!((20..=u64::from(written)).contains(&count));
    for number in 0..written {
        assert_eq!(is_there(&mut server.client, number).await, u64::from(number) < count);
    }
    let found = server.teaser(&text(7)).await;
    assert_eq!(found.matches.first().unwrap().article_id, "a7");
    server.put("more", &text(written + 1)).await;
    server.stop().await;
}
