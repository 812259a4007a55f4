//! The LSTM autoencoder, its training, the seasonal forecaster, and the bundle as bytes.

pub mod forecast;
