//! Writes what happens in the engine to the log, one line an event, with fields that a program can read.
//!
//! The screen's notices are sentences of their own; an event that has a line here is not logged a second time as a notice.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use ndarray::ArrayView1;

use super::lane::Cause;
use super::past::Past;
use crate::config::Config;
use crate::domain::{
    Contribution, Decision, FeatureVerdict, Frame, Incident, IncidentState, ModelView, SourceView,
    Time,
};

/// Features that a line about an incident names.
const NAMED: usize = 3;

/// Seconds with a tenth, as fields of log lines have them.
fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 10.0).round() / 10.0
}

/// Four digits are enough for a person, and the same on every machine.
fn digits(value: f64) -> String {
    let magnitude = value.abs();
    match magnitude {
        _ if !value.is_finite() => "unknown".into(),
        _ if magnitude != 0.0 && !(1e-3..1e6).contains(&magnitude) => format!("{value:.2e}"),
        _ if magnitude < 10.0 => format!("{value:.3}"),
        _ => format!("{value:.1}"),
    }
}

/// Rows of all frames that have a value, and of how many entities they are.
fn size(frames: &[Frame]) -> (usize, usize) {
    let has_value = |row: &ArrayView1<'_, f64>| row.iter().any(|value| !value.is_nan());
    let in_frame = |frame: &Frame| frame.values().rows().into_iter().filter(has_value).count();
    let rows = frames.iter().map(in_frame).sum();
    let entities: BTreeSet<_> = frames.iter().map(Frame::entity).collect();
    (rows, entities.len())
}

/// The engine begins.
pub fn started(source: &SourceView, config: &Config, model: Option<&ModelView>) {
    tracing::info!(
        name = config.app.name,
        mode = config.app.mode,
        source = %source.name,
        queries = config.queries.len(),
        step_seconds = seconds(config.source.step.0),
        interval_seconds = seconds(config.detect.interval.0),
        model = model.map(|model| model.version.as_str()),
        "the engine has started"
    );
}

/// The source has answered for the first time.
pub fn source_answers(source: &SourceView, entities: usize, features: usize) {
    tracing::info!(source = %source.name, entities, features, "the source answers");
}

/// The source fails since just now.
pub fn source_lost(source: &SourceView, error: &str) {
    tracing::error!(source = %source.name, error, "the source is lost");
}

/// The source works again.
pub fn source_back(source: &SourceView, away: Option<Duration>) {
    tracing::info!(
        source = %source.name,
        away_seconds = away.map(seconds),
        "the source is back"
    );
}

/// The source answers, but has had no sample for so long.
pub fn samples_missing(source: &SourceView, without: Duration) {
    tracing::warn!(
        source = %source.name,
        seconds = seconds(without),
        "the source answers, but has no samples: are its targets up, and do its clock and this one agree?"
    );
}

/// The source has samples again.
pub fn samples_back(source: &SourceView) {
    tracing::info!(source = %source.name, "the source has samples again");
}

/// The source wants something known, or gave less than was asked for.
pub fn source_warns(source: &SourceView, warning: &str) {
    tracing::warn!(source = %source.name, warning, "the source has a warning");
}

/// History has come.
pub fn history_fetched(frames: &[Frame], (requests, cached): (usize, usize), took: Duration) {
    let (rows, entities) = size(frames);
    tracing::info!(
        rows,
        entities,
        requests,
        from_cache = cached,
        seconds = seconds(took),
        "history was fetched"
    );
}

/// A training begins.
pub fn training_begun(cause: Cause, frames: &[Frame], champion: Option<&str>) {
    let (rows, entities) = size(frames);
    tracing::info!(
        cause = cause.word(),
        rows,
        entities,
        active_model = champion,
        "training begins"
    );
}

/// A training has brought a model.
pub fn training_finished(model: &ModelView, left_out: &str, took: Duration) {
    tracing::info!(
        version = %model.version,
        windows = model.windows,
        epochs = model.epochs,
        validation_loss = %digits(model.val_loss),
        threshold_mse = %digits(model.threshold_mse),
        left_out,
        seconds = seconds(took),
        "training has finished"
    );
}

/// What becomes of a new model, and why.
pub fn decided(version: &str, decision: &Decision) {
    let figures = decision.comparison.map(|figures| figures.told());
    let (reason, figures) = (decision.reason.as_str(), figures.as_deref());
    if decision.promoted {
        tracing::info!(version, reason, figures, "the new model is promoted");
    } else {
        tracing::warn!(
            version,
            reason,
            figures,
            "the new model is refused; the active one stays"
        );
    }
}

