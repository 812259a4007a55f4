//! The network's sizes: what is configured, what tensors follow from it, and what is too large to be meant.

use serde::{Deserialize, Serialize};

use super::ModelError;
use super::lstm::GATES;
use crate::config::{Activation, AutoencoderConfig, Output};
use crate::prep::calendar;

/// Most weights a network may have: 16 million, 64 MB. A configuration or a file that asks for more is a mistake.
pub const MAX_PARAMETERS: usize = 16_000_000;

/// Most rows of a window.
pub const MAX_WINDOW: usize = 10_000;

/// Sizes and activations of one autoencoder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Rows of a window.
    pub window: usize,
    /// Columns of a row: the features, then the calendar's two.
    pub columns: usize,
    /// Units of the encoder's LSTM layers, first to last; may be none.
    pub encoder: Vec<usize>,
    /// Units of the latent LSTM layer, whose last state is the code of a window.
    pub latent: usize,
    /// Units of the decoder's LSTM layers, first to last; at least one.
    pub decoder: Vec<usize>,
    /// Activation of the LSTM layers.
    pub activation: Activation,
    /// Activation of the dense layer.
    pub output: Output,
}

/// One LSTM layer's place in the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    /// `encoder.0`, `latent`, `decoder.1`.
    pub name: String,
    /// Width of its input.
    pub inputs: usize,
    /// Width of its output.
    pub units: usize,
    /// Only its last state goes on, and is repeated to the next layer.
    pub is_code: bool,
}

/// Name and dimensions of one tensor of weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    /// `encoder.0.weights`, `dense.bias`.
    pub name: String,
    /// Its dimensions.
    pub dims: Vec<usize>,
}

impl Shape {
    /// The configured network for `features` metrics; the calendar's columns are added.
    #[must_use]
    pub fn new(config: &AutoencoderConfig, features: usize) -> Self {
        Self {
            window: config.window,
            columns: features.saturating_add(calendar::COLUMNS),
            encoder: config.encoder.clone(),
            latent: config.latent,
            decoder: config.decoder.clone(),
            activation: config.activation,
            output: config.output,
        }
    }

    /// Columns that errors are taken over: all but the calendar's.
    #[must_use]
    pub const fn features(&self) -> usize {
        self.columns.saturating_sub(calendar::COLUMNS)
    }

    /// Says whether a network of this shape can be built: no size is 0, there is a feature beside the calendar, a decoder,
    /// and at most [`MAX_PARAMETERS`] weights and [`MAX_WINDOW`] rows.
    ///
    /// # Errors
    /// [`ModelError::Shape`], with the configuration key to change.
    pub fn check(&self) -> Result<(), ModelError> {
        let wrong = |text: String| Err(ModelError::Shape(text));
        let mut units = self.encoder.iter().chain(&self.decoder);
        if !(1..=MAX_WINDOW).contains(&self.window) {
            let found = self.window;
            return wrong(format!(
                "[autoencoder] window is {found}; give 1 to {MAX_WINDOW} rows"
            ));
        }
        if self.features() == 0 {
            return wrong("there is no feature to learn; configure a query".into());
        }
        if self.decoder.is_empty() {
            return wrong("[autoencoder] decoder is empty; give at least one layer".into());
        }
        if self.latent == 0 || units.any(|units| *units == 0) {
            return wrong("[autoencoder] a layer has 0 units; give every layer at least 1".into());
        }
        match self.checked_parameters() {
            Some(count) if count <= MAX_PARAMETERS => Ok(()),
            _ => wrong(format!(
                "[autoencoder] the network would have more than {MAX_PARAMETERS} weights; make its layers smaller"
            )),
        }
    }

    fn checked_parameters(&self) -> Option<usize> {
        let mut inputs = self.columns;
        let mut count = 0_usize;
        let code = std::iter::once(&self.latent);
        for units in self.encoder.iter().chain(code).chain(&self.decoder) {
            let rows = inputs.checked_add(*units)?.checked_add(1)?;
            count = count.checked_add(rows.checked_mul(units.checked_mul(GATES)?)?)?;
            inputs = *units;
        }
        count.checked_add(inputs.checked_add(1)?.checked_mul(self.columns)?)
    }

    /// The LSTM layers, first to last.
    pub(super) fn layers(&self) -> Vec<Layer> {
        let named = |part: &'static str, sizes: &[usize]| -> Vec<(String, usize)> {
            let sizes = sizes.iter().enumerate();
            sizes
                .map(|(place, units)| (format!("{part}.{place}"), *units))
                .collect()
        };
        let code = std::iter::once(("latent".to_owned(), self.latent));
        let mut inputs = self.columns;
        named("encoder", &self.encoder)
            .into_iter()
            .chain(code)
            .chain(named("decoder", &self.decoder))
            .map(|(name, units)| Layer {
                is_code: name == "latent",
                inputs: std::mem::replace(&mut inputs, units),
                name,
                units,
            })
            .collect()
    }

    /// All tensors of weights in the order the network uses them: weights and bias of each layer, then of the dense one.
    pub(super) fn parameters(&self) -> Vec<Parameter> {
        let layers = self.layers();
        let last = layers.last().map_or(0, |layer| layer.units);
        let lstm = layers.iter().map(|layer| {
            let gates = layer.units * GATES;
            (layer.name.as_str(), layer.inputs + layer.units, gates)
        });
        lstm.chain(std::iter::once(("dense", last, self.columns)))
            .flat_map(|(name, rows, width)| {
                [
                    Parameter {
                        name: format!("{name}.weights"),
                        dims: vec![rows, width],
                    },
                    Parameter {
                        name: format!("{name}.bias"),
                        dims: vec![width],
                    },
                ]
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_network_is_the_first_seeds() {
        let shape = Shape::new(&AutoencoderConfig::default(), 17);
        shape.check().unwrap();
        let layers: Vec<_> = shape
            .layers()
            .into_iter()
            .map(|l| (l.name, l.inputs, l.units, l.is_code))
            .collect();
        assert_eq!(
            layers,
            [
                ("encoder.0".into(), 19, 64, false),
                ("latent".into(), 64, 32, true),
                ("decoder.0".into(), 32, 32, false),
                ("decoder.1".into(), 32, 64, false),
            ]
        );
        let parameters = shape.parameters();
        let count: usize = parameters
            .iter()
            .map(|p| p.dims.iter().product::<usize>())
            .sum();
        assert_eq!(shape.checked_parameters(), Some(count));
        assert_eq!(parameters.last().unwrap().name, "dense.bias");
    }

    #[test]
    fn impossible_sizes_are_named() {
        type Change = fn(&mut Shape);
        let good = Shape::new(&AutoencoderConfig::default(), 3);
        let broken: [(Change, &str); 6] = [
            (|s| s.window = 0, "window is 0"),
            (|s| s.window = usize::MAX, "window is"),
            (|s| s.columns = 2, "no feature"),
            (|s| s.decoder.clear(), "decoder is empty"),
            (|s| s.encoder = vec![64, 0], "0 units"),
            (|s| s.latent = usize::MAX / 8, "more than"),
        ];
        for (change, word) in broken {
            let mut shape = good.clone();
            change(&mut shape);
            let error = shape.check().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
