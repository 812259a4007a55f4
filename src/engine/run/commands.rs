//! Carries out what readers order.

use std::time::Duration;

use super::{CANCELLED, Core};
use crate::domain::{Command, Label, Level};
use crate::engine::events;
use crate::engine::lane::{Cause, Training};
use crate::engine::pipeline::Pipeline;
use crate::store::JournalError;

impl Core {
    pub(super) fn command(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Shutdown => self.stopping = true,
            Command::StartTest => self.start_test(),
            Command::Retrain(_) if !self.config.detects() => self.note(
                Level::Warning,
                "no model is trained: [autoencoder] enabled = false and [forecast] enabled = false"
                    .into(),
            ),
            Command::Retrain(id) => {
                if let Some(lane) = self.lane(id) {
                    lane.training = Training::Wanted(Cause::Request);
                    lane.ask_history(now);
                }
            }
            Command::CancelTraining(id) => {
                let cancelled = self.trainer.cancel(id);
                if let Some(lane) = self.lane(id) {
                    lane.touch();
                    // The history that is under way is not learned from by itself either.
                    let waiting = lane.training != Training::Idle
                        || (lane.is_fetching() && lane.model.is_none());
                    lane.training = Training::Idle;
                    lane.training_backoff.rest(now, CANCELLED);
                    if !cancelled && !waiting {
                        self.note(
                            Level::Info,
                            "no training runs that could be cancelled".into(),
                        );
                    }
                }
            }
            Command::InjectSpike => {
                if !self
                    .test
                    .as_ref()
                    .is_some_and(|lane| lane.collector.inject())
                {
                    self.note(
                        Level::Warning,
                        "no spike was put in: test mode does not run, or its sample has ended"
                            .into(),
                    );
                }
            }
            Command::Acknowledge(id) => {
                self.change_incident((id, "acknowledged"), |pipeline| pipeline.acknowledge(id));
            }
            Command::Label(id, label) => {
                let what = label.map_or("label removed", Label::told);
                self.change_incident((id, what), |pipeline| pipeline.label(id, label));
            }
            Command::UseModel(version) => self.use_model(&version),
            Command::SetInterval(interval) => {
                let interval = interval.clamp(Duration::from_secs(1), Duration::from_hours(1));
                self.live.set_interval(interval, now);
            }
        }
    }

    fn change_incident(
        &mut self,
        (id, what): (u64, &str),
        change: impl Fn(&mut Pipeline) -> Result<bool, JournalError>,
    ) {
        let mut outcome = Ok(false);
        for lane in self.lanes() {
            lane.touch();
            outcome = change(&mut lane.pipeline);
            if !matches!(outcome, Ok(false)) {
                break;
            }
        }
        match outcome {
            Ok(true) => events::operator(id, what),
            Ok(false) => self.note(Level::Warning, format!("there is no incident {id}")),
            Err(error) => self.note(
                Level::Error,
                format!("incident {id} was not changed: {error}"),
            ),
        }
    }
}
