//! Gaps, counters, scaling, calendar features, windows: pure functions over ndarray.
//!
//! A frame's raw values `[rows, features]` (NaN where missing) become the network's windows in this order:
//!
//! 1. [`counter::rates`] turns columns that are raw counters into rates per second.
//! 2. [`scale::Scaler::fit`] learns each column's scale, on training rows only; gaps are left out of it.
//! 3. [`gaps::fill`] puts something finite into every gap and says which cells were observed and which rows no window
//!    may touch. Training may look both ways ([`gaps::Look::Both`]); live scoring and backtests only back
//!    ([`gaps::Look::Back`]), so that a row never knows what came after it.
//! 4. [`scale::Scaler::transform`] brings it to the network's scale.
//! 5. [`calendar::append`] adds `day_of_week` and `hour_of_day` as the last two columns.
//! 6. [`window::WindowSet`] holds the stretches and hands out windows as views.
//!
//! Nothing here does I/O, reads a clock or draws a random number.

#![allow(clippy::indexing_slicing)] // Shapes are checked where data enters; see each function.
#![allow(clippy::needless_pass_by_value)] // Array views are passed like slices: by value.

pub mod calendar;
pub mod counter;
pub mod gaps;
#[cfg(test)]
mod properties;
pub mod scale;
pub mod window;
