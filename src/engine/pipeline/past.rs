//! A pipeline's rows from before anything was judged live: handed out to be judged, and what became of them.

use super::Pipeline;
use crate::domain::{Frame, Incident, Time};
use crate::engine::past::{Job, Past};
use crate::store::{IncidentFilter, JournalError};

impl Pipeline {
    /// All rows that are kept, from each entity's first sample on, to be judged under the model in force; `None` without one, or without rows.
    ///
    /// # Errors
    /// [`JournalError`] when labels or incidents can't be read; this can be tried again.
    pub fn past_job(&self, version: &str) -> Result<Option<Job>, JournalError> {
        let (Some(scorer), Some(schema), Some(filled)) = (&self.scorer, &self.schema, self.filled)
        else {
            return Ok(None);
        };
        // A server that is younger than the period has nothing in the first part of it.
        let frame = |watched: &super::Watched| {
            let first = watched.tail.first_observed()?;
            let (entity, grid) = (watched.entity.clone(), *watched.tail.grid());
            let rows = watched.tail.values().to_owned();
            let frame = Frame::new(entity, schema.clone(), grid, rows)?;
            Some(frame.slice(first, grid.len()))
        };
        let frames: Vec<Frame> = self.entities.values().filter_map(frame).collect();
        if frames.is_empty() {
            return Ok(None);
        }
        Ok(Some(Job {
            version: version.to_owned(),
            known: self.known_live(&frames)?,
            frames,
            scorer: std::sync::Arc::clone(scorer),
            out: self.left_out()?,
            raise: self.raise(),
            until: self.live_from.unwrap_or(filled + self.step()),
            config: std::sync::Arc::clone(&self.config),
        }))
    }

    /// The incidents that were found live in the time of these rows.
    fn known_live(&self, frames: &[Frame]) -> Result<Vec<Incident>, JournalError> {
        let since = frames.iter().map(|frame| frame.grid().start()).min();
        let filter = IncidentFilter {
            past: Some(false),
            since,
            limit: usize::MAX,
            ..IncidentFilter::default()
        };
        let journal = self.ledger.journal();
        journal.map_or(Ok(Vec::new()), |journal| journal.list(&filter))
    }

    /// Shows what the past was judged to be; its incidents are written with the next commit.
    pub fn take_past(&mut self, mut past: Past) {
        for (entity, track) in &past.tracks {
            if let Some(watched) = self.entities.get_mut(entity) {
                watched.show_past(track, past.until);
            }
        }
        self.ledger
            .replace_past(std::mem::take(&mut past.incidents));
        self.past = Some(past);
    }

    /// The past as it was judged, without its incidents.
    pub const fn past(&self) -> Option<&Past> {
        self.past.as_ref()
    }

    /// Judges as if labels had raised the threshold to so many times the calibrated one.
    pub const fn set_raise(&mut self, raise: f64) {
        self.labelling.set_raise(raise);
    }

    /// The first row that was judged live by a model.
    pub const fn live_from(&self) -> Option<Time> {
        self.live_from
    }
}
