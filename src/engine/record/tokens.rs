//! Token hashes in few bytes: each distinct one once, and for its repeats the rank
//! of its first occurrence. About half of the tokens of an article are repeats, and
//! most others are in the store's dictionary.
//!
//! | bytes        | what                                                          |
//! |--------------|---------------------------------------------------------------|
//! | n / 8, up    | a bit a token, lowest first: whether it repeats an earlier one |
//! | 1, 2 or 5    | for each distinct token, in the order of their first           |
//! |              | occurrence, its name by the dictionary                         |
//! | 1, 2 or 5    | for each repeat, the token's rank among the distinct ones      |
//!
//! A rank below [`ONE_BYTE_END`] is one byte; below [`TWO_BYTES_END`] two, of which
//! the first is at least [`ONE_BYTE_END`]; others are [`FIVE_BYTES`] and four bytes.

use std::hint::select_unpredictable;

use crate::engine::record::{Dictionary, Reader};
use crate::ranks::Ranks;
use crate::text::tokens::TokenHash;

const ONE_BYTE_END: u32 = 192;
const FIVE_BYTES: u8 = u8::MAX;
const TWO_BYTES_END: u32 = ONE_BYTE_END + ((FIVE_BYTES as u32 - ONE_BYTE_END) << 8);

/// Appends tokens.
pub(super) fn encode(tokens: &[TokenHash], dictionary: &Dictionary, out: &mut Vec<u8>) {
    let count = tokens.len();
    let mut ranks = Ranks::with_capacity(count / 2);
    let (mut flags, mut distinct) =
        (Vec::with_capacity(count / 8 + 1), Vec::with_capacity(2 * count));
    let mut repeats = Vec::with_capacity(count);
    for (at, token) in tokens.iter().enumerate() {
        if at % 8 == 0 {
            flags.push(0_u8);
        }
        let (rank, is_new) = ranks.insert(*token);
        if is_new {
            dictionary.encode(*token, &mut distinct);
            continue;
        }
        let rank = u32::try_from(rank).unwrap_or(u32::MAX);
        push_rank(rank, &mut repeats);
        if let Some(flags) = flags.last_mut() {
            *flags |= 1 << (at % 8);
        }
    }
    out.extend_from_slice(&flags);
    out.extend_from_slice(&distinct);
    out.extend_from_slice(&repeats);
}

fn push_rank(rank: u32, out: &mut Vec<u8>) {
    let byte = |value: u32| u8::try_from(value & 0xff).unwrap_or_default();
    if rank < ONE_BYTE_END {
        out.push(byte(rank));
    } else if rank < TWO_BYTES_END {
        let rest = rank - ONE_BYTE_END;
        out.extend_from_slice(&[byte(ONE_BYTE_END + (rest >> 8)), byte(rest)]);
    } else {
        out.push(FIVE_BYTES);
        out.extend_from_slice(&rank.to_le_bytes());
    }
}

/// Whether all of these may be among the tokens, told by the names of the distinct ones.
pub(super) fn may_have(
    mut reader: Reader<'_>,
    (dictionary, count): (&Dictionary, usize),
    tokens: &[TokenHash],
) -> bool {
    let Ok((_, distinct)) = flags(&mut reader, count) else { return true };
    dictionary.may_name(reader.bytes, distinct, tokens)
}

/// Reads `count` tokens.
pub(super) fn decode(
    reader: &mut Reader<'_>,
    dictionary: &Dictionary,
    count: usize,
) -> Result<Vec<TokenHash>, String> {
    let (flags, distinct_count) = flags(reader, count)?;
    let (distinct, rest) = dictionary.decode(reader.bytes, distinct_count)?;
    reader.bytes = rest;
    let ranks = ranks(reader, count - distinct_count)?;
    let mut tokens = vec![0; count];
    let (mut repeat, mut next) = (0, 0);
    for (tokens, flags) in tokens.chunks_mut(8).zip(flags) {
        let mut flags = usize::from(*flags);
        for token in tokens {
            // Whether a token is a repeat cannot be foretold: no jump depends on it.
            let repeats = flags & 1;
            flags >>= 1;
            let earlier = ranks.get(repeat).map_or(0, |it| *it as usize);
            let rank = select_unpredictable(repeats == 1, earlier, next);
            repeat += repeats;
            next += 1 - repeats;
            *token = *distinct.get(rank).ok_or("it repeats a token that it does not have")?;
        }
    }
    Ok(tokens)
}

