//! Doors to private readers, for fuzz targets and tests. Not part of the interface:
//! what is here changes without notice.

use crate::engine::checkpoint;
use crate::engine::transfer::import;
use crate::index;
use crate::store::pack::{Pack, PackBuilder};
use crate::text::tokens::Tokens;

/// What [`Tokens::of`] gives, without any of its fast paths.
pub fn tokens_by_general_path(text: &str) -> Tokens {
    Tokens::by_general_path(text)
}

/// Some records as the store packs them; their numbers ascend.
pub fn pack(records: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut builder = PackBuilder::default();
    for (number, record) in records {
        builder.push(*number, record);
    }
    builder.finish()
}

/// All records of a pack.
pub fn unpack(bytes: &[u8]) -> Result<Vec<(u32, Vec<u8>)>, &'static str> {
    let records = Pack::of(bytes)?.records();
    records.map(|it| it.map(|(number, record)| (number, record.to_vec()))).collect()
}

/// One record of a pack.
pub fn unpack_one(bytes: &[u8], number: u32) -> Result<Option<Vec<u8>>, &'static str> {
    Ok(Pack::of(bytes)?.get(number)?.map(<[u8]>::to_vec))
}

/// A table of the index, read from the words of its slots and of its lists as they
/// stand in an image, and written again; `None` where they are no table.
pub fn table_again(slots: &[u64], lists: &[u64]) -> Option<(Vec<u64>, Vec<u64>)> {
    index::table_again(slots, lists).ok()
}

/// The head of a checkpoint, read and written again; `None` where it is none.
pub fn checkpoint_head_again(bytes: &[u8]) -> Option<Vec<u8>> {
    checkpoint::head_again(bytes)
}

/// A line of an export, read and written again; `None` where it is none. An article is
/// read as an import reads it.
pub fn export_line_again(line: &[u8], is_first: bool) -> Option<String> {
    import::line_again(line, is_first)
}
