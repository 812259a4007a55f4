//! What training leaves out: what is known not to be normal, and what sticks out so far that it can't be taken for normal.
//!
//! Some things are known beforehand and passed in as a [`LeftOut`]: `[history] exclude`, incidents that an operator called
//! real, recurring times such as maintenance windows, and (the other way round) incidents called false, which are never
//! taken out. Two more are found in the data, together at most the part `[history] trim` of an entity's rows:
//!
//! 1. **Before scaling**, cells far from the running median of their column (`screen`): one spike would set the range that
//!    a min-max scaler brings everything to, and a network learns what is large first. What comes back an hour, a day or a
//!    week later is no contamination and stays.
//! 2. **After training**, windows whose error is extreme among all windows ([`refine`]): what `filter` would call anomalous,
//!    by a measure that does not depend on the threshold. Their rows are left out and, when they were more than a trace of
//!    what was trained on, the network is trained once more without them; else only the threshold is derived anew.
//!
//! Neither takes anything out when what sticks out is spread over the history: bursts that come again and again, at whatever
//! times, are how that metric is. Only what is confined to a quarter of the history is taken for contamination. (Without that
//! rule the area under the precision-recall curve fell by a quarter on six bursty multivariate series; with it five of them
//! stayed as they were without trimming, and one still lost.)
//!
//! This is trimmed training (iterative trimmed loss minimisation, Shen & Sanghavi 2019) with a single round.

mod left_out;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ndarray::{Array2, ArrayViewMut1};

use super::learn::{self, FEWEST_WINDOWS, LearnError, Learned, Prepared};
use super::training::Training;
use crate::config::Config;
use crate::domain::{Entity, Grid, Time};
use crate::model::{ModelError, window_errors};
use crate::prep::window::{WindowSet, evenly};
use left_out::{Stretch, within};

pub use left_out::{LeftOut, Recurring};

/// A cell sticks out when it is this many times as far from the running median as 90 % of its column are (8 standard
/// deviations of normal noise).
const FAR: f64 = 5.0;

/// A window is extreme when its log error lies this many times as far over the upper quartile as that over the median
/// (4 standard deviations of a log-normal error). Up to a quarter of all windows may be bad without moving the cut.
const EXTREME: f64 = 5.0;

/// Windows of one entity that are looked at after training, evenly spread: every row lies in one of them.
const LOOKED_AT: usize = 4000;

/// Windows in one pass through the network.
const PASS: usize = 512;

/// Under this part of the rows the network is not trained again: a trace moves a threshold, not the weights.
const TRACE: f64 = 0.005;

/// Equal parts that a history is cut into, …
const BLOCKS: usize = 16;

/// … and in how many of them something may stick out and still be contamination.
const CONFINED: usize = 4;

/// Rows around a time at which something may come back.
const SLACK: usize = 1;

/// Periods back and forth that are looked at for the same thing.
const BACK_AND_FORTH: usize = 4;

/// How far around a labelled incident rows are left out: half a window.
#[must_use]
pub fn around(config: &Config) -> Duration {
    let rows = u32::try_from(config.autoencoder.window / 2).unwrap_or(u32::MAX);
    config.source.step.0.saturating_mul(rows)
}

/// Takes out the rows of one entity that are known not to be normal: all their cells are missing from here on.
pub(super) fn leave_out(parts: &mut [(Grid, Array2<f64>)], entity: &Entity, out: &LeftOut) {
    for (grid, values) in parts {
        for (time, mut row) in grid.times().zip(values.rows_mut()) {
            if out.has(entity, time) {
                row.fill(f64::NAN);
            }
        }
    }
}

