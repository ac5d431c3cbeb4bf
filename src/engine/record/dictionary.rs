//! The dictionary of a store: its most frequent tokens, which records name by one
//! byte or two instead of four. Learnt once, from the first articles that a store
//! gets; a record says whether it uses it.

use std::hint::select_unpredictable;
use std::sync::LazyLock;

use crate::hash::HashMap;
use crate::ranks::Ranks;
use crate::text::tokens::TokenHash;

/// Articles from which it is learnt.
pub(crate) const LEARNT_FROM: usize = 4096;
/// In how many of them a token is, at least.
const ARTICLES_MIN: u32 = 2;

const ONE_BYTE_END: usize = 128;
/// Stands before a token that the dictionary does not have.
const PLAIN: u8 = u8::MAX;
/// Tokens, at most: what one byte and two can name.
const TOKENS_MAX: usize = ONE_BYTE_END + ((PLAIN as usize - ONE_BYTE_END) << 8);

/// Tokens that are looked for among names, at most: the rarest say it.
const SOUGHT_MAX: usize = 4;

/// Frequent tokens, most frequent first.
#[derive(Debug, Clone)]
pub struct Dictionary(Ranks<TokenHash>);

/// One without a token.
static NONE: LazyLock<Dictionary> = LazyLock::new(Dictionary::default);

/// How bytes name a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    /// By its place in the dictionary.
    Place(usize),
    /// As it is.
    Plain(TokenHash),
}

impl Dictionary {
    /// One without a token.
    pub(super) fn none() -> &'static Self {
        &NONE
    }

    fn new(mut tokens: Vec<TokenHash>) -> Self {
        tokens.truncate(TOKENS_MAX);
        Self(Ranks::of(&tokens))
    }

    /// The tokens as bytes, four each.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.keys().iter().flat_map(|it| it.to_le_bytes()).collect()
    }

    /// From the bytes of an earlier one.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let four = |it: &[u8; 4]| u32::from_le_bytes(*it);
        Self::new(bytes.as_chunks().0.iter().map(four).collect())
    }

    /// Appends a token's name: one byte below 128, two bytes of which the first is
    /// 128 to 254, or [`PLAIN`] and the token.
    pub(super) fn encode(&self, token: TokenHash, out: &mut Vec<u8>) {
        let byte = |value: usize| u8::try_from(value & 0xff).unwrap_or_default();
        match self.name(token) {
            Name::Place(place) if place < ONE_BYTE_END => out.push(byte(place)),
            Name::Place(place) => {
                let rest = place - ONE_BYTE_END;
                out.extend_from_slice(&[byte(ONE_BYTE_END + (rest >> 8)), byte(rest)]);
            }
            Name::Plain(token) => {
                out.push(PLAIN);
                out.extend_from_slice(&token.to_le_bytes());
            }
        }
    }

    /// Reads `count` names from the start of some bytes; gives the tokens and the
    /// rest.
    pub(super) fn decode<'a>(
        &self,
        bytes: &'a [u8],
        count: usize,
    ) -> Result<(Vec<TokenHash>, &'a [u8]), String> {
        let mut names = Names(bytes);
        let mut tokens = Vec::with_capacity(count);
        for _ in 0..count {
            tokens.push(match names.next().ok_or("it is cut short")? {
                Name::Plain(token) => token,
                Name::Place(place) => {
                    let token = self.0.keys().get(place);
                    *token.ok_or("it has a token that the store's dictionary has not")?
                }
            });
        }
        Ok((tokens, names.0))
    }

    /// Whether all of these tokens may be among `count` names at the start of some bytes:
    /// of many, whether the rarest are. They may where the bytes are cut short.
    pub(super) fn may_name(&self, bytes: &[u8], count: usize, tokens: &[TokenHash]) -> bool {
        let mut sought: Vec<Name> = tokens.iter().map(|it| self.name(*it)).collect();
        sought.sort_unstable();
        sought.dedup();
        sought.drain(..sought.len().saturating_sub(SOUGHT_MAX));
        let mut names = Names(bytes);
        for _ in 0..count {
            let Some(name) = names.next() else { return true };
            if let Some(at) = sought.iter().position(|it| *it == name) {
                sought.swap_remove(at);
                if sought.is_empty() {
                    break;
                }
            }
        }
        sought.is_empty()
    }

    #[inline]
    fn name(&self, token: TokenHash) -> Name {
        self.0.get(token).map_or(Name::Plain(token), Name::Place)
    }
}

/// Names in a row, and the bytes behind those that were read.
struct Names<'a>(&'a [u8]);

