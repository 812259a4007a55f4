//! The exporter and the HTTP routes over a real listener.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "serve/exporter.rs"]
mod exporter;
#[path = "serve/fixture.rs"]
mod fixture;
#[path = "serve/freshness.rs"]
mod freshness;
#[path = "serve/listener.rs"]
mod listener;
#[path = "serve/outcomes.rs"]
mod outcomes;
#[path = "serve/parts.rs"]
mod parts;
#[path = "serve/routes.rs"]
mod routes;
#[path = "serve/slow_clients.rs"]
mod slow_clients;
#[path = "common/views.rs"]
mod views;
