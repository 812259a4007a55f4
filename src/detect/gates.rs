//! What a candidate must pass to be an anomaly.
//!
//! A gate looks at who carries the error. Features that may not raise an alarm (under maintenance, muted, deviating the
//! harmless way, deviating too little) are taken out one gate after the other; what remains must carry at least half of the
//! whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::maintenance::{Holding, Windows, covers};
use crate::config::{DetectConfig, MinDeviation, QueryConfig};
use crate::domain::{Direction, Entity, FeatureVerdict, Gate, Schema, Time};
use crate::prep::scale::Usual;

/// Part of the error that features which may raise an alarm must carry.
const MAJORITY: f64 = 0.5;

/// The distance to a ceiling counts this often when it is asked what is small: at 99.99 %, a thousandth of a percent is
/// something.
const HEADROOM: f64 = 10.0;

/// A model that has learned from less is young: it can't know how far a host's load moves.
const YOUNG: Duration = Duration::from_hours(1);

/// A young model's alarm is for a value so many times the range that it has seen away from the median, …
const YOUNG_RANGES: f64 = 2.0;

/// … at least this part of the median, …
const YOUNG_LEVEL: f64 = 0.25;

/// … and this part of what its unit ends at: so far a percentage moves every day on many a host, …
const YOUNG_UNIT: f64 = 0.1;

/// … for so long, …
const YOUNG_LASTS: Duration = Duration::from_mins(5);

/// … and for so many rows. An outage lasts; a process that starts does not.
const YOUNG_ROWS: u32 = 5;

/// What goes on for longer than this under a young model is the new normal: the model was too young to know it.
const YOUNG_INCIDENT: Duration = Duration::from_mins(15);

/// What the configuration says of one feature.
#[derive(Clone, Debug)]
struct FeatureRule {
    name: Arc<str>,
    query: Arc<str>,
    muted: bool,
    direction: Direction,
    least: Least,
    /// A change of this size says nothing while little is known, in the feature's unit.
    movement: f64,
    /// Values that the feature ends at or should not reach, in its unit.
    ceilings: Vec<f64>,
}

/// Which deviations are too small.
#[derive(Clone, Copy, Debug)]
enum Least {
    /// As the query says, row by row.
    Own(MinDeviation),
    /// As `[detect]` says: of the feature's typical size, and only until a run of candidates has begun.
    Common(MinDeviation),
}

impl Least {
    fn excuses(&self) -> bool {
        match self {
            Self::Own(least) | Self::Common(least) => least.excuses(),
        }
    }
}

/// The rules of `[detect]` and of the queries for one schema: what a [`super::judge::Judge`] asks and a [`super::incident::Tracker`] waits
/// for. Made anew when the configuration or the schema changes; the state of judge and tracker goes on.
#[derive(Clone, Debug)]
pub struct JudgeRules {
    features: Vec<FeatureRule>,
    /// When nothing is an anomaly.
    maintenance: Windows,
    /// How long an error outlasts its cause.
    pub(super) linger: Duration,
    /// A run of candidates shorter than this is no anomaly.
    pub(super) min_duration: Duration,
    /// Time that a row stands for.
    pub(super) step: Duration,
    /// A run of candidates ends below this score, 0 to 1.
    pub(super) exit: f64,
    /// Quiet time that ends an incident, at least a step.
    pub(super) cooldown: Duration,
    /// An incident that is still up after this is the new normal; zero is never.
    pub(super) max_incident: Duration,
    /// The model has learned from less than [`YOUNG`].
    is_young: bool,
}

/// A candidate as the gates see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    /// Grid time.
    pub time: Time,
    /// Whose.
    pub entity: &'a Entity,
    /// In schema order.
    pub features: &'a [FeatureVerdict],
    /// What the model has seen of each feature; see [`super::judge::Scored`].
    pub usual: &'a [Option<Usual>],
    /// It goes on with a run of candidates that passed all gates.
    pub running: bool,
    /// A maintenance that is over, but may still be in the error: its name, its end and its queries.
    pub lingering: Option<(&'a str, Time, &'a [String])>,
}