impl Iterator for Names<'_> {
    type Item = Name;

    #[inline]
    fn next(&mut self) -> Option<Name> {
        let (first, rest) = self.0.split_first()?;
        if *first == PLAIN {
            let (token, rest) = rest.split_first_chunk()?;
            self.0 = rest;
            return Some(Name::Plain(u32::from_le_bytes(*token)));
        }
        // Whether a name is one byte or two cannot be foretold: no jump depends on it.
        let (first, second) = (usize::from(*first), rest.first().map_or(0, |it| usize::from(*it)));
        let is_two = first >= ONE_BYTE_END;
        let two = ((first << 8) | second).wrapping_sub((ONE_BYTE_END << 8) - ONE_BYTE_END);
        let place = select_unpredictable(is_two, two, first);
        self.0 = rest.get(usize::from(is_two)..)?;
        Some(Name::Place(place))
    }
}

impl Default for Dictionary {
    /// Without a token.
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

/// Learns a dictionary.
#[derive(Debug, Default)]
pub(crate) struct Learner {
    articles: usize,
    counts: HashMap<TokenHash, u32>,
}

impl Learner {
    /// Counts the tokens of an article. Gives the dictionary when it has seen
    /// [`LEARNT_FROM`].
    pub(crate) fn add(&mut self, tokens: &[TokenHash]) -> Option<Dictionary> {
        let mut tokens = tokens.to_vec();
        tokens.sort_unstable();
        tokens.dedup();
        for token in tokens {
            *self.counts.entry(token).or_default() += 1;
        }
        self.articles += 1;
        if self.articles < LEARNT_FROM {
            return None;
        }
        let mut frequent: Vec<(std::cmp::Reverse<u32>, TokenHash)> = self
            .counts
            .drain()
            .filter(|it| it.1 >= ARTICLES_MIN)
            .map(|(token, count)| (std::cmp::Reverse(count), token))
            .collect();
        frequent.sort_unstable();
        Some(Dictionary::new(frequent.into_iter().map(|it| it.1).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_learns_what_is_frequent_and_names_it_briefly() {
        let mut learner = Learner::default();
        let article = |number: u32| [1, 1, 7 + number % 2, 100 + number / 2, 1_000_000 + number];
        let learnt = u32::try_from(LEARNT_FROM).unwrap();
        for number in 0..learnt - 1 {
            assert!(learner.add(&article(number)).is_none());
        }
        let dictionary = learner.add(&article(learnt - 1)).unwrap();
        let tokens = dictionary.0.keys();
        assert_eq!(tokens[..3], [1, 7, 8]);
        assert_eq!(tokens.len(), 3 + LEARNT_FROM / 2);
        let again = Dictionary::from_bytes(&dictionary.to_bytes());
        assert_eq!(again.0.keys(), tokens);
        let names = |tokens: &[u32]| {
            let mut out = Vec::new();
            for token in tokens {
                dictionary.encode(*token, &mut out);
            }
            out
        };
        assert_eq!(names(&[7, 1_000_000]), [1, 255, 0x40, 0x42, 0x0f, 0]);
        let tokens = [1, 8, 224, 225, 226, 300, 5, u32::MAX, 1_500];
        let mut bytes = names(&tokens);
        bytes.push(9);
        assert_eq!(again.decode(&bytes, tokens.len()).unwrap(), (tokens.to_vec(), &[9][..]));
        assert!(again.decode(&bytes[..3], tokens.len()).is_err());
        assert!(again.decode(&[254, 255], 1).is_err());
    }

    #[test]
    fn names_that_are_cut_short_are_an_error() {
        let dictionary = Dictionary::new((0..1000).collect());
        let tokens: Vec<u32> = (0..1010).collect();
        for token in &tokens {
            let mut bytes = Vec::new();
            dictionary.encode(*token, &mut bytes);
            assert_eq!(dictionary.decode(&bytes, 1).unwrap(), (vec![*token], &[][..]));
            for end in 0..bytes.len() {
                assert!(dictionary.decode(&bytes[..end], 1).is_err(), "{token} {end}");
            }
        }
    }

    #[test]
    fn it_has_no_more_tokens_than_it_can_name() {
        let most = u32::try_from(TOKENS_MAX).unwrap();
        let dictionary = Dictionary::new((0..most + 5).collect());
        let mut bytes = Vec::new();
        for token in [127, 128, most - 1, most] {
            dictionary.encode(token, &mut bytes);
        }
        assert_eq!(bytes.len(), 1 + 2 + 2 + 5);
        let tokens = dictionary.decode(&bytes, 4).unwrap().0;
        assert_eq!(tokens, [127, 128, most - 1, most]);
    }
}
