//! Arrivals: teasers are watched first, then the articles come, in the order of their
//! dates or, where none is known, in random order.

use serde_json::json;

use crate::engine::Engine;
use crate::engine::error::EngineError;
use crate::engine::page::PageRequest;
use crate::engine::put::PutRequest;
use crate::engine::story::{StoryOrder, StoryQuestion};
use crate::engine::teaser::{TeaserRequest, Watch as Place};
use crate::engine::watch::Since;
use crate::eval::data::{ArticleRow, Dataset};
use crate::eval::report::{ArrivalReport, LargestStory};
use crate::eval::teasers::Outcome;
use crate::eval::teasers::truth::{Truth, Truths};
use crate::eval::{Lab, PUT_BATCH, Watch, accepted, refuse};
use crate::hash::{self, HashMap, HashSet};
use crate::matching::overlap::Relation;
use crate::matching::verdict::Verdict;

/// Teasers of one call.
const BATCH: usize = 256;
/// Items of one page of a list.
const PAGE: usize = 1000;

/// Watches all teasers, and those of all pages; then puts all articles.
pub(super) fn evaluate(
    data: &Dataset,
    lab: &Lab,
    watch: &Watch<'_>,
) -> Result<ArrivalReport, EngineError> {
    let engine = lab.engine()?;
    let mut report = ArrivalReport::default();
    let truths = Truths::of(data, 0);
    let named = watch_teasers(&engine, &truths, watch)?;
    watch_pages(&engine, data, watch)?;
    report.waited = engine.stats()?.standing_teasers;
    let from = lab.clock.elapsed();
    report.articles = put_in_order(&engine, data, watch)?;
    report.articles_per_second =
        report.articles as f64 / lab.clock.since(from).as_secs_f64().max(1e-9);
    let by_id: HashMap<&str, &ArticleRow> =
        data.articles.iter().map(|it| (it.id.as_str(), it)).collect();
    let mut cursor = engine.cursor(Since::Oldest)?;
    loop {
        let resolutions = engine.resolutions(cursor)?;
        let Some(last) = resolutions.last() else { break };
        cursor = last.sequence + 1;
        for it in &resolutions {
            report.resolved += 1;
            let Some(truth) = named.get(&it.teaser.id.to_string()) else {
                report.resolved_of_pages += 1;
                continue;
            };
            let found = by_id.get(it.matched.id.as_str());
            let outcome = found.map(|it| truths.outcome(truth, it));
            if let Some(Outcome::Right | Outcome::SameText) = outcome {
                report.resolved_right += 1;
            } else {
                report.resolved_wrong += 1;
                watch.error(&json!({
                    "part": "arrivals", "problem": "resolved wrongly",
                    "teaser": it.teaser.text, "article_id": truth.row.article_id,
                    "found": it.matched.id.as_str(), "kind": format!("{:?}", it.matched.kind),
                    "similarity": it.matched.similarity,
                    "confidence": it.matched.confidence, "bits": it.matched.evidence_bits,
                }));
            }
        }
    }
    (report.waiting, report.waiting_in_vain) = waiting(&engine, watch)?;
    report.largest_story = largest_story(&engine)?;
    Ok(report)
}

/// By the ids of teasers, what is true of them.
type Named<'a> = HashMap<String, &'a Truth<'a>>;

fn watch_teasers<'a>(
    engine: &Engine,
    truths: &'a Truths<'a>,
    watch: &Watch<'_>,
) -> Result<Named<'a>, EngineError> {
    watch.start("watching teasers", truths.teasers.len());
    let mut order: Vec<usize> = (0..truths.teasers.len()).collect();
    order.sort_by_key(|it| hash::mix(*it as u64 + 1));
    let mut named = Named::default();
    for part in order.chunks(BATCH) {
        let rows: Vec<_> = part.iter().filter_map(|it| truths.teasers.get(*it)).collect();
        let requests = rows.iter().map(|it| watched(&it.row.teaser));
        for (truth, answer) in rows.iter().zip(engine.watch_teasers(requests.collect())) {
            let answer = accepted(answer, ("arrivals", &truth.row.teaser), watch)?;
            let is_slogan = truth.row.suspect_generic || truth.own.is_none();
            if let Some(id) = answer.and_then(|it| it.id).filter(|_| !is_slogan) {
                named.insert(id.to_string(), truth);
            }
        }
        watch.done(part.len());
    }
    Ok(named)
}

