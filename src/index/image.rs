//! An image of the index in memory, from which it starts without being rebuilt. Knows
//! the layout of its bytes and not where they are kept.
//!
//! It is *fuzzy*: it is taken part by part under short locks while the writer goes on.
//! Postings are sets, and what is known of a number is replaced whole. So an image and
//! all changes that were not complete when it began, replayed in order, equal a
//! rebuild.
//!
//! A part is a row of sections:
//!
//! ```text
//! u64  kind << 32 | place     HEAD, 4 of SLOTS, 4 of LISTS, COLUMNS, END
//! u64  bytes of the payload
//! u64  XXH3 of the payload
//! u64  XXH3 of the three words before
//!      payload, in multiples of 8 bytes
//! ```
//!
//! Numbers are little-endian; a machine that is not refuses. HEAD stands first: magic,
//! format version, part, parts, stamp, tables, columns. END stands last: sections
//! before it.

use std::io::{self, Read, Write};
use std::sync::atomic::Ordering;
use std::thread;

use roaring::RoaringBitmap;
use xxhash_rust::xxh3;

use crate::hash;
use crate::index::bits::{BitReader, BitWriter};
use crate::index::columns::{COLUMN_WORDS, Columns};
use crate::index::memory::MemoryIndex;
use crate::index::numbers::{Bitmap, Gaps, Numbers};
use crate::index::postings::{Postings, TABLES};
use crate::index::slots::LISTS_FROM;
use crate::index::table::{HOMES_MIN, Table};

/// Parts of an image, which are written and read apart.
pub const IMAGE_PARTS: usize = 4;

const MAGIC: u64 = u64::from_le_bytes(*b"doublidx");
const VERSION: u64 = 1;

const HEAD: u32 = 1;
const END: u32 = 2;
const COLUMNS: u32 = 3;
/// And the three behind it, one for each of [`MemoryIndex::postings`].
const SLOTS: u32 = 16;
const LISTS: u32 = 32;

/// Numbers whose columns make one section.
const COLUMNS_TOGETHER: usize = 1 << 16;
/// Words that are asked of memory before they have come.
const WORDS_AHEAD: usize = 1 << 22;

/// Why an image cannot be written or read. The index is then rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The medium fails, or the image ends early.
    #[error("the image of the index cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// It is not what was written.
    #[error("the image of the index is damaged: {0}")]
    Damaged(&'static str),
    /// Another version of this program wrote it.
    #[error("the image of the index has format {found}, and this program reads {VERSION}")]
    Version {
        /// Its format.
        found: u64,
    },
}

impl MemoryIndex {
    /// Writes one of [`IMAGE_PARTS`] parts. No lock is held while `out` is written to.
    pub(super) fn write_part(
        &self,
        part: usize,
        stamp: u64,
        out: &mut dyn Write,
    ) -> Result<(), ImageError> {
        let mut out = Sections { out, count: 0 };
        let columns = self.read_columns().len();
        let words = [part as u64, IMAGE_PARTS as u64, stamp, TABLES as u64, columns as u64];
        out.words(HEAD, 0, &[&[MAGIC, VERSION][..], &words].concat())?;
        let (mut slots, mut lists) = (Vec::new(), Vec::new());
        for (kind, postings) in (0..).zip(self.postings()) {
            for place in (part..TABLES).step_by(IMAGE_PARTS) {
                slots.clear();
                lists.clear();
                if let Some(table) = postings.read().get(place).filter(|it| it.slots.homes() > 0) {
                    let listed = encode_slots(table, &mut slots);
                    encode_lists(table, &listed, &mut lists)?;
                }
                if !slots.is_empty() {
                    out.words(SLOTS + kind, place, &slots)?;
                    out.bytes(LISTS + kind, place, &mut lists)?;
                }
            }
        }
        for place in (part..columns.div_ceil(COLUMNS_TOGETHER)).step_by(IMAGE_PARTS) {
            let start = place * COLUMNS_TOGETHER;
            let words = self.read_columns().words(start..columns.min(start + COLUMNS_TOGETHER));
            out.words(COLUMNS, place, &words)?;
        }
        let count = out.count;
        out.words(END, 0, &[count])?;
        out.out.flush()?;
        Ok(())
    }

