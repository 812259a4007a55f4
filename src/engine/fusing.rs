//! What the network says of rows and what the other views say of them become one score, ruled on by recent calm.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::scorer::RowScore;
use super::views::Seen;
use crate::detect::fusion::{Errors, Fused, Memory};
use crate::detect::threshold::{Adaptive, Rule};
use crate::domain::{FeatureVerdict, Grid, RowState, Time};
use crate::model::Bundle;
use crate::model::codebook::{Codebook, Distances};
use crate::model::views::{EntityViews, View};
use crate::prep::scale::Scaler;

/// A row over the alarms' threshold has at least this score.
const CANDIDATE: f64 = 1.0001;

/// What is kept of one entity from row to row while a model scores. Memory: some hundred numbers, and five a feature; a
/// checkpoint has some thirty, and one a feature.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The model that scores, by its first and last training row.
    model: Option<(Time, Time)>,
    /// `None` before the first row.
    kept: Option<(Memory, Adaptive)>,
}

impl State {
    /// Whether it has come from rows that this model scored.
    pub fn is_of(&self, bundle: &Bundle) -> bool {
        self.model == Some(bundle.trained_on) && self.kept.is_some()
    }

    /// Made from what the model knows when there is none of this model yet.
    fn kept(&mut self, fusing: &Fusing<'_>) -> &mut (Memory, Adaptive) {
        if self.model != Some(fusing.model) {
            (self.model, self.kept) = (Some(fusing.model), None);
        }
        let calm = &fusing.own.calm;
        let kept = self.kept.get_or_insert_with(|| {
            let mut adaptive = Adaptive::resume(calm.usual, &calm.maxima);
            adaptive.begin(fusing.rule);
            (Memory::resume(calm.medians, calm.levels.clone()), adaptive)
        });
        kept.1.recall(&calm.maxima);
        kept
    }
}

/// What fusing works in.
#[derive(Debug, Default)]
pub struct Workspace {
    shapes: Distances,
    errors: Errors,
    network: Vec<f32>,
    expected: Vec<f32>,
    levels: Vec<f32>,
}

/// One entity's rows and what is known of it.
pub struct Fusing<'a> {
    /// What the model knows of the entity.
    pub own: &'a EntityViews,
    /// Its codebook.
    pub book: Option<&'a Codebook>,
    /// The model, by its first and last training row.
    pub model: (Time, Time),
    /// It has networks; else the features' errors are the forecast's, which the views have by themselves.
    pub has_network: bool,
    /// What the threshold depends on.
    pub rule: &'a Rule,
    /// How its values are scaled.
    pub scaler: &'a Scaler,
    /// Its rows as the views see them.
    pub seen: Seen,
    /// Times of the rows.
    pub grid: Grid,
    /// Which values were observed, `[rows, features]`.
    pub observed: ArrayView2<'a, bool>,
}

impl Fusing<'_> {
    /// Turns the network's scores of the last `scores.len()` rows into fused ones, in order.
    pub fn fuse(&self, scores: &mut [RowScore], state: &mut State, space: &mut Workspace) {
        let rows = self.grid.len();
        let first = rows.saturating_sub(scores.len());
        self.seen.shapes(self.book, first..rows, &mut space.shapes);
        let features = self.own.baseline.features();
        let shapes = std::mem::take(&mut space.shapes.errors);
        let kept = state.kept(self);
        for (at, (score, shape)) in scores
            .iter_mut()
            .zip(shapes.chunks(features.max(1)))
            .enumerate()
        {
            if score.state == RowState::Scored {
                self.row(first + at, score, shape, kept, space);
            }
        }
        space.shapes.errors = shapes;
    }

    fn row(
        &self,
        row: usize,
        score: &mut RowScore,
        shape: &[f32],
        (memory, adaptive): &mut (Memory, Adaptive),
        space: &mut Workspace,
    ) {
        let baseline = &self.own.baseline;
        space.network.clear();
        #[allow(clippy::cast_possible_truncation)] // In the precision of the network.
        let roots = score
            .features
            .iter()
            .map(|feature| feature.mse.sqrt() as f32);
        if self.has_network {
            space.network.extend(roots);
        }
        self.seen.expect(baseline, row, &mut space.expected);
        let judged = |feature: usize| {
            self.observed.get((row, feature)) == Some(&true)
                && score
                    .features
                    .get(feature)
                    .is_some_and(|f| f.mse.is_finite())
        };
        space.levels.clone_from(&memory.levels);
        let inputs = (space.network.as_slice(), shape, space.expected.as_slice());
        self.seen
            .errors(baseline, row, inputs, judged, (memory, &mut space.errors));
        let fused = memory.fuse(&self.own.yardstick, &space.errors, self.seen.part_of_day());
        if !fused.now.is_finite() {
            return;
        }
        let ruling = adaptive.rule(self.rule, self.grid.time(row), fused.now);
        score.score = fused.score / self.own.calm.scale;
        if ruling.excess > ruling.threshold {
            score.score = score.score.max(CANDIDATE);
        }
        score.ruling = Some(ruling);
        self.explain(row, &mut score.features, &fused, space);
    }

    /// Hands the features their shares, and what was expected of them: the first view that finds the value far off says
    /// which, give or take what it finds large, and the daily one where none does. The one that looks ahead is asked last,
    /// and not believed where the rows before have led it away from what is usual.
    fn explain(
        &self,
        row: usize,
        features: &mut [FeatureVerdict],
        fused: &Fused,
        space: &Workspace,
    ) {
        for (at, (feature, share)) in features.iter_mut().zip(&fused.shares).enumerate() {
            feature.share = *share;
            let level = space.levels.get(at).copied().unwrap_or(0.0);
            let daily = self.seen.usual(&self.own.baseline, row, at, level);
            let daily = (self.raw(at, daily), self.band(View::Daily, at));
            let rebuilt = (feature.expected, self.band(View::Autoencoder, at));
            let ahead = space.expected.get(at).copied().unwrap_or(f32::NAN);
            let ahead = (self.raw(at, ahead), self.band(View::Ahead, at));
            let far = |value: f64, (expected, band): (f64, f64)| (value - expected).abs() > band;
            let found = if !far(feature.value, daily) && far(feature.value, rebuilt) {
                rebuilt
            } else if !far(feature.value, daily)
                && !far(ahead.0, daily)
                && far(feature.value, ahead)
            {
                ahead
            } else {
                daily
            };
            let (expected, band) = found;
            feature.expected = expected;
            feature.lower = expected - band;
            feature.upper = expected + band;
        }
    }

    /// A measured value in its own unit.
    fn raw(&self, feature: usize, measured: f32) -> f64 {
        let scaled = self.own.baseline.scaled(feature, measured);
        self.scaler.inverse(feature, f64::from(scaled))
    }

    /// What a view finds large, in the feature's own unit.
    fn band(&self, view: View, feature: usize) -> f64 {
        let large = self
            .own
            .yardstick
            .features
            .get((view as usize, feature))
            .copied();
        let large = large.unwrap_or(f32::NAN);
        if view == View::Autoencoder {
            let scaled = |value| self.scaler.inverse(feature, value);
            (scaled(f64::from(large)) - scaled(0.0)).abs()
        } else {
            (self.raw(feature, large) - self.raw(feature, 0.0)).abs()
        }
    }
}
