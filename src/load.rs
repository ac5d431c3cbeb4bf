//! A load test: synthetic articles, questions about them whose answers are
//! known, loops that ask them, and what came of it. It speaks to a server as any
//! client does, and knows nothing of processes, files or terminals.

pub mod articles;
pub mod echo;
pub mod figures;
pub mod loops;
pub mod questions;
pub mod streams;
pub mod tally;
mod words;
