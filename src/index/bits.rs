//! Bits in a row, lowest first, in words. Knows not what they stand for.

/// Bits that are written.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    words: Vec<u64>,
    /// The last word, and how many bits of it are used: fewer than 64.
    last: u64,
    used: u32,
}

impl BitWriter {
    /// Appends the lowest `count` bits, at most 32.
    fn push(&mut self, value: u32, count: u32) {
        self.append(u64::from(value) & mask(count), count);
    }

    /// Appends a number by Golomb's code with a power of two (Rice 1979): what is above
    /// `low_bits` as so many ones and a zero, then the rest.
    fn push_rice(&mut self, value: u32, low_bits: u32) {
        let mut high = value.checked_shr(low_bits).unwrap_or(0);
        while high >= u32::BITS {
            self.push(u32::MAX, u32::BITS);
            high -= u32::BITS;
        }
        self.push((1 << high) - 1, high);
        self.push(0, 1);
        self.push(value, low_bits);
    }

    /// Both of these: a number by the code, and the lowest `count` bits of another behind
    /// it. Most of them at once.
    pub(super) fn push_pair(&mut self, value: u32, low_bits: u32, other: u32, count: u32) {
        let high = value.checked_shr(low_bits).unwrap_or(0);
        if high >= u32::BITS || high + 1 + low_bits + count > u64::BITS {
            self.push_rice(value, low_bits);
            self.push(other, count);
            return;
        }
        let low = u64::from(value) & mask(low_bits);
        let behind = low | shifted(u64::from(other) & mask(count), low_bits);
        self.append(mask(high) | shifted(behind, high + 1), high + 1 + low_bits + count);
    }

    /// Appends `count` bits, at most 64, above which there is none.
    fn append(&mut self, bits: u64, count: u32) {
        debug_assert!(count >= u64::BITS || bits >> count == 0);
        self.last |= bits << self.used;
        let used = self.used + count;
        if used >= u64::BITS {
            self.words.push(self.last);
            self.last = bits.checked_shr(u64::BITS - self.used).unwrap_or(0);
        }
        self.used = used % u64::BITS;
    }

    /// The words.
    pub(super) fn finish(mut self) -> Vec<u64> {
        if self.used > 0 {
            self.words.push(self.last);
        }
        self.words
    }
}

/// So many ones, at most 32.
fn mask(count: u32) -> u64 {
    debug_assert!(count <= u32::BITS);
    (1 << count) - 1
}

fn shifted(value: u64, by: u32) -> u64 {
    value.checked_shl(by).unwrap_or(0)
}

