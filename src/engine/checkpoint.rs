//! What a pipeline writes into the journal so that a restart goes on as if there had been none.
//!
//! A checkpoint is a header (how far rows were judged) and a value per entity. All of it is written every few minutes of rows;
//! in between only incidents are, each with its entity's value. After a crash the rows since the header are judged once more,
//! but for entities whose own value is newer: [`Judge::latest`] says how far each is.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

use super::fusing::State;
use super::ledger::Ledger;
use crate::detect::drift::Drift;
use crate::detect::incident::Tracker;
use crate::detect::judge::Judge;
use crate::domain::{Entity, Incident, IncidentState, Time};
use crate::store::{IncidentFilter, Journal, JournalError};

/// Key of the live pipeline's header in the journal.
pub const CHECKPOINT: &str = "live";

/// Most bytes of an entity's value when it is unpacked; it has some thousand.
const LARGEST: u64 = 1 << 20;

/// Checkpoint of a pipeline: with the journal's incidents, all that a restart needs to go on as if there had been none.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Newest row with a final verdict, of every entity.
    pub judged: Option<Time>,
    /// The first row that was judged live by a model.
    #[serde(default)]
    pub live_from: Option<Time>,
    /// What there is of each entity. An older release kept it in the header.
    #[serde(default, skip_serializing)]
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
    /// The test for a lasting change; an older release kept it elsewhere.
    #[serde(default)]
    pub drift: Option<Drift>,
}

impl Kept {
    /// Of an entity that nothing is known of.
    fn new(entity: &Entity) -> Self {
        Self {
            judge: Judge::new(entity.clone()),
            tracker: Tracker::new(entity.clone()),
            fusing: State::default(),
            drift: None,
        }
    }

    /// As it is stored: packed JSON. It always has a form; nothing at all would be reported as unreadable by the next start.
    pub fn to_bytes(&self) -> Vec<u8> {
        let pack = || {
            let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(&serde_json::to_vec(self)?)?;
            packed.finish()
        };
        pack().unwrap_or_default()
    }

    /// From what is stored.
    ///
    /// # Errors
    /// The reason why it can't be read.
    pub fn from_bytes(bytes: &[u8]) -> std::io::Result<Self> {
        let mut json = Vec::new();
        let mut unpacked = ZlibDecoder::new(bytes).take(LARGEST);
        unpacked.read_to_end(&mut json)?;
        Ok(serde_json::from_slice(&json)?)
    }
}

impl Checkpoint {
    /// What the journal has; says what of it can't be read and is left out.
    ///
    /// # Errors
    /// [`JournalError`] when the journal can't be read.
    pub fn read(journal: &Journal) -> Result<(Self, Vec<String>), JournalError> {
        let mut told = Vec::new();
        let mut checkpoint = Self::default();
        if let Some(bytes) = journal.checkpoint_get(CHECKPOINT)? {
            checkpoint = serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                told.push(format!(
                    "the checkpoint in the journal can't be read ({error}); judging begins anew with the next row"
                ));
                Self::default()
            });
        }
        for (entity, bytes) in journal.entity_checkpoints()? {
            match Kept::from_bytes(&bytes) {
                Ok(kept) => drop(checkpoint.entities.insert(entity, kept)),
                Err(error) => told.push(format!(
                    "the checkpoint of {entity} in the journal can't be read ({error}); judging it begins anew with the next row"
                )),
            }
        }
        Ok((checkpoint, told))
    }
}

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
