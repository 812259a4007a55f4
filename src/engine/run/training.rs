//! What the loop does around a training: its job, and what becomes of its model.

use std::sync::Arc;

use super::{CANCELLED, Core};
use crate::domain::{Component, Decision, Frame, Level, PipelineId, Time, TrainingOutcome};
use crate::engine::cleaning::LeftOut;
use crate::engine::events;
use crate::engine::lane::{Cause, Columns, Training};
use crate::engine::learn::{LearnError, Learned};
use crate::engine::scorer::Scorer;
use crate::engine::trainer::{Ended, Job, Taught};
use crate::engine::{EngineError, models};
use crate::model::TrainError;
use crate::store::ModelMeta;

impl Core {
    /// History has come: it fills what is shown, and a training that waited for it can start.
    pub(super) fn take_history(
        &mut self,
        id: PipelineId,
        frames: Vec<Frame>,
        columns: Columns,
        now: Time,
    ) {
        let Some(lane) = self.lane(id) else { return };
        lane.pipeline.backfill(&frames);
        lane.look_back();
        lane.has_history = true;
        lane.forecast_at = None;
        lane.touch();
        let wanted = columns == Columns::All
            && (lane.training != Training::Idle
                || (lane.model.is_none() && lane.training_is_due(now).is_some()));
        if wanted {
            let cause = match std::mem::replace(&mut lane.training, Training::Idle) {
                Training::Wanted(cause) => cause,
                Training::Idle => Cause::First,
            };
            let out = lane.pipeline.left_out();
            let scoring = lane.pipeline.scorer().zip(lane.model.as_ref());
            let champion =
                scoring.map(|(scorer, model)| (model.version.clone(), scorer.bundle.clone()));
            let config = Arc::clone(lane.config());
            let out = out.unwrap_or_else(|error| {
                self.note(
                    Level::Warning,
                    format!(
                        "labels could not be read, so labelled incidents are learned from: {error}"
                    ),
                );
                LeftOut::of(&config)
            });
            if id == PipelineId::Live {
                let active = champion.as_ref().map(|(version, _)| version.as_str());
                events::training_begun(cause, &frames, active);
            }
            let job = Job {
                pipeline: id,
                frames,
                out,
                champion,
                config,
            };
            self.past.cancel();
            self.trainer.request(job, now);
        } else {
            // Too little to learn from: the play itself may bring more.
            lane.collector.play();
        }
    }

    pub(super) fn training_ended(&mut self, ended: Ended) {
        let now = self.clock.now();
        let (id, took) = (ended.pipeline, now.since(ended.started));
        let losses = ended.losses;
        if let Err(LearnError::TooLittle { have, need }) = ended.result {
            return self.training_waits(id, (have, need), now);
        }
        let outcome = ended.result.map_err(EngineError::from);
        let champion = ended.champion.as_deref();
        let outcome = outcome.and_then(|taught| {
            if let Some(again) = self.same_again(id, &taught.learned, now)? {
                return Ok(again);
            }
            let taught = self.against(id, champion, taught);
            self.take_model(id, taught, (ended.started, now))
        });
        self.trainer.start_next(now);
        let is_cancelled = matches!(
            outcome,
            Err(EngineError::Learn(LearnError::Train(TrainError::Cancelled)))
        );
        if id == PipelineId::Live {
            match &outcome {
                Ok(_) => {
                    self.health.recover(Component::Training);
                }
                Err(error) if !is_cancelled => {
                    self.health
                        .fail(Component::Training, now, error.to_string());
                }
                Err(_) => {}
            }
        }
        let (result, decision) = match outcome {
            Ok((version, decision)) => (Ok(version), Some(decision)),
            Err(error) => {
                let (level, text) = if is_cancelled {
                    (Level::Info, "the training was cancelled".into())
                } else {
                    (
                        Level::Error,
                        format!("training brought no new model: {error}"),
                    )
                };
                self.note(level, text);
                (Err(error.to_string()), None)
            }
        };
        if let Some(lane) = self.lane(id) {
            if result.is_ok() {
                lane.training_backoff.worked(now);
            } else if is_cancelled {
                lane.training_backoff.rest(now, CANCELLED);
            } else {
                lane.training_backoff.failed(now);
            }
            lane.lacking = None;
            lane.touch();
            lane.collector.play();
            lane.last_training = Some(TrainingOutcome {
                ended: now,
                took,
                result,
                is_cancelled,
                decision,
                losses,
            });
        }
        if id == PipelineId::Live {
            self.list_models();
        }
    }

