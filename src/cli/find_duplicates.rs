//! `doublon find-duplicates`.

use doublon::api::v1;
use doublon::api::v1::find_duplicates_request::Subject;
use prost_types::Timestamp;

use super::filter::{OwnSite, QuestionArgs, time};
use super::input::{self, STDIN};
use super::render::{DIM, NAME, duplicate, one_line, paint};
use super::{Common, Found, json, say};

/// Find the stored near-duplicates of a text, or of a stored article
///
/// Says too which story the article is in, or the text would join. Exit status: 0 if
/// there are any, 1 if the text is new.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    doublon find-duplicates article.txt\n  \
    doublon find-duplicates --id ferry --earlier-only --other-sites-only\n  \
    doublon find-duplicates article.txt --other-sites-only --site valley.example")]
pub(super) struct Args {
    /// The text; "-" is standard input
    #[arg(default_value = STDIN, conflicts_with = "id")]
    file: String,
    /// Look for the duplicates of this stored article
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// When the text was published, for --earlier-only
    #[arg(long, alias = "published", value_name = "RFC3339", value_parser = time, conflicts_with = "id")]
    published_time: Option<Timestamp>,
    /// The site of the text, for --other-sites-only
    #[arg(long, value_name = "SITE", conflicts_with = "id")]
    text_site: Option<String>,
    #[command(flatten)]
    filter: QuestionArgs,
    /// At most this many, 1 to 100
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    max_results: u32,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    // A stored article has a site of its own.
    let value = if args.id.is_some() { Some("") } else { args.text_site.as_deref() };
    let own = OwnSite { option: "--text-site", value, is_watched: false };
    let (filter, site) = args.filter.split(own)?;
    let subject = match args.id {
        Some(id) => Subject::ArticleId(id),
        None => Subject::Text(input::text(&args.file)?),
    };
    let request = v1::FindDuplicatesRequest {
        subject: Some(subject),
        filter,
        max_results: args.max_results,
        site,
        published_time: args.published_time,
    };
    let answer = common.connect().await?.find_duplicates(request).await?;
    if common.is_json() {
        say(&json::line(&answer)?)?;
    } else if answer.duplicates.is_empty() {
        say(&paint(DIM, "new: no stored article is related to it"))?;
    } else {
        for found in &answer.duplicates {
            say(&duplicate(found))?;
        }
    }
    if !common.is_json() && !answer.story_id.is_empty() {
        say(&format!("{} {}", paint(DIM, "story"), paint(NAME, &one_line(&answer.story_id))))?;
    }
    Ok((!answer.duplicates.is_empty()).into())
}
