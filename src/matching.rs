//! Matching: alignment, overlap, evidence and the verdicts that follow from
//! them. Pure: token hashes in, numbers out; no I/O, and no article.

pub mod align;
pub mod evidence;
pub mod overlap;
pub mod retelling;
pub mod runs;
pub mod verdict;
