//! Synthetic articles: each sentence follows from (seed, number, its place), so
//! that a teaser can be cut again from any article without keeping texts. Knows
//! no calls.

use prost_types::Timestamp;

use crate::api::v1;
use crate::hash;
use crate::load::words::{self, Vocabulary};

/// Sentences of an article, and words of each: about 5.6 KB.
const SENTENCES: u64 = 53;
const SENTENCE_WORDS: u64 = 18;
/// Sentences of one line of a page.
const PARAGRAPH_SENTENCES: u64 = 3;
/// Sentences of the article on a page: with its teasers, about 6 KB.
const PAGE_SENTENCES: u64 = 45;
const PAGE_TEASERS: u64 = 4;
const TITLE_WORDS: u64 = 8;
/// Bytes of a title, about.
const TITLE_BYTES: usize = 64;
/// Bytes of a teaser before its "...": some 30 words.
const TEASER_BYTES: usize = 184;
/// One sentence of so many is a stock sentence, of so many.
const STOCK_ONE_IN: u64 = 48;
const STOCK_SENTENCES: u64 = 50;
/// One word of so many is a name, of so many that an article has.
const NAME_ONE_IN: u64 = 32;
const NAMES: u64 = 8;
/// Of so many articles in a row, the last is a near-duplicate of one half as far
/// back: it has other sentences in one place of so many.
const COPY_ONE_IN: u64 = 100;
const CHANGED_ONE_IN: u64 = 16;
const SITES: u64 = 200;
/// 2026-01-01; every article is published a minute after the one before.
const FIRST_PUBLISHED_SECONDS: u64 = 1_767_225_600;

// What a random value is for, so that no two uses share one.
const TITLE: u64 = 1 << 60;
const NAME: u64 = 2 << 60;
const CHANGE: u64 = 3 << 60;
// What sentences are from that are no article's, above all numbers of articles.
const STOCK: u64 = 1 << 50;
const VARIANT: u64 = 2 << 50;

/// All articles of a seed.
#[derive(Debug)]
pub struct Corpus {
    seed: u64,
    prefix: String,
    vocabulary: Vocabulary,
}

impl Corpus {
    /// The corpus of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, prefix: format!("load-{seed}-"), vocabulary: Vocabulary::new() }
    }

    /// The id of an article.
    pub fn id(&self, number: u64) -> String {
        format!("{}{number}", self.prefix)
    }

    /// Whether an id is that of an article.
    pub fn is_id(&self, id: &str, number: u64) -> bool {
        id.strip_prefix(&self.prefix).and_then(|it| it.parse().ok()) == Some(number)
    }

    /// An article that no other is a near-duplicate of, below `articles`.
    pub fn distinct(&self, random: u64, articles: u64) -> u64 {
        let number = hash::mix(random ^ self.seed) % articles.max(1);
        let is_copied = number % COPY_ONE_IN % (COPY_ONE_IN / 2) == COPY_ONE_IN / 2 - 1;
        number - u64::from(is_copied)
    }

    /// An article: title, text, site, address and time.
    pub fn article(&self, number: u64) -> v1::Article {
        let site = format!("site{}.example", number % SITES);
        let seconds = FIRST_PUBLISHED_SECONDS + number * 60;
        v1::Article {
            article_id: self.id(number),
            url: format!("https://{site}/{number}.html"),
            site,
            language: String::new(),
            title: self.title(number),
            description: String::new(),
            text: self.text(number, None),
            published_time: Some(Timestamp {
                seconds: i64::try_from(seconds).unwrap_or_default(),
                nanos: 0,
            }),
            stored_time: None,
            expire_time: None,
        }
    }

    /// A near-duplicate of an article's text, other for every `random`.
    pub fn variant(&self, number: u64, random: u64) -> String {
        self.text(number, Some(random))
    }

    /// A teaser cut from an article: about 30 words from the start of one of its
    /// sentences, the last cut in the middle.
    pub fn teaser(&self, number: u64, random: u64) -> String {
        let mut out = Vec::with_capacity(2 * TEASER_BYTES);
        self.push_teaser(&mut out, number, random);
        text_of(out)
    }

    /// A page that shows an article between teasers of others, below `articles`.
    pub fn page(&self, number: u64, random: u64, articles: u64) -> String {
        let mut out = Vec::with_capacity(8 << 10);
        let other = self.distinct(random, articles);
        self.push_title(&mut out, other);
        out.push(b'\n');
        self.push_teaser(&mut out, other, random);
        out.extend_from_slice(b"\n\n");
        self.push_title(&mut out, number);
        out.push(b'\n');
        for at in 0..PAGE_SENTENCES {
            self.push_sentence(&mut out, self.origin(number, at, None), at);
            let ends = at % PARAGRAPH_SENTENCES == PARAGRAPH_SENTENCES - 1;
            out.push(if ends { b'\n' } else { b' ' });
        }
        out.extend_from_slice(b"\nRead more\n");
        for at in 1..=PAGE_TEASERS {
            let random = hash::mix(random + at);
            self.push_teaser(&mut out, self.distinct(random, articles), random);
            out.push(b'\n');
        }
        text_of(out)
    }

    fn title(&self, number: u64) -> String {
        let mut out = Vec::with_capacity(TITLE_BYTES);
        self.push_title(&mut out, number);
        text_of(out)
    }

    fn push_title(&self, out: &mut Vec<u8>, number: u64) {
        self.push_words(out, self.random(TITLE ^ number), number, TITLE_WORDS);
    }

    fn text(&self, number: u64, variant: Option<u64>) -> String {
        let mut out = Vec::with_capacity(6 << 10);
        for at in 0..SENTENCES {
            self.push_sentence(&mut out, self.origin(number, at, variant), at);
            out.push(b' ');
        }
        out.pop();
        text_of(out)
    }

    fn push_teaser(&self, out: &mut Vec<u8>, number: u64, random: u64) {
        let first = random % (SENTENCES - 1);
        // A stock sentence belongs to many articles.
        let is_own = |at: &u64| !self.is_stock(number, *at) && !self.is_stock(number, at + 1);
        let at = (first..SENTENCES - 1).chain(0..first).find(is_own).unwrap_or(first);
        let start = out.len();
        self.push_sentence(out, number, at);
        out.push(b' ');
        self.push_sentence(out, number, at + 1);
        out.truncate(start + TEASER_BYTES);
        out.truncate(out.trim_ascii_end().len());
        out.extend_from_slice(b"...");
    }

    /// The article that a sentence of another was copied from, or itself.
    fn origin(&self, number: u64, at: u64, variant: Option<u64>) -> u64 {
        let is_changed = |by: u64| self.random(CHANGE ^ by ^ at).is_multiple_of(CHANGED_ONE_IN);
        match variant {
            Some(by) if is_changed(by << 8) => VARIANT ^ (hash::mix(by) >> 16),
            _ if number % COPY_ONE_IN == COPY_ONE_IN - 1 && !is_changed(number << 8) => {
                number - COPY_ONE_IN / 2
            }
            _ => number,
        }
    }

    fn is_stock(&self, origin: u64, at: u64) -> bool {
        self.random((origin << 8) ^ at).is_multiple_of(STOCK_ONE_IN)
    }

    fn push_sentence(&self, out: &mut Vec<u8>, origin: u64, at: u64) {
        let mut base = self.random((origin << 8) ^ at);
        let mut names_of = origin;
        if self.is_stock(origin, at) {
            names_of = STOCK ^ ((base >> 32) % STOCK_SENTENCES);
            base = self.random(names_of);
        }
        self.push_words(out, base, names_of, SENTENCE_WORDS);
        out.push(b'.');
    }

    fn push_words(&self, out: &mut Vec<u8>, base: u64, names_of: u64, count: u64) {
        for at in 0..count {
            if at > 0 {
                out.push(b' ');
            }
            let start = out.len();
            let random = hash::mix(base.wrapping_add(at));
            let is_name = random.is_multiple_of(NAME_ONE_IN);
            if is_name {
                let name = (random >> 8) % NAMES;
                words::push_name(out, self.random(NAME ^ (names_of << 8) ^ name));
            } else {
                self.vocabulary.push(out, random);
            }
            if (at == 0 || is_name)
                && let Some(first) = out.get_mut(start)
            {
                first.make_ascii_uppercase();
            }
        }
    }

    fn random(&self, what: u64) -> u64 {
        hash::mix(hash::mix(self.seed).wrapping_add(what))
    }
}

