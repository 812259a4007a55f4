//! PulseWatch learns a server's or a fleet's metrics, scores them live, explains every anomaly and forecasts what comes.
//!
//! ```text
//! source ─► prep ─► model ─► detect ─► engine ─► snapshot ─► { tui, serve }
//!   ▲                                    │  ▲
//!   └──────────── collect tick ──────────┘  └── Command (keys, HTTP, signals, schedule)
//! ```
//!
//! Samples flow right, commands flow left, and nothing else crosses. [`domain`] is the plain data that all rooms speak;
//! [`disk`] knows bytes and tables; [`store`] gives them meaning; [`commands`] wires the rooms for each subcommand.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::float_cmp
    )
)]

pub mod cli;
//pub mod commands;
pub mod config;
pub mod detect;
pub mod disk;
pub mod domain;
pub mod engine;
pub mod logging;
pub mod model;
pub mod prep;
pub mod report;
pub mod serve;
pub mod source;
pub mod store;
//pub mod tui;
