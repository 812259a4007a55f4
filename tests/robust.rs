//! Bad days: what the engine does when servers, labels, clocks, disks and processes fail it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod common;

#[path = "robust/binary.rs"]
mod binary;
#[path = "robust/calm.rs"]
mod calm;
#[path = "robust/churn.rs"]
mod churn;
#[path = "robust/commands.rs"]
mod commands;
#[path = "robust/disk.rs"]
mod disk;
#[path = "robust/fixture.rs"]
mod fixture;
#[path = "robust/labels.rs"]
mod labels;
#[path = "robust/restart.rs"]
mod restart;
#[path = "robust/secrets.rs"]
mod secrets;
#[path = "robust/slow.rs"]
mod slow;
#[path = "robust/states.rs"]
mod states;
#[path = "robust/time.rs"]
mod time;
