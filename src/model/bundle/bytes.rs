//! A bundle as the bytes of one safetensors file, and back.
//!
//! Words (names, sizes, settings) are JSON under one metadata key; numbers are tensors, so that no digit is lost:
//!
//! | tensor | type | holds |
//! |---|---|---|
//! | `network.<n>.<tensor>` | f32 | weights of network `n`, named as in [`Shape`] |
//! | `scaler.pooled` | f64 `[features, 5]` | [`Scaler::table`] over all entities |
//! | `scaler.<n>` | f64 `[features, 5]` | the same of entity `n` |
//! | `calibration` | f64 `[3]` | threshold, mean, deviation |
//! | `calibration.tail` | f64 `[4]` | above, rate, shape, scale; only when there is a fitted tail |
//! | `val_loss` | f64 `[1]` | validation loss of the weights kept |
//! | `book.<n>` | f32 `[centers, window · features]` | codebook `n` |
//! | `view.<n>.units` | f32 `[2, features]` | median and spread of entity `n`; the last `n` is all entities together |
//! | `view.<n>.ahead` | f32 `[features, weights]` | its forecast |
//! | `view.<n>.daily` | f32 `[slots, features]` | its daily profile, if there is one |
//! | `view.<n>.large` | f32 `[views, features]` | its large errors |
//! | `view.<n>.calm` | f64 `[2 + 2 · views + features + maxima]` | scale, usual score, large errors of whole views, their slow medians, daily levels, maxima of blocks |
//!
//! The same bundle always gives the same bytes: tensors are ordered by type and name, and there is one metadata key.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use ndarray::{Array2, ArrayView2};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use super::{Bundle, BundleError};
use crate::config::{PreprocessConfig, ScalerKind};
use crate::domain::{Calibration, Entity, Feature, Tail, Time};
use crate::model::autoregression::Autoregression;
use crate::model::codebook::Codebook;
use crate::model::views::{Baseline, Calm, EntityViews, VIEWS, Views, Yardstick};
use crate::model::{Autoencoder, Shape};
use crate::prep::scale::{Scaler, TABLE_WIDTH};

/// The format written. Format 1 had no views; it is read too.
pub const FORMAT: u64 = 2;

/// The oldest format that is read.
const OLDEST: u64 = 1;

/// The metadata key that holds all words.
const KEY: &str = "pulsewatch";

/// The words of a bundle.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    format: u64,
    networks: Vec<(Entity, Shape)>,
    scalers: Vec<Entity>,
    scaler: ScalerKind,
    schema: Vec<Feature>,
    step_ms: u64,
    preprocess: PreprocessConfig,
    threshold_rule: String,
    calibrated_on: usize,
    has_tail: bool,
    trained_on: (Time, Time),
    windows: usize,
    epochs: usize,
    fingerprint: serde_json::Value,
    #[serde(default)]
    views: Option<ViewWords>,
}

/// What there is of the views.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ViewWords {
    /// Whose codebooks, and the rows of a window.
    books: Vec<(Entity, usize)>,
    entities: Vec<Entity>,
}

/// The one word that is read before all others.
#[derive(Deserialize)]
struct Format {
    format: u64,
}

