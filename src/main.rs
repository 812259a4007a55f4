//! Arguments to configuration to command to exit code; the only place that ends the process.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::process::ExitCode;

use pulsewatch::cli::Cli;
use pulsewatch::commands;

fn main() -> ExitCode {
    match Cli::read(std::env::args_os()) {
        Ok((global, command)) => commands::execute(global, command),
        Err(error) => {
            // Nothing can be done about a closed stdout or stderr here.
            let _ = error.print();
            u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
    }
}