/// Reads `count` ranks. Bytes that are not there count as 0 until all are taken.
fn ranks(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u32>, String> {
    let bytes = reader.bytes;
    let mut ranks = vec![0; count];
    let mut at = 0;
    for rank in &mut ranks {
        let byte = u32::from(bytes.get(at).copied().unwrap_or(0));
        if byte < ONE_BYTE_END {
            *rank = byte;
            at += 1;
        } else {
            *rank = long_rank(bytes, &mut at)?;
        }
    }
    reader.take(at)?;
    Ok(ranks)
}

/// A bit a token, whether it repeats an earlier one, and how many do not.
fn flags<'a>(reader: &mut Reader<'a>, count: usize) -> Result<(&'a [u8], usize), String> {
    let flags = reader.take(count.div_ceil(8))?;
    let repeat_count = flags.iter().map(|it| it.count_ones() as usize).sum::<usize>();
    let distinct_count = count.checked_sub(repeat_count);
    Ok((flags, distinct_count.ok_or("it has more repeats than tokens")?))
}

/// A rank of two or five bytes.
#[inline]
fn long_rank(bytes: &[u8], at: &mut usize) -> Result<u32, String> {
    const CUT: &str = "it is cut short";
    let behind = bytes.get(*at..).unwrap_or_default();
    let (first, rest) = behind.split_first().ok_or(CUT)?;
    if *first == FIVE_BYTES {
        *at += 5;
        return Ok(u32::from_le_bytes(*rest.first_chunk().ok_or(CUT)?));
    }
    *at += 2;
    let second = rest.first().ok_or(CUT)?;
    let high = (u32::from(*first) - ONE_BYTE_END) << 8;
    Ok(ONE_BYTE_END + high + u32::from(*second))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(tokens: &[TokenHash]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(tokens, &Dictionary::default(), &mut out);
        out
    }

    fn back(bytes: &[u8], count: usize) -> Result<Vec<TokenHash>, String> {
        let mut reader = Reader { bytes };
        let tokens = decode(&mut reader, &Dictionary::default(), count)?;
        if reader.bytes.is_empty() { Ok(tokens) } else { Err("bytes are left".to_owned()) }
    }

    #[test]
    fn the_bytes_are_those_of_the_layout() {
        assert_eq!(
            bytes(&[7, 9, 7, 0x0102_0304]),
            [0b100, 255, 7, 0, 0, 0, 255, 9, 0, 0, 0, 255, 4, 3, 2, 1, 0]
        );
        assert!(bytes(&[]).is_empty());
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        let tokens: Vec<u32> = (0..200).chain([3, 195]).collect();
        let whole = bytes(&tokens);
        for end in 0..whole.len() {
            assert!(back(&whole[..end], tokens.len()).is_err(), "{end}");
        }
    }

    #[test]
    fn ranks_of_every_length_come_back() {
        for count in [191, 192, 193, 16_319, 16_320, 16_321, 70_000] {
            let mut tokens: Vec<u32> = (0..count).map(|it| it * 3).collect();
            tokens.extend_from_slice(&[(count - 1) * 3, 0, 3, (count / 2) * 3]);
            assert_eq!(back(&bytes(&tokens), tokens.len()).unwrap(), tokens, "{count}");
        }
    }

    proptest! {
        #[test]
        fn tokens_come_back(tokens in proptest::collection::vec(0_u32..300, 0..900)) {
            prop_assert_eq!(back(&bytes(&tokens), tokens.len()).unwrap(), tokens);
        }

        #[test]
        fn damage_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), count in 0_usize..90) {
            drop(back(&bytes, count));
        }
    }
}