    /// A training that had too few windows is one that waits for them, not one that failed.
    fn training_waits(&mut self, id: PipelineId, (have, need): (usize, usize), now: Time) {
        self.trainer.start_next(now);
        self.note(
            Level::Info,
            format!("training waits for data: {have} of the {need} windows needed are there"),
        );
        if let Some(lane) = self.lane(id) {
            lane.lacks_windows(have, now);
            lane.collector.play();
        }
    }

    /// The model that scores, if a training on the same data with the same settings gave it again: nothing is kept or
    /// compared.
    fn same_again(
        &mut self,
        id: PipelineId,
        learned: &Learned,
        now: Time,
    ) -> Result<Option<(String, Decision)>, EngineError> {
        let version = models::version(&learned.bundle)?;
        let Some(lane) = self.lane(id) else {
            return Ok(None);
        };
        let scores = lane.model.as_ref().is_some_and(|m| m.version == version);
        if !scores {
            return Ok(None);
        }
        lane.learned = Some((now, learned.bundle.trained_on));
        let decision = models::same_again();
        let text = format!(
            "the training gave model {version} again: {}",
            decision.reason
        );
        self.note(Level::Info, text);
        Ok(Some((version, decision)))
    }

    /// Somebody who chose another model while this one was trained has decided already: it is kept and does not score. It
    /// was compared with one that scores no more, so those figures go.
    fn against(&mut self, id: PipelineId, champion: Option<&str>, taught: Taught) -> Taught {
        let scoring = self.lane(id).and_then(|lane| lane.model.as_ref());
        let Some(chosen) = scoring.filter(|model| champion != Some(model.version.as_str())) else {
            return taught;
        };
        let reason = format!(
            "model {} was chosen to score while it was trained",
            chosen.version
        );
        Taught {
            decision: Decision {
                promoted: false,
                reason,
                comparison: None,
            },
            ..taught
        }
    }

    /// Keeps a new model and, unless it was refused, lets it score; says which and why.
    fn take_model(
        &mut self,
        id: PipelineId,
        taught: Taught,
        times: (Time, Time),
    ) -> Result<(String, Decision), EngineError> {
        let Taught { learned, decision } = taught;
        let meta = match id {
            PipelineId::Live => self.keep(&learned, &decision, times),
            PipelineId::Test => models::meta(&learned.bundle, times.0, times.1),
        };
        if id == PipelineId::Live {
            let left_out = learned.left_out.to_string();
            let took = times.1.since(times.0);
            events::training_finished(&models::view(&meta), &left_out, took);
            events::decided(&meta.version, &decision);
        }
        let first = self.lane(id).is_none_or(|lane| lane.model.is_none());
        // A first model has nothing to be compared with, and says enough by scoring.
        if !first {
            let mut told = format!("model {} was {}", meta.version, decision.told());
            if !decision.promoted && id == PipelineId::Live {
                told.push_str("; it is kept, `pulsewatch models use` takes it all the same");
            }
            if id == PipelineId::Live {
                self.show(Level::Info, told);
            } else {
                self.note(Level::Info, told);
            }
        }
        let Some(lane) = self.lane(id) else {
            return Ok((meta.version, decision));
        };
        lane.learned = Some((meta.trained_at, meta.trained_on));
        if decision.promoted {
            let config = Arc::clone(lane.config());
            let scorer = Scorer::new(learned.bundle, config)?;
            lane.pipeline.replace_model();
            self.let_score(id, scorer, &meta, &learned.held_back);
        } else {
            lane.pipeline.forget_drift();
        }
        Ok((meta.version, decision))
    }

    /// Keeps a new model in the registry. One that can't be written (a full disk) scores all the same, until the end of
    /// this run.
    fn keep(&mut self, learned: &Learned, decision: &Decision, times: (Time, Time)) -> ModelMeta {
        let most = self.config.retrain.keep;
        match models::keep(&self.registry, learned, decision, times, most) {
            Ok(meta) => {
                self.health.recover(Component::Registry);
                meta
            }
            Err(error) => {
                let text =
                    format!("the new model could not be kept, a restart will not have it: {error}");
                self.health.fail(Component::Registry, times.1, text.clone());
                self.note(Level::Error, text);
                models::meta(&learned.bundle, times.0, times.1)
            }
        }
    }
}
