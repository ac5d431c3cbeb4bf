//! Stories against labelled pairs: every text of a near-duplicate pair is put, and the
//! stories that they make are compared with the groups that the labels make.

use std::collections::BTreeMap;

use crate::engine::error::EngineError;
use crate::engine::put::PutRequest;
use crate::eval::data::{ArticleRow, Dataset};
use crate::eval::measures::{adjusted_rand_index, components};
use crate::eval::pairs::{Role, id_of, read, role};
use crate::eval::report::ClusterReport;
use crate::eval::{Lab, PUT_BATCH, Watch, accepted};

/// Puts the texts in their order.
pub(super) fn evaluate(
    data: &Dataset,
    lab: &Lab,
    watch: &Watch<'_>,
) -> Result<ClusterReport, EngineError> {
    let (rows, texts) = read(data);
    let labelled = rows.iter().filter(|it| role(it.0) != Role::Other);
    let mut used: Vec<usize> = labelled.flat_map(|it| it.1).collect();
    used.sort_unstable();
    used.dedup();
    let links = rows.iter().filter(|it| role(it.0) == Role::Copy).map(|it| (it.1[0], it.1[1]));
    let truth = components(texts.len(), links);
    let engine = lab.engine()?;
    watch.start("making stories", used.len());
    // For each text that is put: its group by the labels, and its story.
    let (mut groups, mut stories) = (Vec::new(), Vec::new());
    for part in used.chunks(PUT_BATCH) {
        let mut requests = Vec::with_capacity(part.len());
        let mut put = Vec::with_capacity(part.len());
        for at in part {
            let text = texts.get(*at).copied().unwrap_or_default().to_owned();
            let row = ArticleRow { id: id_of(*at), text, ..ArticleRow::default() };
            if let Ok(article) = row.article() {
                requests.push(PutRequest::of(article));
                put.push(*at);
            }
        }
        for (at, answer) in put.into_iter().zip(engine.put(requests)) {
            let story = accepted(answer, ("stories", "a text"), watch)?.and_then(|it| it.story);
            if let (Some(story), Some(group)) = (story, truth.get(at)) {
                groups.push(*group);
                stories.push(story.0 as usize);
            }
        }
        watch.done(part.len());
    }
    Ok(ClusterReport {
        texts: groups.len(),
        groups: distinct(&groups),
        stories: distinct(&stories),
        adjusted_rand_index: adjusted_rand_index(&groups, &stories),
        purity: purity(&stories, &groups),
        inverse_purity: purity(&groups, &stories),
    })
}

fn distinct(of: &[usize]) -> usize {
    of.iter().collect::<std::collections::BTreeSet<_>>().len()
}

/// The share of things that are in their part with most others of the same kind: of each
/// part the kind that most of it has (Zhao and Karypis 2001).
fn purity(parts: &[usize], kinds: &[usize]) -> f64 {
    let mut counts: BTreeMap<usize, BTreeMap<usize, usize>> = BTreeMap::new();
    for (part, kind) in parts.iter().zip(kinds) {
        *counts.entry(*part).or_default().entry(*kind).or_default() += 1;
    }
    let most: usize = counts.values().filter_map(|it| it.values().max()).sum();
    most as f64 / (parts.len() as f64).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purity_is_the_share_of_the_most_frequent_kind_of_each_part() {
        assert!((purity(&[0, 0, 0, 1], &[5, 5, 6, 6]) - 0.75).abs() < 1e-9);
        assert!((purity(&[0, 1, 2, 3], &[5, 5, 6, 6]) - 1.0).abs() < 1e-9);
        assert!((purity(&[5, 5, 6, 6], &[0, 1, 2, 3]) - 0.5).abs() < 1e-9);
    }
}
