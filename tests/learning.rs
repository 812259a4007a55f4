//! What is learned from, when it is learned anew, and what operators' labels change.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod common;

#[path = "learning/alone.rs"]
mod alone;
#[path = "learning/contamination.rs"]
mod contamination;
#[path = "learning/drift.rs"]
mod drift;
#[allow(dead_code)] // Shared with `robust`.
#[path = "robust/fixture.rs"]
mod fixture;
#[path = "learning/labels.rs"]
mod labels;
#[path = "learning/promotion.rs"]
mod promotion;
