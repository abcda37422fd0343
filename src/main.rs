//! The `synchub` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    synchub::cli::run()
}
