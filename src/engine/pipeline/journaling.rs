//! Writes a pipeline's changes to its journal, deletes what has become old there, and writes a lost journal anew.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Pipeline;
use crate::domain::{Entity, Incident, Time};
use crate::engine::checkpoint::{Checkpoint, Kept};
use crate::engine::checkpointing::Whole;
use crate::engine::judging::span;
use crate::store::{Batch, JournalError, Rescued};

/// Rows between two whole checkpoints: so much is scored again after a crash. What changes an incident is written at once.
const EVERY: Duration = Duration::from_mins(5);

/// What of a pipeline is in its journal.
#[derive(Debug, Default)]
pub struct Journaled {
    /// A whole checkpoint was taken by this process, and none is wanted at once.
    is_whole: bool,
    /// Newest row with a final verdict in the last whole checkpoint.
    judged: Option<Time>,
    /// Entities that were let go since.
    gone: BTreeSet<Entity>,
    /// Those that the checkpoint deletes which is being written.
    going: BTreeSet<Entity>,
}

impl Journaled {
    /// An entity was let go: its checkpoint is to be deleted.
    pub fn forget(&mut self, entity: Entity) {
        self.gone.insert(entity);
    }

    /// Whether a whole checkpoint is due when rows up to `judged` are.
    fn is_due(&self, judged: Option<Time>) -> bool {
        let is_recent = match (self.judged, judged) {
            (Some(written), Some(judged)) => judged >= written && judged.since(written) < EVERY,
            (written, judged) => written == judged,
        };
        !(self.is_whole && is_recent)
    }
}

impl Pipeline {
    /// Writes what changed since the last call to the journal, and every five minutes of rows the checkpoint of all.
    ///
    /// # Errors
    /// [`JournalError`]; nothing is lost, the next call tries again.
    pub fn commit(&mut self) -> Result<(), JournalError> {
        self.commit_changes()?;
        let (Some(whole), Some(journal)) = (self.take_checkpoint(), self.ledger.journal_mut())
        else {
            return Ok(());
        };
        let written = whole.write(journal);
        self.checkpoint_ended(written.is_ok());
        written
    }

    /// Writes what changed since the last call to the journal, in one transaction: incidents with the checkpoints of their
    /// entities, and rows near the threshold.
    ///
    /// # Errors
    /// [`JournalError`]; nothing is lost, the next call tries again.
    pub fn commit_changes(&mut self) -> Result<(), JournalError> {
        let scores = self.labelling.unwritten();
        if self.ledger.journal().is_none() || (self.ledger.is_written() && scores.is_empty()) {
            return Ok(());
        }
        let entities: Vec<_> = self
            .touched()
            .into_iter()
            .map(|(entity, kept)| (entity, kept.as_ref().map(Kept::to_bytes)))
            .collect();
        let new = self.ledger.commit(&Batch {
            scores,
            entities: &entities,
            ..Batch::default()
        })?;
        self.labelling.write();
        for incident in new {
            let open = self
                .entities
                .get_mut(&incident.entity)
                .map(|watched| &mut watched.tracker);
            if let Some(tracker) =
                open.filter(|t| t.open().is_some_and(|open| open.start == incident.start))
            {
                tracker.assign(incident.id);
            }
        }
        Ok(())
    }

    /// The checkpoint of all, when it is due, to be written before anything else is; [`Pipeline::checkpoint_ended`] says what
    /// became of it.
    pub fn take_checkpoint(&mut self) -> Option<Whole> {
        if self.ledger.journal().is_none() || !self.journaled.is_due(self.judged) {
            return None;
        }
        let whole = Whole {
            header: self.header(),
            drift: self.drifts.bytes(),
            entities: self.all(),
        };
        self.journaled = Journaled {
            is_whole: true,
            judged: self.judged,
            going: std::mem::take(&mut self.journaled.gone),
            gone: BTreeSet::new(),
        };
        Some(whole)
    }

    /// What became of the checkpoint that was taken: one that could not be written is due again.
    pub fn checkpoint_ended(&mut self, is_written: bool) {
        let going = std::mem::take(&mut self.journaled.going);
        if !is_written {
            self.journaled.is_whole = false;
            self.journaled.gone.extend(going);
        }
    }

