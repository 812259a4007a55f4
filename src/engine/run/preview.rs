//! What a label would change, worked out beside the loop.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::Core;
use crate::config::Config;
use crate::domain::{ControlError, Label, LabelEffect};
use crate::engine::labelling::{self, Grounds};
use crate::store::{Journal, JournalError};

/// So many are worked out at once; one more is refused.
pub(super) const AT_ONCE: usize = 2;

/// Where the answer goes.
pub(super) type Reply = oneshot::Sender<Result<LabelEffect, ControlError>>;

impl Core {
    /// Answers what a label would change. All rows that are kept are replayed twice, up to 100,000 of them: with opening the
    /// journal that takes a quarter of a second, longer than a tick may. So it is done on a thread of its own, over a
    /// connection of its own, which waits for nobody and can change nothing. Without a model that scores, the one of the
    /// registry is read there too.
    pub(super) fn preview(&self, id: u64, label: Option<Label>, reply: Reply) {
        let Ok(permit) = Arc::clone(&self.previewing).try_acquire_owned() else {
            let _ = reply.send(Err(ControlError::Busy));
            return;
        };
        let grounds = self.live.pipeline.grounds().cloned();
        let registry = self.registry.clone();
        let (journal, config) = (self.journal.clone(), Arc::clone(&self.config));
        tokio::task::spawn_blocking(move || {
            let grounds = grounds.unwrap_or_else(|| Grounds::current(&registry, &config));
            let answer = effect(&journal, &grounds, &config, (id, label));
            drop(permit);
            // A reader that no longer waits needs no answer.
            let _ = reply.send(answer);
        });
    }
}

fn effect(
    path: &Path,
    grounds: &Grounds,
    config: &Config,
    (id, label): (u64, Option<Label>),
) -> Result<LabelEffect, ControlError> {
    let found = || -> Result<Option<LabelEffect>, JournalError> {
        let journal = Journal::open_to_read(path)?;
        // Incidents of test mode are in no journal.
        if journal.get(id)?.is_none() {
            return Ok(None);
        }
        labelling::preview(&journal, grounds, config, (id, label)).map(Some)
    };
    match found() {
        Ok(effect) => effect.ok_or(ControlError::NotFound),
        Err(error) => {
            tracing::warn!(id, "what a label would change is not known: {error}");
            Err(ControlError::Failed)
        }
    }
}
