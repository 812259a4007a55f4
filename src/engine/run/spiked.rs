//! Answers what the model of test mode makes of fresh spikes.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::Core;
use crate::domain::{ControlError, SpikedRows};
use crate::engine::{EngineError, spiked};

/// Where the answer goes.
pub(super) type Reply = oneshot::Sender<Result<SpikedRows, ControlError>>;

impl Core {
    /// Judges the end of the sample with spikes that follow from `seed`, on a thread of its own; nothing that is shown or
    /// kept changes. [`ControlError::NotFound`] before test mode has a model.
    pub(super) fn spiked(&self, seed: u64, reply: Reply) {
        let Ok(permit) = Arc::clone(&self.previewing).try_acquire_owned() else {
            let _ = reply.send(Err(ControlError::Busy));
            return;
        };
        let lane = self.test.as_ref();
        let scorer = lane.and_then(|lane| lane.pipeline.scorer().cloned());
        let Some((lane, scorer)) = lane.zip(scorer) else {
            let _ = reply.send(Err(ControlError::NotFound));
            return;
        };
        let source = (self.test_source)(self.clock.now());
        let config = Arc::clone(lane.config());
        tokio::task::spawn_blocking(move || {
            let judged = source
                .map_err(EngineError::from)
                .and_then(|source| spiked::spiked(source.recorded(), &scorer, &config, seed));
            let answer = judged.map_err(|error| {
                tracing::warn!("spikes in the sample could not be judged: {error}");
                ControlError::Failed
            });
            drop(permit);
            // A reader that no longer waits needs no answer.
            let _ = reply.send(answer);
        });
    }
}
