//! Articles recombined from the sentences of others: real words and phrases in
//! any number, so that wrong matches can be counted at sizes for which there are
//! not enough real articles.

use std::collections::BTreeMap;

use crate::eval::data::ArticleRow;
use crate::hash;

/// Sentences of an article, at least and at most.
const SENTENCES_MIN: u64 = 8;
const SENTENCES_MAX: u64 = 30;
/// Sentences of a language, at least, for articles to be made of them.
const POOL_MIN: usize = 2000;
/// Bytes of a sentence.
const SENTENCE_BYTES_MIN: usize = 30;
const SENTENCE_BYTES_MAX: usize = 600;

/// The sentences of articles, by language.
#[derive(Debug)]
pub(super) struct Sentences<'a> {
    /// A pool for each article, so that languages keep their shares.
    pools: Vec<Vec<&'a str>>,
    weights: Vec<usize>,
}

impl<'a> Sentences<'a> {
    pub(super) fn of(rows: &[&'a ArticleRow]) -> Self {
        let mut pools: BTreeMap<&str, (usize, Vec<&'a str>)> = BTreeMap::new();
        for row in rows {
            let (articles, pool) = pools.entry(row.lang.as_str()).or_default();
            *articles += 1;
            pool.extend(sentences(&row.text));
        }
        pools.retain(|_, it| it.1.len() >= POOL_MIN);
        let (mut weights, mut total) = (Vec::new(), 0);
        for (articles, _) in pools.values() {
            total += articles;
            weights.push(total);
        }
        Self { pools: pools.into_values().map(|it| it.1).collect(), weights }
    }

    /// The article with this number: always the same.
    pub(super) fn article(&self, number: usize) -> Option<ArticleRow> {
        let mut draws = Draws { state: hash::mix(number as u64 + 1) };
        let at = draws.below(*self.weights.last()? as u64);
        let language = self.weights.iter().position(|it| at < *it as u64)?;
        let pool = self.pools.get(language)?;
        let mut sentence = || pool.get(usize::try_from(draws.below(pool.len() as u64)).ok()?);
        let title = (*sentence()?).to_owned();
        let count = SENTENCES_MIN + hash::mix(number as u64) % (SENTENCES_MAX - SENTENCES_MIN + 1);
        let text: Vec<&str> = (0..count).filter_map(|_| sentence().copied()).collect();
        Some(ArticleRow {
            id: format!("recombined:{number}"),
            title,
            text: text.join(" "),
            ..ArticleRow::default()
        })
    }
}

struct Draws {
    state: u64,
}

impl Draws {
    fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash::mix(self.state) % end.max(1)
    }
}

fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(['.', '!', '?', '。', '\n'])
        .map(str::trim)
        .filter(|it| (SENTENCE_BYTES_MIN..=SENTENCE_BYTES_MAX).contains(&it.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles_are_made_of_sentences_and_stay_the_same() {
        let row = |number: usize| ArticleRow {
            lang: "en".into(),
            text: (0..40).fold(String::new(), |text, it| {
                text + &format!("The lamp number {number} has {it} small doors. ")
            }),
            ..ArticleRow::default()
        };
        let rows: Vec<ArticleRow> = (0..60).map(row).collect();
        let rows: Vec<&ArticleRow> = rows.iter().collect();
        let sentences = Sentences::of(&rows);
        let article = sentences.article(5).unwrap();
        assert_eq!(article.text, sentences.article(5).unwrap().text);
        assert_ne!(article.text, sentences.article(6).unwrap().text);
        assert!(article.text.split_inclusive('.').count() >= 8);
        assert!(Sentences::of(&rows[..2]).article(5).is_none());
    }
}