/// Bits that are read.
#[derive(Debug, Clone)]
pub(super) struct BitReader<'a> {
    words: &'a [u64],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(words: &'a [u64]) -> Self {
        Self { words, at: 0 }
    }

    /// The next `count` bits, at most 32; `None` behind the last word.
    #[inline]
    pub(super) fn read(&mut self, count: u32) -> Option<u32> {
        if count == 0 {
            return Some(0);
        }
        let bits = self.peek()? & ((1 << count) - 1);
        self.at += count as usize;
        u32::try_from(bits).ok()
    }

    /// A number written by [`BitWriter::push_rice`], and one of `count` bits behind it: most
    /// of them by one look.
    #[expect(clippy::inline_always, reason = "a start is as fast as the loop around it")]
    #[inline(always)]
    pub(super) fn read_pair(&mut self, low_bits: u32, count: u32) -> Option<(u32, u32)> {
        let bits = self.peek()?;
        let high = bits.trailing_ones();
        let bits_in_all = high + 1 + low_bits + count;
        let end = self.at + bits_in_all as usize;
        if bits_in_all >= u64::BITS || end > 64 * self.words.len() {
            return self.read_long_pair(low_bits, count);
        }
        self.at = end;
        let rest = bits >> (high + 1);
        let low = rest & ((1 << low_bits) - 1);
        let number = (rest >> low_bits) & ((1 << count) - 1);
        let value = u32::try_from(u64::from(high) << low_bits | low).ok()?;
        Some((value, u32::try_from(number).ok()?))
    }

    #[cold]
    fn read_long_pair(&mut self, low_bits: u32, count: u32) -> Option<(u32, u32)> {
        Some((self.read_rice(low_bits)?, self.read(count)?))
    }

    /// A number written by [`BitWriter::push_rice`].
    #[inline]
    pub(super) fn read_rice(&mut self, low_bits: u32) -> Option<u32> {
        let mut high = 0_u32;
        loop {
            let ones = self.peek()?.trailing_ones().min(u32::BITS);
            self.at += ones as usize;
            high = high.checked_add(ones)?;
            if ones < u32::BITS {
                break;
            }
        }
        self.at += 1;
        let high = u64::from(high) << low_bits;
        u32::try_from(high).ok()?.checked_add(self.read(low_bits)?)
    }

    /// The next 64 bits, those behind the last word as zeros.
    #[inline]
    fn peek(&self) -> Option<u64> {
        let (word, bit) = (self.at / 64, u32::try_from(self.at % 64).unwrap_or(0));
        let low = self.words.get(word)? >> bit;
        let next = self.words.get(word + 1).copied().unwrap_or(0);
        Some(low | shifted(next, u64::BITS - bit))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            items in proptest::collection::vec((any::<bool>(), any::<u32>(), 0_u32..33), 0..200),
        ) {
            let mut writer = BitWriter::default();
            for (is_rice, value, bits) in &items {
                match is_rice {
                    // No more than some hundred ones in a row.
                    true => writer.push_rice(*value, (*bits).max(26)),
                    false => writer.push(*value, *bits),
                }
            }
            let words = writer.finish();
            let mut writer = BitWriter::default();
            for two in items.chunks(2) {
                if let [(true, value, bits), (false, next, count)] = *two {
                    writer.push_pair(value, bits.max(26), next, count);
                    continue;
                }
                for (is_rice, value, bits) in two {
                    match is_rice {
                        true => writer.push_rice(*value, (*bits).max(26)),
                        false => writer.push(*value, *bits),
                    }
                }
            }
            prop_assert_eq!(&words, &writer.finish());
            let mut reader = BitReader::new(&words);
            let mut pairs = BitReader::new(&words);
            for two in items.chunks(2) {
                // A pair is a number by the code and one of some bits.
                if let [(true, value, bits), (false, next, count)] = *two {
                    let mask = u32::MAX.checked_shr(32 - count).unwrap_or(0);
                    let pair = pairs.read_pair(bits.max(26), count);
                    prop_assert_eq!(pair, Some((value, next & mask)));
                    continue;
                }
                for (is_rice, _, bits) in two {
                    match is_rice {
                        true => drop(pairs.read_rice((*bits).max(26))),
                        false => drop(pairs.read(*bits)),
                    }
                }
            }
            for (is_rice, value, bits) in items {
                if is_rice {
                    prop_assert_eq!(reader.read_rice(bits.max(26)), Some(value));
                } else {
                    let mask = u32::MAX.checked_shr(32 - bits).unwrap_or(0);
                    prop_assert_eq!(reader.read(bits), Some(value & mask));
                }
            }
        }

        #[test]
        fn damage_is_no_panic(words in proptest::collection::vec(any::<u64>(), 0..9), bits in 0_u32..33) {
            let mut reader = BitReader::new(&words);
            let mut read = 0;
            while reader.read_rice(bits).and_then(|_| reader.read(bits)).is_some() {
                read += 1;
            }
            prop_assert!(read <= 64 * 9);
            let (mut pairs, mut single) = (BitReader::new(&words), BitReader::new(&words));
            while let Some(pair) = pairs.read_pair(bits, bits) {
                prop_assert_eq!(single.read_rice(bits).zip(single.read(bits)), Some(pair));
            }
            prop_assert!(single.read_rice(bits).and_then(|_| single.read(bits)).is_none());
        }
    }

    #[test]
    fn the_bits_are_those_of_the_code() {
        let mut writer = BitWriter::default();
        writer.push_rice(0b1101, 2); // three ones, a zero, then 01
        writer.push(0b101, 3);
        assert_eq!(writer.finish(), [0b1_0101_0111]);
    }
}
