//! `doublon analyze-page`.

use anstyle::{AnsiColor, Style};
use doublon::api::v1;

use super::filter::{OwnSite, QuestionArgs};
use super::input::{self, STDIN};
use super::render::{DIM, duplicate, harmless, paint, plain, teaser_match, verdict};
use super::seen::SeenArgs;
use super::{Common, Found, json, say, say_text};

/// Split the text of a page into the article and what stands around it
///
/// Matches each teaser with the stored articles, and looks for duplicates of the
/// body. With --watch, the teasers that have no article yet wait for it: `doublon
/// teasers` lists them, `doublon watch` tells when their articles come.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    doublon analyze-page page.txt\n  \
    doublon analyze-page --body page.txt | doublon put --id ferry\n  \
    doublon analyze-page --watch --page-url https://valley.example/ferry page.txt")]
pub(super) struct Args {
    /// The visible text of the page, a block a line; "-" is standard input
    #[arg(default_value = STDIN)]
    file: String,
    /// Print the body only, as plain text: what `doublon put` takes
    #[arg(long)]
    body: bool,
    /// The site of the page: what stands in several unrelated articles of it is
    /// its own text
    #[arg(long, value_name = "SITE")]
    page_site: Option<String>,
    #[command(flatten)]
    seen: SeenArgs,
    #[command(flatten)]
    filter: QuestionArgs,
    /// At most this many matches a teaser, and duplicates of the body, 1 to 100
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    max_results: u32,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    let value = args.page_site.as_deref();
    let own = OwnSite { option: "--page-site", value, is_watched: args.seen.watch };
    let (filter, site) = args.filter.split(own)?;
    let request = v1::AnalyzePageRequest {
        text: input::text(&args.file)?,
        filter,
        max_results: args.max_results,
        site,
        watch: args.seen.watch(None),
        seen_time: args.seen.seen_time,
    };
    let answer = common.connect().await?.analyze_page(request).await?;
    if args.body {
        return print_body(&answer);
    }
    if common.is_json() {
        say(&json::line(&answer)?)?;
        return Ok(Found::Yes);
    }
    for (at, segment) in (0..).zip(&answer.segments) {
        print_segment(segment)?;
        print_teaser(&answer.teasers, at, &args.seen)?;
    }
    if answer.body_duplicates.is_empty() {
        say(&paint(DIM, "\nthe body is new: no stored article is related to it"))?;
    } else {
        say(&paint(DIM, "\nthe body is, to stored articles,"))?;
    }
    for found in &answer.body_duplicates {
        say(&format!("  {}", duplicate(found)))?;
    }
    Ok(Found::Yes)
}

fn print_body(answer: &v1::AnalyzePageResponse) -> anyhow::Result<Found> {
    let body = answer.segments.iter().filter(|it| it.kind() == v1::SegmentKind::Body);
    let mut found = Found::No;
    for segment in body {
        say_text(&segment.text)?;
        found = Found::Yes;
    }
    Ok(found)
}

fn print_segment(segment: &v1::Segment) -> anyhow::Result<()> {
    let style = style(segment.kind());
    let name = plain(segment.kind().as_str_name(), "SEGMENT_KIND_");
    say(&format!(
        "{} {}",
        paint(style.bold(), &format!("{name:>15}")),
        paint(style, &harmless(&segment.text))
    ))
}

/// A teaser's matches, where the teaser stands first.
fn print_teaser(teasers: &[v1::PageTeaser], segment: u32, seen: &SeenArgs) -> anyhow::Result<()> {
    let is_it = |it: &&v1::PageTeaser| it.segment_indexes.contains(&segment);
    let Some(teaser) = teasers.iter().find(is_it) else { return Ok(()) };
    let Some(answer) = &teaser.answer else { return Ok(()) };
    if teaser.segment_indexes.first() != Some(&segment) {
        return say(&format!("{:>15} {}", "", paint(DIM, "the same teaser as above")));
    }
    if answer.matches.is_empty() {
        say(&format!("{:>15} {}", "", verdict(answer.verdict())))?;
    }
    for found in &answer.matches {
        say(&format!("{:>15} {}", "", teaser_match(found)))?;
    }
    seen.outcome(answer).map_or(Ok(()), |it| say(&format!("{:>15} {it}", "")))
}

fn style(kind: v1::SegmentKind) -> Style {
    match kind {
        v1::SegmentKind::Body => Style::new(),
        v1::SegmentKind::Title => Style::new().bold(),
        v1::SegmentKind::Teaser => AnsiColor::Blue.on_default(),
        v1::SegmentKind::TeaserHeadline => AnsiColor::Cyan.on_default(),
        v1::SegmentKind::SectionLabel => AnsiColor::Magenta.on_default(),
        v1::SegmentKind::Other | v1::SegmentKind::Unspecified => DIM,
    }
}
