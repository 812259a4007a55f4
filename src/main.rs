//! Arguments to configuration to command to exit code; the only place that ends the process.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::process::ExitCode;

use pulsewatch::cli::Cli;
use pulsewatch::commands;

fn main() -> ExitCode {
    match Cli::read(std::env::args_os()) {
        Ok((global, command)) => commands::execute(global, command),
        Err(error) => commands::refuse(&error),
    }
}
