//! Between the messages of the contract and the domain. Each conversion names
//! every field, so that a new one is not forgotten.

mod request;
mod response;
pub mod story;
pub mod transfer;
pub mod watch;

pub use request::{
    analyze_page, article_id, compare, find_duplicates, list_articles, match_teaser, put_article,
    sign,
};
pub use response::{
    compared, deleted, found, got, listed, matched, page, parameters, put, signed, timestamp,
};
