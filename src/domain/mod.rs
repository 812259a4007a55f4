//! Plain data that every room speaks: no I/O, no async, nothing local imported.
//!
//! Samples are a [`Frame`] (one per [`Entity`], rows on a [`Grid`], one column per [`Feature`]); scoring a row gives a
//! [`Verdict`]; a run of anomalous verdicts is an [`Incident`]; readers see a [`Snapshot`] and answer with a [`Command`]
//! or a [`HistoryQuery`] through [`Control`].

mod calibration;
mod command;
mod entity;
mod feature;
mod forecast;
mod frame;
mod freshness;
mod grid;
mod health;
mod incident;
mod kept;
mod printable;
mod promotion;
mod series;
mod snapshot;
mod time;
mod unit;
mod verdict;

pub use calibration::{Calibration, Tail};
pub use command::{
    Command, Control, ControlError, HistoryAnswer, HistoryQuery, HistorySeries, Label, Spike,
    SpikedRows,
};
pub use entity::{Entity, Labels};
pub use feature::{Direction, Feature};
pub use forecast::{Breach, Forecast, ForecastAccuracy, is_past};
pub use frame::{Frame, Schema};
pub use freshness::{Freshness, StaleReason, withdrawn_after};
pub use grid::Grid;
pub use health::{Component, ComponentHealth, Fault, HealthBoard};
pub use incident::{Contribution, Incident, IncidentState, OTHERS, Why};
pub use kept::{KeptScore, LabelEffect, MOST_RAISE};
pub use printable::{is_unprintable, printable};
pub use promotion::{Comparison, Decision};
pub use series::Series;
pub use snapshot::{
    AppView, BuildInfo, CatchUp, Counters, EntityReadiness, EntityView, FeatureView, Histogram,
    Level, ModelEntry, ModelView, Notice, PipelineId, PipelineView, ProcessView, RECENT, Readiness,
    Snapshot, SourceState, SourceView, TrainingOutcome, TrainingView,
};
pub use time::Time;
pub use unit::Unit;
pub use verdict::{FeatureVerdict, Gate, Provisional, RowState, Verdict};
