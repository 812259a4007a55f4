//! What a candidate must pass to be an anomaly.
//!
//! A gate looks at who carries the error. Features that may not raise an alarm (muted, deviating the harmless way,
//! deviating too little) are taken out one gate after the other; what remains must carry at least half of the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{DetectConfig, MinDeviation, QueryConfig};
use crate::domain::{Direction, FeatureVerdict, Gate, Schema};

/// Part of the error that features which may raise an alarm must carry.
const MAJORITY: f64 = 0.5;

/// What the configuration says of one feature.
#[derive(Clone, Debug)]
struct FeatureRule {
    name: Arc<str>,
    muted: bool,
    direction: Direction,
    least: MinDeviation,
}

/// The rules of `[detect]` and of the queries for one schema: what a [`super::judge::Judge`] asks and a [`super::incident::Tracker`] waits
/// for. Made anew when the configuration or the schema changes; the state of judge and tracker goes on.
#[derive(Clone, Debug)]
pub struct JudgeRules {
    features: Vec<FeatureRule>,
    /// A run of candidates shorter than this is no anomaly.
    pub(super) min_duration: Duration,
    /// Time that a row stands for.
    pub(super) step: Duration,
    /// A run of candidates ends below this score, 0 to 1.
    pub(super) exit: f64,
    /// Quiet time that ends an incident, at least a step.
    pub(super) cooldown: Duration,
}

impl JudgeRules {
    /// The rules for entities with the columns of `schema` (one [`FeatureVerdict`] each, in that order) on a grid of `step`.
    /// A query that `queries` does not name has no rules of its own but the direction in the schema. An `exit` outside of
    /// 0 to 1 counts as 1 (no hysteresis), a cooldown shorter than `step` as `step`.
    #[must_use]
    pub fn new(
        config: &DetectConfig,
        queries: &BTreeMap<String, QueryConfig>,
        schema: &Schema,
        step: Duration,
    ) -> Self {
        let muted: BTreeSet<&str> = config.mute.iter().map(String::as_str).collect();
        let features = schema
            .iter()
            .map(|feature| {
                let query = queries.get(&*feature.query);
                FeatureRule {
                    name: Arc::clone(&feature.name),
                    muted: muted.contains(&*feature.query) || query.is_some_and(|q| q.mute),
                    direction: feature.direction,
                    least: query.map_or_else(MinDeviation::default, |q| q.min_deviation),
                }
            })
            .collect();
        Self {
            features,
            min_duration: config.min_duration.0,
            step,
            exit: if config.exit > 0.0 && config.exit <= 1.0 {
                config.exit
            } else {
                1.0
            },
            // Rows that follow each other are never apart, however short the cooldown.
            cooldown: config.cooldown.0.max(step),
        }
    }

    /// Name of column `feature`.
    pub(super) fn name(&self, feature: usize) -> Option<&Arc<str>> {
        self.features.get(feature).map(|rule| &rule.name)
    }

    /// Longest distance of two scored rows that are still one run.
    pub(super) fn patience(&self) -> Duration {
        self.cooldown.max(self.step * 2)
    }

    /// Asks the gates that look at a single row: `mute`, `direction`, `min_deviation`, each only where the configuration
    /// has such a rule. `features` are the row's, in schema order.
    pub(super) fn ask(&self, features: &[FeatureVerdict]) -> Vec<Gate> {
        let rows: Vec<(&FeatureRule, &FeatureVerdict)> =
            self.features.iter().zip(features).collect();
        let total: f64 = rows.iter().map(|(_, f)| share(f)).sum();
        let mut left = rows;
        let mut gates = Vec::new();
        let mut gate = |name: &str, asked: bool, says: &str, excused: Excuse<'_>| {
            if !asked {
                return;
            }
            left.retain(|(rule, feature)| !excused(rule, feature));
            let carried: f64 = left.iter().map(|(_, f)| share(f)).sum();
            // Without shares nobody can be excused.
            let part = if total > 0.0 { carried / total } else { 1.0 };
            gates.push(Gate {
                name: name.into(),
                passed: part >= MAJORITY,
                detail: format!(
                    "{says} carry {:.0} % of the error; at least {:.0} % is asked for",
                    part * 100.0,
                    MAJORITY * 100.0
                ),
            });
        };
        let any = |has: fn(&FeatureRule) -> bool| self.features.iter().any(has);
        gate(
            "mute",
            any(|rule| rule.muted),
            "features that are not muted",
            &|rule, _| rule.muted,
        );
        gate(
            "direction",
            any(|rule| rule.direction != Direction::Both),
            "those that deviate in a direction that matters",
            &|rule, feature| harmless(rule.direction, feature),
        );
        gate(
            "min_deviation",
            any(|rule| rule.least != MinDeviation::default()),
            "those that deviate far enough",
            &|rule, feature| too_small(rule.least, feature),
        );
        gates
    }
}

type Excuse<'a> = &'a dyn Fn(&FeatureRule, &FeatureVerdict) -> bool;

fn share(feature: &FeatureVerdict) -> f64 {
    if feature.share.is_finite() {
        feature.share.max(0.0)
    } else {
        0.0
    }
}

/// Whether the row deviates against `direction`. A missing value is unknown, and so is no excuse.
fn harmless(direction: Direction, feature: &FeatureVerdict) -> bool {
    let deviation = feature.value - feature.expected;
    match direction {
        Direction::Both => false,
        Direction::Above => deviation <= 0.0,
        Direction::Below => deviation >= 0.0,
    }
}

/// Whether the row deviates by less than one of the minima. A missing value is unknown, and so is no excuse.
fn too_small(least: MinDeviation, feature: &FeatureVerdict) -> bool {
    let deviation = (feature.value - feature.expected).abs();
    let under = |least: Option<f64>| least.is_some_and(|least| deviation < least);
    under(least.absolute) || under(least.relative.map(|part| part.0 * feature.expected.abs()))
}
