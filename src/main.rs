//! The `synchub` command.

use mimalloc::MiMalloc;
use std::process::ExitCode;

// Requests, rows and records are thousands of small allocations by many threads at once.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    synchub::cli::run()
}
