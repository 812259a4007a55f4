//! One column of the data and what its query says of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Labels, Unit};

/// Which deviations of a metric matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Too high and too low.
    #[default]
    Both,
    /// Only too high.
    Above,
    /// Only too low.
    Below,
}

/// One column: a query's alias and, when the query returned several label sets for an entity, the labels that differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// `alias` or `alias{label="value",…}`; unique within a [`super::Schema`].
    pub name: Arc<str>,
    /// The `[queries.<name>]` it came from; the column's own name for files.
    pub query: Arc<str>,
    /// The labels that tell it from the query's other features, with their values; empty when the query has only this one.
    /// A series belongs to the feature when its query is the same and it carries all of these.
    pub labels: Labels,
    /// What the values count.
    pub unit: Unit,
    /// Which deviations matter.
    pub direction: Direction,
    /// Where the metric hits its ceiling, in its unit.
    pub limit: Option<f64>,
}

impl Feature {
    /// A feature of which only the name is known.
    #[must_use]
    pub fn plain(name: &str) -> Self {
        let name: Arc<str> = Arc::from(name);
        Self {
            query: Arc::clone(&name),
            name,
            labels: Labels::new(),
            unit: Unit::None,
            direction: Direction::Both,
            limit: None,
        }
    }

    /// A feature without labels.
    #[must_use]
    pub fn of(name: &str, unit: Unit, direction: Direction, limit: Option<f64>) -> Self {
        Self {
            unit,
            direction,
            limit,
            ..Self::plain(name)
        }
    }
}
