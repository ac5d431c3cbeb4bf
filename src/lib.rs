//! doublon tells a news crawler three things about a text: is it new, whose
//! teaser is it, and what on this page is the article.
//!
//! # Bird's-eye view
//!
//! Data flows one way: text -> tokens -> shingles -> sketch -> candidates ->
//! verdict -> wire. A module names only modules declared above it, which
//! `tests/architecture.rs` holds it to.
//!
//! The engine knows two seams: *records* ([`store`]), which are the truth, and
//! *candidates* ([`index`]), which are derived from them. Both take batches. The
//! engine's calls block; the service runs them on threads of their own. Either can be on this
//! machine or in a [`cluster`] that nodes share.
//!
//! # Glossary
//!
//! - **Token**: a word in normal form, or one character of a script that writes
//!   no spaces; kept as a 32-bit hash and the bytes it came from.
//! - **Access token**: what a caller shows to be let in; a token in [`auth`] only.
//! - **Shingle**: three tokens in a row.
//! - **Term**: a word wherever it stands; two characters in a row of a script
//!   without spaces.
//! - **Sketch**: MinHash and SimHash of a text. It proposes; it never decides.
//! - **Band**: four MinHash values under one key of the index.
//! - **Anchor**: a shingle of a stored article that the index knows: every one of
//!   title, description and the start, every eighth of the rest.
//! - **Teaser**: a blurb or headline that a page shows for another article.
//! - **Checkpoint**: the index as a file, from which a start reads it.
//! - **Evidence**: how unlikely shared words are by chance, in bits, by their
//!   rarity among the stored articles.
//! - **Article number**: the store's own name for one content of an article;
//!   ascending, never given twice to contents that are stored.
//!
//! # Invariants
//!
//! - An acknowledged write is on the disk, and the next call finds it.
//! - The index can be rebuilt from the records at any time.
//! - No input makes the service panic; every size has a named limit.
//! - A value that a signature or a record pins changes only with its version.

pub mod clock;
pub mod hash;
pub mod ranks;
pub mod text;
pub mod shingle;
pub mod term;
pub mod sketch;
pub mod matching;
pub mod cluster;
pub mod store;
pub mod index;
pub mod engine;
pub mod eval;
pub mod auth;
pub mod api;
pub mod service;
pub mod client;
pub mod load;
pub mod config;
#[doc(hidden)]
pub mod fuzzing;