impl JudgeRules {
    /// The rules for entities with the columns of `schema` (one [`FeatureVerdict`] each, in that order) on a grid of `step`,
    /// without maintenance windows. A query that `queries` does not name has no rules of its own but the direction in the
    /// schema. An `exit` outside of 0 to 1 counts as 1 (no hysteresis), a cooldown shorter than `step` as `step`.
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
                let own = query.map(|q| q.min_deviation).filter(MinDeviation::is_said);
                FeatureRule {
                    name: Arc::clone(&feature.name),
                    query: Arc::clone(&feature.query),
                    muted: muted.contains(&*feature.query) || query.is_some_and(|q| q.mute),
                    direction: feature.direction,
                    least: own.map_or(Least::Common(config.min_deviation), Least::Own),
                    movement: YOUNG_UNIT * feature.unit.full().unwrap_or(0.0),
                    ceilings: feature
                        .unit
                        .full()
                        .into_iter()
                        .chain(feature.limit)
                        .collect(),
                }
            })
            .collect();
        Self {
            features,
            maintenance: Windows::default(),
            linger: Duration::ZERO,
            min_duration: config.min_duration.0,
            step,
            exit: if config.exit > 0.0 && config.exit <= 1.0 {
                config.exit
            } else {
                1.0
            },
            // Rows that follow each other are never apart, however short the cooldown.
            cooldown: config.cooldown.0.max(step),
            max_incident: config.max_incident.0,
            is_young: false,
        }
    }

    /// The same rules for a model that has learned from `known`: one that knows less than an hour raises an alarm only for
    /// what is far outside of everything it has seen and lasts, however rare it is, and an incident that goes on is soon the
    /// new normal.
    #[must_use]
    pub fn for_model_of(self, known: Duration) -> Self {
        if known >= YOUNG {
            return self;
        }
        let most = if self.max_incident.is_zero() {
            YOUNG_INCIDENT
        } else {
            self.max_incident.min(YOUNG_INCIDENT)
        };
        let lasts = YOUNG_LASTS.max(self.step.saturating_mul(YOUNG_ROWS));
        Self {
            min_duration: self.min_duration.max(lasts),
            max_incident: most.max(lasts * 2),
            is_young: true,
            ..self
        }
    }

    /// The same rules with maintenance windows. `linger` is how long an error may outlast its cause (a window of rows): a
    /// run of candidates that began in a maintenance raises nothing for so long after it.
    #[must_use]
    pub fn with_maintenance(self, maintenance: Windows, linger: Duration) -> Self {
        Self {
            maintenance,
            linger,
            ..self
        }
    }

    /// Whether the model knows less than an hour.
    pub(super) const fn is_young(&self) -> bool {
        self.is_young
    }

    /// Columns of the schema.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.features.len()
    }

    /// Name of column `feature`.
    pub(super) fn name(&self, feature: usize) -> Option<&Arc<str>> {
        self.features.get(feature).map(|rule| &rule.name)
    }

    /// Longest distance of two scored rows that are still one run.
    pub(super) fn patience(&self) -> Duration {
        self.cooldown.max(self.step * 2)
    }

    /// The maintenance windows that hold for an entity.
    pub(super) fn holding(&self, time: Time, entity: &Entity) -> Vec<Holding<'_>> {
        self.maintenance.holding(time, entity).collect()
    }

    /// Asks the gates that look at a single row: `maintenance`, `mute`, `direction`, `min_deviation`, each only where the
    /// configuration has such a rule; and says which columns these left out.
    pub(super) fn ask(&self, candidate: &Candidate<'_>) -> (Vec<Gate>, Vec<usize>) {
        let mut left = Left::of(self.features.iter().zip(candidate.features));
        let any = |has: fn(&FeatureRule) -> bool| self.features.iter().any(has);
        let usual = |column: usize| candidate.usual.get(column).copied().flatten();
        let mut gates = Vec::new();
        gates.extend(self.maintenance(candidate, &mut left));
        if any(|rule| rule.muted) {
            left.excuse(|rule, _, _| rule.muted);
            gates.push(left.gate("mute", "metrics that are not muted"));
        }
        if any(|rule| rule.direction != Direction::Both) {
            left.excuse(|rule, feature, _| harmless(rule.direction, feature));
            gates.push(left.gate("direction", "metrics off in a direction that matters"));
        }
        if any(|rule| rule.least.excuses()) {
            left.excuse(|rule, feature, column| {
                too_small(rule, feature, usual(column), candidate.running)
            });
            gates.push(left.gate("min_deviation", "metrics that are far enough off"));
        }
        let columns = 0..self.features.len().min(candidate.features.len());
        let is_left = |column: &usize| left.rows.iter().any(|(other, ..)| other == column);
        let left_out = columns.filter(|column| !is_left(column)).collect();
        if self.is_young {
            left.excuse(|rule, feature, column| !is_extreme(rule, feature, usual(column)));
            gates.push(left.gate(
                YOUNG_MODEL,
                "metrics far outside of all that a model of less than an hour has seen",
            ));
        }
        (gates, left_out)
    }

    /// Asked when there are windows at all.
    fn maintenance(&self, candidate: &Candidate<'_>, left: &mut Left<'_>) -> Option<Gate> {
        if self.maintenance.is_empty() {
            return None;
        }
        let holding = self.holding(candidate.time, candidate.entity);
        let mut windows: Vec<String> = holding
            .iter()
            .map(|window| format!("{} until {}", window.name, window.until))
            .collect();
        let mut lists: Vec<&[String]> = holding.iter().map(|window| window.queries).collect();
        if let (Some((name, until, queries)), true) = (candidate.lingering, holding.is_empty()) {
            windows.push(format!(
                "{name}, which ended at {until} and is still in the error"
            ));
            lists.push(queries);
        }
        let (name, passed, detail) = if lists.is_empty() {
            (MAINTENANCE, true, "no window holds".to_owned())
        } else if lists.iter().any(|queries| queries.is_empty()) {
            (MAINTENANCE, false, windows.join("; "))
        } else {
            left.excuse(|rule, _, _| lists.iter().any(|queries| covers(queries, &rule.query)));
            let gate = left.gate(MAINTENANCE, "metrics that it is not for");
            (
                MAINTENANCE,
                gate.passed,
                format!("{}: {}", windows.join("; "), gate.detail),
            )
        };
        Some(Gate {
            name: name.into(),
            passed,
            detail,
        })
    }
}

