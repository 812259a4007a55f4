//! From raw rows to window errors: one batched pass over all entities that have new rows.

use std::sync::Arc;

use jiff::tz::TimeZone;
use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, ArrayViewMut3, s};

use super::fusing::{Fusing, State, Workspace};
use super::learn::{self, LearnError};
use super::views::{self, Seen};
use crate::config::{Config, Fill, Threshold};
use crate::detect::threshold::{Rule, Ruling};
use crate::domain::{Entity, FeatureVerdict, Grid, RowState};
use crate::model::autoregression::LAGS;
use crate::model::views::Baseline;
use crate::model::{Autoencoder, Bundle, ModelError, Scratch, window_errors};
use crate::prep::calendar;
use crate::prep::gaps::Look;
use crate::prep::scale::Scaler;

/// Windows in one pass through the network: bounds the memory of a long catch-up.
const PASS: usize = 512;

/// New rows of one entity, with the rows before them that their windows reach into.
#[derive(Debug)]
pub struct Rows<'a> {
    /// Whose.
    pub entity: &'a Entity,
    /// Times of `values`.
    pub grid: Grid,
    /// Raw values `[rows, metrics]`, NaN where missing.
    pub values: ArrayView2<'a, f64>,
    /// The first row that wants a score.
    pub first: usize,
}

/// What the model says of one row.
#[derive(Clone, Debug)]
pub struct RowScore {
    /// Scored, or why not.
    pub state: RowState,
    /// Over 1 is a candidate; meaningless unless scored.
    pub score: f64,
    /// What recent calm makes of a fused score; `None` where the network's error alone decides.
    pub ruling: Option<Ruling>,
    /// Mean squared error over the window and the features that could be judged (scaled units).
    pub mse: f64,
    /// Per metric; a feature that could not be judged has share 0.
    pub features: Vec<FeatureVerdict>,
}

impl RowScore {
    /// A row without a score.
    pub fn unscored(state: RowState) -> Self {
        Self {
            state,
            score: f64::NAN,
            ruling: None,
            mse: f64::NAN,
            features: Vec::new(),
        }
    }
}

impl RowScore {
    /// What an alarm goes by, over its threshold: more than 1 is one, unless a gate stops it.
    pub fn alarm(&self) -> f64 {
        self.ruling.map_or(self.score, |ruling| ruling.alarm())
    }

    /// The same against a threshold that labels raised so many times.
    #[must_use]
    pub fn raised(&self, raise: f64) -> Self {
        let ruling = |ruling: Ruling| Ruling {
            threshold: ruling.threshold * raise,
            ..ruling
        };
        Self {
            score: self.ruling.map_or(self.score / raise, |_| self.score),
            ruling: self.ruling.map(ruling),
            ..self.clone()
        }
    }
}

/// A model ready to score. Immutable and shared: a new model is a new `Arc<Scorer>`.
#[derive(Debug)]
pub struct Scorer {
    /// What was learned.
    pub bundle: Bundle,
    config: Arc<Config>,
    zone: TimeZone,
    /// What the alarms' threshold depends on, where scores are fused.
    rule: Option<Rule>,
}

/// What scoring works in. Kept from tick to tick, the windows and the network's arithmetic allocate nothing once it has seen
/// the largest pass: 512 windows twice, the network's own and a row's errors.
#[derive(Debug, Default)]
pub struct Space {
    input: Array3<f32>,
    output: Array3<f32>,
    network: Scratch,
    fusing: Workspace,
}

impl Space {
    /// Makes room for so many windows of such a size.
    fn fit(&mut self, dims: (usize, usize, usize)) {
        let (windows, window, columns) = self.input.dim();
        if windows < dims.0 || (window, columns) != (dims.1, dims.2) {
            self.input = Array3::zeros(dims);
            self.output = Array3::zeros(dims);
        }
    }
}

/// One window waiting for the network.
struct Pending {
    item: usize,
    row: usize,
    judged: Vec<bool>,
}

impl Scorer {
    /// A scorer over a bundle.
    ///
    /// # Errors
    /// [`LearnError::Zone`] when the configured time zone is not known here.
    pub fn new(bundle: Bundle, config: Arc<Config>) -> Result<Self, LearnError> {
        let zone = learn::time_zone(&config)?;
        let fused = bundle.views.as_ref();
        let rule = fused
            .filter(|_| config.detect.threshold == Threshold::Auto)
            .map(|views| views::rule(&config, views.entities.len()));
        Ok(Self {
            bundle,
            config,
            zone,
            rule,
        })
    }

