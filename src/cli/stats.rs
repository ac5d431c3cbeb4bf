//! `doublon stats`.

use super::render::{DIM, paint};
use super::{Common, Found, json, say};

/// Print counts, sizes, parameters and the server's version
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_: &Args, common: &Common) -> anyhow::Result<Found> {
    let answer = common.connect().await?.stats().await?;
    if common.is_json() {
        say(&json::line(&answer)?)?;
        return Ok(Found::Yes);
    }
    let parameters = answer.parameters.unwrap_or_default();
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    for (name, value) in [
        ("server", answer.server_version),
        ("started", answer.start_time.map(|it| it.to_string()).unwrap_or_default()),
        ("articles", answer.article_count.to_string()),
        ("stories", answer.story_count.to_string()),
        ("teasers", format!("{} that wait", answer.standing_teaser_count)),
        ("store", mib(answer.store_bytes)),
        ("damaged", format!("{} records and rows found so", answer.damaged_record_count)),
        ("index", mib(answer.index_bytes)),
        ("waiting", mib(answer.standing_index_bytes)),
        ("anchors", answer.anchor_posting_count.to_string()),
        ("bands", answer.band_posting_count.to_string()),
        ("terms", answer.term_posting_count.to_string()),
        (
            "sketch",
            format!(
                "version {}, {} tokens a shingle, {} MinHash values in {} bands, {} SimHash bits",
                parameters.version,
                parameters.shingle_tokens,
                parameters.minhash_values,
                parameters.band_count,
                parameters.simhash_bits
            ),
        ),
    ] {
        say(&format!("{} {value}", paint(DIM, &format!("{name:<9}"))))?;
    }
    Ok(Found::Yes)
}
