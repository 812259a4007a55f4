//! Meaning on top of disk: journal, data sets, model registry.
//!
//! The [`Journal`] is where incidents live and what consumers read by cursor; the [`Registry`] keeps model bundles by
//! version and says which one scores; [`datasets`] turns frames into files and back; a [`DataDir`] names the files of all of them.

mod data_dir;
pub mod datasets;
mod frames;
mod journal;
mod journal_checkpoints;
mod journal_past;
mod journal_pruning;
mod journal_rescue;
mod journal_rows;
mod journal_scores;
mod json;
mod registry;

pub use data_dir::{DataDir, Standing};
pub use journal::{Batch, Change, IncidentFilter, Journal, JournalError};
pub use journal_pruning::{PRUNED_AT_ONCE, SCORES_AT_ONCE};
pub use journal_rescue::{Remembered, Rescued};
pub use registry::{ListedModel, ModelMeta, Registry, RegistryError, version_of};
