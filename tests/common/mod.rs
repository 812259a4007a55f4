//! What several integration tests need: real servers on loopback, and servers that misbehave on purpose.

#![allow(
    dead_code,
    reason = "each test crate takes the part of these helpers that it needs"
)]

pub mod driver;
pub mod fake;
pub mod http;
pub mod misbehaving;
pub mod pki;
pub mod servers;

use pulsewatch::config::{Expr, MinDeviation, QueryConfig};
use pulsewatch::domain::{Direction, Unit};

/// A query of which only the expression is given.
pub fn query(expr: &str) -> QueryConfig {
    QueryConfig {
        expr: Expr::Everywhere(expr.to_owned()),
        unit: Unit::None,
        direction: Direction::Both,
        min_deviation: MinDeviation::default(),
        limit: None,
        counter: false,
        mute: false,
    }
}
