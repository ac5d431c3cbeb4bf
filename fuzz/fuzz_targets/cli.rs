//! The binary's reader of JSONL, from its source. What it needs of the rest of the
//! binary is here.
#![allow(dead_code, reason = "the rest of the command line is not here")]

#[path = "../../src/cli/put/article_line.rs"]
mod article_line;
#[path = "../../src/cli/filter.rs"]
mod filter;
#[path = "../../src/cli/input.rs"]
mod input;
#[path = "../../src/cli/json.rs"]
mod json;

use doublon::api::v1;

/// What standard input says to a terminal.
fn complain(_: &str) {}

fn content_id(_: &str) -> String {
    "xxh3-".to_owned()
}

/// Each line of a file that is not blank, with its number, as an article.
pub(crate) fn articles(file: &[u8]) -> Result<Vec<(u64, Result<v1::Article, String>)>, String> {
    let file = Box::new(std::io::Cursor::new(file.to_vec()));
    let lines = input::lines_of(input::decompressed(file).map_err(|it| it.to_string())?);
    Ok(lines.map(|(number, line)| (number, line.and_then(|it| article_line::read(&it)))).collect())
}

/// An article on one line, as the commands print it.
pub(crate) fn line(article: &v1::Article) -> String {
    json::line(article).expect("a message of the contract has a mapping")
}
