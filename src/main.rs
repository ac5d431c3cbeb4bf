//! The `doublon` binary: the service, and its client on the command line.

mod cli;

use std::process::ExitCode;

/// A call is taken by one thread and answered by another, which is what the allocator of glibc
/// makes threads wait for each other for (docs/performance.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::main()
}
