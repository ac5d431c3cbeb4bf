//! The options by which a question is put about some of the articles.

use anyhow::bail;
use doublon::api::v1;
use doublon::engine::article::UnixTime;
use prost_types::Timestamp;

/// Which of the stored articles.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct FilterArgs {
    /// Only articles of this site; may be repeated
    #[arg(long, value_name = "SITE")]
    site: Vec<String>,
    /// Only articles in this language; may be repeated
    #[arg(long, value_name = "TAG")]
    language: Vec<String>,
    #[command(flatten)]
    published: PublishedArgs,
}

/// Which stored articles a question about a text, a page or an article is about.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct QuestionArgs {
    /// Only articles of this site; may be repeated. With --other-sites-only or
    /// --watch, where no other option names it: the site of the page or text
    /// itself
    #[arg(long, value_name = "SITE")]
    site: Vec<String>,
    /// Only articles in this language; may be repeated
    #[arg(long, value_name = "TAG")]
    language: Vec<String>,
    #[command(flatten)]
    published: PublishedArgs,
    #[command(flatten)]
    relative: RelativeArgs,
}

/// Which stored articles count as duplicates of one that is put; its own site and
/// language have the short names.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct DuplicateArgs {
    /// Only articles of this site are duplicates; may be repeated
    #[arg(long, value_name = "SITE")]
    duplicate_site: Vec<String>,
    /// Only articles in this language are duplicates; may be repeated
    #[arg(long, value_name = "TAG")]
    duplicate_language: Vec<String>,
    #[command(flatten)]
    published: PublishedArgs,
    #[command(flatten)]
    relative: RelativeArgs,
}

#[derive(Debug, Clone, Default, clap::Args)]
struct PublishedArgs {
    /// Only articles published at this time or later, as in 2026-11-23T08:00:00Z
    #[arg(long, value_name = "RFC3339", value_parser = time)]
    published_from: Option<Timestamp>,
    /// Only articles published before this time
    #[arg(long, value_name = "RFC3339", value_parser = time)]
    published_before: Option<Timestamp>,
}

#[derive(Debug, Clone, Default, clap::Args)]
struct RelativeArgs {
    /// Only articles published before what is asked about
    #[arg(long)]
    earlier_only: bool,
    /// Only articles of other sites than that of what is asked about
    #[arg(long)]
    other_sites_only: bool,
}

/// What names the site of that which is asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnSite<'a> {
    /// The option that can mean nothing else.
    pub(super) option: &'static str,
    /// Its value; empty where an article is asked about, which has its own.
    pub(super) value: Option<&'a str>,
    /// Whether the question is one that takes no filter.
    pub(super) is_watched: bool,
}

impl FilterArgs {
    /// As the contract has it; `None` where no option was given.
    pub(super) fn filter(&self) -> Option<v1::Filter> {
        let Self { site, language, published } = self;
        filter(site, language, published, &RelativeArgs::default())
    }
}

impl QuestionArgs {
    /// The filter, and the site of what is asked about. `--site` is that site where
    /// it could not be a filter: a watched teaser takes none, and of other sites
    /// than the only one nothing is left.
    pub(super) fn split(&self, own: OwnSite<'_>) -> anyhow::Result<(Option<v1::Filter>, String)> {
        let Self { site, language, published, relative } = self;
        let OwnSite { option, value, is_watched } = own;
        if let Some(value) = value {
            if is_watched && !site.is_empty() {
                bail!("--watch takes no filter: leave out --site, {option} names the page's");
            }
            return Ok((filter(site, language, published, relative), value.to_owned()));
        }
        if !is_watched && !relative.other_sites_only {
            return Ok((filter(site, language, published, relative), String::new()));
        }
        if site.len() > 1 {
            bail!("--site is given {} times: give the one with {option}", site.len());
        }
        let own = site.first().cloned().unwrap_or_default();
        Ok((filter(&[], language, published, relative), own))
    }
}

impl DuplicateArgs {
    /// As the contract has it; `None` where no option was given.
    pub(super) fn filter(&self) -> Option<v1::Filter> {
        let Self { duplicate_site, duplicate_language, published, relative } = self;
        filter(duplicate_site, duplicate_language, published, relative)
    }
}

fn filter(
    sites: &[String],
    languages: &[String],
    published: &PublishedArgs,
    relative: &RelativeArgs,
) -> Option<v1::Filter> {
    let PublishedArgs { published_from, published_before } = published;
    let RelativeArgs { earlier_only, other_sites_only } = relative;
    let filter = v1::Filter {
        sites: sites.to_vec(),
        languages: languages.to_vec(),
        published_start_time: *published_from,
        published_end_time: *published_before,
        earlier_only: *earlier_only,
        other_sites_only: *other_sites_only,
    };
    (filter != v1::Filter::default()).then_some(filter)
}

/// Reads a time: RFC 3339, or a date, which stands for its first moment in UTC.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let problem =
        || format!("{text:?} is not a time: give one as 2026-11-23T08:00:00Z or 2026-11-23");
    let time: Timestamp = text.trim().parse().map_err(|_| problem())?;
    let is_in_range = UnixTime::new("", time.seconds, time.nanos.into()).is_ok();
    if is_in_range { Ok(time) } else { Err(format!("{text:?} is not in the years 1 to 9999")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(
        sites: &[&str],
        other_sites_only: bool,
        value: Option<&str>,
        is_watched: bool,
    ) -> Result<(Vec<String>, String), String> {
        let question = QuestionArgs {
            site: sites.iter().map(|it| (*it).to_owned()).collect(),
            relative: RelativeArgs { other_sites_only, ..RelativeArgs::default() },
            ..QuestionArgs::default()
        };
        let (filter, own) = question
            .split(OwnSite { option: "--page-site", value, is_watched })
            .map_err(|it| it.to_string())?;
        Ok((filter.unwrap_or_default().sites, own))
    }

    #[test]
    fn a_site_is_a_filter_unless_it_could_not_be_one() {
        let sites = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let of = |filter: &[&str], own: &str| Ok((sites(filter), own.to_owned()));
        assert_eq!(split(&["a", "b"], false, None, false), of(&["a", "b"], ""));
        assert_eq!(split(&["a", "b"], true, Some("c"), false), of(&["a", "b"], "c"));
        assert_eq!(split(&["a"], true, None, false), of(&[], "a"));
        assert_eq!(split(&["a"], false, None, true), of(&[], "a"));
        assert_eq!(split(&[], false, None, true), of(&[], ""));
        assert_eq!(split(&[], false, Some("c"), true), of(&[], "c"));
        let problem = split(&["a", "b"], true, None, false).unwrap_err();
        assert!(problem.contains("--site is given 2 times"), "{problem}");
        let problem = split(&["a"], false, Some("c"), true).unwrap_err();
        assert!(problem.contains("--watch takes no filter"), "{problem}");
    }
}
