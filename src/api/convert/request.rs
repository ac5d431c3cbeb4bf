//! Requests, checked: what is wrong names its field as the contract does.

use std::ops::Range;

use prost_types::Timestamp;

use crate::api::v1;
use crate::engine::article::{Article, ArticleId, UnixTime};
use crate::engine::error::{Invalid, Problem};
use crate::engine::find::{FindRequest, RESULTS_DEFAULT, RESULTS_MAX, Target};
use crate::engine::page::PageRequest;
use crate::engine::put::{OnDuplicate, PutRequest};
use crate::engine::read::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use crate::engine::scope::Scope;
use crate::engine::sign::TextKind;
use crate::engine::teaser::{MATCHES_DEFAULT, TeaserRequest, Watch};
use crate::index::{Filter, keys};
use crate::matching::overlap::Relation;

/// Sites, or languages, of a filter, at most.
const FILTER_ITEMS_MAX: usize = 100;

/// A text, and how it is read.
pub fn sign(request: v1::SignRequest) -> Result<(String, TextKind), Invalid> {
    let v1::SignRequest { text, kind } = request;
    let kind = match v1::TextKind::try_from(kind) {
        Ok(v1::TextKind::Unspecified | v1::TextKind::Article) => TextKind::Article,
        Ok(v1::TextKind::Teaser) => TextKind::Teaser,
        Err(_) => return Err(unknown("kind", "a value of TextKind")),
    };
    Ok((text, kind))
}

/// The two texts.
pub fn compare(request: v1::CompareRequest) -> (String, String) {
    let v1::CompareRequest { a_text, b_text } = request;
    (a_text, b_text)
}

/// An article to store.
pub fn put_article(request: v1::PutArticleRequest) -> Result<PutRequest, Invalid> {
    let v1::PutArticleRequest { article, on_duplicate, max_duplicates, min_relation, filter } =
        request;
    let article = article.ok_or_else(|| Invalid::new("article", Problem::Missing))?;
    let on_duplicate = match v1::OnDuplicate::try_from(on_duplicate) {
        Ok(v1::OnDuplicate::Unspecified | v1::OnDuplicate::Store) => OnDuplicate::Store,
        Ok(v1::OnDuplicate::Skip) => OnDuplicate::Skip,
        Ok(v1::OnDuplicate::StoreWithoutText) => OnDuplicate::StoreWithoutText,
        Err(_) => return Err(unknown("on_duplicate", "a value of OnDuplicate")),
    };
    let max_duplicates = count("max_duplicates", max_duplicates, RESULTS_DEFAULT, RESULTS_MAX)?;
    let relation_min = match v1::Relation::try_from(min_relation) {
        Ok(v1::Relation::Unspecified | v1::Relation::Duplicate) => Relation::Duplicate,
        Ok(v1::Relation::Contains) => Relation::Contains,
        Ok(v1::Relation::ContainedIn) => Relation::ContainedIn,
        Ok(v1::Relation::Overlaps) => Relation::Overlaps,
        Ok(v1::Relation::Unrelated) | Err(_) => {
            return Err(unknown("min_relation", "a value of Relation but RELATION_UNRELATED"));
        }
    };
    let article = self::article(article).map_err(|it| it.within("article"))?;
    let scope = scope(filter)?;
    Ok(PutRequest { article, on_duplicate, relation_min, scope, max_duplicates })
}

fn article(article: v1::Article) -> Result<Article, Invalid> {
    let v1::Article {
        article_id,
        url,
        site,
        language,
        title,
        description,
        text,
        published_time,
        stored_time: _, // output only
        expire_time,
    } = article;
    Ok(Article {
        id: ArticleId::new(article_id)?,
        url,
        site,
        language,
        title,
        description,
        text,
        published: optional_time("published_time", published_time)?,
        expires: optional_time("expire_time", expire_time)?,
    })
}

/// The id of a request that has nothing else.
pub fn article_id(article_id: String) -> Result<ArticleId, Invalid> {
    ArticleId::new(article_id)
}

/// What a page of the list is asked for with: token, size and filter, and
/// whether texts are wanted.
pub fn list_articles(
    request: v1::ListArticlesRequest,
) -> Result<(String, usize, Filter, bool), Invalid> {
    let v1::ListArticlesRequest { page_size, page_token, filter, include_text } = request;
    let page_size = self::page_size(page_size)?;
    let Scope { filter, earlier_only, other_sites_only } = scope(filter)?;
    let relative =
        [("filter.earlier_only", earlier_only), ("filter.other_sites_only", other_sites_only)];
    if let Some((field, _)) = relative.into_iter().find(|it| it.1) {
        return Err(unknown(field, "left out of a list: it is about nothing else"));
    }
    Ok((page_token, page_size, filter, include_text))
}

/// A question for near-duplicates.
pub fn find_duplicates(request: v1::FindDuplicatesRequest) -> Result<FindRequest, Invalid> {
    let v1::FindDuplicatesRequest { subject, filter, max_results, site, published_time } = request;
    let target = match subject {
        Some(v1::find_duplicates_request::Subject::Text(text)) => Target::Text(text),
        Some(v1::find_duplicates_request::Subject::ArticleId(id)) => {
            Target::Stored(ArticleId::new(id)?)
        }
        None => return Err(Invalid::new("subject", Problem::Missing)),
    };
    let max_results = count("max_results", max_results, RESULTS_DEFAULT, RESULTS_MAX)?;
    let published = optional_time("published_time", published_time)?;
    Ok(FindRequest { target, scope: scope(filter)?, max_results, site, published })
}