/// Name of the gate of a model that knows little.
const YOUNG_MODEL: &str = "young_model";

/// Name of the gate that maintenance closes.
pub(super) const MAINTENANCE: &str = "maintenance";

/// The features that may raise an alarm, as far as was asked.
struct Left<'a> {
    rows: Vec<(usize, &'a FeatureRule, &'a FeatureVerdict)>,
    total: f64,
}

impl<'a> Left<'a> {
    fn of(features: impl Iterator<Item = (&'a FeatureRule, &'a FeatureVerdict)>) -> Self {
        let rows: Vec<_> = features
            .enumerate()
            .map(|(column, (rule, feature))| (column, rule, feature))
            .collect();
        Self {
            total: carried(&rows),
            rows,
        }
    }

    fn excuse(&mut self, excused: impl Fn(&FeatureRule, &FeatureVerdict, usize) -> bool) {
        self.rows
            .retain(|(column, rule, feature)| !excused(rule, feature, *column));
    }

    /// Whether those who are left, whom `says` describes, contribute enough.
    fn gate(&self, name: &str, says: &str) -> Gate {
        // Without shares nobody can be excused.
        let part = if self.total > 0.0 {
            carried(&self.rows) / self.total
        } else {
            1.0
        };
        Gate {
            name: name.into(),
            passed: part >= MAJORITY,
            detail: format!(
                "{:.0} % of the error comes from {says} ({:.0} % needed)",
                (part * 100.0).abs(),
                MAJORITY * 100.0
            ),
        }
    }
}

fn carried(rows: &[(usize, &FeatureRule, &FeatureVerdict)]) -> f64 {
    rows.iter().map(|(_, _, feature)| share(feature)).sum()
}

pub(super) fn share(feature: &FeatureVerdict) -> f64 {
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
fn too_small(
    rule: &FeatureRule,
    feature: &FeatureVerdict,
    usual: Option<Usual>,
    running: bool,
) -> bool {
    // What never moved and does not move now deviates from nothing: what was expected is off.
    if usual.is_some_and(|usual| usual.range == 0.0 && is_same(feature.value, usual.median)) {
        return true;
    }
    let deviation = (feature.value - feature.expected).abs();
    let typical = usual.map_or(f64::NAN, |usual| usual.median);
    let (least, size) = match rule.least {
        Least::Own(least) => (least, feature.expected.abs()),
        // What deviated far enough once need not do so in every row: errors of a shape pass through 0.
        Least::Common(_) if running => return false,
        Least::Common(least) => (least, size(rule, feature.expected, typical)),
    };
    let under = |least: Option<f64>| least.is_some_and(|least| deviation < least);
    under(least.absolute) || under(least.relative.map(|part| part.0 * size))
}

/// What a deviation is small beside: what is expected or typical, whichever is larger, but near a ceiling the way that is
/// left to it. A success rate of 99.99 % has far to fall within its last percent.
fn size(rule: &FeatureRule, expected: f64, typical: f64) -> f64 {
    // `max` and `min` leave out what is not a number.
    let size = expected.abs().max(typical.abs());
    rule.ceilings
        .iter()
        .map(|ceiling| HEADROOM * (ceiling - expected).abs())
        .fold(size, f64::min)
}

/// Whether two values differ by rounding only.
fn is_same(a: f64, b: f64) -> bool {
    const ROUNDING: f64 = 1e-9;
    (a - b).abs() <= ROUNDING * a.abs().max(b.abs())
}

/// Whether a value is far outside of all that a young model has seen. The first movement of what was 0 all the time is not:
/// nobody knows yet how far it moves. A missing value is unknown.
fn is_extreme(rule: &FeatureRule, feature: &FeatureVerdict, usual: Option<Usual>) -> bool {
    let Some(usual) = usual else { return false };
    if usual.range == 0.0 && usual.median == 0.0 {
        return false;
    }
    let level = YOUNG_LEVEL * usual.median.abs();
    let far = (YOUNG_RANGES * usual.range).max(level).max(rule.movement);
    (feature.value - usual.median).abs() >= far
}