/// Takes out cells of one entity that stick out of their column: farther than five times the 90 % quantile from the running
/// median of two windows' rows, at most the part `[history] trim` of each column, the farthest first. What comes back after
/// an hour or one of the configured seasons (at half of up to eight such distances) stays, and so does what an operator
/// called normal. Returns how many rows lost a cell.
pub(super) fn screen(
    parts: &mut [(Grid, Array2<f64>)],
    entity: &Entity,
    out: &LeftOut,
    config: &Config,
) -> usize {
    let trim = config.history.trim.0;
    let columns = parts.first().map_or(0, |(_, values)| values.ncols());
    if trim <= 0.0 || columns == 0 {
        return 0;
    }
    let periods = periods(config);
    let mut touched: Vec<Vec<bool>> = parts.iter().map(|(g, _)| vec![false; g.len()]).collect();
    for column in 0..columns {
        let far: Vec<Vec<f64>> = parts
            .iter()
            .map(|(_, values)| {
                distances(&values.column(column).to_vec(), config.autoencoder.window)
            })
            .collect();
        let Some(cut) = cut(&far, trim) else { continue };
        let gone: Vec<Vec<usize>> = parts
            .iter()
            .zip(&far)
            .map(|((grid, _), far)| {
                let sticks: Vec<bool> = far.iter().map(|d| *d > cut).collect();
                let spare = |row: usize| {
                    comes_back(&sticks, row, &periods) || out.is_normal(entity, grid.time(row))
                };
                (0..sticks.len())
                    .filter(|row| sticks.get(*row) == Some(&true) && !spare(*row))
                    .collect()
            })
            .collect();
        let lengths: Vec<usize> = parts.iter().map(|(grid, _)| grid.len()).collect();
        let places = gone
            .iter()
            .enumerate()
            .flat_map(|(part, rows)| rows.iter().map(move |row| (part, *row)));
        if !is_confined(&lengths, places) {
            continue;
        }
        for (((_, values), gone), touched) in parts.iter_mut().zip(&gone).zip(&mut touched) {
            take_out(values.column_mut(column), touched, gone);
        }
    }
    touched.iter().flatten().filter(|touched| **touched).count()
}

/// Whether rows (of which part, and where in it) lie in at most a quarter of a history of parts of these `lengths`.
fn is_confined(lengths: &[usize], rows: impl Iterator<Item = (usize, usize)>) -> bool {
    let all: usize = lengths.iter().sum();
    let mut blocks = [false; BLOCKS];
    for (part, row) in rows {
        let before: usize = lengths.iter().take(part).sum();
        if let Some(block) = blocks.get_mut((before + row) * BLOCKS / all.max(1)) {
            *block = true;
        }
    }
    blocks.iter().filter(|touched| **touched).count() <= CONFINED
}

fn take_out(mut column: ArrayViewMut1<'_, f64>, touched: &mut [bool], rows: &[usize]) {
    for row in rows {
        if let (Some(cell), Some(touched)) = (column.get_mut(*row), touched.get_mut(*row)) {
            *cell = f64::NAN;
            *touched = true;
        }
    }
}

/// Rows after which the same thing may come back: an hour and the forecaster's seasons, where that is several rows.
fn periods(config: &Config) -> Vec<usize> {
    let step = config.source.step.0.as_millis().max(1);
    let seasons = config.forecast.seasonalities.iter().map(|s| s.0);
    std::iter::once(Duration::from_hours(1))
        .chain(seasons)
        .filter_map(|period| usize::try_from(period.as_millis() / step).ok())
        .filter(|rows| *rows > 4 * SLACK)
        .collect()
}

/// Whether what sticks out at `row` does so too at half of the times a period away, at least three of which are known.
fn comes_back(sticks: &[bool], row: usize, periods: &[usize]) -> bool {
    let around = |at: usize| {
        (at.saturating_sub(SLACK)..=at + SLACK).any(|near| sticks.get(near) == Some(&true))
    };
    periods.iter().any(|period| {
        let known: Vec<usize> = (1..=BACK_AND_FORTH)
            .flat_map(|times| [row.checked_sub(times * period), Some(row + times * period)])
            .flatten()
            .filter(|at| *at < sticks.len())
            .collect();
        let again = known.iter().filter(|at| around(**at)).count();
        known.len() >= 3 && again * 2 >= known.len()
    })
}

/// How far each cell is from the median of the `window` rows before and after it; 0 where there is no value.
fn distances(column: &[f64], window: usize) -> Vec<f64> {
    let mut near: Vec<f64> = Vec::with_capacity(2 * window + 1);
    let enter = |near: &mut Vec<f64>, value: Option<&f64>| {
        if let Some(value) = value.filter(|v| v.is_finite()) {
            let place = near.partition_point(|other| other.total_cmp(value).is_lt());
            near.insert(place, *value);
        }
    };
    for value in column.iter().take(window) {
        enter(&mut near, Some(value));
    }
    let mut distances = Vec::with_capacity(column.len());
    for (row, value) in column.iter().enumerate() {
        enter(&mut near, column.get(row + window));
        let gone = row.checked_sub(window + 1).and_then(|old| column.get(old));
        if let Some(gone) = gone.filter(|v| v.is_finite()) {
            let place = near.partition_point(|other| other.total_cmp(gone).is_lt());
            if place < near.len() {
                near.remove(place);
            }
        }
        let middle = near.get(near.len() / 2).copied().unwrap_or(f64::NAN);
        let distance = (value - middle).abs();
        distances.push(if distance.is_finite() { distance } else { 0.0 });
    }
    distances
}