fn watched(text: &str) -> TeaserRequest {
    TeaserRequest { watch: Some(Place::default()), ..TeaserRequest::of(text) }
}

fn watch_pages(engine: &Engine, data: &Dataset, watch: &Watch<'_>) -> Result<(), EngineError> {
    watch.start("watching the teasers of pages", data.pages.len());
    // One by one: a call that waits for the writer must not hold a thread of the pool by
    // which the writer works.
    for row in &data.pages {
        let place = Place { page_url: row.id.clone(), link_url: String::new() };
        let request = PageRequest { watch: Some(place), ..PageRequest::of(row.page_text.clone()) };
        accepted(engine.analyze_page(&request), ("arrivals", &row.id), watch)?;
        watch.done(1);
    }
    Ok(())
}

/// Puts the articles; gives how many are stored.
fn put_in_order(engine: &Engine, data: &Dataset, watch: &Watch<'_>) -> Result<usize, EngineError> {
    watch.start("putting articles in their order", data.articles.len());
    let mut rows: Vec<(usize, &ArticleRow)> = data.articles.iter().enumerate().collect();
    let chance = |at: usize| hash::mix(at as u64 + 1);
    // Those without a date come anywhere among the others.
    let mut dates: Vec<&str> =
        rows.iter().map(|it| it.1.date.as_str()).filter(|it| !it.is_empty()).collect();
    dates.sort_unstable();
    let day = |(at, row): &(usize, &ArticleRow)| -> String {
        let any = usize::try_from(chance(*at) >> 1).unwrap_or(0) % dates.len().max(1);
        let any = dates.get(any).copied().unwrap_or_default();
        if row.date.is_empty() { any.to_owned() } else { row.date.clone() }
    };
    rows.sort_by_cached_key(|it| (day(it), chance(it.0)));
    let mut stored = 0;
    for part in rows.chunks(PUT_BATCH) {
        let mut requests = Vec::with_capacity(part.len());
        for (_, row) in part {
            match row.article() {
                Ok(article) => requests.push(PutRequest::of(article)),
                Err(error) => refuse(row, &error.to_string(), watch),
            }
        }
        for answer in engine.put(requests) {
            stored += usize::from(accepted(answer, ("arrivals", "an article"), watch)?.is_some());
        }
        watch.done(part.len());
    }
    Ok(stored)
}

/// Teasers that wait, and those of them whose article is there.
fn waiting(engine: &Engine, watch: &Watch<'_>) -> Result<(usize, usize), EngineError> {
    let (mut count, mut in_vain, mut token) = (0, 0, String::new());
    loop {
        let page = engine.list_teasers(&token, PAGE, &[])?;
        count += page.items.len();
        let requests = page.items.iter().map(|it| TeaserRequest::of(it.text.clone())).collect();
        for (teaser, answer) in page.items.iter().zip(engine.match_teasers(requests)) {
            let answer = answer?;
            let Some(best) = answer.matches.first().filter(|it| it.verdict == Verdict::Match)
            else {
                continue;
            };
            in_vain += 1;
            watch.error(&json!({
                "part": "arrivals", "problem": "waits in vain", "teaser": teaser.text,
                "found": best.id.as_str(), "kind": format!("{:?}", best.kind),
                "similarity": best.similarity, "confidence": best.confidence,
                "bits": best.evidence_bits, "bits_min": answer.evidence_bits_min,
            }));
        }
        match page.next {
            Some(next) => token = next,
            None => return Ok((count, in_vain)),
        }
    }
}

/// The story with most members, and whether it is one.
fn largest_story(engine: &Engine) -> Result<LargestStory, EngineError> {
    let question = StoryQuestion { order: StoryOrder::Size, sites: Vec::new(), members_min: 2 };
    let Some(first) = engine.list_stories(&question, "", 1)?.items.into_iter().next() else {
        return Ok(LargestStory::default());
    };
    let page = engine.story(first.id, "", PAGE)?;
    let members = page.members.items;
    let duplicates = members.iter().filter(|it| it.relation == Some(Relation::Duplicate)).count();
    let jaccard = members.iter().map(|it| it.overlap.jaccard()).fold(1.0, f64::min);
    let titles: HashSet<&str> = members.iter().map(|it| it.stored.article.title.as_str()).collect();
    Ok(LargestStory {
        members: members.len(),
        duplicates_of_canonical: duplicates,
        jaccard_min: jaccard,
        titles: titles.len(),
    })
}
