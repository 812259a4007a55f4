//! Calibration, gates, incidents: from reconstruction errors to verdicts.
//!
//! [`calibrate`] turns held-back errors into a threshold, so that a score of 1 means the same everywhere. A [`Judge`]
//! per entity turns scores into verdicts, asking the gates of [`JudgeRules`]. A [`Tracker`] per entity turns verdicts into
//! incidents. All three are pure: time comes with the rows, state is plain data that a checkpoint can hold.

mod calibration;
mod gates;
mod incident;
mod judge;
mod tail;

pub use calibration::{Budget, CalibrateError, calibrate, score};
pub use gates::JudgeRules;
pub use incident::{IncidentChange, Tracker};
pub use judge::{Judge, Row, Scored};
