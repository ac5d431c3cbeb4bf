//! `doublon get`.

use super::render::{DIM, NAME, one_line, paint};
use super::{Common, Found, json, known, say, say_text};

/// Print a stored article
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The article's id
    id: String,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    let answer = common.connect().await?.get_article(&args.id).await;
    let Some(answer) = known(answer)? else { return Ok(Found::No) };
    if common.is_json() {
        say(&json::line(&answer)?)?;
        return Ok(Found::Yes);
    }
    let article = answer.article.unwrap_or_default();
    let time = |it: Option<prost_types::Timestamp>| it.map(|it| it.to_string()).unwrap_or_default();
    for (name, value) in [
        ("id", article.article_id),
        ("url", article.url),
        ("site", article.site),
        ("language", article.language),
        ("published", time(article.published_time)),
        ("stored", time(article.stored_time)),
        ("expires", time(article.expire_time)),
        ("title", article.title),
        ("description", article.description),
    ] {
        if !value.is_empty() {
            say(&format!(
                "{} {}",
                paint(DIM, &format!("{name:<12}")),
                paint(NAME, &one_line(&value))
            ))?;
        }
    }
    say("")?;
    say_text(&article.text)?;
    Ok(Found::Yes)
}
