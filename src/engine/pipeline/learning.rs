//! Keeps count of what a training would learn from: the rows that are left out, and the windows in the others.

use super::Pipeline;
use crate::config::Weights;
use crate::domain::{Entity, Incident, OTHERS, Time};
use crate::engine::cleaning::{self, LeftOut};
use crate::engine::readiness::Counting;
use crate::engine::watched::Watched;
use crate::store::{Journal, JournalError};

impl Pipeline {
    /// What a training leaves out, by the configuration and the journal's labels.
    ///
    /// # Errors
    /// [`JournalError`] when the journal can't be read.
    pub fn left_out(&self) -> Result<LeftOut, JournalError> {
        let labelled = self.ledger.journal().map(Journal::labelled);
        let labelled = labelled.transpose()?.unwrap_or_default();
        let around = cleaning::around(&self.config);
        Ok(LeftOut::of(&self.config).and_incidents(&labelled, around))
    }

    /// Reads anew which rows operators' labels exclude; what can't be read excludes what it did. `whose` label changed, of
    /// all when `None`.
    pub(super) fn exclude_labelled(&mut self, whose: Option<&Entity>) {
        let Ok(excluded) = self.left_out() else {
            return;
        };
        self.excluded = excluded;
        for (entity, watched) in &mut self.entities {
            if whose.is_none_or(|whose| whose == entity) {
                watched.counted.change(watched.tail.grid().len());
            }
        }
    }

    /// Keeps count of the windows that a training would have.
    pub(super) fn count_windows(&mut self) {
        let Some(schema) = &self.schema else { return };
        let (out, config) = (&self.excluded, &self.config);
        let counting = Counting {
            schema,
            out,
            config,
        };
        let all = self.entities.iter_mut();
        counting.of_all(all.map(|(entity, own)| (entity, &own.tail, &mut own.counted)));
    }

    /// Entities with enough windows that the model has not learned from, when they are a tenth of all or more.
    pub fn unlearned(&self) -> Option<usize> {
        /// So many entities for one that is new.
        const FEW: usize = 10;
        let scalers = &self.scorer.as_ref()?.bundle.scalers;
        let need = self.config.windows_needed();
        let is_new = |(entity, own): &(&Entity, &Watched)| {
            own.counted.windows() >= need && !scalers.contains_key(*entity)
        };
        let new = self.entities.iter().filter(is_new).count();
        (new > 0 && new * FEW >= self.entities.len()).then_some(new)
    }

    /// Whether an incident that is open and began within `times` is about most of the features.
    pub fn has_broad_incident(&self, (from, to): (Time, Time)) -> bool {
        let columns = self.schema.as_ref().map_or(0, |schema| schema.len());
        let even = 1.0 / columns.max(1) as f64;
        let is_broad = |incident: &Incident| {
            let parts = incident.features.iter();
            let much = parts.filter(|part| &*part.feature != OTHERS && part.share * 2.0 >= even);
            (from..=to).contains(&incident.start) && columns > 2 && much.count() * 2 > columns
        };
        self.ledger
            .open_incidents()
            .values()
            .any(|open| is_broad(open))
    }

    /// Windows that a training would have: of all entities for a shared network, of the entity with the most where each has
    /// a network of its own.
    pub fn windows(&self) -> usize {
        let windows = self.entities.values().map(|own| own.counted.windows());
        match self.config.entities.weights {
            Weights::Shared => windows.sum(),
            Weights::Own => windows.max().unwrap_or(0),
        }
    }
}
