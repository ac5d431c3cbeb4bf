//! `doublon sign`.

use doublon::api::v1;

use super::input::{self, STDIN};
use super::render::{DIM, paint};
use super::{Common, Found, json, say};

/// Print the signature of a text: MinHash, SimHash, parameters and counts
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The text; "-" is standard input
    #[arg(default_value = STDIN)]
    file: String,
    /// Read it as a teaser: without a truncation mark and the word that it cut
    #[arg(long)]
    teaser: bool,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    let text = input::text(&args.file)?;
    let kind = if args.teaser { v1::TextKind::Teaser } else { v1::TextKind::Article };
    let request = v1::SignRequest { text, kind: kind.into() };
    let answer = common.connect().await?.sign(request).await?;
    if common.is_json() {
        say(&json::line(&answer)?)?;
        return Ok(Found::Yes);
    }
    let parameters = answer.parameters.unwrap_or_default();
    let line =
        |name: &str, value: String| say(&format!("{} {value}", paint(DIM, &format!("{name:<9}"))));
    line("simhash", format!("{:016x}", answer.simhash))?;
    line("tokens", answer.token_count.to_string())?;
    line("shingles", answer.shingle_count.to_string())?;
    let v1::SketchParameters { version, shingle_tokens, .. } = parameters;
    line("version", format!("{version}, {shingle_tokens} tokens a shingle"))?;
    for (at, row) in answer.minhash.chunks(8).enumerate() {
        let values: Vec<String> = row.iter().map(|it| format!("{it:08x}")).collect();
        line(if at == 0 { "minhash" } else { "" }, values.join(" "))?;
    }
    Ok(Found::Yes)
}