impl Bundle {
    /// The bytes of the file.
    ///
    /// # Errors
    /// [`BundleError::Inconsistent`] when the parts do not go together.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BundleError> {
        self.check()?;
        let words = serde_json::to_string(&self.words())
            .map_err(|e| BundleError::Inconsistent(e.to_string()))?;
        let stored = self.stored();
        let views = stored
            .iter()
            .map(|s| {
                TensorView::new(s.kind, s.dims.clone(), &s.bytes)
                    .map(|view| (s.name.as_str(), view))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| BundleError::Inconsistent(e.to_string()))?;
        safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), words)])))
            .map_err(|e| BundleError::Inconsistent(e.to_string()))
    }

    /// A bundle from the bytes of its file. Nothing in them is trusted: sizes, names, types and numbers are checked.
    ///
    /// # Errors
    /// [`BundleError`]; no bytes make it panic.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BundleError> {
        let words = read_words(bytes)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let mut reader = Reader { tensors, read: 0 };
        let bundle = reader.bundle(words)?;
        let extra = reader.tensors.len().saturating_sub(reader.read);
        if extra > 0 {
            return Err(BundleError::Inconsistent(format!(
                "{extra} tensors belong to nothing"
            )));
        }
        bundle.check()?;
        Ok(bundle)
    }

    fn words(&self) -> Words {
        Words {
            format: FORMAT,
            networks: self
                .networks
                .iter()
                .map(|(entity, network)| (entity.clone(), network.shape().clone()))
                .collect(),
            scalers: self.scalers.keys().cloned().collect(),
            scaler: self.pooled.kind(),
            schema: self.schema.to_vec(),
            step_ms: u64::try_from(self.step.as_millis()).unwrap_or(u64::MAX),
            preprocess: self.preprocess.clone(),
            threshold_rule: self.calibration.rule.clone(),
            calibrated_on: self.calibration.windows,
            has_tail: self.calibration.tail.is_some(),
            trained_on: self.trained_on,
            windows: self.windows,
            epochs: self.epochs,
            fingerprint: self.fingerprint.clone(),
            views: self.views.as_ref().map(|views| ViewWords {
                books: views
                    .books
                    .iter()
                    .map(|(entity, book)| (entity.clone(), book.tables().0))
                    .collect(),
                entities: views.entities.keys().cloned().collect(),
            }),
        }
    }

    fn stored(&self) -> Vec<Stored> {
        let calibration = &self.calibration;
        let mut all = vec![
            Stored::scaler("scaler.pooled".into(), &self.pooled),
            Stored::doubles(
                "calibration".into(),
                vec![3],
                [
                    calibration.threshold_mse,
                    calibration.mean,
                    calibration.deviation,
                ],
            ),
            Stored::doubles("val_loss".into(), vec![1], [self.val_loss]),
        ];
        if let Some(tail) = calibration.tail {
            let numbers = [tail.above, tail.rate, tail.shape, tail.scale];
            all.push(Stored::doubles("calibration.tail".into(), vec![4], numbers));
        }
        for (place, scaler) in self.scalers.values().enumerate() {
            all.push(Stored::scaler(format!("scaler.{place}"), scaler));
        }
        for (place, network) in self.networks.values().enumerate() {
            for (parameter, values) in network.named_weights() {
                all.push(Stored {
                    name: format!("network.{place}.{}", parameter.name),
                    kind: Dtype::F32,
                    dims: parameter.dims,
                    bytes: values.into_iter().flat_map(f32::to_le_bytes).collect(),
                });
            }
        }
        if let Some(views) = &self.views {
            for (place, book) in views.books.values().enumerate() {
                all.push(Stored::floats(format!("book.{place}"), book.tables().1));
            }
            let owns = views.entities.values().chain([&views.pooled]);
            for (place, own) in owns.enumerate() {
                all.extend(stored_view(place, own));
            }
        }
        all
    }
}

fn stored_view(place: usize, own: &EntityViews) -> Vec<Stored> {
    let name = |part: &str| format!("view.{place}.{part}");
    let (units, ahead) = own.baseline.tables();
    let (weights, profile) = ahead.tables();
    let calm: Vec<f64> = [own.calm.scale, own.calm.usual]
        .into_iter()
        .chain(own.yardstick.views)
        .chain(own.calm.medians)
        .chain(own.calm.levels.iter().copied().map(f64::from))
        .chain(own.calm.maxima.iter().copied())
        .collect();
    let mut all = vec![
        Stored::floats(name("units"), units),
        Stored::floats(name("ahead"), weights),
        Stored::floats(name("large"), own.yardstick.features.view()),
        Stored::doubles(name("calm"), vec![calm.len()], calm),
    ];
    all.extend(profile.map(|profile| Stored::floats(name("daily"), profile)));
    all
}

fn damaged(error: safetensors::SafeTensorError) -> BundleError {
    BundleError::Damaged(error.to_string())
}

fn no_part(name: &str) -> BundleError {
    BundleError::Damaged(format!("`{name}` is no part of a model"))
}

