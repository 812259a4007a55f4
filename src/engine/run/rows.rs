//! Takes what the sources answer, and judges its rows slice by slice.

use super::{Core, SLICE};
use crate::domain::{Component, Level, PipelineId, StaleReason, Time};
use crate::engine::collector::{Answer, Kind};
use crate::engine::events;
use crate::engine::lane::{Change, roughly};

impl Core {
    /// Looks at the sources where it is time.
    pub(super) fn tick(&mut self, now: Time) {
        for id in [PipelineId::Live, PipelineId::Test] {
            let change = self.lane(id).and_then(|lane| lane.tick(now));
            self.tell_change(id, change);
        }
    }

    /// Scores and judges a slice of what is left.
    pub(super) fn judge(&mut self, now: Time) {
        for id in [PipelineId::Live, PipelineId::Test] {
            let Some(lane) = self.lane(id).filter(|lane| lane.is_behind()) else {
                continue;
            };
            lane.touch();
            match lane.pipeline.judge_some(SLICE) {
                Ok(judged) => {
                    lane.note_verdicts(&judged.verdicts);
                    if judged
                        .verdicts
                        .iter()
                        .any(|verdict| verdict.score.is_some())
                    {
                        lane.last_scored = Some(now);
                    }
                    lane.judged(judged.is_more, now);
                }
                Err(error) => {
                    lane.judging_failed();
                    self.note(Level::Error, format!("rows could not be scored: {error}; they are tried again with the next look"));
                }
            }
            self.commit();
        }
    }

    /// A source has answered.
    pub(super) fn answer(&mut self, id: PipelineId, answer: Answer) {
        let now = self.clock.now();
        if let Ok(batch) = &answer.result {
            self.report_storage(batch.stored.as_ref(), now);
        }
        match answer.kind {
            Kind::Recent => self.looked(id, answer, now),
            Kind::History => self.fetched(id, answer, now),
        }
        for warning in self.live.source.unsaid(now) {
            events::source_warns(self.live.source.view(), &warning);
        }
    }

    /// Recent rows have come: they are judged from the next turn on.
    fn looked(&mut self, id: PipelineId, answer: Answer, now: Time) {
        let is_learning = self.trainer.is_busy_with(id);
        let Some(lane) = self.lane(id) else { return };
        let change = lane.looked(&answer, now);
        if let Ok(batch) = answer.result {
            let is_first = lane.pipeline.filled().is_none();
            lane.has_history &= !lane.pipeline.ingest(&batch.frames, answer.due);
            if is_first && id == PipelineId::Live && lane.pipeline.filled().is_some() {
                let features = lane.pipeline.schema().map_or(0, |schema| schema.len());
                let entities = lane.pipeline.entities().count();
                events::source_answers(lane.source.view(), entities, features);
            }
            if !is_learning {
                lane.met(batch.unknown, now);
            }
            let is_behind = answer.due < answer.newest_due;
            lane.begin_judging(is_behind);
            if !is_behind {
                let samples = lane.took_in();
                self.tell_change(id, samples);
            }
        }
        self.tell_change(id, change);
    }

    /// History has come, or is tried again later.
    fn fetched(&mut self, id: PipelineId, answer: Answer, now: Time) {
        let Some(lane) = self.lane(id) else { return };
        let columns = lane.fetched(&answer, now);
        match answer.result {
            Ok(batch) => {
                if id == PipelineId::Live {
                    events::history_fetched(&batch.frames, batch.fetched, answer.took);
                }
                self.take_history(id, batch.frames, columns, now);
            }
            Err(error) => {
                let pause = lane.history_backoff.failed(now);
                // While recent rows fail as well, that was told already, and it is tried again as soon as they come.
                if !lane.source.is_stale() {
                    let again = roughly(pause);
                    self.note(
                        Level::Error,
                        format!(
                            "history could not be fetched: {error}; it is tried again in {again}"
                        ),
                    );
                }
            }
        }
    }

    /// Tells once that a source is lost or back, that it has no samples or has them again.
    fn tell_change(&mut self, id: PipelineId, change: Option<Change>) {
        let Some(change) = change else { return };
        let is_live = id == PipelineId::Live;
        let name = if is_live { "the source" } else { "the sample" };
        let (level, text) = match &change {
            Change::Lost(error) => (Level::Error, format!("{name} failed: {error}")),
            Change::Back(away) => {
                let after =
                    away.map_or_else(String::new, |away| format!(" after {}", roughly(away)));
                (Level::Info, format!("{name} is back{after}"))
            }
            Change::Empty(without) => (Level::Warning, StaleReason::Empty(*without).to_string()),
            Change::Filled => (Level::Info, format!("{name} has samples again")),
        };
        if !is_live {
            return self.note(level, text);
        }
        let source = self.live.source.view();
        match &change {
            Change::Lost(error) => events::source_lost(source, error),
            Change::Back(away) => events::source_back(source, *away),
            Change::Empty(without) => events::samples_missing(source, *without),
            Change::Filled => events::samples_back(source),
        }
        self.show(level, text);
    }

    /// Reports whether the source could write what it keeps on disk.
    fn report_storage(&mut self, stored: Option<&Result<(), String>>, now: Time) {
        match stored {
            Some(Err(text)) if self.health.fail(Component::Cache, now, text.as_str()) => {
                self.note(Level::Error, text.clone());
            }
            Some(Ok(())) if self.health.recover(Component::Cache).is_some() => {
                self.note(Level::Info, "history can be written to disk again".into());
            }
            _ => {}
        }
    }
}