    /// Fills this index, which is empty, from all parts of an image; gives its stamp.
    /// Each part is read by a thread of its own. Where one fails, the index is empty
    /// again.
    pub(super) fn read_parts(&self, parts: Vec<Box<dyn Read + Send>>) -> Result<u64, ImageError> {
        let read = self.try_parts(parts);
        if read.is_err() {
            self.postings().into_iter().for_each(Postings::clear);
            *self.write_columns() = Columns::default();
        }
        let columns = self.read_columns();
        self.article_count.store(columns.present(), Ordering::Release);
        let end = u32::try_from(columns.len()).unwrap_or(u32::MAX);
        self.numbers_end.store(end, Ordering::Release);
        read
    }

    fn try_parts(&self, parts: Vec<Box<dyn Read + Send>>) -> Result<u64, ImageError> {
        if parts.len() != IMAGE_PARTS {
            return Err(ImageError::Damaged("it has another number of parts"));
        }
        let stamps: Vec<Result<u64, ImageError>> = thread::scope(|scope| {
            let read = |(part, input)| scope.spawn(move || self.read_part(part, input));
            let threads: Vec<_> = parts.into_iter().enumerate().map(read).collect();
            let lost = |_| Err(ImageError::Damaged("the thread that read it failed"));
            threads.into_iter().map(|it| it.join().unwrap_or_else(lost)).collect()
        });
        let stamps = stamps.into_iter().collect::<Result<Vec<u64>, ImageError>>()?;
        let stamp = stamps.first().copied().unwrap_or_default();
        if stamps.iter().any(|it| *it != stamp) {
            return Err(ImageError::Damaged("its parts are of two images"));
        }
        Ok(stamp)
    }

    fn read_part(&self, part: usize, mut input: impl Read) -> Result<u64, ImageError> {
        let damaged = ImageError::Damaged;
        let (mut slots, mut lists) = (Vec::new(), Vec::new());
        let head = Section::read(&mut input, &mut lists)?;
        let [MAGIC, version, of_part, parts, stamp, tables, columns] = head.words[..] else {
            return Err(damaged("it does not begin as one"));
        };
        if version != VERSION {
            return Err(ImageError::Version { found: version });
        }
        if [of_part, parts, tables] != [part as u64, IMAGE_PARTS as u64, TABLES as u64] {
            return Err(damaged("it is another part"));
        }
        let columns = usize::try_from(columns).unwrap_or(usize::MAX);
        let mut count = 1_u64;
        loop {
            let section = Section::read(&mut input, &mut slots)?;
            let Section { kind, place, words } = section;
            match kind {
                END if *words == [count] => break,
                END => return Err(damaged("sections are missing")),
                COLUMNS => {
                    let start = place.saturating_mul(COLUMNS_TOGETHER);
                    if start >= columns || words.len() > COLUMNS_TOGETHER * COLUMN_WORDS {
                        return Err(damaged("columns beyond the last"));
                    }
                    self.write_columns().set_words(start, words);
                }
                _ => {
                    let lists = Section::read(&mut input, &mut lists)?;
                    self.read_table(&section, &lists)?;
                    count += 1;
                }
            }
            count += 1;
        }
        Ok(stamp)
    }

    fn read_table(&self, slots: &Section<'_>, lists: &Section<'_>) -> Result<(), ImageError> {
        let damaged = ImageError::Damaged;
        let Section { kind, place, words: slots } = *slots;
        let at = kind.wrapping_sub(SLOTS);
        let postings = self.postings().into_iter().nth(at as usize);
        let Some(postings) = postings.filter(|_| lists.kind == LISTS + at && lists.place == place)
        else {
            return Err(damaged("a section stands in the wrong place"));
        };
        let table = decode_table(place, slots, lists.words)?;
        if let Some(old) = postings.write().get_mut(place) {
            *old = table;
        }
        Ok(())
    }

    fn postings(&self) -> [&Postings; 4] {
        [&self.anchors, &self.bands, &self.blocks, &self.terms]
    }
}

/// Writes sections and counts them.
struct Sections<'a> {
    out: &'a mut dyn Write,
    count: u64,
}

impl Sections<'_> {
    fn words(&mut self, kind: u32, place: usize, words: &[u64]) -> Result<(), ImageError> {
        self.section(kind, place, bytemuck::cast_slice(words))
    }

    fn bytes(&mut self, kind: u32, place: usize, bytes: &mut Vec<u8>) -> Result<(), ImageError> {
        bytes.resize(bytes.len().next_multiple_of(size_of::<u64>()), 0);
        self.section(kind, place, bytes)
    }

    fn section(&mut self, kind: u32, place: usize, payload: &[u8]) -> Result<(), ImageError> {
        let name = (u64::from(kind) << 32) | place as u64;
        let mut head = [name, payload.len() as u64, xxh3::xxh3_64(payload), 0];
        head[3] = xxh3::xxh3_64(bytemuck::cast_slice(&head[..3]));
        self.out.write_all(bytemuck::cast_slice(&head))?;
        self.out.write_all(payload)?;
        self.count += 1;
        Ok(())
    }
}

