//! What the views beside the network learn, and what all of them say of rows.

mod seen;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use ndarray::{Array2, ArrayView2, s};

pub use seen::Seen;

use super::judging::span;
use super::learn::{self, LearnError, Prepared, Stretch};
use crate::config::{Config, Weights};
use crate::detect::fusion::{Errors, Memory};
use crate::detect::threshold::{Adaptive, Rule};
use crate::domain::{Entity, Time};
use crate::model::autoregression::{LAGS, Rows};
use crate::model::codebook::{Codebook, Distances};
use crate::model::views::{Baseline, Calm, EntityViews, VIEWS, Views, Yardstick};
use crate::model::{Autoencoder, ModelError, Scratch, TrainError, window_errors};
use crate::prep::calendar;
use crate::prep::window::Segment;

/// Rows of all entities together that every view looks at to learn what is large and rare: bounds the time to seconds.
const LOOKED_AT: usize = 60_000;
/// Rows of all entities together that forecasts are fitted on.
const FITTED: usize = 2_000_000;
/// Rows of one entity, at least and at most.
const LOOKED_AT_EACH: (usize, usize) = (240, 25_000);
/// The same for the fit.
const FITTED_EACH: (usize, usize) = (1000, 20_000);
/// Windows in one pass through the network.
const PASS: usize = 512;
/// The part of the training rows whose smoothed error is not large.
const LARGE: f64 = 0.98;
/// A score is published as 1 when it is this many times …
const SCALE: f64 = 1.0;
/// … what this part of the training rows is below.
const RARE: f64 = 0.995;

/// What the alarms' threshold depends on, for one entity of `entities`.
pub fn rule(config: &Config, entities: usize) -> Rule {
    let shared = match config.detect.per {
        crate::config::BudgetScope::Installation => entities.max(1) as f64,
        crate::config::BudgetScope::Entity => 1.0,
    };
    Rule::new(
        config.source.step.0.as_secs_f64(),
        config.detect.false_alarms_per_day / shared,
        config.detect.cooldown.0.as_secs_f64(),
        match config.detect.max_incident.0 {
            Duration::ZERO => f64::INFINITY,
            most => most.max(span(config) * 2).as_secs_f64(),
        },
    )
}

/// Learns the views of all entities; networks are trained already.
///
/// # Errors
/// [`LearnError`]: cancelled, or a network that can't take the windows.
pub fn learn_views(
    prepared: &Prepared,
    networks: &BTreeMap<Entity, Autoencoder>,
    config: &Config,
    cancel: &AtomicBool,
) -> Result<Views, LearnError> {
    let learner = Learner::new(prepared, config)?;
    let clocks = learner.clocks(prepared);
    let baselines = learner.baselines(prepared, &clocks);
    let books = learner.books(prepared, &baselines);
    let mut views = Views {
        books,
        entities: BTreeMap::new(),
        pooled: EntityViews {
            baseline: learner.pooled(prepared, &clocks),
            yardstick: Yardstick::fit(&std::array::from_fn(|_| {
                Array2::zeros((0, learner.features))
            })),
            calm: Calm {
                scale: 1.0,
                usual: 0.0,
                maxima: Vec::new(),
                medians: [0.0; VIEWS],
                levels: vec![0.0; learner.features],
            },
        },
    };
    for ((entity, baseline), stretches) in baselines.into_iter().zip(prepared.stretches.values()) {
        if cancel.load(Ordering::Relaxed) {
            return Err(TrainError::Cancelled.into());
        }
        let network = networks
            .get(&entity)
            .or_else(|| networks.get(&Entity::sole()));
        let book = views.book(&entity);
        let own = learner.entity(baseline, network, book, stretches)?;
        views.entities.insert(entity, own);
    }
    middle_of(&mut views);
    Ok(views)
}

/// How far a training row is from what was expected of it.
pub struct Residual {
    /// Whose row.
    pub entity: Entity,
    /// Its time.
    pub time: Time,
    /// The mean square over the features, in scaled units.
    pub mean_square: f64,
}

/// The residuals of the newest training rows. The forecast has learned from these rows too.
///
/// # Errors
/// [`LearnError::Zone`] for an unknown time zone.
pub fn residuals(prepared: &Prepared, config: &Config) -> Result<Vec<Residual>, LearnError> {
    let learner = Learner::new(prepared, config)?;
    let clocks = learner.clocks(prepared);
    let baselines = learner.baselines(prepared, &clocks);
    let mut found = Vec::new();
    for ((entity, baseline), stretches) in baselines.iter().zip(prepared.stretches.values()) {
        for (stretch, rows) in learner.newest(stretches) {
            for (time, mean_square) in learner.residuals(baseline, stretch, rows) {
                found.push(Residual {
                    entity: entity.clone(),
                    time,
                    mean_square,
                });
            }
        }
    }
    Ok(found)
}

