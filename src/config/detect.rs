//! `[detect]` and `[journal]`: when a score becomes an anomaly, and how long it is remembered.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Maintenance, MinDeviation, Ratio, Span};

/// What a window's error is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Threshold {
    /// From the tail of held-back errors and the alarm budget.
    #[default]
    Auto,
    /// This mean squared error, as in the first seed.
    Fixed(f64),
    /// Mean plus so many standard deviations of held-back errors, as in the second seed.
    Sigma(f64),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SigmaTable {
    sigma: f64,
}

impl Serialize for Threshold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Fixed(value) => serializer.serialize_f64(*value),
            Self::Sigma(sigma) => SigmaTable { sigma: *sigma }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "\"auto\", a mean squared error such as 0.0025, or { sigma = 2.5 }"
        )]
        enum Written {
            Number(f64),
            Sigma(SigmaTable),
            Word(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(value) => Ok(Self::Fixed(value)),
            Written::Sigma(table) => Ok(Self::Sigma(table.sigma)),
            Written::Word(word) if word == "auto" => Ok(Self::Auto),
            Written::Word(word) => Err(serde::de::Error::custom(format!(
                "`{word}` is no threshold; write \"auto\", a number such as 0.0025, or {{ sigma = 2.5 }}"
            ))),
        }
    }
}

/// What `false_alarms_per_day` is counted over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BudgetScope {
    /// The whole installation, shared by its entities.
    #[default]
    Installation,
    /// Each entity by itself.
    Entity,
}

/// `[detect]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DetectConfig {
    /// How often the engine looks.
    pub interval: Span,
    /// What a window's error is compared with.
    pub threshold: Threshold,
    /// Alarm budget that `"auto"` aims at.
    pub false_alarms_per_day: f64,
    /// What the budget covers.
    pub per: BudgetScope,
    /// A run of candidates shorter than this is no anomaly.
    pub min_duration: Span,
    /// A score enters at 1 and leaves below this (0 to 1].
    pub exit: f64,
    /// Quiet time after which an incident closes.
    pub cooldown: Span,
    /// Queries whose deviation raises no anomaly alone.
    pub mute: Vec<String>,
    /// Deviations below this never count, for queries that do not say so themselves.
    pub min_deviation: MinDeviation,
    /// An incident that is still up after this is the new normal; 0 is never.
    pub max_incident: Span,
    /// Part of a window that must have been observed, else it is stale.
    pub min_observed: Ratio,
    /// Times in which nothing is an anomaly.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub maintenance: Vec<Maintenance>,
}

impl Default for DetectConfig {
    fn default() -> Self {
        Self {
            interval: Span::secs(30),
            threshold: Threshold::Auto,
            false_alarms_per_day: 0.5,
            per: BudgetScope::default(),
            min_duration: Span::secs(0),
            exit: 0.9,
            cooldown: Span::secs(300),
            mute: Vec::new(),
            min_deviation: MinDeviation {
                absolute: None,
                relative: Some(Ratio(0.03)),
            },
            max_incident: Span::secs(6 * 3600),
            min_observed: Ratio(0.5),
            maintenance: Vec::new(),
        }
    }
}

/// `[journal]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JournalConfig {
    /// Closed incidents that ended so long before the newest one are deleted.
    pub retention: Span,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            retention: Span::secs(90 * 86400),
        }
    }
}