/// A section that was read, and is what was written.
struct Section<'a> {
    kind: u32,
    place: usize,
    words: &'a [u64],
}

impl<'a> Section<'a> {
    /// `buffer` holds the payload, and is used again: what memory is new to the process
    /// costs as much as reading into it.
    fn read(input: &mut impl Read, buffer: &'a mut Vec<u64>) -> Result<Self, ImageError> {
        let mut head = [0_u64; 4];
        input.read_exact(bytemuck::cast_slice_mut(&mut head))?;
        let [name, len, payload, check] = head;
        if xxh3::xxh3_64(bytemuck::cast_slice(&head[..3])) != check {
            return Err(ImageError::Damaged("the head of a section"));
        }
        let count = usize::try_from(len).unwrap_or(usize::MAX) / size_of::<u64>();
        let mut start = 0;
        while start < count {
            let end = count.min(start + WORDS_AHEAD);
            if buffer.len() < end {
                buffer.reserve_exact(end - buffer.len());
                buffer.resize(end, 0);
            }
            let words = buffer.get_mut(start..end).unwrap_or_default();
            input.read_exact(bytemuck::cast_slice_mut(words))?;
            start = end;
        }
        let words = buffer.get(..count).unwrap_or_default();
        if xxh3::xxh3_64(bytemuck::cast_slice(words)) != payload {
            return Err(ImageError::Damaged("the payload of a section"));
        }
        let place = usize::try_from(hash::low_half(name)).unwrap_or(usize::MAX);
        Ok(Self { kind: hash::high_half(name), place, words })
    }
}

fn decode_table(place: usize, slots: &[u64], lists: &[u64]) -> Result<Table, ImageError> {
    let damaged = ImageError::Damaged;
    let slots = decode_slots(slots).ok_or_else(|| damaged("the slots of a table"))?;
    let (homes, used, ascending) = slots;
    let salt = u32::try_from(place).unwrap_or(u32::MAX);
    let (listed, lists) = decode_lists(lists)?;
    let table = Table::of(salt, homes, (&listed, lists), ascending);
    let table = table.filter(|it| it.used == used);
    table.ok_or_else(|| damaged("a table is out of order"))
}

/// A table that is read from the words of an image, written again.
pub(crate) fn table_again(slots: &[u64], lists: &[u64]) -> Result<TableWords, ImageError> {
    let table = decode_table(0, slots, lists)?;
    let (mut slots, mut bytes) = (Vec::new(), Vec::new());
    let listed = encode_slots(&table, &mut slots);
    encode_lists(&table, &listed, &mut bytes)?;
    bytes.resize(bytes.len().next_multiple_of(size_of::<u64>()), 0);
    let (words, _) = bytes.as_chunks();
    Ok((slots, words.iter().map(|it| u64::from_le_bytes(*it)).collect()))
}

/// Slots and lists of a table.
type TableWords = (Vec<u64>, Vec<u64>);

/// The number of homes, of slots and of those in use, the bits of [`Packing`], and each
/// slot in use: by Rice's code how far its tag is above the one before, then [`packed_number`].
/// A posting takes 36 bits at a million articles. Gives the slots that have lists.
fn encode_slots(table: &Table, out: &mut Vec<u64>) -> Vec<u64> {
    let mut number_max = 0;
    table.slots.each_used(|it| number_max = number_max.max(packed_number(it)));
    let packing = Packing::of(table.used, number_max);
    let Packing { gap_bits, number_bits } = packing;
    let head = [table.slots.homes(), table.slots.len(), table.used].map(|it| it as u64);
    out.extend_from_slice(&head);
    out.push((u64::from(gap_bits) << 32) | u64::from(number_bits));
    let mut bits = BitWriter::default();
    let mut listed = Vec::new();
    let mut tag = 0;
    table.slots.each_used(|slot| {
        let number = packed_number(slot);
        if number == 0 {
            listed.push(slot);
        }
        bits.push_pair(hash::high_half(slot) - tag, gap_bits, number, number_bits);
        tag = hash::high_half(slot);
    });
    out.extend(bits.finish());
    listed
}

