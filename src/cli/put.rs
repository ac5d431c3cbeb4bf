//! `doublon put`.

mod article_line;

use std::time::Duration;

use anyhow::bail;
use clap::ValueEnum;
use doublon::api::v1;
use doublon::client::ClientError;
use doublon::hash;
use indicatif::{ProgressBar, ProgressStyle};
use prost_types::Timestamp;

use super::bulk::{self, Item};
use super::filter::{DuplicateArgs, time};
use super::input::{self, STDIN};
use super::render::{DIM, DOUBT, GOOD, NAME, duplicate, one_line, paint, plain, revision, times};
use super::{Common, Found, json, say};

/// Store articles from text files, or from lines of JSON
///
/// A file that is given no --id is stored under its path, standard input under
/// the hash of its text. Putting an article again changes nothing; under the same
/// id, other content replaces it. Said with each: its duplicates, its story, the
/// teasers that waited for it, and what changed where it was replaced.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    doublon put --id ferry --title 'Ferry returns to Valbrume' ferry.txt\n  \
    doublon put --jsonl articles.jsonl.zst --expire-time 2027-02-01\n  \
    doublon put --jsonl articles.jsonl --on-duplicate store-without-text --other-sites-only")]
pub(super) struct Args {
    /// The texts; "-" is standard input; plain, .gz or .zst
    #[arg(value_name = "FILE", default_value = STDIN)]
    files: Vec<String>,
    /// One article a line, in JSON: id, url, title, description or lead, text,
    /// lang or language, published or date, site or hostname, `expire_time`; the names
    /// that trafilatura and newspaper4k write are understood
    #[arg(long, conflicts_with_all = ["id", "title", "description", "url", "published"])]
    jsonl: bool,
    /// The article's id, 1 to 512 bytes (one file only)
    #[arg(long)]
    id: Option<String>,
    /// Its headline
    #[arg(long)]
    title: Option<String>,
    /// Its standfirst, or the site's own description of it
    #[arg(long)]
    description: Option<String>,
    /// Where it was fetched
    #[arg(long)]
    url: Option<String>,
    /// The site it belongs to; with --jsonl, of articles that name none
    #[arg(long)]
    site: Option<String>,
    /// Its language, as in "fr"; with --jsonl, of articles that name none
    #[arg(long)]
    language: Option<String>,
    /// When it was published, as in 2026-11-23T08:00:00Z
    #[arg(long, alias = "published-time", value_name = "RFC3339", value_parser = time)]
    published: Option<Timestamp>,
    /// When it is to be deleted; with --jsonl, of articles that do not say [default:
    /// never, or when the server's --retention is over]
    #[arg(long, value_name = "RFC3339", value_parser = time)]
    expire_time: Option<Timestamp>,
    /// What to do with an article that has a duplicate in the store
    #[arg(long, value_enum, default_value_t = OnDuplicate::Store)]
    on_duplicate: OnDuplicate,
    /// The same as --on-duplicate skip
    #[arg(long, conflicts_with = "on_duplicate")]
    skip_duplicates: bool,
    /// The weakest relation that makes a stored article a duplicate for
    /// --on-duplicate
    #[arg(long, value_enum, default_value_t = MinRelation::Duplicate)]
    min_relation: MinRelation,
    #[command(flatten)]
    filter: DuplicateArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnDuplicate {
    /// Store it all the same, and name the duplicate
    Store,
    /// Leave it out
    Skip,
    /// Store what is computed from its text, but not the text
    StoreWithoutText,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MinRelation {
    /// The same text, edited
    Duplicate,
    /// Or it contains the stored one
    Contains,
    /// Or the stored one contains it
    ContainedIn,
    /// Or they overlap
    Overlaps,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    if args.files.len() > 1 && args.id.is_some() {
        bail!("--id names one article, but {} files are given", args.files.len());
    }
    let mut client = common.connect().await?;
    let progress = progress();
    let is_single = !args.jsonl && args.files.len() == 1;
    let mut tally = Tally { per_article: !args.jsonl, is_single, ..Tally::default() };
    let items = items(args);
    let sent = bulk::run(
        items,
        async move |items| client.put_articles(items).await,
        |origin, answer: Result<v1::PutArticlesResponse, ClientError>| {
            use v1::put_articles_response::Outcome;
            progress.inc(1);
            let answer = answer.and_then(|it| match it.outcome {
                Some(Outcome::Result(it)) => Ok(it),
                Some(Outcome::Error(it)) => Err(ClientError::from(&it)),
                None => Ok(v1::PutArticleResponse::default()),
            });
            match progress.suspend(|| tally.count(origin, answer, common)) {
                // Nobody reads on, but the articles are to be stored all the same.
                Err(error) if super::is_closed_pipe(&error) => tally.is_mute = true,
                other => other?,
            }
            Ok(())
        },
    )
    .await;
    progress.finish_and_clear();
    tally.report(common)?;
    sent?;
    if let Some(problem) = tally.single_problem {
        bail!(problem);
    }
    anyhow::ensure!(tally.failed == 0, "{} failed, {} are stored", tally.failed, tally.stored());
    Ok(Found::Yes)
}

/// An id for a text that has no name: the same text gets the same one.
fn content_id(text: &str) -> String {
    format!("xxh3-{:032x}", hash::persistent_128(text.as_bytes()))
}

/// On a terminal, a line that moves while articles are stored.
fn progress() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} {human_pos} articles, {per_sec}, {elapsed}");
    let progress = ProgressBar::new_spinner();
    progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    progress.enable_steady_tick(Duration::from_millis(200));
    progress
}

