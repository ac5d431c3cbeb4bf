//! Teasers of a page that are one: the same blurb, whole or cut, here and there.

use crate::text::page::Block;

/// Tokens of a blurb that another may go on from, at least.
const SHARED_TOKENS_MIN: usize = 5;

/// Groups lines, given by their places in page order, that are the same teaser:
/// each begins as the longest of its group does. The groups are in page order,
/// the longest line of each comes with it.
pub(super) fn groups(blocks: &[Block], lines: &[usize]) -> Vec<(Vec<usize>, usize)> {
    let tokens = |at: usize| blocks.get(at).map_or(&[][..], |it| &it.tokens.hashes);
    let mut longest_first = lines.to_vec();
    longest_first.sort_by_key(|at| (std::cmp::Reverse(tokens(*at).len()), *at));
    let mut groups: Vec<(Vec<usize>, usize)> = Vec::new();
    for at in longest_first {
        let own = tokens(at);
        let is_same = |longest: usize| {
            let other = tokens(longest);
            other == own || (own.len() >= SHARED_TOKENS_MIN && other.starts_with(own))
        };
        match groups.iter_mut().find(|it| is_same(it.1)) {
            Some((group, _)) => group.push(at),
            None => groups.push((vec![at], at)),
        }
    }
    for (group, _) in &mut groups {
        group.sort_unstable();
    }
    groups.sort();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::cues::Cues;
    use crate::text::page;

    #[test]
    fn a_blurb_and_what_is_cut_from_it_are_one_teaser() {
        let lines = [
            "The keeper of the lighthouse writes down every...",
            "Otters are back",
            "The keeper of the lighthouse writes down every storm of the year.",
            "OTTERS ARE BACK!",
            "Otters are back on the canal",
            "The keeper of the lighthouse writes letters to her sister.",
            "The keeper of the lighthouse...",
        ];
        let blocks = page::blocks(&lines.join("\n"), Cues::builtin());
        let all: Vec<usize> = (0..lines.len()).collect();
        let groups = groups(&blocks, &all);
        let expected = [(vec![0, 2], 2), (vec![1, 3], 1), (vec![4], 4), (vec![5], 5), (vec![6], 6)];
        assert_eq!(groups, expected);
    }
}