/// One above the number of a slot; 0 for all that have lists, which stand in the order of
/// their tags.
fn packed_number(slot: u64) -> u32 {
    match hash::low_half(slot) {
        LISTS_FROM.. => 0,
        number => number + 1,
    }
}

/// How many bits the slots of a table take.
#[derive(Debug, Clone, Copy)]
struct Packing {
    /// Of the gap between two tags, those that are written as they are: as many as the
    /// mean has, which is near the best where gaps are as those of random tags.
    gap_bits: u32,
    /// Of a number.
    number_bits: u32,
}

impl Packing {
    fn of(used: usize, number_max: u32) -> Self {
        let mean_gap = u32::MAX / u32::try_from(used.max(1)).unwrap_or(u32::MAX);
        let number_bits = u32::BITS - number_max.leading_zeros();
        Self { gap_bits: mean_gap.max(1).ilog2(), number_bits }
    }
}

/// The number of homes and of slots in use, and these.
fn decode_slots(words: &[u64]) -> Option<(usize, usize, PackedSlots<'_>)> {
    let [homes, len, used, packing, packed @ ..] = words else { return None };
    let count = |it: &u64| usize::try_from(*it).ok();
    let (homes, len, used) = (count(homes)?, count(len)?, count(used)?);
    let (gap_bits, number_bits) = (hash::high_half(*packing), hash::low_half(*packing));
    let bits_max = gap_bits.max(number_bits);
    if used > len || homes > len || len > SLOTS_MAX || bits_max > u32::BITS {
        return None;
    }
    // Memory is taken for what is there, whatever the words say: a slot has one bit more.
    let slot_bits = (gap_bits + number_bits) as usize + 1;
    if used > packed.len() * 64 / slot_bits {
        return None;
    }
    let homes = homes.min((HOMES_TO_USED * used).max(HOMES_MIN));
    let bits = BitReader::new(packed);
    Some((homes, used, PackedSlots { bits, tag: 0, left: used, gap_bits, number_bits }))
}

/// The slots in use, as they are unpacked.
struct PackedSlots<'a> {
    bits: BitReader<'a>,
    /// Of the one before.
    tag: u32,
    left: usize,
    gap_bits: u32,
    number_bits: u32,
}

impl Iterator for PackedSlots<'_> {
    type Item = u64;

    #[expect(clippy::inline_always, reason = "a start is as fast as this loop")]
    #[inline(always)]
    fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        let (gap, number) = self.bits.read_pair(self.gap_bits, self.number_bits)?;
        self.tag = self.tag.checked_add(gap)?;
        Some((u64::from(self.tag) << 32) | u64::from(number.wrapping_sub(1)))
    }
}

/// Homes of a table that is read, to slots in use, at most: one that has lost more than
/// half of its slots becomes smaller.
const HOMES_TO_USED: usize = 2;

/// Slots of one table, at most: no table has as many.
const SLOTS_MAX: usize = 1 << 30;

/// Of each list: its tag, the length of its bytes (its highest bit says that it is a
/// bitmap), of gaps their number and the last one, and the bytes.
fn encode_lists(table: &Table, listed: &[u64], out: &mut Vec<u8>) -> Result<(), ImageError> {
    out.extend_from_slice(&(listed.len() as u64).to_le_bytes());
    for slot in listed {
        let Some(numbers) = table.list(*slot) else { continue };
        out.extend_from_slice(&hash::high_half(*slot).to_le_bytes());
        match numbers {
            Numbers::Gaps(Gaps { bytes, len, last }) => {
                let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                for word in [size, *len, *last] {
                    out.extend_from_slice(&word.to_le_bytes());
                }
                out.extend_from_slice(bytes);
            }
            Numbers::Bitmap(bitmap) => {
                let size = u32::try_from(bitmap.numbers.serialized_size()).unwrap_or(u32::MAX);
                for word in [size | BITMAP, 0, 0] {
                    out.extend_from_slice(&word.to_le_bytes());
                }
                bitmap.numbers.serialize_into(&mut *out)?;
            }
        }
    }
    Ok(())
}

/// Set in the size of a list that is a bitmap.
const BITMAP: u32 = 1 << 31;

