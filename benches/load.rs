//! The load test at the size of a bench: `doublon load` of the built binary, its
//! table on standard output. `cargo test` runs it as small as can be.
#![allow(missing_docs, reason = "a program")]

use std::process::{Command, ExitCode};

const SIZE: &str = "--articles 10000 --seconds 5 --seed 1";
const SMOKE_SIZE: &str =
    "--articles 100 --seconds 0.05 --seed 1 --rounds 1 --in-flight 4 --connections 2 --rate 40";

fn main() -> ExitCode {
    // What cargo gives to benches, and not to tests.
    let is_bench = std::env::args().any(|it| it == "--bench");
    let size = if is_bench { SIZE } else { SMOKE_SIZE };
    let status = Command::new(env!("CARGO_BIN_EXE_doublon"))
        .arg("load")
        .args(size.split(' '))
        .env_remove("DOUBLON_SERVER")
        .env_remove("DOUBLON_OUTPUT")
        .status();
    // Wrong answers and errors fail the bench: a fast wrong answer is no figure.
    if status.is_ok_and(|it| it.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
