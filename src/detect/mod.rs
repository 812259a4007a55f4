//! Calibration, gates, incidents: from reconstruction errors to verdicts.
//!
//! [`calibration::calibrate`] turns held-back errors into a threshold, so that a score of 1 means the same everywhere. A
//! [`judge::Judge`] per entity turns scores into verdicts, asking the gates of [`gates::JudgeRules`]. An
//! [`incident::Tracker`] per entity turns verdicts into incidents. All are pure: time comes with the rows, and state is
//! plain data that a checkpoint can hold.
//!
//! [`drift::Drift`] tells a change for good from an incident; [`labels`] says how far labels raise the threshold, and replays
//! what they would have changed.

pub mod calibration;
pub mod drift;
pub mod fusion;
pub mod gates;
pub mod incident;
pub mod judge;
pub mod labels;
pub mod maintenance;
mod tail;
pub mod threshold;
pub mod warm_up;
