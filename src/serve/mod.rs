//! The exporter and the HTTP routes: one listener that answers from the newest [`crate::domain::Snapshot`].
//!
//! ```text
//!                     ┌ families   names and help texts; scrape: the cap on series
//! watch<Snapshot> ─►  ├ collector  snapshot → metric families ──► GET /metrics
//!                     └ routes     snapshot → JSON            ──► GET /, /metrics/live-short, …
//! Control         ◄── routes       POST /train (behind guard), history for /metrics/live-long
//! ```
//!
//! [`Server::bind`] takes the port before anything else starts, [`Bound::serve`] answers until it is told to stop. Nothing
//! here can hold up the engine: a request reads a shared snapshot, and a command is queued or refused, never awaited.

mod collector;
mod connections;
mod families;
mod guard;
mod problem;
mod router;
mod routes;
mod scrape;
mod server;
mod stream;

pub use connections::Limits;
use problem::Problem;
pub use server::{Bound, ServeError, Server};
