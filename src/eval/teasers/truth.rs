//! What is true of each teaser: its class, and which articles hold its text.

use rayon::prelude::*;

use crate::eval::data::{ArticleRow, Dataset, TeaserRow};
use crate::eval::is_held_out;
use crate::eval::teasers::Outcome;
use crate::hash::{HashMap, HashSet};
use crate::matching::align::Pattern;
use crate::text::cues::Cues;
use crate::text::tokens::{TokenHash, Tokens};
use crate::text::truncation;

/// Word 5-gram containment of a verbatim teaser, inclusive, and of an edited one.
const VERBATIM_MIN: f64 = 0.8;
const EDITED_MIN: f64 = 0.3;
/// Words of a run by which a class is told.
const RUN_WORDS: usize = 5;
/// Similarity in alignment from which on an article holds a teaser's text,
/// inclusive.
const SAME_TEXT_MIN: f64 = 0.8;

/// How much of a teaser stands in its article.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Verbatim,
    Edited,
    Rewritten,
}

/// A teaser and what is true of it.
#[derive(Debug, Clone)]
pub(in crate::eval) struct Truth<'a> {
    pub(in crate::eval) row: &'a TeaserRow,
    pub(super) tokens: Tokens,
    /// Its article, if the data has it.
    pub(in crate::eval) own: Option<&'a ArticleRow>,
    /// Whether that is stored.
    pub(super) is_stored: bool,
    /// Of its own article.
    pub(super) containment: f64,
    pub(super) class: Option<Class>,
    /// Similarity with its own article.
    similarity: f64,
}

/// All teasers, and the articles that hold the same text by computation.
#[derive(Debug)]
pub(in crate::eval) struct Truths<'a> {
    pub(in crate::eval) teasers: Vec<Truth<'a>>,
    natural_duplicates: HashSet<(&'a str, &'a str)>,
}

impl<'a> Truths<'a> {
    pub(in crate::eval) fn of(data: &'a Dataset, holdout_percent: u32) -> Self {
        let by_id: HashMap<&str, &ArticleRow> =
            data.articles.iter().map(|it| (it.id.as_str(), it)).collect();
        let readable = |it: &&TeaserRow| it.teaser.chars().any(char::is_alphanumeric);
        let teasers = data
            .teasers
            .par_iter()
            .filter(readable)
            .map(|row| {
                let own = by_id.get(row.article_id.as_str()).copied();
                let is_stored = own.is_some_and(|it| !is_held_out(&it.id, holdout_percent));
                truth(row, own, is_stored)
            })
            .collect();
        let natural_duplicates = data
            .natural_duplicates
            .iter()
            .flat_map(|it| {
                [(it.a_id.as_str(), it.b_id.as_str()), (it.b_id.as_str(), it.a_id.as_str())]
            })
            .collect();
        Self { teasers, natural_duplicates }
    }

    /// What an answer that names `found` first is.
    pub(in crate::eval) fn outcome(&self, truth: &Truth<'_>, found: &ArticleRow) -> Outcome {
        if truth.is_stored && found.id == truth.row.article_id {
            return Outcome::Right;
        }
        let similarity = similarity(&truth.tokens.hashes, found);
        if truth.is_stored {
            let holds_as_well = similarity >= truth.similarity.max(SAME_TEXT_MIN);
            return if holds_as_well { Outcome::Right } else { Outcome::Wrong };
        }
        let pair = (truth.row.article_id.as_str(), found.id.as_str());
        if similarity >= SAME_TEXT_MIN || self.natural_duplicates.contains(&pair) {
            Outcome::SameText
        } else {
            Outcome::Wrong
        }
    }
}

