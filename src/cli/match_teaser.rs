//! `doublon match-teaser`.

use doublon::api::v1;
use doublon::client::{Client, ClientError};
use serde::Deserialize;

use super::filter::FilterArgs;
use super::input::{self, STDIN};
use super::render::{DIM, paint, side_by_side, teaser_match, verdict};
use super::{Common, Found, bulk, json, say};

/// Say whose teaser a text is: which stored articles it belongs to, and where in
/// them it stands
///
/// Exit status: 0 if it matches an article, or may; 1 if not.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The teaser [default: standard input]
    #[arg(conflicts_with_all = ["file", "jsonl"])]
    text: Option<String>,
    /// Read the teaser from a file; "-" is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "jsonl")]
    file: Option<String>,
    /// Read many teasers, one JSON object a line with `text` or `teaser`; plain,
    /// .gz or .zst; "-" is standard input. One answer a line, in order
    #[arg(long, value_name = "FILE")]
    jsonl: Option<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// At most this many matches a teaser, 1 to 100
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    max_results: u32,
}

/// A line of teasers; other fields are not looked at.
#[derive(Debug, Deserialize)]
#[serde(expecting = "a JSON object with the field text or teaser")]
struct TeaserLine {
    text: Option<String>,
    teaser: Option<String>,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    let mut client = common.connect().await?;
    if let Some(file) = &args.jsonl {
        return run_many(file, &args, client, common).await;
    }
    let text = match (&args.text, &args.file) {
        (Some(text), _) if text != STDIN => text.clone(),
        (_, file) => input::text(file.as_deref().unwrap_or(STDIN))?,
    };
    let answer = client.match_teaser(args.request(text.clone())).await?;
    if common.is_json() {
        say(&json::line(&answer)?)?;
    } else {
        if answer.matches.is_empty() {
            say(&verdict(answer.verdict()))?;
        }
        for found in &answer.matches {
            say(&teaser_match(found))?;
            show_place(&mut client, &text, found).await?;
        }
    }
    Ok(is_found(&answer).into())
}

async fn run_many(
    file: &str,
    args: &Args,
    mut client: Client,
    common: &Common,
) -> anyhow::Result<Found> {
    let template = args.request(String::new());
    let items = input::lines(file)?.map(move |(number, line)| {
        let read = line.and_then(|line| {
            let TeaserLine { text, teaser } = json::read_object("teaser", &line)?;
            let text = text.or(teaser).ok_or("it has neither text nor teaser")?;
            let request = v1::MatchTeaserRequest { text, ..template.clone() };
            Ok(v1::MatchTeasersRequest { r#match: Some(request) })
        });
        (format!("line {number}"), read)
    });
    let (mut found, mut failed) = (false, 0_u64);
    bulk::run(
        items,
        async move |items| client.match_teasers(items).await,
        |origin, answer: Result<v1::MatchTeasersResponse, ClientError>| {
            use v1::match_teasers_response::Outcome;
            let answer = answer.and_then(|it| match it.outcome {
                Some(Outcome::Result(it)) => Ok(it),
                Some(Outcome::Error(it)) => Err(ClientError::from(&it)),
                None => Ok(v1::MatchTeaserResponse::default()),
            });
            match answer {
                Ok(answer) => {
                    found |= is_found(&answer);
                    print_one(origin, &answer, common)
                }
                Err(error) => {
                    failed += 1;
                    super::complain(&format!("{origin}: {error}"));
                    if common.is_json() { say(&json::error_line(origin, &error)) } else { Ok(()) }
                }
            }
        },
    )
    .await?;
    anyhow::ensure!(failed == 0, "{failed} lines failed, the others are answered");
    Ok(found.into())
}

fn print_one(
    origin: &str,
    answer: &v1::MatchTeaserResponse,
    common: &Common,
) -> anyhow::Result<()> {
    if common.is_json() {
        return say(&json::line(answer)?);
    }
    let best = answer.matches.first().map_or_else(|| verdict(answer.verdict()), teaser_match);
    say(&format!("{} {best}", paint(DIM, origin)))
}

fn is_found(answer: &v1::MatchTeaserResponse) -> bool {
    matches!(answer.verdict(), v1::TeaserVerdict::Match | v1::TeaserVerdict::Possible)
}

/// Shows the teaser and its place in the article, one above the other.
async fn show_place(
    client: &mut Client,
    teaser: &str,
    found: &v1::TeaserMatch,
) -> anyhow::Result<()> {
    let article = match client.get_article(&found.article_id).await {
        Ok(answer) => answer.article.unwrap_or_default(),
        // Deleted since it matched.
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let field = match found.field() {
        v1::ArticleField::Title => &article.title,
        v1::ArticleField::Description => &article.description,
        v1::ArticleField::Body | v1::ArticleField::Unspecified => &article.text,
    };
    let (teaser, place) = side_by_side(teaser, field, found);
    say(&format!("  {} {teaser}", paint(DIM, "teaser ")))?;
    say(&format!("  {} {place}", paint(DIM, "article")))
}

impl Args {
    fn request(&self, text: String) -> v1::MatchTeaserRequest {
        v1::MatchTeaserRequest { text, filter: self.filter.filter(), max_results: self.max_results }
    }
}
