//! Meaning on top of disk: journal, data sets, model registry.
//!
//! The [`Journal`] is where incidents live and what consumers read by cursor; the [`Registry`] keeps model bundles by
//! version and says which one scores; [`datasets`] turns frames into files and back.

pub mod datasets;
mod frames;
mod journal;
mod journal_rows;
mod journal_scores;
mod json;
mod registry;

pub use journal::{Change, IncidentFilter, Journal, JournalError};
pub use registry::{ListedModel, ModelMeta, Registry, RegistryError};
