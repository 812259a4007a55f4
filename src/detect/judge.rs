//! One entity's scores become verdicts, row by row.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::gates::{Candidate, JudgeRules, MAINTENANCE, share};
use super::threshold::Ruling;
use crate::domain::{Entity, FeatureVerdict, Gate, Incident, RowState, Time, Verdict};
use crate::prep::scale::Usual;

/// Scores above this say no more; an overflowing error is cut to it, so that a verdict always holds a number.
const HIGHEST: f64 = 1e9;

/// A score so many times the highest of an incident that has settled is news.
const NEWS: f64 = 2.0;

/// Shares whose sum is so close to 1 are left as they are.
const ROUNDING: f64 = 1e-9;

/// Whether a row with this score is a candidate, of which every gate is asked. One that is not a number is none.
#[must_use]
pub fn is_candidate(score: f64) -> bool {
    score > 1.0
}

/// A row that a model scored.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Grid time.
    pub time: Time,
    /// Over 1 is over the threshold (≥ 0).
    pub score: f64,
    /// What alarms go by, as many times the calibrated threshold, before labels raised it (≥ 0); NaN when unknown.
    pub alarm: f64,
    /// What recent calm makes of it; `None` where the score alone decides.
    pub ruling: Option<Ruling>,
    /// The autoencoder's window error (scaled units squared).
    pub mse: f64,
    /// In schema order.
    pub features: Vec<FeatureVerdict>,
    /// What the model has seen of each feature, in schema order; `None` or left out where that is not known. The default
    /// `min_deviation` is a part of the median.
    pub usual: Arc<[Option<Usual>]>,
    /// For an entity that the model has not learned from: how far the row is from the entity's own last rows, over 1 is far;
    /// NaN when that is not known. `None` for one that it has learned from, and for a row that is no candidate.
    pub own: Option<f64>,
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

/// An incident that became the new normal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Settled {
    /// When it did.
    since: Time,
    /// Its highest score.
    peak_score: f64,
    /// The last row at or over `exit`.
    loud: Time,
}

/// A maintenance that stopped the run of candidates that goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Lingering {
    name: String,
    until: Time,
    queries: Vec<String>,
}

/// Judges one entity. Pure and causal: a verdict depends on the rows so far, and time comes with them. Its state is a few
/// numbers and at most one maintenance, kept in the checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judge {
    entity: Entity,
    latest: Option<Time>,
    run: Option<Run>,
    #[serde(default)]
    settled: Option<Settled>,
    #[serde(default)]
    lingering: Option<Lingering>,
}