/// The distance over which a cell sticks out, so that no more than the part `trim` of all do; `None` in a column that does
/// not move at all, or where there is too little to tell.
fn cut(far: &[Vec<f64>], trim: f64) -> Option<f64> {
    let mut all: Vec<f64> = far.iter().flatten().copied().collect();
    if all.len() < FEWEST_WINDOWS {
        return None;
    }
    all.sort_by(f64::total_cmp);
    let usual = match quantile(&all, 0.9) {
        usual if usual > 0.0 => usual,
        // Nearly always the same value: the rest is measured by itself.
        _ => {
            let moving = all.get(all.partition_point(|d| *d <= 0.0)..)?;
            quantile(moving, 0.5)
        }
    };
    let most = quantile(&all, 1.0 - trim);
    (usual > 0.0).then(|| (FAR * usual).max(most))
}

/// The value below which the part `level` of `sorted` lies; 0 of nothing.
fn quantile(sorted: &[f64], level: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rank = (sorted.len() as f64 * level.clamp(0.0, 1.0)).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Learns from prepared windows, looks which of them the network finds extreme, and goes on without those (see the module).
/// The rows that were left out are marked in `prepared`. The views beside the network see the rows that are left then.
///
/// # Errors
/// As [`learn::learn_from`].
pub fn refine(
    prepared: &mut Prepared,
    out: &LeftOut,
    config: &Config,
    training: &mut Training<'_>,
) -> Result<Learned, LearnError> {
    let learned = trimmed(prepared, out, config, training)?;
    learn::with_views(learned, prepared, config, training.cancel)
}

fn trimmed(
    prepared: &mut Prepared,
    out: &LeftOut,
    config: &Config,
    training: &mut Training<'_>,
) -> Result<Learned, LearnError> {
    let groups = learn::groups(prepared, config)?;
    let mut learned = learn::learn_from(prepared, groups, config, training)?;
    let found = extreme(prepared, out, &learned, config)?;
    if found.is_empty() {
        return Ok(learned);
    }
    let rows: usize = found.values().map(|own| own.rows).sum();
    let all: usize = prepared
        .stretches
        .values()
        .flatten()
        .map(|s| s.grid.len())
        .sum();
    mark_broken(prepared, &found);
    for (entity, own) in &found {
        *prepared.trimmed.entry(entity.clone()).or_default() += own.rows;
    }
    if rows as f64 >= TRACE * all as f64 {
        let groups = learn::groups(prepared, config)?;
        if groups.iter().all(|(_, set)| set.len() >= FEWEST_WINDOWS) {
            tracing::info!(rows, "trained once more without rows that stick out");
            return learn::learn_from(prepared, groups, config, training);
        }
    }
    let bad = |entity: &Entity, time: Time| {
        found
            .get(entity)
            .is_some_and(|own| within(&own.stretches, time))
    };
    let (kept_at, kept): (Vec<_>, Vec<_>) = learned
        .held_back_at
        .iter()
        .zip(&learned.held_back)
        .filter(|((entity, time), _)| !bad(entity, *time))
        .map(|(at, error)| (at.clone(), *error))
        .unzip();
    learned.bundle.calibration = learn::calibration(&kept, prepared, config)?;
    (learned.held_back_at, learned.held_back) = (kept_at, kept);
    Ok(learned)
}

/// Stretches of one entity whose windows are extreme.
struct Found {
    stretches: Vec<Stretch>,
    rows: usize,
}

/// Per entity the rows that extreme windows have in common, at most the part `[history] trim` of its rows, the most extreme
/// windows first.
fn extreme(
    prepared: &Prepared,
    out: &LeftOut,
    learned: &Learned,
    config: &Config,
) -> Result<BTreeMap<Entity, Found>, LearnError> {
    let mut found = BTreeMap::new();
    if config.history.trim.0 <= 0.0 {
        return Ok(found);
    }
    for (entity, stretches) in &prepared.stretches {
        let set = learn::windows(stretches, config)?;
        let places = evenly(set.len(), LOOKED_AT);
        let errors = errors(&set, &places, entity, learned)?;
        let Some(cut) = extreme_cut(&errors) else {
            continue;
        };
        let rows: usize = stretches.iter().map(|s| s.grid.len()).sum();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to `rows`.
        let most = (config.history.trim.0 * rows as f64) as usize;
        let most = most.saturating_sub(prepared.trimmed.get(entity).copied().unwrap_or(0));
        let mut runs = runs(&set, &places, &errors, cut);
        let lengths: Vec<usize> = stretches.iter().map(|s| s.grid.len()).collect();
        let ends = runs
            .iter()
            .flat_map(|r| [(r.segment, r.from), (r.segment, r.to)]);
        if !is_confined(&lengths, ends) {
            continue;
        }
        runs.sort_by(|a, b| b.worst.total_cmp(&a.worst));
        let mut own = Found {
            stretches: Vec::new(),
            rows: 0,
        };
        for run in runs {
            let Some(stretch) = stretches.get(run.segment) else {
                continue;
            };
            let rows = run.to - run.from + 1;
            let (from, to) = (stretch.grid.time(run.from), stretch.grid.time(run.to));
            let normal = out.is_normal(entity, from) || out.is_normal(entity, to);
            if !normal && own.rows + rows <= most {
                own.rows += rows;
                own.stretches.push((from, to));
            }
        }
        if !own.stretches.is_empty() {
            found.insert(entity.clone(), own);
        }
    }
    Ok(found)
}

/// Mean squared errors of the windows at `places`.
fn errors(
    set: &WindowSet,
    places: &[usize],
    entity: &Entity,
    learned: &Learned,
) -> Result<Vec<f64>, LearnError> {
    let bundle = &learned.bundle;
    let counts = bundle.pooled.known();
    let network = bundle
        .network(entity)
        .ok_or(LearnError::Nothing("model for one of the entities"))?;
    let mut errors = Vec::with_capacity(places.len());
    for pass in places.chunks(PASS) {
        let input = set.gather(pass);
        let output = network
            .reconstruct(input.view())
            .map_err(|error: ModelError| LearnError::Train(error.into()))?;
        let mask = Array2::from_shape_fn((pass.len(), bundle.schema.len()), |(_, column)| {
            counts.get(column).copied().unwrap_or(false)
        });
        errors.extend(window_errors(input.view(), output.view(), mask.view()).mse);
    }
    Ok(errors)
}

/// The error over which a window is extreme; `None` with too few windows to tell.
fn extreme_cut(errors: &[f64]) -> Option<f64> {
    let mut logs: Vec<f64> = errors
        .iter()
        .filter(|e| e.is_finite() && **e > 0.0)
        .map(|e| e.ln())
        .collect();
    if logs.len() < FEWEST_WINDOWS {
        return None;
    }
    logs.sort_by(f64::total_cmp);
    let (middle, upper) = (quantile(&logs, 0.5), quantile(&logs, 0.75));
    Some((upper + EXTREME * (upper - middle)).exp())
}

/// Rows of one stretch that a run of extreme windows has in common.
struct Run {
    segment: usize,
    from: usize,
    to: usize,
    worst: f64,
}

/// Runs of extreme windows. The first of a run ends where the cause begins, the last begins where it ends.
fn runs(set: &WindowSet, places: &[usize], errors: &[f64], cut: f64) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut before: Option<(usize, usize)> = None;
    for (place, error) in places.iter().zip(errors) {
        let (Some((segment, first)), true) = (set.start(*place), *error > cut) else {
            continue;
        };
        let last = first + set.window() - 1;
        let goes_on = before.is_some_and(|(s, f)| s == segment && first - f <= set.window());
        match runs.last_mut().filter(|_| goes_on) {
            Some(run) => {
                run.to = first;
                run.worst = run.worst.max(*error);
            }
            None => runs.push(Run {
                segment,
                from: last,
                to: first,
                worst: *error,
            }),
        }
        before = Some((segment, first));
    }
    for run in &mut runs {
        (run.from, run.to) = (run.from.min(run.to), run.from.max(run.to));
    }
    runs
}