fn text_of(bytes: Vec<u8>) -> String {
    // All of it is ASCII.
    String::from_utf8(bytes)
        .unwrap_or_else(|it| String::from_utf8_lossy(it.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::overlap::ShingleSet;
    use crate::shingle;
    use crate::text::tokens::Tokens;

    #[test]
    fn articles_are_of_the_size_of_real_ones_and_follow_from_the_seed() {
        let corpus = Corpus::new(7);
        let bytes: usize = (0..100).map(|it| corpus.article(it).text.len()).sum();
        assert!((5_300..5_900).contains(&(bytes / 100)), "{}", bytes / 100);
        assert_eq!(corpus.article(3), Corpus::new(7).article(3));
        assert_ne!(corpus.article(3).text, Corpus::new(8).article(3).text);
        assert_ne!(corpus.article(3).text, corpus.article(4).text);
        assert_eq!(corpus.article(3).title.split(' ').count(), 8);
        let page = corpus.page(3, 9, 100).len();
        assert!((5_700..6_900).contains(&page), "{page}");
    }

    #[test]
    fn a_teaser_stands_in_its_article() {
        let corpus = Corpus::new(7);
        for random in 0..200 {
            let number = corpus.distinct(random, 1_000);
            let teaser = corpus.teaser(number, random);
            let words = teaser.strip_suffix("...").unwrap();
            assert!(corpus.article(number).text.contains(words), "{number}: {teaser}");
        }
    }

    #[test]
    fn copies_and_variants_are_near_duplicates_and_others_are_not() {
        let corpus = Corpus::new(7);
        let jaccard = |a: &str, b: &str| {
            let shingles = |it: &str| shingle::shingles(&Tokens::of(it).hashes);
            let (a, b) = (ShingleSet::of(&shingles(a)), shingles(b));
            a.overlap(&b, ShingleSet::of(&b).len()).jaccard()
        };
        let text = |number| corpus.article(number).text;
        assert!(jaccard(&text(199), &text(149)) > 0.6);
        assert!(jaccard(&text(5), &corpus.variant(5, 3)) > 0.6);
        assert!(jaccard(&text(5), &text(6)) < 0.1);
        assert!((0..10_000).all(|it| !matches!(corpus.distinct(it, 300) % 100, 49 | 99)));
    }
}
