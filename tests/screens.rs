//! Golden screens, key sequences and odd sizes: the dashboard without a terminal.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "screens/around.rs"]
mod around;
#[path = "screens/detail.rs"]
mod detail;
#[path = "screens/engine.rs"]
mod engine;
#[path = "screens/fixture.rs"]
mod fixture;
#[path = "screens/golden.rs"]
mod golden;
#[path = "screens/keys.rs"]
mod keys;
#[path = "screens/lists.rs"]
mod lists;
#[path = "screens/pointing.rs"]
mod pointing;
#[path = "screens/scene.rs"]
mod scene;
#[path = "screens/sizes.rs"]
mod sizes;
#[path = "common/views.rs"]
mod views;
