//! How operators' labels change the threshold in force, and the rows that are kept for that.

use std::time::Duration;

use super::judging::rules;
use super::learn;
use crate::config::{Config, Threshold};
use crate::detect::calibration::{Budget, under};
use crate::detect::judge::REPLAYED;
use crate::detect::labels;
use crate::domain::{Gate, Incident, KeptScore, Label, LabelEffect, Time, Verdict};
use crate::model::Bundle;
use crate::store::{IncidentFilter, Journal, JournalError, Registry, SCORES_AT_ONCE};

/// Rows held while the journal can't be written; the oldest go first.
const HELD: usize = 10_000;

/// Rows after which the oldest in the journal are let go.
const PRUNED_AFTER: usize = 10_000;

/// What a model's threshold was derived from.
#[derive(Clone, Debug)]
pub struct Grounds {
    /// Scores of held-back windows, in the order of time; none when the model came without.
    held_back: Vec<f64>,
    rule: Threshold,
    budget: Budget,
}

impl Grounds {
    /// Of a model with this threshold (mean squared error), from its held-back errors. Where its score is fused, these are
    /// not what alarms go by: labels then count by their incidents' rows alone.
    pub fn of(bundle: &Bundle, held_back: &[f64], threshold_mse: f64, config: &Config) -> Self {
        let rule = config.detect.threshold;
        let is_fused = bundle.views.is_some() && rule == Threshold::Auto;
        let errors = if is_fused { &[] } else { held_back };
        Self {
            held_back: errors.iter().map(|error| error / threshold_mse).collect(),
            rule,
            budget: learn::budget(bundle.scalers.len(), config),
        }
    }

    /// Of the registry's current model; without one, or when it can't be read, labels count by their incidents' peaks alone.
    pub fn current(registry: &Registry, config: &Config) -> Self {
        let read = || {
            let (version, bytes, _) = registry.current().ok()??;
            Some((version, Bundle::from_bytes(&bytes).ok()?))
        };
        let Some((version, bundle)) = read() else {
            return Self {
                held_back: Vec::new(),
                rule: config.detect.threshold,
                budget: learn::budget(1, config),
            };
        };
        let mut config = config.clone();
        config.source.step.0 = bundle.step;
        let calibration = under(&bundle.calibration, config.detect.threshold);
        let calibration = calibration.as_ref().unwrap_or(&bundle.calibration);
        let threshold = calibration.threshold_mse;
        Self::of(&bundle, &registry.held_back(&version), threshold, &config)
    }

    /// How many times the calibrated threshold is in force with these incidents' labels (at least 1).
    ///
    /// # Errors
    /// [`JournalError`] when the kept rows can't be read.
    pub fn raise(&self, journal: &Journal, labelled: &[Incident]) -> Result<f64, JournalError> {
        let mut rows = Vec::new();
        for incident in labelled.iter().filter(|i| i.label == Some(Label::False)) {
            let own = alarms(journal, incident)?;
            if !own.is_empty() {
                rows.push(own);
            }
        }
        Ok(labels::raise(
            &self.held_back,
            &rows,
            self.rule,
            self.budget,
        ))
    }
}

/// How high the alarms of an incident's rows were, as many times the calibrated threshold: of its rows that are kept, and its
/// own peak where the row that had it is not kept. Empty when neither is known; the published score is another quantity
/// and says nothing about it.
fn alarms(journal: &Journal, incident: &Incident) -> Result<Vec<f64>, JournalError> {
    let kept = journal.scores(Some(&incident.entity), incident.start, incident.end)?;
    let passed = kept.iter().filter(|row| row.passed);
    let mut own: Vec<f64> = passed.map(|row| row.score).collect();
    let kept_peak = own.iter().copied().fold(0.0, f64::max);
    own.extend(incident.peak_alarm.filter(|peak| *peak > kept_peak));
    Ok(own)
}

/// What a label on incident `id` would change: the kept rows are replayed under the threshold in force and the one with the
/// label. Nothing is written. `None` takes a label back.
///
/// # Errors
/// [`JournalError`] when there is no such incident or the journal can't be read.
pub fn preview(
    journal: &Journal,
    grounds: &Grounds,
    config: &Config,
    (id, label): (u64, Option<Label>),
) -> Result<LabelEffect, JournalError> {
    let before = journal.labelled()?;
    let mut after = before.clone();
    after.retain(|incident| incident.id != id);
    after.extend(
        journal
            .get(id)?
            .map(|incident| Incident { label, ..incident }),
    );
    let all = journal.list(&IncidentFilter {
        limit: usize::MAX,
        ..IncidentFilter::default()
    })?;
    // The labels that would be: what is lost by calling an incident real is real.
    let all: Vec<Incident> = all
        .into_iter()
        .map(|incident| {
            if incident.id == id {
                Incident { label, ..incident }
            } else {
                incident
            }
        })
        .collect();
    let rows = journal.scores(
        None,
        Time::from_millis(i64::MIN),
        Time::from_millis(i64::MAX),
    )?;
    let (was, would) = (
        grounds.raise(journal, &before)?,
        grounds.raise(journal, &after)?,
    );
    let effect = labels::effect(
        &rows,
        &all,
        &rules(config, &std::sync::Arc::from([])),
        was,
        would,
    );
    let asked = all.iter().find(|incident| incident.id == id);
    let is_false = asked.filter(|_| label == Some(Label::False));
    let alarms = is_false.map(|incident| alarms(journal, incident));
    let Some(alarms) = alarms.transpose()? else {
        return Ok(effect);
    };
    let peak = alarms.iter().copied().fold(0.0, f64::max);
    Ok(LabelEffect {
        out_of_reach: !labels::is_within_reach(peak),
        height_unknown: alarms.is_empty(),
        ..effect
    })
}

