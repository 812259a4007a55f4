//! The live path against real servers: a driven engine and the real binary in front of Prometheus, node_exporter and
//! VictoriaMetrics.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp
)]

mod common;

#[path = "live/binary.rs"]
mod binary;
#[path = "live/driven.rs"]
mod driven;
#[path = "live/incident.rs"]
mod incident;
#[path = "live/outage.rs"]
mod outage;
#[path = "live/past.rs"]
mod past;
#[path = "live/process.rs"]
mod process;
#[path = "live/shell.rs"]
mod shell;