/// A model scores from now on.
pub fn model_active(model: &ModelView, now: Time) {
    tracing::info!(
        version = %model.version,
        threshold_mse = %digits(model.threshold_mse),
        threshold_rule = %model.threshold_rule,
        windows = model.windows,
        entities = model.entities,
        age_seconds = seconds(now.since(model.trained_at)),
        "a model is active"
    );
}

/// The history from before anything was judged live has been judged.
pub fn past_judged(past: &Past, took: Duration) {
    tracing::info!(
        model = %past.version,
        from = %past.span.0,
        to = %past.span.1,
        judged = %past.by,
        incidents = past.incidents.len(),
        seconds = seconds(took),
        "the history has been judged"
    );
}

/// An incident was opened, or is over.
pub fn incident(incident: &Incident) {
    let Incident { id, entity, .. } = incident;
    let (score, features) = (digits(incident.peak_score), features(&incident.features));
    let (start, duration) = (incident.start, seconds(incident.duration()));
    match incident.state {
        IncidentState::Open => {
            tracing::warn!(id, %entity, %score, %start, features, "incident opened");
        }
        state => {
            tracing::info!(
                id, %entity, state = state.word(), %score, %start, duration_seconds = duration, features,
                "incident is over"
            );
        }
    }
}

/// An operator has said something of an incident.
pub fn operator(incident: u64, what: &str) {
    tracing::info!(
        id = incident,
        action = what,
        "an operator changed an incident"
    );
}

/// `cpu 97.1 expected 40.2 (81 %), …`
fn features(contributions: &[Contribution]) -> String {
    let mut text = String::new();
    for part in contributions.iter().take(NAMED) {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a string can't fail.
        let _ = write!(
            text,
            "{comma}{} {} expected {} ({:.0} %)",
            part.feature,
            digits(part.value),
            digits(part.expected),
            part.share * 100.0
        );
    }
    text
}

/// The errors of a row's features that are over half the threshold.
pub fn large_errors<'f>(
    entity: &str,
    time: Time,
    threshold: f64,
    features: impl Iterator<Item = (&'f str, &'f FeatureVerdict)>,
) {
    for (feature, verdict) in features.filter(|(_, verdict)| verdict.mse > threshold / 2.0) {
        tracing::debug!(
            entity,
            %time,
            feature,
            error = %digits(verdict.mse),
            threshold = %digits(threshold),
            "a feature's error is over half the threshold"
        );
    }
}

/// The engine ends.
pub fn stopped(ran: Duration) {
    tracing::info!(ran_seconds = seconds(ran), "the engine has stopped");
}

/// What an hour brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Collections that ended, failed ones among them.
    pub collections: u64,
    /// Collections that failed.
    pub failed: u64,
    /// Ticks that began late.
    pub late: u64,
    /// Verdicts.
    pub rows: u64,
    /// Anomalous rows.
    pub anomalies: u64,
    /// Incidents opened.
    pub incidents: u64,
}

impl Counted {
    /// What came after `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            collections: self.collections.saturating_sub(earlier.collections),
            failed: self.failed.saturating_sub(earlier.failed),
            late: self.late.saturating_sub(earlier.late),
            rows: self.rows.saturating_sub(earlier.rows),
            anomalies: self.anomalies.saturating_sub(earlier.anomalies),
            incidents: self.incidents.saturating_sub(earlier.incidents),
        }
    }
}

/// The line of each hour.
pub fn summary(counted: Counted, entities: usize, open: usize, model: Option<&str>) {
    tracing::info!(
        rows = counted.rows,
        anomalies = counted.anomalies,
        incidents = counted.incidents,
        open_incidents = open,
        entities,
        collections = counted.collections,
        failed_collections = counted.failed,
        late_ticks = counted.late,
        model,
        "the last hour"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_digits_that_a_person_reads() {
        let shown = [0.0, 0.5, 97.126, -3.0, 12_345_678.0, 2e-5, f64::NAN].map(digits);
        let expected = [
            "0.000", "0.500", "97.1", "-3.000", "1.23e7", "2.00e-5", "unknown",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_an_hour_brought_is_what_was_counted_since() {
        let earlier = Counted {
            rows: 10,
            ..Counted::default()
        };
        let now = Counted {
            rows: 70,
            incidents: 1,
            ..Counted::default()
        };
        let hour = now.since(earlier);
        assert_eq!((hour.rows, hour.incidents, hour.late), (60, 1, 0));
    }
}
