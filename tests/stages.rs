//! The commands from the shell: the real binary in a home of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_wrap
)]

#[path = "stages/backtest.rs"]
mod backtest;
#[path = "stages/chain.rs"]
mod chain;
#[path = "stages/corpus.rs"]
mod corpus;
#[path = "stages/files.rs"]
mod files;
#[path = "stages/import.rs"]
mod import;
#[path = "stages/inputs.rs"]
mod inputs;
#[path = "stages/journal.rs"]
mod journal;
#[path = "stages/manners.rs"]
mod manners;
#[path = "stages/options.rs"]
mod options;
#[path = "stages/ready.rs"]
mod ready;
#[path = "stages/shell.rs"]
mod shell;
