//! The orders of log, list of entities and error table: a column each, and each can be reversed.

use serde::{Deserialize, Serialize};

/// Order of the anomaly log; open ones come first in each, unless it is reversed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogOrder {
    /// The latest start first.
    #[default]
    Newest,
    /// The longest first.
    Longest,
    /// The highest peak first.
    Highest,
    /// By entity.
    Entity,
}

impl LogOrder {
    /// All of them, in the order of the key.
    pub const ALL: [Self; 4] = [Self::Newest, Self::Longest, Self::Highest, Self::Entity];

    /// The one that a key changes to.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Newest => Self::Longest,
            Self::Longest => Self::Highest,
            Self::Highest => Self::Entity,
            Self::Entity => Self::Newest,
        }
    }

    /// The head of its column.
    #[must_use]
    pub const fn column(self) -> &'static str {
        match self {
            Self::Newest => "start",
            Self::Longest => "lasts",
            Self::Highest => "peak",
            Self::Entity => "entity",
        }
    }

    /// In words.
    #[must_use]
    pub const fn told(self, reversed: bool) -> &'static str {
        match (self, reversed) {
            (Self::Newest, false) => "newest first",
            (Self::Newest, true) => "oldest first",
            (Self::Longest, false) => "longest first",
            (Self::Longest, true) => "shortest first",
            (Self::Highest, false) => "highest peak first",
            (Self::Highest, true) => "lowest peak first",
            (Self::Entity, false) => "by entity",
            (Self::Entity, true) => "by entity, Z to A",
        }
    }
}

/// Order of the list of entities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityOrder {
    /// Anomalous ones first, then by score; those that can't be judged last, also when it is reversed.
    #[default]
    Worst,
    /// By name.
    Name,
    /// Those whose incident is open for the longest first; those without one last, also when it is reversed.
    Open,
}

impl EntityOrder {
    /// All of them, in the order of the key.
    pub const ALL: [Self; 3] = [Self::Worst, Self::Name, Self::Open];

    /// The one that a key changes to.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Worst => Self::Name,
            Self::Name => Self::Open,
            Self::Open => Self::Worst,
        }
    }

    /// The head of its column.
    #[must_use]
    pub const fn column(self) -> &'static str {
        match self {
            Self::Worst => "score",
            Self::Name => "entity",
            Self::Open => "open for",
        }
    }

    /// In words.
    #[must_use]
    pub const fn told(self, reversed: bool) -> &'static str {
        match (self, reversed) {
            (Self::Worst, false) => "worst first",
            (Self::Worst, true) => "best first",
            (Self::Name, false) => "by name",
            (Self::Name, true) => "by name, Z to A",
            (Self::Open, false) => "longest open first",
            (Self::Open, true) => "shortest open first",
        }
    }
}

/// Order of the error table; what is unknown comes last, also when it is reversed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorOrder {
    /// Largest contribution to the score first.
    #[default]
    Share,
    /// Largest error first.
    Error,
    /// Farthest from what is expected first, seen against the band.
    Deviation,
    /// By name.
    Name,
}

impl ErrorOrder {
    /// All of them, in the order of the key.
    pub const ALL: [Self; 4] = [Self::Share, Self::Error, Self::Deviation, Self::Name];

    /// The one that a key changes to.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Share => Self::Error,
            Self::Error => Self::Deviation,
            Self::Deviation => Self::Name,
            Self::Name => Self::Share,
        }
    }

    /// The head of its column.
    #[must_use]
    pub const fn column(self) -> &'static str {
        match self {
            Self::Share => "contribution",
            Self::Error => "error",
            Self::Deviation => "expected",
            Self::Name => "feature",
        }
    }
}

/// Which of the orders are reversed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reversed {
    /// That of the log.
    pub log: bool,
    /// That of the list of entities.
    pub entities: bool,
    /// That of the error table.
    pub errors: bool,
}

/// The mark on the head of the column that a table is sorted by.
#[must_use]
pub const fn mark(reversed: bool) -> &'static str {
    if reversed { "▴" } else { "▾" }
}
