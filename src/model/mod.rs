//! The LSTM autoencoder, its training, the seasonal forecaster, and the bundle as bytes.
//!
//! How the parts meet:
//!
//! ```text
//! config ─► Shape ─► initial weights ─► train(shape, options, WindowSet) ─► Trained { Autoencoder, losses, held-back errors }
//!                                           │ forth and back                    │
//!                                           ▼                                   ▼  (calibrated elsewhere)
//!                                        kernel                        Bundle ─► to_bytes ─► from_bytes ─► Autoencoder
//!                                           ▲                                                                  │
//!                                           └──────────────── reconstruct(windows) ─► window_errors ◄──────────┘
//! ```
//!
//! - [`Shape`] says which tensors there are; everything else follows their order.
//! - The kernel computes all layers at once on whatever instructions the machine has; [`plain`] is the same in candle's
//!   operations, layer by layer ([`lstm`]), to hold it against. [`train`](train::train) moves the weights with Adam; [`split`]
//!   decides what is held back.
//! - [`Bundle`] is all that scoring needs in one safetensors file: networks, scalers, feature order, calibration. It is bytes
//!   here; files are another room's.
//!
//! The last two columns of a window are the calendar (`day_of_week`, `hour_of_day`): the network sees and rebuilds them, but
//! errors are over the features before them. No clock is read, and all randomness comes from a seed.

#![allow(clippy::needless_pass_by_value)] // Array views are passed like slices: by value.

mod autoencoder;
pub mod autoregression;
pub mod bundle;
pub mod codebook;
mod errors;
pub mod forecast;
mod initial;
mod kernel;
mod learner;
pub mod lstm;
mod matrix;
pub mod plain;
mod shape;
pub mod split;
pub mod train;
mod trained;
pub mod views;

pub use autoencoder::{Autoencoder, Scratch};
pub use bundle::{Bundle, BundleError, SchemaDifference};
pub use errors::{WindowErrors, window_errors};
pub use kernel::Instructions;
pub use shape::{MAX_PARAMETERS, MAX_WINDOW, Shape};
pub use train::{HeldBack, Progress, TrainError, TrainOptions, Trained, train};

/// Why a network can't be built or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Sizes that make no network.
    #[error("{0}")]
    Shape(String),
    /// Windows of another shape than the network's.
    #[error(
        "the windows are {window} × {columns}, the network takes {expected_window} × {expected_columns}: train again with this configuration"
    )]
    Windows {
        /// Rows of a window.
        window: usize,
        /// Columns of a window.
        columns: usize,
        /// Rows that the network takes.
        expected_window: usize,
        /// Columns that the network takes.
        expected_columns: usize,
    },
    /// The arithmetic failed.
    #[error("the network could not be computed: {0}")]
    Compute(String),
}

impl From<candle_core::Error> for ModelError {
    fn from(error: candle_core::Error) -> Self {
        Self::Compute(error.to_string())
    }
}
