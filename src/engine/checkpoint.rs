//! What a pipeline writes into the journal so that a restart goes on as if there had been none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fusing::State;
use super::ledger::Ledger;
use crate::detect::incident::Tracker;
use crate::detect::judge::Judge;
use crate::domain::{Entity, Incident, IncidentState, Time};
use crate::store::{IncidentFilter, JournalError};

/// Checkpoint of a pipeline: with the journal's incidents, all that a restart needs to go on as if there had been none.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Newest row with a final verdict.
    pub judged: Option<Time>,
    /// What there is of each entity.
    pub entities: BTreeMap<Entity, Kept>,
}

/// One entity's part in a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// Gates, row by row.
    pub judge: Judge,
    /// The open incident.
    pub tracker: Tracker,
    /// What the score remembers; an older release kept none.
    #[serde(default)]
    pub fusing: State,
}

impl Kept {
    /// Of an entity that nothing is known of.
    fn new(entity: &Entity) -> Self {
        Self {
            judge: Judge::new(entity.clone()),
            tracker: Tracker::new(entity.clone()),
            fusing: State::default(),
        }
    }
}

/// Key of the live pipeline's checkpoint in the journal.
pub const CHECKPOINT: &str = "live";

/// Brings a checkpoint and the journal's open incidents together: an incident whose id came after the checkpoint gets it,
/// one that no checkpoint knows of goes on from its last anomalous row. Says what was not as it should be.
///
/// # Errors
/// [`JournalError`] when the journal can't be read.
pub fn take_up(
    checkpoint: &mut Checkpoint,
    ledger: &mut Ledger,
) -> Result<Vec<String>, JournalError> {
    let filter = IncidentFilter {
        open_only: true,
        limit: usize::MAX,
        ..IncidentFilter::default()
    };
    let open = match ledger.journal() {
        Some(journal) => journal.list(&filter)?,
        None => Vec::new(),
    };
    let mut told = Vec::new();
    for incident in open {
        let entity = &incident.entity;
        let kept = checkpoint.entities.entry(entity.clone());
        let tracker = &mut kept.or_insert_with(|| Kept::new(entity)).tracker;
        let follows = tracker
            .open()
            .is_some_and(|own| own.start == incident.start);
        if follows {
            tracker.assign(incident.id);
            continue;
        }
        let what = format!("incident {} of {} was open", incident.id, incident.entity);
        if tracker.resume(incident.clone()) {
            told.push(format!(
                "{what} and what followed it is not known any more: it goes on if the next rows are anomalous, else it is closed"
            ));
            continue;
        }
        told.push(format!(
            "{what} and is closed: a later one of the same entity goes on"
        ));
        ledger.update(&Incident {
            state: IncidentState::Closed,
            ..incident
        });
    }
    Ok(told)
}
