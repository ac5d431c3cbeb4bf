//! `doublon find-duplicates`.

use doublon::api::v1;
use doublon::api::v1::find_duplicates_request::Subject;

use super::filter::FilterArgs;
use super::input::{self, STDIN};
use super::render::{DIM, duplicate, paint};
use super::{Common, Found, json, say};

/// Find the stored near-duplicates of a text, or of a stored article
///
/// Exit status: 0 if there are any, 1 if the text is new.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The text; "-" is standard input
    #[arg(default_value = STDIN, conflicts_with = "id")]
    file: String,
    /// Look for the duplicates of this stored article
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// At most this many, 1 to 100
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    max_results: u32,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    let subject = match args.id {
        Some(id) => Subject::ArticleId(id),
        None => Subject::Text(input::text(&args.file)?),
    };
    let request = v1::FindDuplicatesRequest {
        subject: Some(subject),
        filter: args.filter.filter(),
        max_results: args.max_results,
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
    Ok((!answer.duplicates.is_empty()).into())
}
