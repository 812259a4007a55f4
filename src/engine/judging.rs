//! From a score to the verdict on a row, and from its incident to the ledger.

use std::sync::Arc;
use std::time::Duration;

use super::learn;
use super::ledger::Ledger;
use super::scorer::RowScore;
use super::watched::Watched;
use crate::config::{Config, Threshold};
use crate::detect::gates::JudgeRules;
use crate::detect::incident::{IncidentChange, Tracker};
use crate::detect::judge::{Row, Scored, is_candidate};
use crate::detect::maintenance::Windows;
use crate::domain::{Entity, IncidentState, RowState, Schema, Time, Verdict};
use crate::model::Bundle;
use crate::prep::scale::Usual;

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

/// The rules for entities that the model has learned from, and for those that it has not. Where operators have set the
/// threshold themselves, it alone decides: the rules are the same.
#[derive(Debug)]
pub struct Rules {
    learned: JudgeRules,
    /// `None` where they are the same.
    new: Option<JudgeRules>,
}

impl Rules {
    /// The rules for one schema under a model, if there is one.
    pub fn new(
        config: &Config,
        schema: &Schema,
        windows: &Windows,
        bundle: Option<&Bundle>,
    ) -> Self {
        // The views are smoothed: what was in a window has left the score half a window after it.
        let linger = span(config) * 3 / 2;
        let rules = rules(config, schema).with_maintenance(windows.clone(), linger);
        match bundle.filter(|_| config.detect.threshold == Threshold::Auto) {
            Some(bundle) => Self {
                new: Some(rules.clone().for_model_of(Duration::ZERO)),
                learned: rules.for_model_of(bundle.known()),
            },
            None => Self {
                learned: rules,
                new: None,
            },
        }
    }
}

/// What one entity's rows are judged by.
pub struct Known<'a> {
    rules: &'a JudgeRules,
    usual: Arc<[Option<Usual>]>,
    /// The model has not learned from this entity: it measures it as others are.
    is_new: bool,
}

impl<'a> Known<'a> {
    /// What `bundle` makes of an entity; without one nothing is an anomaly.
    pub fn of(rules: &'a Rules, bundle: Option<&Bundle>, entity: &Entity) -> Self {
        let new = rules
            .new
            .as_ref()
            .filter(|_| bundle.is_some_and(|bundle| !bundle.scalers.contains_key(entity)));
        let is_new = new.is_some();
        let rules = new.unwrap_or(&rules.learned);
        let scaler = bundle.map(|bundle| bundle.scaler(entity));
        let usual = |column| scaler.and_then(|scaler| scaler.usual(column));
        Self {
            rules,
            usual: (0..rules.columns()).map(usual).collect(),
            is_new,
        }
    }
}

/// The verdict on a row that has this score, and what becomes of the entity's incidents with it. `alarm`: what its alarm goes
/// by, before labels raised the threshold.
pub fn judge(
    watched: &mut Watched,
    known: &Known<'_>,
    ledger: &mut Ledger,
    row: (Time, &RowScore, f64),
) -> Verdict {
    let verdict = verdict(watched, known, row);
    for change in watched.tracker.track(known.rules, &verdict) {
        if change.incident().state == IncidentState::Settled {
            watched.judge.settle(change.incident());
        }
        record(ledger, &mut watched.tracker, change);
    }
    verdict
}

/// The verdict alone; one on a row that was judged before changes nothing.
pub fn verdict(
    watched: &mut Watched,
    known: &Known<'_>,
    (time, score, alarm): (Time, &RowScore, f64),
) -> Verdict {
    let row = match score.state {
        RowState::Scored => {
            // Asked of candidates only: it looks back over many rows.
            let is_asked = known.is_new && is_candidate(score.score);
            let own = is_asked.then(|| watched.provisional(time));
            Row::Scored(Scored {
                time,
                score: score.score,
                alarm,
                ruling: score.ruling,
                mse: score.mse,
                features: score.features.clone(),
                usual: Arc::clone(&known.usual),
                own: own.map(|own| own.map_or(f64::NAN, |own| own.score)),
            })
        }
        _ if watched.is_missing(time) => Row::Unscored {
            time,
            state: RowState::Missing,
        },
        state => Row::Unscored { time, state },
    };
    let mut verdict = watched.judge.judge(known.rules, row);
    if verdict.state == RowState::WarmingUp {
        verdict.provisional = watched.provisional(time);
    }
    verdict
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
