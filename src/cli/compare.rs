//! `doublon compare`.

use doublon::api::v1;

use super::input;
use super::render::{DIM, DOUBT, GOOD, highlight, paint, plain};
use super::{Common, Found, json, say};

/// Compare two texts: how they relate, and the words that they share
///
/// Exit status: 0 if they are related, 1 if not.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The first text; "-" is standard input
    a: String,
    /// The second text
    b: String,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    let (a_text, b_text) = (input::text(&args.a)?, input::text(&args.b)?);
    let request = v1::CompareRequest { a_text: a_text.clone(), b_text: b_text.clone() };
    let answer = common.connect().await?.compare(request).await?;
    let found = Found::from(answer.relation() != v1::Relation::Unrelated);
    if common.is_json() {
        say(&json::line(&answer)?)?;
        return Ok(found);
    }
    let relation = plain(answer.relation().as_str_name(), "RELATION_");
    let style = match answer.relation() {
        v1::Relation::Duplicate => GOOD,
        v1::Relation::Unrelated | v1::Relation::Unspecified => DIM,
        v1::Relation::Contains | v1::Relation::ContainedIn | v1::Relation::Overlaps => DOUBT,
    };
    say(&paint(style, &relation))?;
    say(&format!("Jaccard {:.3} (MinHash says {:.3})", answer.jaccard, answer.estimated_jaccard))?;
    say(&format!(
        "{:.0} % of the first is in the second, {:.0} % of the second in the first",
        100.0 * answer.containment_a_in_b,
        100.0 * answer.containment_b_in_a
    ))?;
    say(&format!("SimHash distance {} of 64 bits", answer.simhash_distance_bits))?;
    let parts = |pick: fn(&v1::AlignedSpan) -> Option<v1::ByteSpan>| -> Vec<_> {
        let spans = answer.aligned_spans.iter().filter_map(pick);
        let mut ranges: Vec<_> =
            spans.map(|it| it.start_byte as usize..it.end_byte as usize).collect();
        ranges.sort_by_key(|it| it.start);
        ranges.dedup_by(|next, last| next.start < last.end);
        ranges
    };
    say(&format!("\n{} {}", paint(DIM, "first "), highlight(&a_text, &parts(|it| it.a_span))))?;
    say(&format!("\n{} {}", paint(DIM, "second"), highlight(&b_text, &parts(|it| it.b_span))))?;
    Ok(found)
}
