//! All that scoring needs of a trained model.

mod bytes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::views::Views;
use super::{Autoencoder, ModelError};
use crate::config::PreprocessConfig;
use crate::domain::{Calibration, Entity, Schema, Time};
use crate::prep::scale::Scaler;

pub use bytes::FORMAT;

/// A trained model with all that belongs to it.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The network of each entity with weights of its own; [`Entity::sole`] serves all others. None where the forecast of
    /// [`Bundle::views`] detects alone.
    pub networks: BTreeMap<Entity, Autoencoder>,
    /// Each entity's own scaling.
    pub scalers: BTreeMap<Entity, Scaler>,
    /// Scaling over all entities, for one that was not there in training.
    pub pooled: Scaler,
    /// The features, in the order of the columns.
    pub schema: Schema,
    /// Distance of the rows.
    pub step: Duration,
    /// How rows were prepared, and must be.
    pub preprocess: PreprocessConfig,
    /// How the network's errors become scores, where they alone decide.
    pub calibration: Calibration,
    /// What the other views learned; with them the score is fused. None where the network alone decides.
    pub views: Option<Views>,
    /// First and last time of the training rows.
    pub trained_on: (Time, Time),
    /// Windows trained on.
    pub windows: usize,
    /// Passes made.
    pub epochs: usize,
    /// Validation loss of the weights kept.
    pub val_loss: f64,
    /// The configuration that decides over the training, as the caller sees it.
    pub fingerprint: serde_json::Value,
}

/// Why bytes are no bundle, or a bundle can't be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Cut short, overwritten, or another file.
    #[error("the bundle can't be read, it is damaged or incomplete ({0}): train again")]
    Damaged(String),
    /// Written by a program of another time.
    #[error(
        "the bundle has format {found}, this program reads format {FORMAT}: train again, or use the program that wrote it"
    )]
    Version {
        /// The format found.
        found: u64,
    },
    /// Its parts do not go together.
    #[error("the bundle contradicts itself: {0}; train again")]
    Inconsistent(String),
}

impl From<ModelError> for BundleError {
    fn from(error: ModelError) -> Self {
        Self::Inconsistent(error.to_string())
    }
}

/// How a configuration's features differ from a bundle's.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model does not know the same features: missing now: {}; new: {}; train again, or restore the queries",
    list(missing),
    list(new)
)]
pub struct SchemaDifference {
    /// Features of the bundle that are not there any more.
    pub missing: Vec<Arc<str>>,
    /// Features that the bundle has never seen.
    pub new: Vec<Arc<str>>,
}

fn list(names: &[Arc<str>]) -> String {
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}

impl Bundle {
    /// The network that scores `entity`: its own, else the shared one.
    #[must_use]
    pub fn network(&self, entity: &Entity) -> Option<&Autoencoder> {
        self.networks
            .get(entity)
            .or_else(|| self.networks.get(&Entity::sole()))
    }

    /// How long each entity was observed in training, on average: no longer than from the first row to the last, and shorter
    /// where most of that is a gap.
    #[must_use]
    pub fn known(&self) -> Duration {
        let each = self.windows / self.scalers.len().max(1);
        let observed = self
            .step
            .saturating_mul(u32::try_from(each).unwrap_or(u32::MAX));
        let (first, last) = self.trained_on;
        observed.min(last.since(first))
    }

    /// The scaling of `entity`: its own, else the pooled one.
    #[must_use]
    pub fn scaler(&self, entity: &Entity) -> &Scaler {
        self.scalers.get(entity).unwrap_or(&self.pooled)
    }

    /// Whether `schema` has the bundle's features, by name, in any order. Columns must then be brought into the order of
    /// [`Bundle::schema`].
    ///
    /// # Errors
    /// The names that are missing and those that are new.
    pub fn fits(&self, schema: &Schema) -> Result<(), SchemaDifference> {
        let names = |schema: &Schema| -> BTreeSet<Arc<str>> {
            schema.iter().map(|f| Arc::clone(&f.name)).collect()
        };
        let (ours, theirs) = (names(&self.schema), names(schema));
        let difference = SchemaDifference {
            missing: ours.difference(&theirs).cloned().collect(),
            new: theirs.difference(&ours).cloned().collect(),
        };
        if difference == SchemaDifference::default() {
            Ok(())
        } else {
            Err(difference)
        }
    }

    /// Whether all parts go together.
    fn check(&self) -> Result<(), BundleError> {
        let wrong = |text: &str| Err(BundleError::Inconsistent(text.into()));
        let features = self.schema.len();
        let names: BTreeSet<&str> = self.schema.iter().map(|f| &*f.name).collect();
        if features == 0 || names.len() != features {
            return wrong("there are no features, or two have one name");
        }
        let first = self.networks.values().next().map(Autoencoder::shape);
        if first.is_none() && self.views.is_none() {
            return wrong("there is neither a network nor a forecast");
        }
        let mut shapes = self.networks.values().map(Autoencoder::shape);
        let is_same = |window| first.is_none_or(|first| first.window == window);
        if shapes.any(|s| s.features() != features || !is_same(s.window)) {
            return wrong("a network is made for other features or another window");
        }
        let mut scalers = self.scalers.values().chain([&self.pooled]);
        if scalers.any(|s| s.features() != features || s.kind() != self.pooled.kind()) {
            return wrong("a scaler is made for other features or by another rule");
        }
        if let Some(views) = &self.views {
            let mut all = views.entities.values().chain([&views.pooled]);
            if !all.all(|own| own.is_sound(features)) {
                return wrong(
                    "what the views learned is made for other features, or holds what is no number",
                );
            }
            if views.books.values().any(|book| book.features() != features) {
                return wrong("a codebook is made for other features");
            }
        }
        if self.step.is_zero() || self.trained_on.0 > self.trained_on.1 {
            return wrong("the step is 0 or the training range ends before it starts");
        }
        let c = &self.calibration;
        let tail = c
            .tail
            .map_or([0.0; 4], |t| [t.above, t.rate, t.shape, t.scale]);
        let numbers = [c.threshold_mse, c.mean, c.deviation, self.val_loss];
        if !numbers.iter().chain(&tail).all(|v| v.is_finite()) || c.threshold_mse <= 0.0 {
            return wrong("the threshold is not above 0, or a figure of it is no number");
        }
        Ok(())
    }
}
