//! When the history is judged, and what becomes of it.

use std::time::Duration;

use super::Core;
use crate::domain::{Component, Level, PipelineId};
use crate::engine::events;
use crate::engine::lane::Training;
use crate::engine::past::Ended;

impl Core {
    /// Once for each model that comes into force, when its history is there and nothing heavier is under way.
    pub(super) fn start_past(&mut self) {
        let is_busy = self.past.is_busy() || self.trainer.is_busy_with(PipelineId::Live);
        let live = &self.live;
        let is_waiting = live.is_behind() || live.is_fetching() || live.training != Training::Idle;
        let Some(model) = live.model.as_ref().filter(|_| live.has_history) else {
            return;
        };
        if is_busy || is_waiting || self.past_of.as_ref() == Some(&model.version) {
            return;
        }
        match live.pipeline.past_job(&model.version) {
            Ok(Some(job)) => {
                self.past_of = Some(model.version.clone());
                self.past.start(job);
            }
            Ok(None) => {}
            Err(error) => tracing::debug!("the history can't be judged yet: {error}"),
        }
    }

    pub(super) fn past_ended(&mut self, (ended, took): (Ended, Duration)) {
        let now = self.clock.now();
        let past = match ended {
            // Another training was begun; what comes of it is judged after it.
            None => return self.past_of = None,
            Some(Ok(past)) => past,
            Some(Err(error)) => {
                let text = format!("the history could not be judged: {error}");
                self.health.restarted(Component::Past);
                self.health.fail(Component::Past, now, text.clone());
                return self.note(Level::Error, text);
            }
        };
        self.health.recover(Component::Past);
        let active = self.live.model.as_ref().map(|model| &model.version);
        if active != Some(&past.version) {
            return self.past_of = None;
        }
        events::past_judged(&past, took);
        if !past.incidents.is_empty() {
            let (count, by) = (past.incidents.len(), past.by);
            let incidents = if count == 1 { "incident" } else { "incidents" };
            let text = format!(
                "{count} past {incidents} in the history since {}, judged {by}",
                past.span.0
            );
            self.show(Level::Info, text);
        }
        self.live.pipeline.take_past(past);
        self.live.touch();
        self.commit();
    }
}