fn read_words(bytes: &[u8]) -> Result<Words, BundleError> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let text = metadata
        .metadata()
        .as_ref()
        .and_then(|words| words.get(KEY))
        .ok_or_else(|| BundleError::Damaged("it is not a file of this program".into()))?;
    let json = |e: serde_json::Error| BundleError::Damaged(e.to_string());
    let Format { format } = serde_json::from_str(text).map_err(json)?;
    if !(OLDEST..=FORMAT).contains(&format) {
        return Err(BundleError::Version { found: format });
    }
    serde_json::from_str(text).map_err(json)
}

/// A tensor on its way into the file.
struct Stored {
    name: String,
    kind: Dtype,
    dims: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    fn doubles(name: String, dims: Vec<usize>, values: impl IntoIterator<Item = f64>) -> Self {
        Self {
            name,
            kind: Dtype::F64,
            dims,
            bytes: values.into_iter().flat_map(f64::to_le_bytes).collect(),
        }
    }

    fn floats(name: String, table: ArrayView2<'_, f32>) -> Self {
        Self {
            name,
            kind: Dtype::F32,
            dims: vec![table.nrows(), table.ncols()],
            bytes: table.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }

    fn scaler(name: String, scaler: &Scaler) -> Self {
        let table = scaler.table();
        let (rows, columns) = table.dim();
        Self::doubles(name, vec![rows, columns], table)
    }
}

/// Takes tensors out of a file and counts them.
struct Reader<'a> {
    tensors: SafeTensors<'a>,
    read: usize,
}

