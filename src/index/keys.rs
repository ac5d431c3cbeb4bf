//! Keys: what an article is found by, and what a text looks up.
//!
//! Anchors are shingles. The stored side is sparse: every shingle of title,
//! description and the first [`DENSE_TOKENS`] of the text, and every
//! [`ANCHOR_STRIDE`]th one behind. The asking side is dense. So a shared run
//! of `SHINGLE_TOKENS + ANCHOR_STRIDE - 1` words is always found, at an eighth
//! of the postings: twice as good as winnowing, because only one side is
//! sampled (as in BLAT, Kent 2002).
//!
//! Terms are words wherever they stand: those of title, description and lead,
//! which a teaser in other words still names.

use crate::index::Facets;
use crate::ranks::Ranks;
use crate::shingle;
use crate::sketch::Sketch;
use crate::term;
use crate::term::Term;
use crate::text::tokens::TokenHash;

/// Of the shingles behind the first [`DENSE_TOKENS`], one in this many is
/// stored.
pub const ANCHOR_STRIDE: usize = 8;
/// Shingles at the start of a text that are all stored.
pub const DENSE_TOKENS: usize = 64;
/// Tokens at the start of a text, its lead, whose terms are stored. Measured on
/// rewritten teasers: .78 of them have their article first by the terms of title,
/// description and so much of the text, .84 by twice as much, at 53 and 90
/// postings an article; verification over the whole article evens that out.
pub const LEAD_TOKENS: usize = 64;
/// Shingles of a whole text that are looked up for partial copies, at most.
pub const PROBES_MAX: usize = 512;

/// What an article is found by.
#[derive(Debug, Clone, PartialEq)]
pub struct Keys {
    /// Distinct shingles. Of a stored article its anchors, ascending; of a text that
    /// asks, a dense sample in the order of the text.
    pub anchors: Vec<u64>,
    /// Distinct terms of title, description and lead, ascending; none of a text
    /// that asks for near-duplicates.
    pub terms: Vec<Term>,
    /// The sketches.
    pub sketch: Sketch,
}

/// The tokens of an article's fields, which stand in a row: title, description, text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldTokens {
    all: Vec<TokenHash>,
    title_end: usize,
    description_end: usize,
}

impl FieldTokens {
    /// Of the fields.
    pub fn new(title: &[TokenHash], description: &[TokenHash], text: &[TokenHash]) -> Self {
        let all = [title, description, text].concat();
        Self::in_a_row(all, title.len(), description.len())
    }

    /// Of the fields in a row, of which the title has the first tokens and the
    /// description those behind.
    pub fn in_a_row(all: Vec<TokenHash>, title: usize, description: usize) -> Self {
        let title_end = title.min(all.len());
        let description_end = title_end.saturating_add(description).min(all.len());
        Self { all, title_end, description_end }
    }

    /// Of the title.
    pub fn title(&self) -> &[TokenHash] {
        self.all.get(..self.title_end).unwrap_or_default()
    }

    /// Of the description.
    pub fn description(&self) -> &[TokenHash] {
        self.all.get(self.title_end..self.description_end).unwrap_or_default()
    }

    /// Of the text.
    pub fn text(&self) -> &[TokenHash] {
        self.all.get(self.description_end..).unwrap_or_default()
    }

    /// Of all fields.
    pub fn whole(&self) -> &[TokenHash] {
        &self.all
    }

    /// Title, description and lead: what the terms of an article are taken from.
    pub fn leading(&self) -> [&[TokenHash]; 3] {
        let lead = self.text().len().min(LEAD_TOKENS);
        [self.title(), self.description(), self.text().get(..lead).unwrap_or_default()]
    }
}

impl Keys {
    /// Of an article that is stored.
    #[expect(clippy::large_types_passed_by_value, reason = "it is kept")]
    pub fn of_article(fields: &FieldTokens, sketch: Sketch) -> Self {
        let text = shingle::shingles(fields.text()).into_iter().enumerate();
        let sparse = text
            .filter(|(at, _)| *at < DENSE_TOKENS || at % ANCHOR_STRIDE == 0)
            .map(|(_, shingle)| shingle);
        let mut anchors: Vec<u64> = shingle::shingles(fields.title());
        anchors.extend(shingle::shingles(fields.description()));
        anchors.extend(sparse);
        Self { anchors: distinct(anchors), terms: term::distinct(fields.leading()), sketch }
    }

