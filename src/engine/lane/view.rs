//! Makes what readers see of a lane: readiness, a training that waits for its history, and the pipeline as a whole.

use std::sync::Arc;
use std::time::Duration;

use super::{Columns, Fetch, Lane, Training, roughly};
use crate::domain::{
    CatchUp, Counters, EntityView, ModelView, PipelineId, PipelineView, Readiness, SourceState,
    SourceView, TrainingView,
};

/// Readiness without an autoencoder.
const OFF: &str = "nothing is scored: [autoencoder] enabled = false and [forecast] enabled = false";

/// A catch-up is shown when so many rows have no verdict yet: fewer are judged within a tick.
const CATCH_UP_ROWS: u32 = 32;

impl Lane {
    /// Windows at hand against windows needed, by the count that trainings go by.
    pub fn readiness(&self) -> Readiness {
        let have = self.pipeline.windows();
        let need = self.config.windows_needed();
        let missing = need.saturating_sub(have);
        Readiness {
            have: have.min(need),
            need,
            eta: (missing > 0).then(|| self.wait_for(missing)).flatten(),
            text: String::new(),
        }
    }

    /// How long until `missing` more windows are there; `None` as long as the past may still bring them, or when nothing says
    /// at what pace they come.
    pub(super) fn wait_for(&self, missing: usize) -> Option<Duration> {
        let pace = self.pace.filter(|_| self.has_history)?;
        let entities = self.pipeline.entities();
        let longest = entities.map(|w| w.tail.grid().len()).max()?;
        // The first window wants its other rows before there is any.
        let first = (self.config.autoencoder.window).saturating_sub(longest + 1);
        let steps = u32::try_from(first + missing.div_ceil(self.pipeline.entities().count()))
            .unwrap_or(u32::MAX);
        Some(pace.saturating_mul(steps))
    }

    /// Readiness as readers see it: what it waits for, until the model scores.
    fn readiness_view(&self, training: Option<&TrainingView>) -> Readiness {
        let mut readiness = self.readiness();
        if self.model.is_some() {
            return Readiness {
                have: readiness.need,
                eta: None,
                ..readiness
            };
        }
        if !self.config.detects() {
            return Readiness {
                eta: None,
                text: OFF.into(),
                ..readiness
            };
        }
        let finished = self.source.is_finished();
        if finished {
            readiness.eta = None;
        }
        readiness.text = match (training, readiness.eta) {
            (Some(training), _) => training.phase.clone(),
            (None, _) if readiness.have >= readiness.need => match self.lacking {
                Some(have) => format!(
                    "waiting for rows: the last training had {have} of {} windows",
                    readiness.need
                ),
                None => self.next_training(),
            },
            (None, eta) => {
                let awaited = match eta {
                    Some(eta) => format!("ready in about {}", roughly(eta)),
                    None if !self.has_history => "waiting for history".into(),
                    None if finished => "too few rows".into(),
                    None => "waiting for rows".into(),
                };
                format!(
                    "{awaited}: {} of {} windows",
                    readiness.have, readiness.need
                )
            }
        };
        readiness
    }

    /// What a training waits for that has windows enough: the pause after one that failed or was cancelled, or nothing.
    fn next_training(&self) -> String {
        let ended = match self.last_training.as_ref().map(|last| &last.result) {
            _ if self.training_backoff.is_over(self.seen) => None,
            Some(Err(_)) if self.last_training.as_ref().is_some_and(|l| l.is_cancelled) => {
                Some("the last training was cancelled".to_owned())
            }
            Some(Err(error)) => Some(format!("the last training failed: {error}")),
            _ => None,
        };
        ended.map_or("about to train".into(), |ended| {
            let left = roughly(self.training_backoff.left(self.seen));
            format!("{ended}; the next begins in about {left}")
        })
    }

    /// What readers see. The entities' part is made anew only when something changed.
    pub fn view(&mut self, training: Option<TrainingView>) -> Arc<PipelineView> {
        let training = training.or_else(|| self.collecting_view());
        let (incidents_total, incidents_session, incidents_by_entity) =
            self.pipeline.ledger().counts();
        let entities = self.entities.take().unwrap_or_else(|| self.entity_views());
        self.entities = Some(entities.clone());
        Arc::new(PipelineView {
            id: self.id,
            source: self.source_view(),
            step: self.pipeline.step(),
            window: self.config.autoencoder.window,
            grouped: self.id == PipelineId::Live && !self.config.entities.group_by.is_empty(),
            model: self.model.clone().map(|model| ModelView {
                threshold_mse: model.threshold_mse * self.pipeline.raise(),
                ..model
            }),
            readiness: self.readiness_view(training.as_ref()),
            last_training: self.last_training.clone(),
            models: Arc::clone(&self.models),
            training,
            entities,
            incidents: self.pipeline.ledger().shown(),
            open_incidents: self.pipeline.ledger().open_incidents(),
            counters: Arc::new(Counters {
                incidents_total,
                incidents_by_entity,
                incidents_session,
                ..self.source.counters.clone()
            }),
            last_scored: self.last_scored,
            without_samples: self.without_samples(),
            catching_up: self.catching_up(),
        })
    }

    fn entity_views(&self) -> Vec<Arc<EntityView>> {
        let Some(schema) = self.pipeline.schema() else {
            return Vec::new();
        };
        self.pipeline
            .entities()
            .map(|watched| Arc::new(watched.view(schema, &self.config)))
            .collect()
    }

    /// The source, where a recording counts as finished once its last row is judged.
    fn source_view(&self) -> SourceView {
        let mut view = self.source.view().clone();
        if self.source.is_finished() && self.is_behind() {
            view.state = SourceState::Up;
        }
        view
    }

    /// How far a catch-up is; `None` while every row that is due has its verdict, or will have with this tick.
    fn catching_up(&self) -> Option<CatchUp> {
        let due = self.due.filter(|_| self.is_behind())?;
        let judged = self.pipeline.judged()?;
        let is_long = due.since(judged) > self.pipeline.step().saturating_mul(CATCH_UP_ROWS);
        is_long.then_some(CatchUp { judged, due })
    }

    /// A training that waits for its history.
    fn collecting_view(&self) -> Option<TrainingView> {
        let Fetch::Running {
            since,
            what: Columns::All,
        } = self.history
        else {
            return None;
        };
        let waiting = self.training != Training::Idle || self.model.is_none();
        waiting.then(|| TrainingView {
            started: since,
            phase: format!(
                "collecting history: {:.0} %",
                self.collector.progress() * 100.0
            ),
            epoch: 0,
            epochs: 0,
            progress: 0.0,
            losses: Vec::new(),
            queued: false,
        })
    }
}