/// A teaser.
pub fn match_teaser(request: v1::MatchTeaserRequest) -> Result<TeaserRequest, Invalid> {
    let v1::MatchTeaserRequest { text, filter, max_results, watch, site, seen_time } = request;
    let max_results = count("max_results", max_results, MATCHES_DEFAULT, RESULTS_MAX)?;
    let (scope, seen) = (scope(filter)?, optional_time("seen_time", seen_time)?);
    Ok(TeaserRequest { text, scope, max_results, site, seen, watch: watch.map(self::watch) })
}

/// A page.
pub fn analyze_page(request: v1::AnalyzePageRequest) -> Result<PageRequest, Invalid> {
    let v1::AnalyzePageRequest { text, filter, max_results, site, watch, seen_time } = request;
    let max_results = count("max_results", max_results, MATCHES_DEFAULT, RESULTS_MAX)?;
    let (scope, seen) = (scope(filter)?, optional_time("seen_time", seen_time)?);
    let watch = watch.map(self::watch);
    if watch.as_ref().is_some_and(|it| !it.link_url.is_empty()) {
        return Err(unknown("watch.link_url", "empty: a page has many teasers"));
    }
    Ok(PageRequest { text, scope, max_results, site, seen, watch })
}

fn watch(watch: v1::Watch) -> Watch {
    let v1::Watch { page_url, link_url } = watch;
    Watch { page_url, link_url }
}

fn scope(filter: Option<v1::Filter>) -> Result<Scope, Invalid> {
    let Some(filter) = filter else { return Ok(Scope::all()) };
    let v1::Filter {
        sites,
        languages,
        published_start_time,
        published_end_time,
        earlier_only,
        other_sites_only,
    } = filter;
    few("filter.languages", &languages)?;
    let filter = Filter {
        sites: self::sites("filter.sites", &sites)?,
        languages: languages.iter().map(|it| keys::language_key(it)).collect(),
        published_s: published(published_start_time, published_end_time)?,
        ..Filter::all()
    };
    Ok(Scope { filter, earlier_only, other_sites_only })
}

/// Sites, as filters compare them.
pub(super) fn sites(field: &str, sites: &[String]) -> Result<Vec<u32>, Invalid> {
    few(field, sites)?;
    Ok(sites.iter().map(|it| keys::site_key(it, "")).collect())
}

fn few(field: &str, items: &[String]) -> Result<(), Invalid> {
    if items.len() > FILTER_ITEMS_MAX {
        let problem =
            Problem::TooLong { actual: items.len(), limit: FILTER_ITEMS_MAX, unit: "items" };
        return Err(Invalid::new(field, problem));
    }
    if items.iter().any(|it| it.trim().is_empty()) {
        return Err(Invalid::new(field, Problem::Missing));
    }
    Ok(())
}

/// The size of a page of a list.
pub(super) fn page_size(size: u32) -> Result<usize, Invalid> {
    count("page_size", size, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
}

fn published(
    start: Option<Timestamp>,
    end: Option<Timestamp>,
) -> Result<Option<Range<i64>>, Invalid> {
    if start.is_none() && end.is_none() {
        return Ok(None);
    }
    let start = optional_time("filter.published_start_time", start)?;
    let end = optional_time("filter.published_end_time", end)?;
    let range = start.map_or(i64::MIN, UnixTime::seconds)..end.map_or(i64::MAX, UnixTime::seconds);
    if range.is_empty() {
        return Err(unknown("filter.published_end_time", "after published_start_time"));
    }
    Ok(Some(range))
}

fn optional_time(field: &str, time: Option<Timestamp>) -> Result<Option<UnixTime>, Invalid> {
    time.map(|it| self::time(field, it)).transpose()
}

fn time(field: &str, time: Timestamp) -> Result<UnixTime, Invalid> {
    UnixTime::new(field, time.seconds, i64::from(time.nanos))
}

fn count(field: &str, value: u32, default: usize, max: usize) -> Result<usize, Invalid> {
    match usize::try_from(value) {
        Ok(0) => Ok(default),
        Ok(value) if value <= max => Ok(value),
        _ => Err(unknown(field, &format!("1 to {max}, or 0 for {default}"))),
    }
}

pub(super) fn unknown(field: &str, allowed: &str) -> Invalid {
    Invalid::new(field, Problem::OutOfRange { allowed: allowed.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_names_its_field() {
        let article = |id: &str| v1::Article { article_id: id.into(), ..v1::Article::default() };
        let put = |article| v1::PutArticleRequest { article, ..v1::PutArticleRequest::default() };
        let error = put_article(put(None)).unwrap_err();
        assert_eq!(error.field, "article");
        let error = put_article(put(Some(article("")))).unwrap_err();
        assert_eq!(error.field, "article.article_id");
        let late = Timestamp { seconds: i64::MAX, nanos: 0 };
        let dated = v1::Article { published_time: Some(late), ..article("a") };
        let error = put_article(put(Some(dated))).unwrap_err();
        assert_eq!(error.field, "article.published_time");
        let request = v1::MatchTeaserRequest { max_results: 101, ..Default::default() };
        assert_eq!(
            match_teaser(request).unwrap_err().to_string(),
            "max_results is out of range: it must be 1 to 100, or 0 for 5"
        );
        let find = v1::FindDuplicatesRequest::default();
        assert_eq!(find_duplicates(find).unwrap_err().field, "subject");
        let sites = vec!["a".to_owned(); FILTER_ITEMS_MAX + 1];
        let strict = v1::Filter { sites, ..v1::Filter::default() };
        assert_eq!(scope(Some(strict)).unwrap_err().field, "filter.sites");
        let time = |seconds| Some(Timestamp { seconds, nanos: 0 });
        assert!(published(time(5), time(5)).is_err());
        assert_eq!(published(time(5), None), Ok(Some(5..i64::MAX)));
    }
}
