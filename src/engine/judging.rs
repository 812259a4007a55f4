//! From a score to the verdict on a row, and from its incident to the ledger.

use std::sync::Arc;
use std::time::Duration;

use super::learn;
use super::ledger::Ledger;
use super::scorer::{RowScore, Scorer};
use super::watched::Watched;
use crate::config::Config;
use crate::detect::gates::JudgeRules;
use crate::detect::incident::{IncidentChange, Tracker};
use crate::detect::judge::{Row, Scored};
use crate::detect::maintenance::Windows;
use crate::domain::{Entity, IncidentState, RowState, Schema, Time, Verdict};

/// A length of time that can be multiplied and added without care.
const CENTURY: Duration = Duration::from_hours(876_000);

/// Takes a change into the ledger.
pub fn record(ledger: &mut Ledger, tracker: &mut Tracker, change: IncidentChange) {
    match change {
        IncidentChange::Opened(incident) => {
            if let Some(id) = ledger.open(&incident) {
                tracker.assign(id);
            }
        }
        IncidentChange::Updated(incident) | IncidentChange::Closed(incident) => {
            ledger.update(&incident);
        }
    }
}

/// The verdict on a row that has this score, and what becomes of the entity's incidents with it. `alarm`: what its alarm goes
/// by, before labels raised the threshold.
pub fn judge(
    watched: &mut Watched,
    rules: &JudgeRules,
    ledger: &mut Ledger,
    (time, score, alarm): (Time, &RowScore, f64),
    typical: &Arc<[f64]>,
) -> Verdict {
    let verdict = verdict(watched, rules, (time, score, alarm), typical);
    for change in watched.tracker.track(rules, &verdict) {
        if change.incident().state == IncidentState::Settled {
            watched.judge.settle(change.incident());
        }
        record(ledger, &mut watched.tracker, change);
    }
    verdict
}

fn verdict(
    watched: &mut Watched,
    rules: &JudgeRules,
    (time, score, alarm): (Time, &RowScore, f64),
    typical: &Arc<[f64]>,
) -> Verdict {
    let row = match score.state {
        RowState::Scored => Row::Scored(Scored {
            time,
            score: score.score,
            alarm,
            ruling: score.ruling,
            mse: score.mse,
            features: score.features.clone(),
            typical: Arc::clone(typical),
        }),
        _ if watched.is_missing(time) => Row::Unscored {
            time,
            state: RowState::Missing,
        },
        state => Row::Unscored { time, state },
    };
    let mut verdict = watched.judge.judge(rules, row);
    if verdict.state == RowState::WarmingUp {
        verdict.provisional = watched.provisional(time);
    }
    verdict
}

/// The median of each feature as far as the model knows it.
pub fn typical(scorer: Option<&Scorer>, entity: &Entity, columns: usize) -> Arc<[f64]> {
    let scaler = scorer.map(|scorer| scorer.bundle.scaler(entity));
    let median = |column| scaler.and_then(|scaler| scaler.center(column));
    (0..columns)
        .map(|column| median(column).unwrap_or(f64::NAN))
        .collect()
}

/// The rules for one schema, without maintenance windows. An error is a whole window's: it lingers after its cause is gone and
/// wavers on its way out. Half a window of quiet keeps one cause one incident, and what is a lasting change is seen only when
/// a window has passed.
pub fn rules(config: &Config, schema: &Schema) -> JudgeRules {
    let mut detect = config.detect.clone();
    detect.cooldown.0 = detect.cooldown.0.max(span(config) / 2);
    if !detect.max_incident.0.is_zero() {
        detect.max_incident.0 = detect.max_incident.0.max(span(config) * 2);
    }
    JudgeRules::new(&detect, &config.queries, schema, config.source.step.0)
}

/// How long a window of rows is, at most a century.
pub fn span(config: &Config) -> Duration {
    let rows = u32::try_from(config.autoencoder.window).unwrap_or(u32::MAX);
    config.source.step.0.saturating_mul(rows).min(CENTURY)
}

/// The maintenance windows of a configuration.
///
/// # Errors
/// What is wrong with a time zone, which validation refuses.
pub fn maintenance(config: &Config) -> Result<Windows, String> {
    if config.detect.maintenance.is_empty() {
        return Ok(Windows::default());
    }
    let zone = learn::time_zone(config).map_err(|error| error.to_string())?;
    Windows::new(&config.detect.maintenance, &zone).map_err(|error| error.to_string())
}