/// An entity that was not there in training is measured as the one in the middle is.
fn middle_of(views: &mut Views) {
    let mut owns: Vec<&EntityViews> = views.entities.values().collect();
    owns.sort_by(|a, b| a.calm.scale.total_cmp(&b.calm.scale));
    if let Some(own) = owns.get(owns.len() / 2) {
        views.pooled.yardstick = own.yardstick.clone();
        views.pooled.calm = own.calm.clone();
    }
}

struct Learner<'a> {
    features: usize,
    entities: usize,
    zone: TimeZone,
    config: &'a Config,
}

impl<'a> Learner<'a> {
    fn new(prepared: &Prepared, config: &'a Config) -> Result<Self, LearnError> {
        Ok(Self {
            features: prepared.schema.len(),
            entities: prepared.stretches.len().max(1),
            zone: learn::time_zone(config)?,
            config,
        })
    }

    /// The stretches of one entity with the number of their newest rows that are looked at, oldest first.
    fn newest<'s>(&self, stretches: &'s [Stretch]) -> Vec<(&'s Stretch, usize)> {
        let mut left = self.each(LOOKED_AT, LOOKED_AT_EACH);
        let mut newest = Vec::new();
        for stretch in stretches.iter().rev() {
            let (rows, usable) = newest_usable(&stretch.segment, left);
            left -= usable;
            newest.push((stretch, rows));
        }
        newest.retain(|(_, rows)| *rows > 0);
        newest.reverse();
        newest
    }

    fn each(&self, all: usize, (least, most): (usize, usize)) -> usize {
        (all / self.entities).clamp(least, most)
    }

    fn step(&self) -> Duration {
        self.config.source.step.0
    }

    fn clocks(&self, prepared: &Prepared) -> BTreeMap<Entity, Vec<Vec<f32>>> {
        let of = |stretches: &Vec<Stretch>| {
            let clocks = stretches
                .iter()
                .map(|s| calendar::clock(&s.grid, &self.zone));
            clocks.collect()
        };
        let all = prepared.stretches.iter();
        all.map(|(entity, own)| (entity.clone(), of(own))).collect()
    }

    fn baselines(
        &self,
        prepared: &Prepared,
        clocks: &BTreeMap<Entity, Vec<Vec<f32>>>,
    ) -> BTreeMap<Entity, Baseline> {
        let most = self.each(FITTED, FITTED_EACH);
        let of = |(stretches, clocks): (&Vec<Stretch>, &Vec<Vec<f32>>)| {
            let parts: Vec<Rows<'_>> = stretches.iter().zip(clocks).map(rows).collect();
            Baseline::fit(&parts, self.features, self.step(), most)
        };
        let each = prepared.stretches.iter().zip(clocks.values());
        each.map(|((entity, own), clocks)| (entity.clone(), of((own, clocks))))
            .collect()
    }

    /// The baseline of all entities taken together; with one entity that is its own.
    fn pooled(&self, prepared: &Prepared, clocks: &BTreeMap<Entity, Vec<Vec<f32>>>) -> Baseline {
        let stretches = prepared.stretches.values().flatten();
        let parts: Vec<Rows<'_>> = stretches.zip(clocks.values().flatten()).map(rows).collect();
        Baseline::fit(&parts, self.features, self.step(), FITTED_EACH.1)
    }

    /// One codebook for all entities, or one each, as the networks are; none where the forecast detects alone.
    fn books(
        &self,
        prepared: &Prepared,
        baselines: &BTreeMap<Entity, Baseline>,
    ) -> BTreeMap<Entity, Codebook> {
        if !self.config.autoencoder.enabled {
            return BTreeMap::new();
        }
        let each = prepared.stretches.iter().zip(baselines.values());
        let own = self.config.entities.weights == Weights::Own;
        let groups: Vec<(Entity, Vec<(&Stretch, &Baseline)>)> = if own {
            each.map(|((entity, stretches), baseline)| {
                let all = stretches.iter().map(|s| (s, baseline)).collect();
                (entity.clone(), all)
            })
            .collect()
        } else {
            let all = each.flat_map(|((_, own), baseline)| own.iter().map(move |s| (s, baseline)));
            vec![(Entity::sole(), all.collect())]
        };
        let book = |parts: Vec<(&Stretch, &Baseline)>| self.book(&parts);
        let made = groups.into_iter();
        made.filter_map(|(entity, parts)| Some((entity, book(parts)?)))
            .collect()
    }

    fn book(&self, parts: &[(&Stretch, &Baseline)]) -> Option<Codebook> {
        let window = self.config.autoencoder.window;
        let most = self.each(FITTED, FITTED_EACH);
        let newest = |stretch: &Stretch| stretch.grid.len().saturating_sub(most);
        let measured: Vec<Array2<f32>> = parts
            .iter()
            .map(|(stretch, baseline)| {
                let rows = s![newest(stretch).., ..];
                baseline.measured(stretch.segment.values.slice(rows))
            })
            .collect();
        let views: Vec<ArrayView2<'_, f32>> = measured.iter().map(|m| m.view()).collect();
        let whole = |(part, (stretch, _)): (usize, &(&Stretch, &Baseline))| {
            let broken = stretch.segment.broken.get(newest(stretch)..).unwrap_or(&[]);
            let ends = (window.max(1) - 1)..broken.len();
            let whole = |end: &usize| {
                let rows = broken.get(end + 1 - window..=*end);
                rows.is_some_and(|rows| !rows.contains(&true))
            };
            let ends = ends.filter(whole).map(move |end| (part, end));
            ends.collect::<Vec<_>>()
        };
        let ends: Vec<(usize, usize)> = parts.iter().enumerate().flat_map(whole).collect();
        Codebook::fit(
            &views,
            &ends,
            window,
            self.features,
            self.config.autoencoder.seed,
        )
    }

    /// What is large and what is rare for one entity: every view looks at its newest training rows.
    fn entity(
        &self,
        baseline: Baseline,
        network: Option<&Autoencoder>,
        book: Option<&Codebook>,
        stretches: &[Stretch],
    ) -> Result<EntityViews, LearnError> {
        let mut daily = Memory::default();
        daily.fit(self.features);
        let mut looks = Vec::new();
        for (stretch, rows) in self.newest(stretches) {
            looks.extend(self.look((&baseline, network, book), stretch, rows, &mut daily)?);
        }
        let mut yardstick = Yardstick::fit(&std::array::from_fn(|view| {
            Array2::from_shape_fn((looks.len(), self.features), |(row, feature)| {
                let errors = looks.get(row).and_then(|look| look.errors.0.get(view));
                let error = errors.and_then(|of_view| of_view.get(feature));
                error.copied().unwrap_or(f32::NAN)
            })
        }));
        let pace = self.step().as_secs_f64() / 86_400.0;
        let fused = |yardstick: &Yardstick| {
            let mut memory = Memory::default();
            memory.fit(self.features);
            let rows = looks.iter().map(|look| {
                let fused = memory.fuse(yardstick, &look.errors, pace);
                (look.time, fused, *memory.smoothed())
            });
            let rows = rows.collect::<Vec<_>>();
            (rows, memory)
        };
        let (plain, _) = fused(&yardstick);
        for (view, unit) in yardstick.views.iter_mut().enumerate() {
            let smoothed = plain.iter().filter_map(|row| *row.2.get(view)?);
            let large = quantile(smoothed.collect(), LARGE).filter(|large| *large > 0.0);
            *unit = large.unwrap_or(1.0);
        }
        let (rows, memory) = fused(&yardstick);
        let scored = rows.iter().filter(|(_, fused, _)| fused.now.is_finite());
        let mut calm = self.calm(
            scored
                .map(|(time, fused, _)| (*time, fused.now, fused.score))
                .collect(),
        );
        (calm.medians, calm.levels) = (memory.medians(), daily.levels);
        Ok(EntityViews {
            baseline,
            yardstick,
            calm,
        })
    }

    fn calm(&self, rows: Vec<(Time, f64, f64)>) -> Calm {
        let usual = quantile(rows.iter().map(|row| row.1).collect(), 0.5).unwrap_or(0.0);
        let rare = quantile(rows.iter().map(|row| row.2).collect(), RARE);
        let rule = rule(self.config, self.entities);
        let mut adaptive = Adaptive::new(usual);
        for (time, now, _) in &rows {
            adaptive.learn(&rule, *time, *now);
        }
        Calm {
            scale: rare.map_or(1.0, |rare| rare * SCALE).max(1e-6),
            usual,
            maxima: adaptive.maxima(),
            medians: [0.0; VIEWS],
            levels: vec![0.0; self.features],
        }
    }

    /// Times and mean squares of the residuals of the newest `rows` of a stretch; rows that may not be learned from, or of
    /// which nothing was expected, are left out.
    fn residuals(&self, baseline: &Baseline, stretch: &Stretch, rows: usize) -> Vec<(Time, f64)> {
        let (grid, segment) = (&stretch.grid, &stretch.segment);
        let clock = calendar::clock(grid, &self.zone);
        let seen = Seen::new(baseline, segment.values.view(), clock, self.step());
        let mut expected = Vec::new();
        let mut found = Vec::new();
        for row in grid.len() - rows..grid.len() {
            if segment.broken.get(row) != Some(&false) {
                continue;
            }
            seen.expect(baseline, row, &mut expected);
            let distances = seen.distances(baseline, row, &expected);
            let squares: Vec<f64> = distances
                .zip(segment.observed.row(row))
                .filter(|(distance, observed)| **observed && distance.is_finite())
                .map(|(distance, _)| distance * distance)
                .collect();
            if !squares.is_empty() {
                let mean = squares.iter().sum::<f64>() / squares.len() as f64;
                found.push((grid.time(row), mean));
            }
        }
        found
    }

    /// The errors of the newest `rows` of a stretch, in order; rows that may not be learned from are left out.
    fn look(
        &self,
        (baseline, network, book): (&Baseline, Option<&Autoencoder>, Option<&Codebook>),
        stretch: &Stretch,
        rows: usize,
        daily: &mut Memory,
    ) -> Result<Vec<Look>, LearnError> {
        let window = self.config.autoencoder.window;
        let grid = &stretch.grid;
        let first = grid.len() - rows;
        let from = first.saturating_sub(window.max(LAGS + 1));
        let segment = &stretch.segment;
        let values = segment.values.slice(s![from.., ..]);
        let clock = calendar::clock(&grid.slice(from, grid.len()), &self.zone);
        let seen = Seen::new(baseline, values, clock, self.step());
        let mut space = Distances::default();
        seen.shapes(book, first - from..grid.len() - from, &mut space);
        let network = match network {
            Some(network) => rebuilt(network, segment.values.view(), first, self.features)
                .map_err(TrainError::from)?,
            None => Array2::from_elem((rows, self.features), f32::NAN),
        };
        let (mut looks, mut expected) = (Vec::new(), Vec::new());
        for (at, network) in network.outer_iter().enumerate() {
            let row = first + at;
            let reach = row.saturating_sub(window.max(LAGS + 1) - 1);
            if segment
                .broken
                .get(reach..=row)
                .is_none_or(|b| b.contains(&true))
            {
                continue;
            }
            seen.expect(baseline, row - from, &mut expected);
            let shape = space.errors.get(at * self.features..).unwrap_or(&[]);
            let network = network.to_vec();
            let mut errors = Errors::default();
            let judged = |feature| segment.observed.get((row, feature)) == Some(&true);
            let inputs = (network.as_slice(), shape, expected.as_slice());
            seen.errors(
                baseline,
                row - from,
                inputs,
                judged,
                (&mut *daily, &mut errors),
            );
            looks.push(Look {
                time: grid.time(row),
                errors,
            });
        }
        Ok(looks)
    }
}