/// No window may touch what was found.
fn mark_broken(prepared: &mut Prepared, found: &BTreeMap<Entity, Found>) {
    for (entity, own) in found {
        for stretch in prepared.stretches.get_mut(entity).into_iter().flatten() {
            let segment = Arc::make_mut(&mut stretch.segment);
            for (time, broken) in stretch.grid.times().zip(&mut segment.broken) {
                *broken |= within(&own.stretches, time);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Incident, IncidentState, Label, Why};

    fn time(row: usize) -> Time {
        Time::default() + Duration::from_mins(row as u64)
    }

    fn parts(values: Vec<f64>) -> Vec<(Grid, Array2<f64>)> {
        let rows = values.len();
        let grid = Grid::new(time(0), Duration::from_mins(1), rows);
        vec![(grid, Array2::from_shape_vec((rows, 1), values).unwrap())]
    }

    fn incident(label: Label) -> Incident {
        Incident {
            id: 1,
            entity: Entity::sole(),
            start: time(100),
            end: time(110),
            peak: time(100),
            peak_score: 2.0,
            peak_alarm: None,
            state: IncidentState::Closed,
            features: Vec::new(),
            why: Why::default(),
            acknowledged: false,
            label: Some(label),
        }
    }

    fn noisy(rows: usize) -> Vec<f64> {
        (0..rows)
            .map(|row| (row * 7919 % 1000) as f64 / 1000.0)
            .collect()
    }

    fn gone(values: Vec<f64>, out: &LeftOut, config: &Config) -> Vec<usize> {
        let mut parts = parts(values);
        let count = screen(&mut parts, &Entity::sole(), out, config);
        let column = parts[0].1.column(0).to_vec();
        let rows: Vec<usize> = (0..column.len())
            .filter(|row| column[*row].is_nan())
            .collect();
        assert_eq!(rows.len(), count);
        rows
    }

    #[test]
    fn real_incidents_are_left_out_with_half_a_window_and_false_ones_stay() {
        let config = Config::default();
        assert_eq!(around(&config), Duration::from_mins(10));
        let real = LeftOut::of(&config).and_incidents(&[incident(Label::Real)], around(&config));
        let own = |out: &LeftOut, row| out.has(&Entity::sole(), time(row));
        assert_eq!(
            [89, 90, 120, 121].map(|row| own(&real, row)),
            [false, true, true, false]
        );
        assert!(!real.has(&Entity::named("other"), time(105)));
        let mut rows = parts(noisy(200));
        leave_out(&mut rows, &Entity::sole(), &real);
        assert_eq!(rows[0].1.iter().filter(|v| v.is_nan()).count(), 31);

        let normal = LeftOut::default().and_incidents(&[incident(Label::False)], around(&config));
        assert!(!own(&normal, 105));
        let mut values = noisy(400);
        (values[105], values[300]) = (50.0, 50.0);
        assert_eq!(gone(values, &normal, &config), [300]);
        let nightly =
            LeftOut::default().and_recurring(Arc::new(|_, at: Time| at.millis() % 7_200_000 == 0));
        assert!(own(&nightly, 120) && !own(&nightly, 60));
    }

    #[test]
    fn what_comes_back_every_hour_is_no_contamination() {
        let config = Config::default();
        let mut values = noisy(2000);
        for row in (30..2000).step_by(60) {
            values[row] = 40.0;
        }
        values[777] = 40.0;
        assert_eq!(gone(values, &LeftOut::default(), &config), [777]);
    }

    #[test]
    fn no_more_than_the_bound_goes_and_a_quiet_column_keeps_what_is_usual_for_it() {
        let mut config = Config::default();
        let mut values = noisy(1000);
        let mut bursty = values.clone();
        for row in 0..80 {
            values[row / 40 * 500 + row % 40 * 3 + 1] = 30.0 + row as f64;
            bursty[row * 97 % 1000] = 30.0 + row as f64;
        }
        // Spread over all of the history: that is how this column is.
        assert!(gone(bursty, &LeftOut::default(), &config).is_empty());
        let rows = gone(values.clone(), &LeftOut::default(), &config);
        assert!((20..=50).contains(&rows.len()), "{}", rows.len());
        config.history.trim.0 = 0.0;
        assert!(gone(values, &LeftOut::default(), &config).is_empty());
        config.history.trim.0 = 0.05;
        // Nearly always 0, now and then 1 to 3, once 500.
        let mut seldom = vec![0.0; 1000];
        for (n, row) in [13, 170, 222, 391, 555, 640, 808].into_iter().enumerate() {
            seldom[row] = (n % 3 + 1) as f64;
        }
        seldom[700] = 500.0;
        assert_eq!(gone(seldom, &LeftOut::default(), &config), [700]);
    }

    #[test]
    fn only_errors_far_over_the_rest_are_extreme() {
        let errors: Vec<f64> = (0..1000)
            .map(|n| (f64::from(n % 100) / 50.0).exp() * 1e-3)
            .collect();
        let cut = extreme_cut(&errors).unwrap();
        assert!(cut > 8e-3 && cut < 1.0, "{cut}");
        assert!(extreme_cut(&errors[..50]).is_none());
    }
}
