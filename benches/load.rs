//! The load test at a size that a bench takes: `doublon load` of the built binary,
//! its table on standard output. `--test`, which `cargo test --benches` gives,
//! makes it as small as can be.
#![allow(missing_docs, reason = "a program")]

use std::process::{Command, ExitCode};

const ARTICLES: &str = "10000";
const SECONDS: &str = "5";
const SMOKE_ARTICLES: &str = "200";
const SMOKE_SECONDS: &str = "0.1";
const SEED: &str = "1";

fn main() -> ExitCode {
    let is_bench = std::env::args().any(|it| it == "--bench");
    let (articles, seconds) =
        if is_bench { (ARTICLES, SECONDS) } else { (SMOKE_ARTICLES, SMOKE_SECONDS) };
    let status = Command::new(env!("CARGO_BIN_EXE_doublon"))
        .args(["load", "--articles", articles, "--seconds", seconds, "--seed", SEED])
        .env_remove("DOUBLON_SERVER")
        .env_remove("DOUBLON_OUTPUT")
        .status();
    // Wrong answers and errors fail the bench: a fast wrong answer is no figure.
    if status.is_ok_and(|it| it.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