impl Judge {
    /// A judge that has seen nothing.
    #[must_use]
    pub const fn new(entity: Entity) -> Self {
        Self {
            entity,
            latest: None,
            run: None,
            settled: None,
            lingering: None,
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
        if let Some(settled) = &mut self.settled {
            settled.loud = settled.loud.min(time);
        }
    }

    /// What this incident, which has just settled, is about is the new normal: nothing is an anomaly until the score has
    /// been below `exit` for the cooldown, or is over twice the incident's peak.
    pub fn settle(&mut self, incident: &Incident) {
        self.settled = Some(Settled {
            since: incident.end,
            peak_score: incident.peak_score,
            loud: incident.end,
        });
    }

    /// The verdict on a row. A row with a score over 1 is a candidate, and an anomaly when it passes every gate. The shares
    /// of its features are brought to a sum of 1, unless none is known.
    ///
    /// Rows come in the order of time. One that is not later than the newest is judged as it stands and changes nothing.
    /// A score that is not a number leaves the row stale; a row without a score neither ends nor prolongs a run.
    pub fn judge(&mut self, rules: &JudgeRules, row: Row) -> Verdict {
        let mut scored = match row {
            Row::Scored(scored) if !scored.score.is_nan() => scored,
            Row::Scored(Scored { time, .. }) => return self.unscored(time, RowState::Stale),
            Row::Unscored { time, state } => return self.unscored(time, state),
        };
        let time = scored.time;
        scored.score = scored.score.clamp(0.0, HIGHEST);
        whole(&mut scored.features);
        let candidate = is_candidate(scored.score);
        let mut gates = vec![threshold_gate(rules, scored.score)];
        let mut excused = Vec::new();
        if candidate {
            // A young model has seen too little to say what is rare: what is far outside of it and lasts is an alarm.
            let ruling = scored.ruling.filter(|_| !rules.is_young());
            gates.extend(ruling.map(budget_gate));
            let asked = self.asked(rules, &scored);
            gates.extend(asked.0);
            excused = asked.1;
        }
        let passed = gates.iter().skip(1).all(|gate| gate.passed);
        let run = self.continued(rules, time, scored.score, passed);
        if candidate {
            gates.extend(duration_gate(rules, run));
        }
        if self.latest.is_none_or(|latest| time > latest) {
            self.lingering = self.lingering_after(rules, &scored, &gates);
            self.settled = self.settled_after(rules, &scored);
            self.latest = Some(time);
            self.run = run;
        }
        Verdict {
            time,
            entity: self.entity.clone(),
            state: RowState::Scored,
            score: Some(scored.score),
            alarm: (!scored.alarm.is_nan()).then(|| scored.alarm.clamp(0.0, HIGHEST)),
            mse: scored.mse.is_finite().then_some(scored.mse),
            is_anomaly: gates.iter().all(|gate| gate.passed),
            features: scored.features,
            provisional: None,
            excused,
            gates,
        }
    }

    fn unscored(&mut self, time: Time, state: RowState) -> Verdict {
        self.latest = self.latest.max(Some(time));
        let state = match state {
            RowState::Scored => RowState::Stale,
            other => other,
        };
        Verdict::unscored(time, self.entity.clone(), state)
    }

    /// The gates between a candidate and an anomaly, but for the one that only time can open, and the columns that do not
    /// count.
    fn asked(&self, rules: &JudgeRules, scored: &Scored) -> (Vec<Gate>, Vec<usize>) {
        let (mut gates, excused) = rules.ask(&Candidate {
            time: scored.time,
            entity: &self.entity,
            features: &scored.features,
            usual: &scored.usual,
            running: self.running(rules, scored.time).is_some(),
            lingering: self
                .lingering
                .as_ref()
                .filter(|l| scored.time.since(l.until) < rules.linger)
                .map(|l| (l.name.as_str(), l.until, l.queries.as_slice())),
        });
        gates.extend(scored.own.map(own_gate));
        gates.extend(self.settled.map(|settled| Gate {
            name: MAX_INCIDENT.into(),
            passed: scored.score > settled.peak_score * NEWS,
            detail: format!(
                "an incident settled at {} and the score has not left since; only over {:.2}, {NEWS} times its peak, is news",
                settled.since,
                settled.peak_score * NEWS
            ),
        }));
        (gates, excused)
    }

    /// The run that a row at `time` goes on with.
    fn running(&self, rules: &JudgeRules, time: Time) -> Option<Run> {
        self.run
            .filter(|run| time.since(run.last) <= rules.patience())
    }

    /// The run as it is after a scored row; `None` when the row ends it or begins none.
    fn continued(&self, rules: &JudgeRules, time: Time, score: f64, passed: bool) -> Option<Run> {
        let before = self.running(rules, time);
        let enters = if before.is_some() { rules.exit } else { 1.0 };
        let stays = is_candidate(score) || (before.is_some() && score >= enters);
        (stays && passed).then(|| Run {
            // A row that is judged once more is in it already.
            rows: before.map_or(0, |run| run.rows)
                + u64::from(before.is_none_or(|run| time > run.last)),
            last: time,
        })
    }

    /// A maintenance that stops a candidate is remembered until the score has left, or its window of rows is over.
    fn lingering_after(
        &self,
        rules: &JudgeRules,
        scored: &Scored,
        gates: &[Gate],
    ) -> Option<Lingering> {
        let stopped = gates.iter().any(|g| g.name == MAINTENANCE && !g.passed);
        if stopped
            && let holding = rules.holding(scored.time, &self.entity)
            && let Some(window) = holding.iter().max_by_key(|window| window.until)
        {
            return Some(Lingering {
                name: window.name.to_owned(),
                until: window.until,
                queries: window.queries.to_vec(),
            });
        }
        let over = |l: &Lingering| scored.time.since(l.until) >= rules.linger;
        self.lingering
            .clone()
            .filter(|l| scored.score >= rules.exit && !over(l))
    }

    /// A settled incident is over when what alarms go by has been below `exit` for the cooldown.
    fn settled_after(&self, rules: &JudgeRules, scored: &Scored) -> Option<Settled> {
        let settled = self.settled?;
        let time = scored.time;
        if scored.score > settled.peak_score * NEWS {
            return None;
        }
        let alarm = scored.ruling.map_or(scored.score, |ruling| ruling.alarm());
        if alarm >= rules.exit {
            return Some(Settled {
                loud: time,
                ..settled
            });
        }
        (time.since(settled.loud) < rules.cooldown).then_some(settled)
    }
}

/// Brings shares to a sum of 1; those that are not known stay so.
fn whole(features: &mut [FeatureVerdict]) {
    let total: f64 = features.iter().map(share).sum();
    if total > 0.0 && total.is_finite() && (total - 1.0).abs() > ROUNDING {
        for feature in features {
            feature.share /= total;
        }
    }
}

fn threshold_gate(rules: &JudgeRules, score: f64) -> Gate {
    let candidate = is_candidate(score);
    let detail = if candidate {
        format!(
            "score {score:.2}, threshold 1: a candidate until it is below {}",
            rules.exit
        )
    } else {
        format!("score {score:.2}, threshold 1: no candidate")
    };
    Gate {
        name: THRESHOLD.into(),
        passed: candidate,
        detail,
    }
}

/// A score may be high by what training knew, and still be what the last weeks were full of.
fn budget_gate(ruling: Ruling) -> Gate {
    let Ruling { excess, threshold } = ruling;
    Gate {
        name: BUDGET.into(),
        passed: excess > threshold,
        detail: format!(
            "rarity {excess:.2} above the level of the last hours; an alarm needs {threshold:.2} (false_alarms_per_day)"
        ),
    }
}

/// A model measures an entity that it has not learned from as it measures others.
fn own_gate(own: f64) -> Gate {
    let detail = if own.is_nan() {
        "the model has not learned from it, and its own rows are too few".to_owned()
    } else {
        format!(
            "the model has not learned from it; beside its own last rows {own:.2}, over 1 is far"
        )
    };
    Gate {
        name: NEW_ENTITY.into(),
        passed: own > 1.0,
        detail,
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

/// Name of the gate that a score over the threshold opens.
const THRESHOLD: &str = "threshold";

/// Name of the gate that asks an entity's own rows where the model has not learned from it.
const NEW_ENTITY: &str = "new_entity";

/// Name of the gate that a settled incident closes.
const MAX_INCIDENT: &str = "max_incident";

/// Name of the gate that compares with recent calm.
const BUDGET: &str = "budget";

/// Name of the gate that only time can open.
pub(super) const MIN_DURATION: &str = "min_duration";

/// Gates that depend on the threshold and on rows before: a replay under another threshold asks them anew. All others look
/// at one row.
pub const REPLAYED: [&str; 4] = [THRESHOLD, BUDGET, MAX_INCIDENT, MIN_DURATION];
