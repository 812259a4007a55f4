//! What people take away: pictures, .npy, judged tables, the screen as SVG.
//!
//! Everything here is made as bytes, the same for the same input; where they go is the caller's business.

pub mod alarms;
mod axis;
pub mod judge;
mod nab;
pub mod npy;
pub mod plots;
pub mod ranking;
pub mod summary;
pub mod svg;
pub mod table;

pub use plots::{PlotError, histogram_png, loss_png};