    /// Of a text that asks for near-duplicates: all its shingles, or, of a long
    /// text, windows of [`ANCHOR_STRIDE`] in a row, spread over all of it.
    /// Each window meets a stored anchor of every text that has it.
    #[expect(clippy::large_types_passed_by_value, reason = "it is kept")]
    pub fn of_question(shingles: &[u64], sketch: Sketch) -> Self {
        let windows = shingles.len().div_ceil(ANCHOR_STRIDE);
        let every = windows.div_ceil(PROBES_MAX / ANCHOR_STRIDE).max(1);
        let sample = shingles.chunks(ANCHOR_STRIDE).step_by(every).flatten().copied();
        let sample: Vec<u64> = sample.collect();
        Self { anchors: Ranks::of(&sample).keys().to_vec(), terms: Vec::new(), sketch }
    }
}

/// A site as filters compare it: lower case, without "www."; the host of the
/// URL where no site is given. 0 where neither is known.
pub fn site_key(site: &str, url: &str) -> u32 {
    let name = site_name(site, url).to_lowercase();
    key_of(name.strip_prefix("www.").unwrap_or(&name))
}

/// A site as it was given; the host of the URL where it was not.
pub fn site_name<'a>(site: &'a str, url: &'a str) -> &'a str {
    if site.trim().is_empty() { host(url) } else { site.trim() }
}

/// A language as filters compare it: the first subtag, in lower case.
pub fn language_key(tag: &str) -> u32 {
    let first = tag.trim().split(['-', '_']).next().unwrap_or_default();
    key_of(&first.to_lowercase())
}

/// The facets of an article.
pub fn facets(site: &str, url: &str, language: &str, published_s: Option<i64>) -> Facets {
    Facets { site: site_key(site, url), language: language_key(language), published_s }
}

fn key_of(name: &str) -> u32 {
    if name.is_empty() { 0 } else { crate::hash::persistent_32(name.as_bytes()).max(1) }
}

fn host(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://") else { return "" };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    host.split(':').next().unwrap_or_default()
}

fn distinct(mut shingles: Vec<u64>) -> Vec<u64> {
    shingles.sort_unstable();
    shingles.dedup();
    shingles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &[u32]) -> Keys {
        let fields = FieldTokens::new(&[], &[], text);
        Keys::of_article(&fields, Sketch::of(text, &shingle::shingles(text)))
    }

    #[test]
    fn a_shared_run_of_ten_words_always_meets_an_anchor() {
        let article: Vec<u32> = (0..500).collect();
        let anchors = keys(&article).anchors;
        assert_eq!(anchors.len(), 64 + (498 - 64_usize).div_ceil(ANCHOR_STRIDE));
        let run = shingle::SHINGLE_TOKENS + ANCHOR_STRIDE - 1;
        for teaser in article.windows(run) {
            let met = shingle::shingles(teaser).iter().any(|it| anchors.binary_search(it).is_ok());
            assert!(met, "{teaser:?}");
        }
    }

    #[test]
    fn a_long_text_is_sampled_over_all_its_length() {
        let text: Vec<u32> = (0..100_000).collect();
        let shingles = shingle::shingles(&text);
        let probes = Keys::of_question(&shingles, Sketch::of(&text, &shingles)).anchors;
        assert!(probes.len() <= PROBES_MAX && probes.len() > PROBES_MAX / 2);
        for part in shingles.chunks(10_000) {
            assert!(part.iter().any(|it| probes.contains(it)));
        }
    }

    #[test]
    fn sites_and_languages_compare_as_people_expect() {
        let site = site_key("example.fr", "");
        for (name, url) in [
            ("www.Example.FR", ""),
            ("", "https://www.example.fr/a?b#c"),
            ("", "http://user@example.fr:8080"),
            (" example.fr ", "https://other.org/"),
        ] {
            assert_eq!(site_key(name, url), site, "{name} {url}");
        }
        assert_eq!(site_key("", "not a url"), 0);
        assert_eq!(language_key("fr-CA"), language_key("FR"));
        assert_ne!(language_key("fr"), language_key("en"));
        assert_eq!(language_key(""), 0);
    }
}