fn items(args: Args) -> Box<dyn Iterator<Item = Item<v1::PutArticlesRequest>> + Send> {
    let template = args.template();
    let put = move |article| {
        let put = v1::PutArticleRequest { article: Some(article), ..template.clone() };
        v1::PutArticlesRequest { put: Some(put) }
    };
    let files = args.files.clone();
    if !args.jsonl {
        return Box::new(files.into_iter().map(move |file| {
            let article = article_of(&file, &args).map_err(|error| format!("{error:#}"));
            (file, article.map(&put))
        }));
    }
    let many = files.len() > 1;
    let Args { site, language, expire_time, .. } = args;
    Box::new(files.into_iter().flat_map(move |file| {
        let (site, language, put) = (site.clone(), language.clone(), put.clone());
        let prefix = if many { format!("{file}: ") } else { String::new() };
        let lines: Box<dyn Iterator<Item = _> + Send> = match input::lines(&file) {
            Ok(lines) => Box::new(lines),
            Err(error) => Box::new(std::iter::once((0, Err(format!("{error:#}"))))),
        };
        lines.map(move |(number, line)| {
            let article = line.and_then(|it| article_line::read(&it)).map(|mut article| {
                fill(&mut article.site, site.as_ref());
                fill(&mut article.language, language.as_ref());
                article.expire_time = article.expire_time.or(expire_time);
                article
            });
            let origin = if number == 0 { file.clone() } else { format!("{prefix}line {number}") };
            (origin, article.map(&put))
        })
    }))
}

impl Args {
    /// The request for an article that is still to be set.
    fn template(&self) -> v1::PutArticleRequest {
        let on_duplicate = match self.on_duplicate {
            _ if self.skip_duplicates => v1::OnDuplicate::Skip,
            OnDuplicate::Store => v1::OnDuplicate::Store,
            OnDuplicate::Skip => v1::OnDuplicate::Skip,
            OnDuplicate::StoreWithoutText => v1::OnDuplicate::StoreWithoutText,
        };
        let min_relation = match self.min_relation {
            MinRelation::Duplicate => v1::Relation::Duplicate,
            MinRelation::Contains => v1::Relation::Contains,
            MinRelation::ContainedIn => v1::Relation::ContainedIn,
            MinRelation::Overlaps => v1::Relation::Overlaps,
        };
        v1::PutArticleRequest {
            article: None,
            on_duplicate: on_duplicate.into(),
            max_duplicates: 0,
            min_relation: min_relation.into(),
            filter: self.filter.filter(),
        }
    }
}

fn fill(field: &mut String, default: Option<&String>) {
    if let Some(default) = default.filter(|_| field.is_empty()) {
        field.clone_from(default);
    }
}

