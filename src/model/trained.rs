//! A finished training as bytes, and back, to the bit.
//!
//! A line of words (JSON), then numbers, little endian, without a gap: the network's weights (f32, in the order of
//! [`Shape::parameters`]), losses (f64, two a pass), and of the held-back windows their places (u64), errors by feature (f64)
//! and mean errors (f64).

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::autoencoder::Autoencoder;
use super::shape::Shape;
use super::train::{HeldBack, Trained};

/// What the numbers are.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    shape: Shape,
    passes: usize,
    best_epoch: usize,
    windows: usize,
    held_back: usize,
    features: usize,
}

impl Trained {
    /// The bytes; the same training gives the same ones. `None` when its words can't be written, which no training causes.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let words = Words {
            shape: self.autoencoder.shape().clone(),
            passes: self.losses.len(),
            best_epoch: self.best_epoch,
            windows: self.windows,
            held_back: self.held_back.windows.len(),
            features: self.held_back.errors.ncols(),
        };
        let mut bytes = serde_json::to_vec(&words).ok()?;
        bytes.push(b'\n');
        for (_, weights) in self.autoencoder.named_weights() {
            bytes.extend(weights.into_iter().flat_map(f32::to_le_bytes));
        }
        let losses = self.losses.iter().flat_map(|(train, val)| [*train, *val]);
        bytes.extend(losses.flat_map(f64::to_le_bytes));
        let places = self.held_back.windows.iter();
        bytes.extend(places.flat_map(|place| (*place as u64).to_le_bytes()));
        let errors = self.held_back.errors.iter().chain(&self.held_back.mse);
        bytes.extend(errors.flat_map(|error| error.to_le_bytes()));
        Some(bytes)
    }

    /// A training from its bytes; `None` for anything else. No bytes make it panic.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (line, mut rest) = bytes.split_at_checked(end + 1)?;
        let words: Words = serde_json::from_slice(line).ok()?;
        // Before its sizes are multiplied anywhere.
        words.shape.check().ok()?;
        let tensors = words
            .shape
            .parameters()
            .iter()
            .map(|parameter| {
                let values = take(&mut rest, parameter.dims.iter().product())?;
                Some(values.into_iter().map(f32::from_le_bytes).collect())
            })
            .collect::<Option<Vec<Vec<f32>>>>()?;
        let losses = doubles(&mut rest, words.passes.checked_mul(2)?)?;
        let places = take(&mut rest, words.held_back)?.into_iter();
        let errors = doubles(&mut rest, words.held_back.checked_mul(words.features)?)?;
        let mse = doubles(&mut rest, words.held_back)?;
        let (losses, _) = losses.as_chunks::<2>();
        let place = |bytes| usize::try_from(u64::from_le_bytes(bytes)).ok();
        rest.is_empty().then_some(())?;
        Some(Self {
            autoencoder: Autoencoder::from_values(words.shape, tensors).ok()?,
            losses: losses.iter().map(|[train, val]| (*train, *val)).collect(),
            best_epoch: words.best_epoch,
            windows: words.windows,
            held_back: HeldBack {
                windows: places.map(place).collect::<Option<_>>()?,
                errors: Array2::from_shape_vec((words.held_back, words.features), errors).ok()?,
                mse,
            },
        })
    }
}

fn doubles(rest: &mut &[u8], count: usize) -> Option<Vec<f64>> {
    let values = take(rest, count)?;
    Some(values.into_iter().map(f64::from_le_bytes).collect())
}

/// The next `count` numbers of `N` bytes each.
fn take<const N: usize>(rest: &mut &[u8], count: usize) -> Option<Vec<[u8; N]>> {
    let (head, tail) = rest.split_at_checked(count.checked_mul(N)?)?;
    *rest = tail;
    Some(head.as_chunks().0.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AutoencoderConfig;

    #[test]
    fn bytes_give_the_training_back_and_nothing_else_is_one() {
        let config = AutoencoderConfig {
            window: 5,
            encoder: vec![3],
            latent: 2,
            decoder: vec![3],
            ..AutoencoderConfig::default()
        };
        let shape = Shape::new(&config, 2);
        let trained = Trained {
            autoencoder: Autoencoder::new(shape, 7).unwrap(),
            losses: vec![(0.1, f64::MIN_POSITIVE), (1.0 / 3.0, 2.0)],
            best_epoch: 1,
            windows: 40,
            held_back: HeldBack {
                windows: vec![3, 9, 27],
                errors: ndarray::array![[0.1, f64::NAN], [0.2, f64::NAN], [0.3, f64::NAN]],
                mse: vec![0.1, 0.2, 0.3],
            },
        };
        let bytes = trained.to_bytes().unwrap();
        let back = Trained::from_bytes(&bytes).unwrap();
        assert_eq!(back.to_bytes().unwrap(), bytes);
        assert_eq!(back.losses, trained.losses);
        assert_eq!(back.held_back.windows, trained.held_back.windows);
        assert_eq!(back.held_back.mse, trained.held_back.mse);
        assert!(back.held_back.errors[[0, 1]].is_nan());
        assert_eq!((back.best_epoch, back.windows), (1, 40));
        for length in 0..bytes.len() {
            assert!(Trained::from_bytes(&bytes[..length]).is_none(), "{length}");
        }
        assert!(Trained::from_bytes(&[&bytes[..], b"\0"].concat()).is_none());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let huge = text.replacen("\"held_back\":3", "\"held_back\":18446744073709551615", 1);
        assert_ne!(huge, text);
        assert!(Trained::from_bytes(huge.as_bytes()).is_none());
    }
}
