//! Transfer: everything that is stored as lines of JSON, and a store made of such lines.
//! What is derived is left out and made again; names, numbers and times stay, so that
//! stories, cursors and lists are what they were.

pub mod export;
pub mod import;
pub(in crate::engine) mod line;