    /// Rows that a window's fill may reach back over.
    pub fn context(&self) -> usize {
        self.config.autoencoder.window.max(LAGS + 1) + self.config.preprocess.max_gap + 1
    }

    /// Scores every row from `first` on of every item, in order. Nothing looks ahead: row `i` sees rows up to `i`. `states`
    /// belong to the items' entities, in the same order, and go on from call to call while this model scores.
    ///
    /// # Errors
    /// [`ModelError`] when the network can't take the windows (a defect, not bad data).
    pub fn score(
        &self,
        items: &[Rows<'_>],
        states: &mut [State],
        space: &mut Space,
    ) -> Result<Vec<Vec<RowScore>>, ModelError> {
        let ready: Vec<Ready> = items.iter().map(|item| self.ready(item)).collect();
        let mut results: Vec<Vec<RowScore>> = items
            .iter()
            .map(|item| {
                let rows = item.values.nrows().saturating_sub(item.first);
                vec![RowScore::unscored(RowState::WarmingUp); rows]
            })
            .collect();
        if self.bundle.networks.is_empty() {
            self.look_ahead(items, &ready, &mut results);
        }
        for (network, indices) in self.batches(items) {
            let mut pending = Vec::new();
            for index in indices {
                let (Some(item), Some(ready)) = (items.get(index), ready.get(index)) else {
                    continue;
                };
                for row in item.first..item.values.nrows() {
                    match self.window(ready, index, row) {
                        Ok(window) => pending.push(window),
                        Err(unscored) => put(&mut results, index, row - item.first, unscored),
                    }
                }
            }
            for pass in pending.chunks(PASS) {
                self.pass(network, items, &ready, pass, space, &mut results)?;
            }
        }
        let each = items.iter().zip(&ready).zip(states).zip(&mut results);
        for (((item, ready), state), scores) in each {
            self.fuse(item, ready, state, scores, &mut space.fusing);
        }
        Ok(results)
    }

    /// Joins the network's scores of one item with what the other views say, where the model has such.
    fn fuse(
        &self,
        item: &Rows<'_>,
        ready: &Ready,
        state: &mut State,
        scores: &mut [RowScore],
        space: &mut Workspace,
    ) {
        let (Some(views), Some(rule)) = (&self.bundle.views, &self.rule) else {
            return;
        };
        let own = views.of(item.entity);
        let clock = calendar::clock(&item.grid, &self.zone);
        let fusing = Fusing {
            own,
            book: views.book(item.entity),
            model: self.bundle.trained_on,
            has_network: !self.bundle.networks.is_empty(),
            rule,
            scaler: &ready.scaler,
            seen: Seen::new(&own.baseline, ready.rows.view(), clock, item.grid.step()),
            grid: item.grid,
            observed: ready.observed.view(),
        };
        fusing.fuse(scores, state, space);
    }

    /// Each network with the items that it scores: all of them, or one item each where every entity has its own.
    fn batches(&self, items: &[Rows<'_>]) -> Vec<(&Autoencoder, Vec<usize>)> {
        if let Some(shared) = self.bundle.networks.get(&Entity::sole()) {
            return vec![(shared, (0..items.len()).collect())];
        }
        let own = items.iter().enumerate();
        own.filter_map(|(index, item)| Some((self.bundle.network(item.entity)?, vec![index])))
            .collect()
    }

    /// The scores of a model without networks: a row's errors are its distances from what was expected of it.
    fn look_ahead(&self, items: &[Rows<'_>], ready: &[Ready], results: &mut [Vec<RowScore>]) {
        let Some(views) = &self.bundle.views else {
            return;
        };
        let mut expected = Vec::new();
        for (index, (item, ready)) in items.iter().zip(ready).enumerate() {
            let baseline = &views.of(item.entity).baseline;
            let clock = calendar::clock(&item.grid, &self.zone);
            let seen = Seen::new(baseline, ready.rows.view(), clock, item.grid.step());
            for row in item.first..item.values.nrows() {
                let score = match self.window(ready, index, row) {
                    Err(unscored) => unscored,
                    Ok(window) => {
                        seen.expect(baseline, row, &mut expected);
                        self.distance_score(ready, &window, (&seen, baseline), &expected)
                    }
                };
                put(results, index, row - item.first, score);
            }
        }
    }

    fn distance_score(
        &self,
        ready: &Ready,
        window: &Pending,
        (seen, baseline): (&Seen, &Baseline),
        expected: &[f32],
    ) -> RowScore {
        let at = |column| ready.observed.get((window.row, column)) == Some(&true);
        let distances = seen.distances(baseline, window.row, expected);
        let errors: Array1<f64> = distances
            .zip(&window.judged)
            .enumerate()
            .map(|(column, (distance, judged))| {
                if *judged && at(column) {
                    distance * distance
                } else {
                    f64::NAN
                }
            })
            .collect();
        let known: Vec<f64> = errors
            .iter()
            .copied()
            .filter(|error| error.is_finite())
            .collect();
        if known.is_empty() {
            return RowScore::unscored(RowState::WarmingUp);
        }
        let mse = known.iter().sum::<f64>() / known.len() as f64;
        let scaled = expected.iter().enumerate();
        let scaled: Array1<f32> = scaled
            .map(|(feature, measured)| baseline.scaled(feature, *measured))
            .collect();
        self.row_score(ready, window, errors.view(), mse, scaled.view())
    }

    /// One pass of at most [`PASS`] windows through a network.
    fn pass(
        &self,
        network: &Autoencoder,
        items: &[Rows<'_>],
        ready: &[Ready],
        pass: &[Pending],
        space: &mut Space,
        results: &mut [Vec<RowScore>],
    ) -> Result<(), ModelError> {
        let shape = network.shape();
        let dims = (pass.len(), shape.window, shape.columns);
        space.fit(dims);
        let Space {
            input,
            output,
            network: scratch,
            ..
        } = space;
        let mut input = input.slice_mut(s![..pass.len(), .., ..]);
        let mut output = output.slice_mut(s![..pass.len(), .., ..]);
        self.gather(ready, pass, input.view_mut());
        network.reconstruct_into(input.view(), output.view_mut(), scratch)?;
        let errors = window_errors(input.view(), output.view(), self.mask(pass).view());
        let windows = errors.features.outer_iter().zip(&errors.mse);
        for (pending, ((errors, mse), output)) in pass.iter().zip(windows.zip(output.outer_iter()))
        {
            if let (Some(item), Some(ready)) = (items.get(pending.item), ready.get(pending.item)) {
                let expected = output.row(output.nrows().saturating_sub(1));
                let scored = self.row_score(ready, pending, errors, *mse, expected);
                put(results, pending.item, pending.row - item.first, scored);
            }
        }
        Ok(())
    }

    fn ready(&self, item: &Rows<'_>) -> Ready {
        let scaler = self.bundle.scaler(item.entity).clone();
        let raw = learn::with_rates(
            item.values.to_owned(),
            &self.bundle.schema,
            &item.grid,
            &self.config,
        );
        let (look, zone, config) = (Look::Back, &self.zone, &self.config);
        let seen = learn::segment(raw.view(), &item.grid, look, &scaler, zone, config);
        let prep = &config.preprocess;
        Ready {
            known: scaler.known(),
            band: band(&scaler, self.bundle.calibration.threshold_mse),
            far: far(seen.observed.view(), prep.fill, prep.max_gap),
            scaler,
            raw,
            rows: seen.values,
            observed: seen.observed,
        }
    }

    /// The window that ends at `row`, or why there is none. A feature that was hardly observed in it, has a gap in it that is
    /// too long to fill, or was never learned is not judged; a window in which too few were observed, or whose newest row
    /// has nothing to judge, is stale.
    fn window(&self, ready: &Ready, item: usize, row: usize) -> Result<Pending, RowScore> {
        let window = self.config.autoencoder.window;
        if row + 1 < window {
            return Err(RowScore::unscored(RowState::WarmingUp));
        }
        let observed = ready.observed.slice(s![row + 1 - window..=row, ..]);
        let rows = observed
            .rows()
            .into_iter()
            .filter(|r| r.iter().any(|o| *o))
            .count();
        let fewest = self.config.detect.min_observed.0;
        let part = |count: usize| count as f64 / window as f64;
        let far = ready.far.slice(s![row + 1 - window..=row, ..]);
        let judged: Vec<bool> = observed
            .columns()
            .into_iter()
            .zip(far.columns())
            .zip(&ready.known)
            .map(|((observed, far), known)| {
                let enough = part(observed.iter().filter(|o| **o).count()) >= fewest;
                *known && enough && !far.iter().any(|far| *far)
            })
            .collect();
        let newest = observed
            .row(window - 1)
            .iter()
            .zip(&judged)
            .any(|(observed, judged)| *observed && *judged);
        if !newest || part(rows) < fewest {
            return Err(RowScore::unscored(RowState::Stale));
        }
        Ok(Pending { item, row, judged })
    }

    /// Writes the windows of a pass, `[windows, window, columns]`.
    fn gather(&self, ready: &[Ready], pass: &[Pending], mut input: ArrayViewMut3<'_, f32>) {
        let window = self.config.autoencoder.window;
        for (mut slot, pending) in input.outer_iter_mut().zip(pass) {
            if let Some(ready) = ready.get(pending.item) {
                let rows = pending.row + 1 - window..=pending.row;
                slot.assign(&ready.rows.slice(s![rows, ..]));
            }
        }
    }

    /// Which features count in which window, `[windows, metrics]`.
    fn mask(&self, pass: &[Pending]) -> Array2<bool> {
        let judged = |(at, column): (usize, usize)| {
            pass.get(at)
                .and_then(|pending| pending.judged.get(column))
                .copied()
                .unwrap_or(false)
        };
        Array2::from_shape_fn((pass.len(), self.bundle.schema.len()), judged)
    }

    fn row_score(
        &self,
        ready: &Ready,
        window: &Pending,
        errors: ArrayView1<'_, f64>,
        mse: f64,
        expected: ArrayView1<'_, f32>,
    ) -> RowScore {
        let judged = |error: f64| if error.is_finite() { error } else { 0.0 };
        let total: f64 = errors.iter().copied().map(judged).sum();
        let at = |column| (window.row, column);
        let features = errors
            .iter()
            .zip(expected)
            .enumerate()
            .map(|(column, (error, expected))| {
                let expected = ready.scaler.inverse(column, f64::from(*expected));
                let band = ready.band.get(column).copied().unwrap_or(f64::NAN);
                FeatureVerdict {
                    value: ready.raw.get(at(column)).copied().unwrap_or(f64::NAN),
                    expected,
                    lower: expected - band,
                    upper: expected + band,
                    mse: *error,
                    share: if total > 0.0 {
                        judged(*error) / total
                    } else {
                        1.0 / errors.len() as f64
                    },
                }
            })
            .collect();
        let score = mse / self.bundle.calibration.threshold_mse;
        RowScore {
            state: RowState::Scored,
            score,
            ruling: None,
            mse,
            features,
        }
    }
}

/// An item's rows as the network sees them.
struct Ready {
    scaler: Scaler,
    raw: Array2<f64>,
    rows: Array2<f32>,
    observed: Array2<bool>,
    /// Cells that lie too deep in a gap to be filled.
    far: Array2<bool>,
    /// Features that were learned.
    known: Vec<bool>,
    /// Per feature, in its own unit, see [`band`].
    band: Vec<f64>,
}

/// Per feature, in its own unit: a deviation that, lasting a whole window and alone, reaches the threshold; NaN when the
/// feature was never learned. What is expected may be so far off to both sides.
fn band(scaler: &Scaler, threshold_mse: f64) -> Vec<f64> {
    let known = scaler.known();
    let counted = known.iter().filter(|known| **known).count();
    // A window's error is the mean over its rows and the features that count.
    let spread = (threshold_mse * counted as f64).sqrt();
    (0..known.len())
        .map(|feature| scaler.inverse(feature, spread) - scaler.inverse(feature, 0.0))
        .collect()
}

/// Cells that lie more than `max_gap` rows in a gap of their column, or in any gap at all with a policy that fills none.
/// Row `i` depends on rows `0..=i` alone.
fn far(observed: ArrayView2<'_, bool>, policy: Fill, max_gap: usize) -> Array2<bool> {
    let fillable = match policy {
        Fill::Drop | Fill::None => 0,
        _ => max_gap,
    };
    let mut far = Array2::from_elem(observed.dim(), false);
    for (seen, mut far) in observed.columns().into_iter().zip(far.columns_mut()) {
        let mut missing = 0;
        for (seen, far) in seen.iter().zip(&mut far) {
            missing = if *seen { 0 } else { missing + 1 };
            *far = missing > fillable;
        }
    }
    far
}

fn put(results: &mut [Vec<RowScore>], item: usize, row: usize, score: RowScore) {
    if let Some(slot) = results.get_mut(item).and_then(|rows| rows.get_mut(row)) {
        *slot = score;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_too_deep_in_a_gap_is_not_filled() {
        let seen = [true, false, false, false, true, false];
        let observed = Array2::from_shape_fn((6, 1), |(row, _)| seen[row]);
        let deep = |policy, most| {
            far(observed.view(), policy, most)
                .into_raw_vec_and_offset()
                .0
        };
        assert_eq!(
            deep(Fill::FfillBfill, 2),
            [false, false, false, true, false, false]
        );
        assert!(!deep(Fill::Mean, 3).contains(&true));
        assert_eq!(deep(Fill::None, 3), seen.map(|seen| !seen));
    }
}
