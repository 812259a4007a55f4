//! One entity's scores become verdicts, row by row.

use serde::{Deserialize, Serialize};

use super::gates::JudgeRules;
use crate::domain::{Entity, FeatureVerdict, Gate, RowState, Time, Verdict};

/// Scores above this say no more; an overflowing error is cut to it, so that a verdict always holds a number.
const HIGHEST: f64 = 1e9;

/// A row that a model scored.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Grid time.
    pub time: Time,
    /// Over 1 is over the threshold (≥ 0).
    pub score: f64,
    /// The autoencoder's window error (scaled units squared).
    pub mse: f64,
    /// In schema order.
    pub features: Vec<FeatureVerdict>,
}

/// What a judge is told of a grid time.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// A score.
    Scored(Scored),
    /// None, and why. [`RowState::Scored`] here counts as [`RowState::Stale`].
    Unscored {
        /// Grid time.
        time: Time,
        /// Why there is no score.
        state: RowState,
    },
}

/// Consecutive candidates that passed the gates of their rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Run {
    /// Rows in it: candidates, and rows between them at or over `exit`.
    rows: u64,
    /// The last scored row.
    last: Time,
}

/// Judges one entity. Pure and causal: a verdict depends on the rows so far, and time comes with them. Its state is a few
/// numbers, kept in the checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judge {
    entity: Entity,
    latest: Option<Time>,
    run: Option<Run>,
}

impl Judge {
    /// A judge that has seen nothing.
    #[must_use]
    pub const fn new(entity: Entity) -> Self {
        Self {
            entity,
            latest: None,
            run: None,
        }
    }

    /// Time of the newest row judged.
    #[must_use]
    pub const fn latest(&self) -> Option<Time> {
        self.latest
    }

    /// Rows after `time` have not been, after all: the clock was wrong. They are judged when they come.
    pub fn rewind(&mut self, time: Time) {
        self.latest = self.latest.map(|latest| latest.min(time));
        self.run = self.run.filter(|run| run.last <= time);
    }

    /// The verdict on a row. A row with a score over 1 is a candidate, and an anomaly when it passes every gate.
    ///
    /// Rows come in the order of time. One that is not later than the newest is judged as it stands and changes nothing.
    /// A score that is not a number leaves the row stale; a row without a score neither ends nor prolongs a run.
    pub fn judge(&mut self, rules: &JudgeRules, row: Row) -> Verdict {
        let scored = match row {
            Row::Scored(scored) if !scored.score.is_nan() => scored,
            Row::Scored(Scored { time, .. }) => return self.unscored(time, RowState::Stale),
            Row::Unscored { time, state } => return self.unscored(time, state),
        };
        let time = scored.time;
        let score = scored.score.clamp(0.0, HIGHEST);
        let candidate = score > 1.0;
        let mut gates = if candidate {
            rules.ask(&scored.features)
        } else {
            Vec::new()
        };
        let run = self.continued(rules, time, score, gates.iter().all(|gate| gate.passed));
        if candidate {
            gates.extend(duration_gate(rules, run));
            gates.insert(0, exit_gate(rules, score));
        }
        if self.latest.is_none_or(|latest| time > latest) {
            self.latest = Some(time);
            self.run = run;
        }
        Verdict {
            time,
            entity: self.entity.clone(),
            state: RowState::Scored,
            score: Some(score),
            mse: scored.mse.is_finite().then_some(scored.mse),
            is_anomaly: candidate && gates.iter().all(|gate| gate.passed),
            features: scored.features,
            gates,
        }
    }

    fn unscored(&mut self, time: Time, state: RowState) -> Verdict {
        self.latest = self.latest.max(Some(time));
        let state = match state {
            RowState::Scored | RowState::Stale => RowState::Stale,
            RowState::WarmingUp => RowState::WarmingUp,
        };
        Verdict::unscored(time, self.entity.clone(), state)
    }

    /// The run as it is after a scored row; `None` when the row ends it or begins none.
    fn continued(&self, rules: &JudgeRules, time: Time, score: f64, passed: bool) -> Option<Run> {
        let before = self
            .run
            .filter(|run| time.since(run.last) <= rules.patience());
        let enters = if before.is_some() { rules.exit } else { 1.0 };
        let stays = score > 1.0 || (before.is_some() && score >= enters);
        (stays && passed).then(|| Run {
            rows: before.map_or(0, |run| run.rows) + 1,
            last: time,
        })
    }
}

fn exit_gate(rules: &JudgeRules, score: f64) -> Gate {
    Gate {
        name: "exit".into(),
        passed: true,
        detail: format!(
            "score {score:.2}; enters over 1, leaves below {}",
            rules.exit
        ),
    }
}

/// Asked only when a duration is configured. Rows are counted, not time, so that a gap does not count as lasting.
fn duration_gate(rules: &JudgeRules, run: Option<Run>) -> Option<Gate> {
    let rows = u32::try_from(run.map_or(0, |run| run.rows)).unwrap_or(u32::MAX);
    let lasted = rules.step.saturating_mul(rows);
    (!rules.min_duration.is_zero()).then(|| Gate {
        name: MIN_DURATION.into(),
        passed: lasted >= rules.min_duration,
        detail: format!(
            "candidate for {} s; at least {} s is asked for",
            lasted.as_secs_f64(),
            rules.min_duration.as_secs_f64()
        ),
    })
}

/// Name of the gate that only time can open.
pub(super) const MIN_DURATION: &str = "min_duration";