impl Reader<'_> {
    fn bundle(&mut self, words: Words) -> Result<Bundle, BundleError> {
        let features = words.schema.len();
        let mut scalers = BTreeMap::new();
        for (place, entity) in words.scalers.into_iter().enumerate() {
            let scaler = self.scaler(&format!("scaler.{place}"), words.scaler, features)?;
            scalers.insert(entity, scaler);
        }
        let mut networks = BTreeMap::new();
        for (place, (entity, shape)) in words.networks.into_iter().enumerate() {
            networks.insert(entity, self.network(place, shape)?);
        }
        let [threshold_mse, mean, deviation] = self.doubles("calibration")?;
        let [val_loss] = self.doubles("val_loss")?;
        let tail = if words.has_tail {
            let [above, rate, shape, scale] = self.doubles("calibration.tail")?;
            Some(Tail {
                above,
                rate,
                shape,
                scale,
            })
        } else {
            None
        };
        let views = words.views.map(|words| self.views(words)).transpose()?;
        Ok(Bundle {
            views,
            networks,
            scalers,
            pooled: self.scaler("scaler.pooled", words.scaler, features)?,
            schema: words.schema.into(),
            step: Duration::from_millis(words.step_ms),
            preprocess: words.preprocess,
            calibration: Calibration {
                rule: words.threshold_rule,
                threshold_mse,
                windows: words.calibrated_on,
                mean,
                deviation,
                tail,
            },
            trained_on: words.trained_on,
            windows: words.windows,
            epochs: words.epochs,
            val_loss,
            fingerprint: words.fingerprint,
        })
    }

    fn views(&mut self, words: ViewWords) -> Result<Views, BundleError> {
        let mut books = BTreeMap::new();
        for (place, (entity, window)) in words.books.into_iter().enumerate() {
            let name = format!("book.{place}");
            let book = Codebook::from_tables(window, self.floats(&name)?);
            books.insert(entity, book.ok_or_else(|| no_part(&name))?);
        }
        let mut entities = BTreeMap::new();
        let count = words.entities.len();
        for (place, entity) in words.entities.into_iter().enumerate() {
            entities.insert(entity, self.view(place)?);
        }
        Ok(Views {
            books,
            entities,
            pooled: self.view(count)?,
        })
    }

    fn view(&mut self, place: usize) -> Result<EntityViews, BundleError> {
        let name = |part: &str| format!("view.{place}.{part}");
        let profile = if self.tensors.tensor(&name("daily")).is_ok() {
            Some(self.floats(&name("daily"))?)
        } else {
            None
        };
        let ahead = Autoregression::from_tables(self.floats(&name("ahead"))?, profile);
        let units = self.floats(&name("units"))?;
        let calm = self.tensors.tensor(&name("calm")).map_err(damaged)?;
        let count = calm.shape().first().copied().unwrap_or(0);
        let bytes = self.bytes(&name("calm"), Dtype::F64, &[count])?;
        let (words, _) = bytes.as_chunks::<8>();
        let values: Vec<f64> = words.iter().map(|b| f64::from_le_bytes(*b)).collect();
        let features = units.ncols();
        let parts = values.split_first_chunk::<2>().and_then(|(own, rest)| {
            let (views, rest) = rest.split_first_chunk::<VIEWS>()?;
            let (medians, rest) = rest.split_first_chunk::<VIEWS>()?;
            let (levels, maxima) = rest.split_at_checked(features)?;
            #[allow(clippy::cast_possible_truncation)] // They were of that type.
            let levels = levels.iter().map(|level| *level as f32).collect();
            let [scale, usual] = *own;
            let calm = Calm {
                scale,
                usual,
                maxima: maxima.to_vec(),
                medians: *medians,
                levels,
            };
            Some((*views, calm))
        });
        let baseline = ahead.and_then(|ahead| Baseline::from_tables(units, ahead));
        let (views, calm) = parts.ok_or_else(|| no_part(&name("calm")))?;
        Ok(EntityViews {
            baseline: baseline.ok_or_else(|| no_part(&name("ahead")))?,
            yardstick: Yardstick {
                features: self.floats(&name("large"))?,
                views,
            },
            calm,
        })
    }

    /// A table of any size.
    fn floats(&mut self, name: &str) -> Result<Array2<f32>, BundleError> {
        let dims = self.tensors.tensor(name).map_err(damaged)?.shape().to_vec();
        let bytes = self.bytes(name, Dtype::F32, &dims)?;
        let (words, _) = bytes.as_chunks::<4>();
        let values = words.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let [rows, columns] = dims[..] else {
            return Err(no_part(name));
        };
        Array2::from_shape_vec((rows, columns), values).map_err(|_| no_part(name))
    }

    fn network(&mut self, place: usize, shape: Shape) -> Result<Autoencoder, BundleError> {
        // Before its sizes are multiplied anywhere.
        shape.check()?;
        let weights = shape
            .parameters()
            .into_iter()
            .map(|parameter| {
                let name = format!("network.{place}.{}", parameter.name);
                let bytes = self.bytes(&name, Dtype::F32, &parameter.dims)?;
                let (words, _) = bytes.as_chunks::<4>();
                let values: Vec<f32> = words.iter().map(|b| f32::from_le_bytes(*b)).collect();
                if values.iter().all(|v| v.is_finite()) {
                    Ok(values)
                } else {
                    Err(BundleError::Damaged(format!(
                        "`{name}` holds a weight that is no finite number"
                    )))
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(Autoencoder::from_values(shape, weights)?)
    }

    fn scaler(
        &mut self,
        name: &str,
        kind: ScalerKind,
        features: usize,
    ) -> Result<Scaler, BundleError> {
        let dims = [features, TABLE_WIDTH];
        let bytes = self.bytes(name, Dtype::F64, &dims)?;
        let (words, _) = bytes.as_chunks::<8>();
        let values = words.iter().map(|b| f64::from_le_bytes(*b)).collect();
        ndarray::Array2::from_shape_vec(dims, values)
            .ok()
            .and_then(|table| Scaler::from_table(kind, table.view()))
            .ok_or_else(|| BundleError::Damaged(format!("`{name}` is no scaler")))
    }

    fn doubles<const N: usize>(&mut self, name: &str) -> Result<[f64; N], BundleError> {
        let bytes = self.bytes(name, Dtype::F64, &[N])?;
        let (words, _) = bytes.as_chunks::<8>();
        let values: Vec<f64> = words.iter().map(|b| f64::from_le_bytes(*b)).collect();
        values
            .try_into()
            .map_err(|_| BundleError::Damaged(format!("`{name}` has another size")))
    }

    fn bytes(&mut self, name: &str, kind: Dtype, dims: &[usize]) -> Result<Vec<u8>, BundleError> {
        let view = self.tensors.tensor(name).map_err(damaged)?;
        if view.dtype() != kind || view.shape() != dims {
            return Err(BundleError::Inconsistent(format!(
                "`{name}` is {:?} of {:?}, expected {kind:?} of {dims:?}",
                view.dtype(),
                view.shape()
            )));
        }
        self.read += 1;
        Ok(view.data().to_vec())
    }
}
