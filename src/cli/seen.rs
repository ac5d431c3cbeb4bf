//! The options that say where and when a teaser was seen, and that it is to wait.

use doublon::api::v1;
use prost_types::Timestamp;

use super::filter::time;
use super::render::{DIM, NAME, paint};

/// Where and when a teaser was seen.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct SeenArgs {
    /// Let a teaser that has no article yet wait for it, and remember whose a
    /// matched one is; takes no filter
    #[arg(long, conflicts_with_all = [
        "language", "published_from", "published_before", "earlier_only", "other_sites_only",
    ])]
    pub(super) watch: bool,
    /// The page on which it stands
    #[arg(long, value_name = "URL", requires = "watch")]
    page_url: Option<String>,
    /// When the page was published or seen, as in 2026-11-23T08:00:00Z [default:
    /// now]
    #[arg(long, value_name = "RFC3339", value_parser = time)]
    pub(super) seen_time: Option<Timestamp>,
}

impl SeenArgs {
    /// What makes a teaser wait; `None` where it is not to.
    pub(super) fn watch(&self, link_url: Option<&String>) -> Option<v1::Watch> {
        self.watch.then(|| v1::Watch {
            page_url: self.page_url.clone().unwrap_or_default(),
            link_url: link_url.cloned().unwrap_or_default(),
        })
    }

    /// What came of the wish that a teaser wait, in words; `None` where nobody wished.
    pub(super) fn outcome(&self, answer: &v1::MatchTeaserResponse) -> Option<String> {
        let is_match = answer.verdict() == v1::TeaserVerdict::Match;
        let said = match answer.teaser_id.as_str() {
            "" if self.watch => {
                return Some(paint(DIM, "does not wait: no article would change this answer"));
            }
            "" => return None,
            _ if is_match => "remembered as teaser",
            _ => "waits as teaser",
        };
        Some(format!("{} {}", paint(DIM, said), paint(NAME, &answer.teaser_id)))
    }
}
