//! Labelled data: the rows of the files that an evaluation reads, and what the
//! engine is given of them. Fields that are not named here are not looked at.

use serde::Deserialize;

use crate::engine::article::{Article, ArticleId};
use crate::engine::error::Invalid;

/// The rows of all files; those that are not there are empty.
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    /// `articles.jsonl`.
    pub articles: Vec<ArticleRow>,
    /// `teasers.jsonl`.
    pub teasers: Vec<TeaserRow>,
    /// `pairs.jsonl`.
    pub pairs: Vec<PairRow>,
    /// `pages.jsonl`.
    pub pages: Vec<PageRow>,
    /// `natural_duplicates.jsonl`.
    pub natural_duplicates: Vec<NaturalDuplicateRow>,
    /// More articles, stored beside the others, of which no teaser is known.
    pub background: Vec<ArticleRow>,
}

/// An article.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ArticleRow {
    /// Its name in the other files.
    pub id: String,
    /// The collection it is from.
    pub source: String,
    /// Where it was fetched.
    pub url: String,
    /// BCP 47 language tag.
    pub lang: String,
    /// Headline.
    pub title: String,
    /// Standfirst; the article's description.
    pub lead: String,
    /// Body.
    pub text: String,
    /// Day of publication, as 2026-11-24; empty where it is not known.
    pub date: String,
}

/// A teaser, and the article it belongs to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct TeaserRow {
    /// The blurb or headline.
    pub teaser: String,
    /// The article it belongs to.
    pub article_id: String,
    /// BCP 47 language tag.
    pub lang: String,
    /// Whether it describes the site, not the article.
    pub suspect_generic: bool,
}

/// Two texts, and whether they are one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PairRow {
    /// The first text, unless `a_id` names an article.
    pub a_text: String,
    /// The second text, unless `b_id` names an article.
    pub b_text: String,
    /// The first article.
    pub a_id: String,
    /// The second article.
    pub b_id: String,
    /// 1 where the pair is one text or story, 0 where it is not, absent where
    /// graders did not agree.
    pub label: Option<f64>,
    /// What kind of pair it is.
    pub kind: String,
    /// The collection it is from.
    pub source: String,
}

/// A page, and which part of it is the article.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PageRow {
    /// Its name.
    pub id: String,
    /// Its visible text, a block a line.
    pub page_text: String,
    /// The article's text.
    pub body_text: String,
    /// Who says so.
    pub body_origin: String,
    /// `body`, or something else, for every line; empty where it is not known.
    pub labels: Vec<String>,
}

/// Two articles that share text, by computation.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NaturalDuplicateRow {
    /// One of them.
    pub a_id: String,
    /// The other.
    pub b_id: String,
}

impl ArticleRow {
    /// As it is stored.
    pub fn article(&self) -> Result<Article, Invalid> {
        Ok(Article {
            id: ArticleId::new(self.id.clone())?,
            url: self.url.clone(),
            site: String::new(),
            language: self.lang.clone(),
            title: self.title.clone(),
            description: self.lead.clone(),
            text: self.text.clone(),
            published: None,
            expires: None,
        })
    }
}
