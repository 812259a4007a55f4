//! The async core. It owns all state and publishes immutable snapshots; readers can never block it.
//!
//! A [`lane`] per source ties a [`pipeline`] (data, model, verdicts; synchronous) to a [`collector`] (the way to the
//! source). [`run`] is the loop around the lanes: ticks, commands, training and forecasting in the background, one
//! snapshot after each change. [`learn`] and [`scorer`] are the recipes from raw rows to a model and from raw rows to
//! errors; `train`, `filter` and `backtest` call the same ones.

// Array views are passed like slices: by value.
#![allow(clippy::needless_pass_by_value)]

pub mod backtest;
pub mod checkpoint;
pub mod checkpointing;
pub mod cleaning;
pub mod clock;
pub mod collector;
pub mod columns;
pub mod drifting;
pub mod events;
pub mod forecasting;
pub mod fusing;
pub mod history;
pub mod judging;
pub mod keeping;
pub mod labelling;
pub mod lane;
pub mod learn;
pub mod ledger;
pub mod models;
pub mod notices;
pub mod open;
pub mod past;
pub mod pipeline;
pub mod process;
pub mod processed;
pub mod promotion;
pub mod readiness;
pub mod recent;
pub mod run;
pub mod scorer;
pub mod sequences;
pub mod spiked;
pub mod tail;
pub mod trainer;
pub mod training;
pub mod views;
pub mod watched;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::domain::{
    BuildInfo, Command, Control, ControlError, HistoryAnswer, HistoryQuery, Label, LabelEffect,
    Snapshot, SpikedRows,
};
use crate::model::{BundleError, ModelError};
use crate::source::SourceError;
use crate::store::{JournalError, RegistryError};

/// Requests that wait for the engine.
const QUEUE: usize = 64;

/// What was built.
pub const BUILD: BuildInfo = BuildInfo {
    version: env!("CARGO_PKG_VERSION"),
    target: TARGET,
};

const TARGET: &str = if cfg!(target_os = "linux") {
    "linux"
} else if cfg!(target_os = "macos") {
    "macos"
} else {
    "windows"
};

/// Why the engine could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal can't be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The model registry can't be used.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The source can't be set up.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A bundle can't be read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The network can't score.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Nothing can be learned.
    #[error(transparent)]
    Learn(#[from] learn::LearnError),
    /// The system has no thread left for the engine.
    #[error("the engine's thread could not be started: {0}; are too many processes running?")]
    Thread(std::io::Error),
}

/// What readers send.
pub(crate) enum Request {
    Command(Command),
    History(
        HistoryQuery,
        oneshot::Sender<Result<HistoryAnswer, ControlError>>,
    ),
    Preview(
        u64,
        Option<Label>,
        oneshot::Sender<Result<LabelEffect, ControlError>>,
    ),
    Spiked(u64, oneshot::Sender<Result<SpikedRows, ControlError>>),
}

/// The readers' way to a local engine.
#[derive(Clone)]
pub struct Handle(mpsc::Sender<Request>);

impl Handle {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Request>) {
        let (requests, inbox) = mpsc::channel(QUEUE);
        (Self(requests), inbox)
    }

    fn request(&self, request: Request) -> Result<(), ControlError> {
        self.0.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ControlError::Busy,
            mpsc::error::TrySendError::Closed(_) => ControlError::Stopped,
        })
    }
}

impl Control for Handle {
    fn send(&self, command: Command) -> Result<(), ControlError> {
        self.request(Request::Command(command))
    }

    fn history(
        &self,
        query: HistoryQuery,
    ) -> Pin<Box<dyn Future<Output = Result<HistoryAnswer, ControlError>> + Send + '_>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            self.request(Request::History(query, reply))?;
            answer.await.map_err(|_| ControlError::Stopped)?
        })
    }

    fn spiked(
        &self,
        seed: u64,
    ) -> Pin<Box<dyn Future<Output = Result<SpikedRows, ControlError>> + Send + '_>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            self.request(Request::Spiked(seed, reply))?;
            answer.await.map_err(|_| ControlError::Stopped)?
        })
    }

    fn preview(
        &self,
        incident: u64,
        label: Option<Label>,
    ) -> Pin<Box<dyn Future<Output = Result<LabelEffect, ControlError>> + Send + '_>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            self.request(Request::Preview(incident, label, reply))?;
            answer.await.map_err(|_| ControlError::Stopped)?
        })
    }
}

/// A running engine.
pub struct Running {
    /// Snapshots, latest wins.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The way to it.
    pub control: Arc<Handle>,
    /// Its task; ends after [`Command::Shutdown`].
    pub task: tokio::task::JoinHandle<()>,
}
