//! What operators say of incidents, and what the pipeline makes of it and of its own errors for the next training.

use super::Pipeline;
use crate::domain::{Entity, Label, Level};
use crate::engine::labelling::Grounds;
use crate::store::JournalError;

impl Pipeline {
    /// Marks an incident as seen; whether there is one of that id.
    ///
    /// # Errors
    /// [`JournalError`] when the journal can't be written; the incident is then as it was.
    pub fn acknowledge(&mut self, id: u64) -> Result<bool, JournalError> {
        let found = self.ledger.acknowledge(id)?;
        for watched in self.entities.values_mut() {
            watched.tracker.acknowledge(id);
        }
        Ok(found)
    }

    /// Labels an incident; whether there is one of that id. A threshold that can't be derived from the label at once is derived
    /// as soon as the journal can be read, and [`Pipeline::told`] says so.
    ///
    /// # Errors
    /// [`JournalError`] when the journal can't be written; the incident is then as it was.
    pub fn label(&mut self, id: u64, label: Option<Label>) -> Result<bool, JournalError> {
        let found = self.ledger.label(id, label)?;
        for watched in self.entities.values_mut() {
            watched.tracker.label(id, label);
        }
        self.exclude_labelled(None);
        self.labelling.labels_changed();
        if let Err(error) = self.weigh_labels() {
            self.told.push((Level::Warning, format!(
                "incident {id} is labelled, but labels could not be read: the threshold follows when they can be ({error})"
            )));
        }
        Ok(found)
    }

    /// Which model scores, and the held-back errors that its threshold came from; labels raise it from there.
    ///
    /// # Errors
    /// [`JournalError`] when the journal's labels can't be read.
    pub fn know(&mut self, version: &str, held_back: &[f64]) -> Result<(), JournalError> {
        self.drifts.model(version, held_back);
        if let Some(scorer) = &self.scorer {
            let bundle = &scorer.bundle;
            let threshold = bundle.calibration.threshold_mse;
            self.labelling
                .model(Grounds::of(bundle, held_back, threshold, &self.config));
        }
        self.weigh_labels()
    }

    /// What labels raise the threshold from; `None` before a model scores.
    pub const fn grounds(&self) -> Option<&Grounds> {
        self.labelling.grounds()
    }

    fn weigh_labels(&mut self) -> Result<(), JournalError> {
        if let Some(journal) = self.ledger.journal() {
            let moved = self.labelling.weigh(journal)?;
            self.told.extend(moved.map(|text| (Level::Info, text)));
        }
        Ok(())
    }

    /// How many times the calibrated threshold is in force, by operators' labels (at least 1).
    pub const fn raise(&self) -> f64 {
        self.labelling.raise()
    }

    /// How many entities' data have changed for good since the model was trained.
    pub fn drifted(&self) -> Option<usize> {
        self.drifts.fired()
    }

    /// A newly trained model is about to score: drift is looked for anew.
    pub fn replace_model(&mut self) {
        self.drifts.replaced();
        self.checkpoint_now();
    }

    /// Looks for such a change from here on only.
    pub fn forget_drift(&mut self) {
        self.drifts.clear();
        self.checkpoint_now();
    }

    /// Takes over what was said of incidents through another process.
    ///
    /// # Errors
    /// [`JournalError`] when the journal can't be read.
    pub fn hear(&mut self) -> Result<(), JournalError> {
        let changed = self.ledger.hear()?;
        let concerned = changed.iter().filter(|i| self.excluded.concerns(i));
        let mut whose: Vec<Entity> = concerned.map(|i| i.entity.clone()).collect();
        whose.dedup();
        match whose.as_slice() {
            [] => {}
            [entity] => self.exclude_labelled(Some(entity)),
            _ => self.exclude_labelled(None),
        }
        self.labelling.incidents_changed(&changed);
        for incident in changed {
            if let Some(watched) = self.entities.get_mut(&incident.entity) {
                watched.tracker.hear(&incident);
            }
        }
        self.weigh_labels()
    }
}