fn truth<'a>(row: &'a TeaserRow, own: Option<&'a ArticleRow>, is_stored: bool) -> Truth<'a> {
    let tokens = truncation::blurb(&row.teaser, Cues::builtin()).tokens;
    let containment = own.map_or(0.0, |it| containment(&tokens.hashes, it));
    let class = own.map(|_| match containment {
        it if it >= VERBATIM_MIN => Class::Verbatim,
        it if it >= EDITED_MIN => Class::Edited,
        _ => Class::Rewritten,
    });
    let similarity = own.map_or(0.0, |it| similarity(&tokens.hashes, it));
    Truth { row, tokens, own, is_stored, containment, class, similarity }
}

/// The greatest share of the teaser's runs of five words that one field has.
fn containment(teaser: &[TokenHash], article: &ArticleRow) -> f64 {
    let words = RUN_WORDS.min(teaser.len()).max(1);
    let runs: HashSet<&[TokenHash]> = teaser.windows(words).collect();
    let share = |field: &String| {
        let tokens = Tokens::of(field).hashes;
        let theirs: HashSet<&[TokenHash]> = tokens.windows(words).collect();
        let shared = runs.iter().filter(|it| theirs.contains(**it)).count();
        shared as f64 / (runs.len() as f64).max(1.0)
    };
    [&article.title, &article.lead, &article.text].map(share).into_iter().fold(0.0, f64::max)
}

/// 1 less the edit distance in words of the teaser's best place in the article,
/// by the teaser's words.
fn similarity(teaser: &[TokenHash], article: &ArticleRow) -> f64 {
    let whole = [&article.title, &article.lead, &article.text].map(|it| Tokens::of(it).hashes);
    let place = Pattern::new(teaser).best_place(&whole.concat());
    1.0 - place.distance as f64 / (teaser.len() as f64).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn article() -> ArticleRow {
        ArticleRow {
            id: "a".into(),
            title: "The ferry comes back".into(),
            text: "The old cable ferry at Valbrume will cross the river again next spring, after \
                   nine years on the left bank."
                .into(),
            ..ArticleRow::default()
        }
    }

    #[test]
    fn classes_follow_from_the_runs_of_five_words() {
        let article = article();
        for (teaser, class) in [
            ("The ferry comes back", Class::Verbatim),
            ("The old cable ferry at Valbrume will cross the riv...", Class::Verbatim),
            ("The old cable ferry at Valbrume will soon be crossing the river", Class::Edited),
            ("Valbrume is to have its ferry again", Class::Rewritten),
        ] {
            let row = TeaserRow { teaser: teaser.into(), ..TeaserRow::default() };
            assert_eq!(truth(&row, Some(&article), true).class, Some(class), "{teaser}");
        }
    }

    #[test]
    fn another_article_is_right_only_where_it_holds_the_text_as_well() {
        let article = article();
        let copy = ArticleRow { id: "b".into(), ..article.clone() };
        let other = ArticleRow { id: "c".into(), text: "Nine otters".into(), ..article.clone() };
        let row = |teaser: &str| TeaserRow {
            teaser: teaser.into(),
            article_id: "a".into(),
            ..TeaserRow::default()
        };
        let verbatim = row("The old cable ferry at Valbrume will cross the river");
        let retold = row("Valbrume is to have its ferry again");
        let truths =
            Truths { teasers: Vec::new(), natural_duplicates: [("a", "c")].into_iter().collect() };
        let outcome =
            |row, stored, found| truths.outcome(&truth(row, Some(&article), stored), found);
        assert_eq!(outcome(&verbatim, true, &article), Outcome::Right);
        assert_eq!(outcome(&verbatim, true, &copy), Outcome::Right);
        assert_eq!(outcome(&retold, true, &copy), Outcome::Wrong);
        assert_eq!(outcome(&verbatim, true, &other), Outcome::Wrong);
        assert_eq!(outcome(&verbatim, false, &copy), Outcome::SameText);
        assert_eq!(outcome(&retold, false, &copy), Outcome::Wrong);
        assert_eq!(outcome(&retold, false, &other), Outcome::SameText);
    }
}