/// The labels' part in a pipeline. Holds at most 10,000 rows beside the model's held-back scores.
#[derive(Debug)]
pub struct Labelling {
    grounds: Option<Grounds>,
    raise: f64,
    /// Incidents called false that `raise` was derived from, and how far they went then.
    counted: Vec<(u64, Time)>,
    /// Labels have changed, or may have, since `raise` was derived from them.
    outdated: bool,
    unwritten: Vec<KeptScore>,
    /// Rows written since the oldest were deleted.
    since_pruned: usize,
    /// Rows below are not kept: no threshold that labels may set comes down to them.
    least: f64,
    retention: Duration,
}

impl Labelling {
    /// Without a label. `kept`: whether there is a journal to keep rows in.
    pub fn new(config: &Config, kept: bool) -> Self {
        Self {
            grounds: None,
            raise: 1.0,
            counted: Vec::new(),
            outdated: true,
            unwritten: Vec::new(),
            since_pruned: PRUNED_AFTER,
            least: if kept {
                config.detect.exit.min(1.0)
            } else {
                f64::INFINITY
            },
            retention: config.journal.retention.0,
        }
    }

    /// How many times the calibrated threshold is in force.
    pub const fn raise(&self) -> f64 {
        self.raise
    }

    /// Judges as if labels had raised the threshold to so many times the calibrated one.
    pub const fn set_raise(&mut self, raise: f64) {
        self.raise = raise;
    }

    /// What the threshold of the model that scores was derived from.
    pub const fn grounds(&self) -> Option<&Grounds> {
        self.grounds.as_ref()
    }

    /// Another model scores.
    pub fn model(&mut self, grounds: Grounds) {
        self.grounds = Some(grounds);
        self.counted.clear();
        self.raise = 1.0;
        self.outdated = true;
    }

    /// Labels have changed: [`Labelling::weigh`] reads them again.
    pub fn labels_changed(&mut self) {
        self.outdated = true;
    }

    /// These incidents have changed. Only those that are called false, or were, matter to the threshold.
    pub fn incidents_changed(&mut self, incidents: &[Incident]) {
        let counted = |id| self.counted.iter().any(|(own, _)| *own == id);
        self.outdated |= incidents
            .iter()
            .any(|incident| incident.label == Some(Label::False) || counted(incident.id));
    }

    /// Derives the threshold anew when other incidents are called false than before; says so when it moved. The journal is
    /// read only when labels may have changed.
    ///
    /// # Errors
    /// [`JournalError`] when the journal can't be read; the threshold is then what it was, and the next call tries again.
    pub fn weigh(&mut self, journal: &Journal) -> Result<Option<String>, JournalError> {
        let Some(grounds) = self.grounds.as_ref().filter(|_| self.outdated) else {
            return Ok(None);
        };
        let mut labelled = journal.labelled()?;
        labelled.retain(|incident| incident.label == Some(Label::False));
        let mut counted: Vec<(u64, Time)> = labelled.iter().map(|i| (i.id, i.end)).collect();
        counted.sort_unstable();
        if counted == self.counted {
            self.outdated = false;
            return Ok(None);
        }
        let raise = grounds.raise(journal, &labelled)?;
        // An incident that goes on moves it row by row; that is not told each time.
        let others = !counted
            .iter()
            .map(|c| c.0)
            .eq(self.counted.iter().map(|c| c.0));
        let moved = (raise - self.raise).abs() > 1e-9;
        let told = (moved && others).then(|| {
            format!(
                "{} incidents are labelled false: the threshold is {raise:.2} times the calibrated one, so far {:.2} times",
                counted.len(),
                self.raise
            )
        });
        (self.raise, self.counted, self.outdated) = (raise, counted, false);
        Ok(told)
    }

    /// Keeps a row that came near the calibrated threshold; `score` is against that, before labels raised it.
    pub fn take(&mut self, verdict: &Verdict, score: f64) {
        if score.is_nan() || score < self.least || verdict.score.is_none() {
            return;
        }
        if self.unwritten.len() >= HELD {
            self.unwritten.remove(0);
        }
        let passed = |gate: &Gate| gate.passed || REPLAYED.contains(&gate.name.as_str());
        self.unwritten.push(KeptScore {
            entity: verdict.entity.clone(),
            time: verdict.time,
            score,
            passed: verdict.gates.iter().all(passed),
        });
    }

    /// Rows that are not in the journal yet.
    pub fn unwritten(&self) -> &[KeptScore] {
        &self.unwritten
    }

    /// All of them are written.
    pub fn write(&mut self) {
        self.since_pruned += self.unwritten.len();
        self.unwritten.clear();
    }

    /// Deletes the oldest rows from the journal when it is `due` or many were written; a bounded number of them. Says whether
    /// there may be more.
    ///
    /// # Errors
    /// [`JournalError`]; the next call that is due tries again.
    pub fn prune(
        &mut self,
        journal: &mut Journal,
        newest: Time,
        due: bool,
    ) -> Result<bool, JournalError> {
        if !due && self.since_pruned < PRUNED_AFTER {
            return Ok(false);
        }
        self.since_pruned = 0;
        let deleted = journal.prune_scores(newest - self.retention)?;
        Ok(deleted >= SCORES_AT_ONCE)
    }
}
