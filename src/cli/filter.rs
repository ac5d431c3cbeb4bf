//! The options by which a question is put about some of the articles.

use doublon::api::v1;
use doublon::engine::article::UnixTime;
use prost_types::Timestamp;

/// Which stored articles a question is about.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct FilterArgs {
    /// Only articles of this site; may be repeated
    #[arg(long, value_name = "SITE")]
    site: Vec<String>,
    /// Only articles in this language; may be repeated
    #[arg(long, value_name = "TAG")]
    language: Vec<String>,
    /// Only articles published at this time or later, as in 2026-11-23T08:00:00Z
    #[arg(long, value_name = "RFC3339", value_parser = time)]
    published_from: Option<Timestamp>,
    /// Only articles published before this time
    #[arg(long, value_name = "RFC3339", value_parser = time)]
    published_before: Option<Timestamp>,
}

impl FilterArgs {
    /// As the contract has it; `None` where no option was given.
    pub(super) fn filter(&self) -> Option<v1::Filter> {
        let Self { site, language, published_from, published_before } = self;
        let filter = v1::Filter {
            sites: site.clone(),
            languages: language.clone(),
            published_start_time: *published_from,
            published_end_time: *published_before,
        };
        (filter != v1::Filter::default()).then_some(filter)
    }
}

/// Reads a time: RFC 3339, or a date, which stands for its first moment in UTC.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let problem =
        || format!("{text:?} is not a time: give one as 2026-11-23T08:00:00Z or 2026-11-23");
    let time: Timestamp = text.trim().parse().map_err(|_| problem())?;
    let is_in_range = UnixTime::new("", time.seconds, time.nanos.into()).is_ok();
    if is_in_range { Ok(time) } else { Err(format!("{text:?} is not in the years 1 to 9999")) }
}