fn article_of(file: &str, args: &Args) -> anyhow::Result<v1::Article> {
    let text = input::text(file)?;
    let or_empty = |it: &Option<String>| it.clone().unwrap_or_default();
    let article_id = match &args.id {
        Some(id) => id.clone(),
        None if file == STDIN => content_id(&text),
        None => file.to_owned(),
    };
    Ok(v1::Article {
        article_id,
        url: or_empty(&args.url),
        site: or_empty(&args.site),
        language: or_empty(&args.language),
        title: or_empty(&args.title),
        description: or_empty(&args.description),
        text,
        published_time: args.published,
        stored_time: None,
        expire_time: args.expire_time,
    })
}

/// What came of all articles.
#[derive(Debug, Default)]
struct Tally {
    /// Whether each article gets a line of its own.
    per_article: bool,
    /// Whether there is one article only: its problem is the command's.
    is_single: bool,
    single_problem: Option<String>,
    /// Whether standard output is closed.
    is_mute: bool,
    created: u64,
    unchanged: u64,
    replaced: u64,
    skipped: u64,
    failed: u64,
    with_duplicates: u64,
    resolved: u64,
}

impl Tally {
    fn count(
        &mut self,
        origin: &str,
        answer: Result<v1::PutArticleResponse, ClientError>,
        common: &Common,
    ) -> anyhow::Result<()> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.failed += 1;
                let problem = error.to_string();
                let named = if problem.starts_with(origin) {
                    problem
                } else {
                    format!("{origin}: {problem}")
                };
                if self.is_single {
                    self.single_problem = Some(named);
                } else {
                    super::complain(&named);
                }
                return if common.is_json() {
                    say(&json::error_line(origin, &error))
                } else {
                    Ok(())
                };
            }
        };
        match answer.outcome() {
            v1::PutOutcome::Created | v1::PutOutcome::Unspecified => self.created += 1,
            v1::PutOutcome::Unchanged => self.unchanged += 1,
            v1::PutOutcome::Replaced => self.replaced += 1,
            v1::PutOutcome::Skipped => self.skipped += 1,
        }
        self.with_duplicates += u64::from(!answer.duplicates.is_empty());
        self.resolved += answer.resolved_teasers.len() as u64;
        if self.is_mute {
            return Ok(());
        }
        if common.is_json() {
            return say(&json::line(&answer)?);
        }
        if self.per_article { print(&answer) } else { Ok(()) }
    }

    fn stored(&self) -> u64 {
        self.created + self.unchanged + self.replaced
    }

    /// The summary: with JSON on standard error, so that standard output has one
    /// object an article.
    fn report(&self, common: &Common) -> anyhow::Result<()> {
        let Self {
            created, unchanged, replaced, skipped, failed, with_duplicates, resolved, ..
        } = self;
        let total = created + unchanged + replaced + skipped + failed;
        if self.per_article && total < 2 {
            return Ok(());
        }
        let summary = format!(
            "{created} created, {unchanged} unchanged, {replaced} replaced, {skipped} skipped, {failed} failed"
        );
        if common.is_json() || self.is_mute {
            super::complain(&summary);
            return Ok(());
        }
        let style = if *failed > 0 { DOUBT } else { GOOD };
        let waited = match resolved {
            0 => String::new(),
            1 => ", 1 teaser had waited".to_owned(),
            more => format!(", {more} teasers had waited"),
        };
        say(&format!(
            "{} {}",
            paint(style, &summary),
            paint(DIM, &format!("({with_duplicates} have related articles{waited})"))
        ))
    }
}

/// What came of one article.
fn print(answer: &v1::PutArticleResponse) -> anyhow::Result<()> {
    let outcome = plain(answer.outcome().as_str_name(), "PUT_OUTCOME_");
    let story = match answer.story_id.as_str() {
        "" => String::new(),
        story => paint(DIM, &format!("  in story {}", one_line(story))),
    };
    say(&format!(
        "{} {}{story}",
        paint(GOOD, &outcome),
        paint(NAME, &one_line(&answer.article_id))
    ))?;
    if let Some(it) = &answer.revision {
        say(&format!("  {}", revision(it)))?;
    }
    for found in &answer.duplicates {
        say(&format!("  {}", duplicate(found)))?;
    }
    for it in &answer.resolved_teasers {
        say(&format!(
            "  {} {}  {}  {}",
            paint(GOOD, &format!("{:<12}", "teaser")),
            paint(NAME, &one_line(&it.teaser_id)),
            paint(DIM, &format!("seen {}", times(it.times_seen))),
            one_line(&it.text)
        ))?;
    }
    Ok(())
}