    /// Incidents that commits wrote as opened or over since the last call.
    pub fn take_changes(&mut self) -> Vec<Incident> {
        self.ledger.take_changes()
    }

    /// The next commit writes the checkpoint of all, however little time has passed.
    pub fn checkpoint_now(&mut self) {
        self.journaled.is_whole = false;
    }

    fn header(&self) -> Vec<u8> {
        let header = Checkpoint {
            judged: self.judged,
            live_from: self.live_from,
            ..Checkpoint::default()
        };
        serde_json::to_vec(&header).unwrap_or_default()
    }

    /// The checkpoints of all entities. What a restart left of those that have not come back is in the journal, but for the
    /// first one of a process: an older release kept it elsewhere.
    fn all(&self) -> Vec<(Entity, Option<Kept>)> {
        let gone = self
            .journaled
            .gone
            .iter()
            .cloned()
            .map(|entity| (entity, None));
        let first = !self.journaled.is_whole;
        let restored = self
            .restored
            .iter()
            .filter(|_| first)
            .map(|(entity, kept)| {
                let drift = self.drifts.test(entity).cloned();
                let kept = Kept {
                    drift,
                    ..kept.clone()
                };
                (entity.clone(), Some(kept))
            });
        let own = self
            .entities
            .keys()
            .map(|entity| (entity.clone(), self.own(entity)));
        // One that was let go and came back is among its own, which come last.
        gone.chain(restored).chain(own).collect()
    }

    /// The checkpoints of the entities whose incidents changed.
    fn touched(&self) -> Vec<(Entity, Option<Kept>)> {
        let touched = self.ledger.unwritten().into_iter();
        touched
            .filter(|entity| !self.restored.contains_key(entity))
            .map(|entity| (entity.clone(), self.own(entity)))
            .collect()
    }

    /// The checkpoint of an entity; `None` when it was let go.
    fn own(&self, entity: &Entity) -> Option<Kept> {
        let watched = self.entities.get(entity)?;
        Some(watched.kept(self.drifts.test(entity)))
    }

    /// Deletes from the journal what is older than its retention, counted from `now` or from the newest incident, whichever is
    /// earlier: a clock that runs ahead deletes nothing. A bounded number of rows; says whether there may be more. Unless it is
    /// `due`, only what has grown fast is looked at.
    ///
    /// # Errors
    /// [`JournalError`]; the next call tries again.
    pub fn prune(&mut self, now: Time, due: bool) -> Result<bool, JournalError> {
        // Before anything is judged, nothing says what is old: a recording's rows may all be.
        let (Some(judged), Some(journal)) = (self.judged, self.ledger.journal_mut()) else {
            return Ok(false);
        };
        let more = self.labelling.prune(journal, judged.min(now), due)?;
        let Some(incident) = self.ledger.newest().filter(|_| due) else {
            return Ok(more);
        };
        // One that may be taken up again is not old, whatever the retention says.
        let (window, detect) = (span(&self.config), &self.config.detect);
        let recent = (detect.cooldown.0.max(window) + detect.max_incident.0.max(window)) * 2;
        let before = incident.min(now) - self.config.journal.retention.0.max(recent);
        let (entities, restored) = (&self.entities, &self.restored);
        let is_known =
            |entity: &Entity| entities.contains_key(entity) || restored.contains_key(entity);
        let pruned = self.ledger.prune(before, is_known)?;
        if pruned.incidents > 0 {
            // Labels go with their incidents.
            self.labelling.labels_changed();
        }
        Ok(more || pruned.more)
    }

    /// Writes the journal anew whose file is gone or damaged, with all that is known of it; `None` without a journal.
    ///
    /// # Errors
    /// [`JournalError`]; the next call tries again.
    pub fn rescue(&mut self) -> Result<Option<Rescued>, JournalError> {
        let rescued = self.ledger.rescue()?;
        self.checkpoint_now();
        self.labelling.labels_changed();
        Ok(rescued)
    }
}
