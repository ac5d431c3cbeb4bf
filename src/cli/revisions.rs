//! `doublon revisions`.

use doublon::api::v1;

use super::render::{DIM, NAME, one_line, paint, plain, revision};
use super::{Common, Found, json, known, say};

/// Show how the content of an article was changed, the oldest change first
///
/// A correction changes some words, an update more than that, a form only case,
/// punctuation, URL, site, language or time. The last 16 are remembered.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 found, 1 if it was never changed or is not stored, 2 error.\n\n\
    Examples:\n  \
    doublon revisions ferry\n  \
    doublon revisions ferry --output json"
)]
pub(super) struct Args {
    /// The article's id
    id: String,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    let answer = common.connect().await?.list_revisions(&args.id).await;
    let Some(answer) = known(answer)? else { return Ok(Found::No) };
    if answer.revisions.is_empty() {
        super::complain(&format!("{:?} was never changed", one_line(&args.id)));
        return Ok(Found::No);
    }
    for it in &answer.revisions {
        if common.is_json() {
            say(&json::line(it)?)?;
        } else {
            print(it)?;
        }
    }
    Ok(Found::Yes)
}

fn print(it: &v1::Revision) -> anyhow::Result<()> {
    let time = it.replaced_time.map(|it| it.to_string()).unwrap_or_default();
    say(&format!("{:>3} {} {}", it.revision, paint(DIM, &time), revision(it)))?;
    for change in &it.changes {
        let field = plain(change.field().as_str_name(), "ARTICLE_FIELD_");
        let before = words(&change.before_text, change.before_span);
        let after = words(&change.after_text, change.after_span);
        say(&format!("    {} {before} -> {after}", paint(DIM, &format!("{field:<11}"))))?;
    }
    if !it.before_url.is_empty() {
        say(&format!("    {} was {}", paint(DIM, "url        "), one_line(&it.before_url)))?;
    }
    Ok(())
}

/// What stood there; its place, where the server keeps no texts.
fn words(text: &str, span: Option<v1::ByteSpan>) -> String {
    let v1::ByteSpan { start_byte, end_byte } = span.unwrap_or_default();
    if text.is_empty() && start_byte < end_byte {
        return paint(DIM, &format!("bytes {start_byte} to {end_byte}"));
    }
    if text.is_empty() {
        return paint(DIM, "nothing");
    }
    paint(NAME, &format!("\"{}\"", one_line(text)))
}