fn decode_lists(words: &[u64]) -> Result<(Vec<u32>, Vec<Numbers>), ImageError> {
    let damaged = || ImageError::Damaged("a list of numbers");
    let mut rest: &[u8] = bytemuck::cast_slice(words);
    let (count, behind) = rest.split_first_chunk().ok_or_else(damaged)?;
    rest = behind;
    let (mut tags, mut lists) = (Vec::new(), Vec::new());
    for _ in 0..u64::from_le_bytes(*count) {
        let (head, behind) = rest.split_first_chunk::<16>().ok_or_else(damaged)?;
        let (head, _) = head.as_chunks();
        let [tag, size, len, last] = [0, 1, 2, 3]
            .map(|at: usize| u32::from_le_bytes(head.get(at).copied().unwrap_or_default()));
        let size_bytes = (size & !BITMAP) as usize;
        let (bytes, behind) = behind.split_at_checked(size_bytes).ok_or_else(damaged)?;
        let numbers = if size & BITMAP == 0 {
            Gaps::checked(bytes.to_vec(), len, last).map(Numbers::Gaps).ok_or_else(damaged)?
        } else {
            Numbers::Bitmap(Bitmap::of(RoaringBitmap::deserialize_from(bytes)?))
        };
        if numbers.last() >= Some(LISTS_FROM) {
            return Err(damaged());
        }
        tags.push(tag);
        lists.push(numbers);
        rest = behind;
    }
    lists.shrink_to_fit();
    Ok((tags, lists))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::keys::Keys;
    use crate::index::{Entry, Facets, Index};
    use crate::sketch::Sketch;
    use crate::store::ArticleNumber;

    /// Shares anchors and terms with others, some with very many.
    fn entry(number: u32) -> Entry {
        let own = (0..20).map(|it| hash::mix(u64::from(number) * 64 + it + 1));
        let shared = (1..12).map(|it| hash::mix(u64::from(number) % (7 * it) + 1000 * it));
        let mut anchors: Vec<u64> = own.chain(shared).collect();
        anchors.sort_unstable();
        let tokens: Vec<u32> = (0..9).map(|it| number * it).collect();
        let published_s = (!number.is_multiple_of(3)).then_some(i64::from(number));
        Entry {
            number: ArticleNumber(number),
            keys: Keys { terms: anchors.clone(), sketch: Sketch::of(&tokens, &anchors), anchors },
            facets: Facets { site: number, language: number % 5, published_s },
        }
    }

    fn entries(numbers: std::ops::Range<u32>) -> Vec<Entry> {
        numbers.map(entry).collect()
    }

    fn image(index: &MemoryIndex) -> Vec<Vec<u8>> {
        let parts = (0..IMAGE_PARTS).map(|part| {
            let mut out = Vec::new();
            index.write_part(part, 77, &mut out).unwrap();
            out
        });
        parts.collect()
    }

    fn read(parts: &[Vec<u8>]) -> Result<(MemoryIndex, u64), ImageError> {
        let index = MemoryIndex::default();
        let boxed = |it: &Vec<u8>| Box::new(io::Cursor::new(it.clone())) as Box<_>;
        let stamp = index.read_parts(parts.iter().map(boxed).collect());
        if stamp.is_err() {
            assert_same(&index, &MemoryIndex::default());
        }
        Ok((index, stamp?))
    }

    /// What two indexes have, whatever the sizes of their tables.
    fn assert_same(a: &MemoryIndex, b: &MemoryIndex) {
        assert_eq!((a.numbers_end(), a.counts().articles), (b.numbers_end(), b.counts().articles));
        let columns = |it: &MemoryIndex| {
            it.read_columns().words(0..usize::try_from(it.numbers_end()).unwrap())
        };
        assert_eq!(columns(a), columns(b));
        for (a, b) in a.postings().into_iter().zip(b.postings()) {
            for (a, b) in a.read().iter().zip(b.read().iter()) {
                assert_eq!(a.all(), b.all());
            }
        }
    }

    #[test]
    fn it_comes_back_as_it_was() {
        for count in [0, 1, 3000] {
            let index = MemoryIndex::default();
            index.insert(&entries(0..count)).unwrap();
            index.remove(&entries(count / 2..count / 2 + count / 9)).unwrap();
            let (back, stamp) = read(&image(&index)).unwrap();
            assert_eq!(stamp, 77);
            assert_same(&back, &index);
            // And it can be changed as the first one.
            for it in [&back, &index] {
                it.insert(&entries(count..count + 300)).unwrap();
                it.remove(&entries(0..count / 3)).unwrap();
            }
            assert_same(&back, &index);
        }
    }

    #[test]
    fn a_narrow_table_comes_back_as_it_was() {
        let mut table = Table::new(3);
        for number in 0..40_000 {
            let tag = hash::high_half(hash::mix(u64::from(number) / 3 + 1));
            table.insert(tag, number * 300);
        }
        assert!(table.slots.is_narrow());
        let mut words = Vec::new();
        assert!(encode_slots(&table, &mut words).is_empty());
        assert!(words.len() * 8 < 40_000 * 6, "{}", words.len());
        let (homes, used, ascending) = decode_slots(&words).unwrap();
        let back = Table::of(3, homes, (&[], Vec::new()), ascending).unwrap();
        assert_eq!((back.used, back.slots.is_narrow()), (used, true));
        assert_eq!(back.all(), table.all());
    }

    #[test]
    fn a_table_takes_no_more_memory_than_its_slots_need() {
        let packing = (4 << 32) | 3;
        assert!(decode_table(0, &[1 << 28, 1 << 29, 1 << 28, packing, 0], &[0]).is_err());
        let table = decode_table(0, &[1 << 28, 1 << 29, 1, packing, 0b10_0000], &[0]).unwrap();
        assert_eq!((table.used, table.slots.homes()), (1, HOMES_MIN));
        // And one that was emptied is small after a start.
        let mut table = Table::new(3);
        let tag = |number| hash::high_half(hash::mix(u64::from(number) + 1));
        (0..10_000).for_each(|it| table.insert(tag(it), it));
        (100..10_000).for_each(|it| table.remove(tag(it), it));
        let mut words = Vec::new();
        assert!(encode_slots(&table, &mut words).is_empty());
        let back = decode_table(3, &words, &[0]).unwrap();
        assert_eq!((back.slots.homes(), back.all()), (200, table.all()));
    }

    #[test]
    fn what_is_there_counts_once_and_what_is_absent_does_not() {
        let index = MemoryIndex::default();
        index.insert(&entries(0..10)).unwrap();
        let (index, _) = read(&image(&index)).unwrap();
        index.insert(&entries(5..12)).unwrap();
        assert_eq!(index.counts().articles, 12);
        index.remove(&entries(10..20)).unwrap();
        index.remove(&entries(10..12)).unwrap();
        assert_eq!((index.counts().articles, index.numbers_end()), (10, 12));
    }

    #[test]
    fn any_damage_is_an_error() {
        let index = MemoryIndex::default();
        index.insert(&entries(0..40)).unwrap();
        let parts = image(&index);
        let other = {
            let mut out = Vec::new();
            index.write_part(1, 78, &mut out).unwrap();
            out
        };
        for part in 0..IMAGE_PARTS {
            let with = |bytes: Vec<u8>| {
                let mut parts = parts.clone();
                parts[part] = bytes;
                read(&parts)
            };
            let whole = &parts[part];
            // A prime step meets all words of all kinds of sections.
            for at in (0..whole.len()).step_by((whole.len() / 60) | 1).chain([0, 9, 17, 25, 33]) {
                let mut bytes = whole.clone();
                bytes[at] ^= 0x10;
                assert!(with(bytes).is_err(), "{part}: {at}");
                assert!(with(whole[..at].to_vec()).is_err(), "{part}: {at}");
            }
            assert!(with(parts[(part + 1) % IMAGE_PARTS].clone()).is_err());
            assert!(part != 1 || with(other.clone()).is_err());
        }
        assert!(read(&parts[1..]).is_err());
    }

    #[test]
    fn one_taken_while_all_changes_becomes_right_by_replay() {
        let index = MemoryIndex::default();
        index.insert(&entries(0..2000)).unwrap();
        let changes = |index: &MemoryIndex| {
            for step in 0..40 {
                index.insert(&entries(2000 + step * 20..2020 + step * 20)).unwrap();
                index.remove(&entries(step * 45..step * 45 + 30)).unwrap();
                index.remove(&entries(2005 + step * 20..2010 + step * 20)).unwrap();
            }
        };
        let parts = thread::scope(|scope| {
            let writer = scope.spawn(|| changes(&index));
            let parts = image(&index);
            writer.join().unwrap();
            parts
        });
        let (back, _) = read(&parts).unwrap();
        changes(&back);
        assert_same(&back, &index);
        let rebuilt = MemoryIndex::default();
        rebuilt.insert(&entries(0..2000)).unwrap();
        changes(&rebuilt);
        assert_same(&back, &rebuilt);
    }
}