/// One training row as the views see it.
struct Look {
    time: Time,
    errors: Errors,
}

/// How many of the newest rows hold at most `most` that may be learned from, and how many those are.
fn newest_usable(segment: &Segment, most: usize) -> (usize, usize) {
    let (mut rows, mut usable) = (0, 0);
    for broken in segment.broken.iter().rev() {
        if usable == most {
            break;
        }
        rows += 1;
        usable += usize::from(!broken);
    }
    (rows, usable)
}

fn rows<'a>((stretch, clock): (&'a Stretch, &'a Vec<f32>)) -> Rows<'a> {
    let segment = &stretch.segment;
    Rows {
        values: segment.values.view(),
        observed: segment.observed.view(),
        broken: &segment.broken,
        clock,
    }
}

/// Per row from `first` on and per feature: the root mean square error of the window that ends there; NaN without a window.
fn rebuilt(
    network: &Autoencoder,
    values: ArrayView2<'_, f32>,
    first: usize,
    features: usize,
) -> Result<Array2<f32>, ModelError> {
    let shape = network.shape();
    let (window, rows) = (shape.window, values.nrows());
    let mut errors = Array2::from_elem((rows.saturating_sub(first), features), f32::NAN);
    let mut scratch = Scratch::default();
    let start = first.max(window.saturating_sub(1));
    for from in (start..rows).step_by(PASS) {
        let count = PASS.min(rows - from);
        let dims = (count, window, shape.columns);
        let mut input = ndarray::Array3::<f32>::zeros(dims);
        let mut output = ndarray::Array3::<f32>::zeros(dims);
        for (at, mut slot) in input.outer_iter_mut().enumerate() {
            slot.assign(&values.slice(s![from + at + 1 - window..=from + at, ..]));
        }
        network.reconstruct_into(input.view(), output.view_mut(), &mut scratch)?;
        let all = Array2::from_elem((count, features), true);
        let found = window_errors(input.view(), output.view(), all.view());
        let mut slots = errors.slice_mut(s![from - first..from - first + count, ..]);
        #[allow(clippy::cast_possible_truncation)] // In the precision of the network.
        slots.assign(&found.features.mapv(|mse| mse.sqrt() as f32));
    }
    Ok(errors)
}

/// The value that a part of `values` is below; `None` of nothing.
fn quantile(mut values: Vec<f64>, part: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 1 times the length.
    let place = ((last as f64 * part).round() as usize).min(last);
    Some(*values.select_nth_unstable_by(place, f64::total_cmp).1)
}
