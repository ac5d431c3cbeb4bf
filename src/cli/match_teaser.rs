//! `doublon match-teaser`.

use doublon::api::v1;
use doublon::client::{Client, ClientError};
use serde::Deserialize;

use super::filter::{OwnSite, QuestionArgs, time};
use super::input::{self, STDIN};
use super::render::{DIM, paint, side_by_side, teaser_match, verdict};
use super::seen::SeenArgs;
use super::{Common, Found, bulk, json, say};

/// Say whose teaser a text is: which stored articles it belongs to, and where in
/// them it stands
///
/// With --watch, a teaser that has no article yet waits for it: `doublon teasers`
/// lists those that wait, `doublon watch` tells when their articles come. Exit
/// status: 0 if it matches an article, or may; 1 if not, also if it waits.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    doublon match-teaser 'The council voted on Tuesday to plant an urban for...'\n  \
    doublon match-teaser --watch --page-url https://valley.example/ \\\n      \
    --link-url https://valley.example/forest 'The council voted on Tuesday to pl...'\n  \
    doublon match-teaser --watch --jsonl teasers.jsonl --output json > answers.jsonl")]
pub(super) struct Args {
    /// The teaser [default: standard input]
    #[arg(conflicts_with_all = ["file", "jsonl"])]
    text: Option<String>,
    /// Read the teaser from a file; "-" is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "jsonl")]
    file: Option<String>,
    /// Read many teasers, one JSON object a line with `text` or `teaser`, and maybe
    /// `page_url`, `link_url`, `site`, `seen_time`; plain, .gz or .zst; "-" is
    /// standard input. With --watch, each is watched. One answer a line, in order
    #[arg(long, value_name = "FILE")]
    jsonl: Option<String>,
    #[command(flatten)]
    seen: SeenArgs,
    /// Where it links to
    #[arg(long, value_name = "URL", requires = "watch", conflicts_with = "jsonl")]
    link_url: Option<String>,
    /// The site of the page on which it stands [default: the host of --page-url]
    #[arg(long, value_name = "SITE")]
    page_site: Option<String>,
    #[command(flatten)]
    filter: QuestionArgs,
    /// At most this many matches a teaser, 1 to 100
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    max_results: u32,
}

/// A line of teasers; other fields are not looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a JSON object with the field text or teaser")]
struct TeaserLine {
    text: Option<String>,
    teaser: Option<String>,
    page_url: Option<String>,
    link_url: Option<String>,
    site: Option<String>,
    seen_time: Option<String>,
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
    let answer = client.match_teaser(args.request(text.clone())?).await?;
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
        if let Some(outcome) = args.seen.outcome(&answer) {
            say(&outcome)?;
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
    let template = args.request(String::new())?;
    let items = input::lines(file)?.map(move |(number, line)| {
        let read = line.and_then(|line| {
            let line: TeaserLine = json::read_object("teaser", &line)?;
            Ok(v1::MatchTeasersRequest { r#match: Some(line.fill(template.clone())?) })
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
                    print_one(origin, &answer, &args.seen, common)
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
    seen: &SeenArgs,
    common: &Common,
) -> anyhow::Result<()> {
    if common.is_json() {
        return say(&json::line(answer)?);
    }
    let best = answer.matches.first().map_or_else(|| verdict(answer.verdict()), teaser_match);
    let outcome = seen.outcome(answer).map(|it| format!(", {it}")).unwrap_or_default();
    say(&format!("{} {best}{outcome}", paint(DIM, origin)))
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
    fn request(&self, text: String) -> anyhow::Result<v1::MatchTeaserRequest> {
        let value = self.page_site.as_deref();
        let own = OwnSite { option: "--page-site", value, is_watched: self.seen.watch };
        let (filter, site) = self.filter.split(own)?;
        Ok(v1::MatchTeaserRequest {
            text,
            filter,
            max_results: self.max_results,
            watch: self.seen.watch(self.link_url.as_ref()),
            site,
            seen_time: self.seen.seen_time,
        })
    }
}

impl TeaserLine {
    /// The request for this line: what it does not say is as the options have it.
    fn fill(self, mut request: v1::MatchTeaserRequest) -> Result<v1::MatchTeaserRequest, String> {
        let Self { text, teaser, page_url, link_url, site, seen_time } = self;
        request.text = text.or(teaser).ok_or("it has neither text nor teaser")?;
        if let Some(watch) = &mut request.watch {
            set(&mut watch.page_url, page_url);
            set(&mut watch.link_url, link_url);
        }
        set(&mut request.site, site);
        if let Some(seen_time) = seen_time.filter(|it| !it.is_empty()) {
            request.seen_time = Some(time(&seen_time)?);
        }
        Ok(request)
    }
}

fn set(field: &mut String, value: Option<String>) {
    if let Some(value) = value.filter(|it| !it.is_empty()) {
        *field = value;
    }
}
