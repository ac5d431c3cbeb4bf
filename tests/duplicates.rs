//! Near-duplicates as news has them, made from articles of our own writing
//! (`tests/eval`), over the real service.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod support;

use doublon::api::v1::Relation;
use support::{field, rows, with_articles};

const LANGUAGES: [&str; 3] = ["fr", "en", "de"];

/// Sentences of an article, in order.
fn sentences(text: &str) -> Vec<&str> {
    text.split_inclusive(['.', '\n']).map(str::trim).filter(|it| !it.is_empty()).collect()
}

/// Replaces every so-manieth word.
fn changed(text: &str, every: usize, change: impl Fn(&str) -> String) -> String {
    let words = text.split(' ').enumerate();
    let changed = words.map(|(at, it)| if at % every == 3 { change(it) } else { it.to_owned() });
    changed.collect::<Vec<_>>().join(" ")
}

/// A letter read wrong, as in a scan.
fn misread(word: &str) -> String {
    let wrong = |it: char| match it {
        'e' => 'c',
        'l' => '1',
        'o' => '0',
        'n' => 'h',
        'a' => 'o',
        other => other,
    };
    word.chars().map(wrong).collect::<String>() + "x"
}

fn variants(text: &str, other: &str) -> Vec<(&'static str, String, &'static [Relation])> {
    let all = sentences(text);
    let others = sentences(other);
    let abridged = all[..all.len() / 2].join(" ");
    let extended = [text, &others[..others.len() / 2].join(" ")].join("\n");
    let live = ["Update: the minister will speak at noon, his office says.", text].join("\n");
    let boilerplate = format!(
        "(Agency) - {text}\nThis report was written by an agency and was not edited by this paper."
    );
    let copies: &[Relation] = &[Relation::Duplicate];
    vec![
        ("abridged", abridged, &[Relation::ContainedIn, Relation::Duplicate]),
        ("extended", extended, &[Relation::Contains, Relation::Duplicate]),
        ("corrected", changed(text, 40, |_| "corrected".into()), copies),
        ("live update", live, copies),
        ("agency boilerplate", boilerplate, copies),
        ("read by a machine", changed(text, 14, misread), copies),
        ("reordered", all.iter().rev().copied().collect::<Vec<_>>().join(" "), copies),
    ]
}

#[tokio::test]
async fn copies_are_found_however_they_were_edited() {
    for language in LANGUAGES {
        let mut server = with_articles(language).await;
        let articles = rows("articles.jsonl");
        let articles: Vec<_> = articles.iter().filter(|it| it["lang"] == language).collect();
        for (at, row) in articles.iter().enumerate() {
            let other = field(articles[(at + 1) % articles.len()], "text");
            for (name, variant, relations) in variants(&field(row, "text"), &other) {
                let found = server.duplicates(&variant).await;
                let id = field(row, "id");
                let own = found.iter().find(|it| it.article_id == id);
                let relation = own.map(doublon::api::v1::Duplicate::relation);
                let is_right = relation.is_some_and(|it| relations.contains(&it));
                assert!(is_right, "{name} of {id}: {relation:?}\n{variant}");
            }
        }
        server.stop().await;
    }
}

/// No article of the smoke data is a duplicate of another one, though some end in the
/// same standing paragraph.
#[tokio::test]
async fn different_articles_are_not_related() {
    for language in LANGUAGES {
        let mut server = with_articles(language).await;
        for row in rows("articles.jsonl").iter().filter(|it| it["lang"] == language) {
            let found = server.duplicates(&field(row, "text")).await;
            let ids: Vec<&str> = found.iter().map(|it| it.article_id.as_str()).collect();
            assert_eq!(ids, [field(row, "id")]);
        }
        server.stop().await;
    }
}
