//! What training leaves out: what is known not to be normal, and what sticks out so far that it can't be taken for normal.
//!
//! Some things are known beforehand and passed in as a [`LeftOut`]: `[history] exclude`, incidents that an operator called
//! real, recurring times such as maintenance windows, and (the other way round) incidents called false, which are never
//! taken out. Two more are found in the data, together at most the part `[history] trim` of what was observed of an entity:
//!
//! 1. **Before scaling**, cells far from the running median of their column (`screen`): one spike would set the range that
//!    a min-max scaler brings everything to, and a network learns what is large first. What comes back an hour, a day or a
//!    week later is no contamination and stays.
//! 2. **After training**, windows whose error is extreme among all windows ([`refine`]): what `filter` would call anomalous,
//!    by a measure that does not depend on the threshold. Their rows are left out and, when they were more than a trace of
//!    what was trained on, the network is trained once more without them; else only the threshold is derived anew.
//!
//! What comes back an hour, a day or a week later is no contamination in either case, and neither takes anything out when
//! what is left is spread over the history: bursts that come again and again, at whatever times, are how that metric is.
//! Only what is confined to a quarter of the history is taken for contamination. (Without that rule the area under the
//! precision-recall curve fell by a quarter on six bursty multivariate series; with it five of them stayed as they were
//! without trimming, and one still lost.)
//!
//! This is trimmed training (iterative trimmed loss minimisation, Shen & Sanghavi 2019) with a single round.

mod left_out;
mod report;
pub mod rows;
mod screen;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ndarray::Array2;

use super::learn::{self, LearnError, Learned, Prepared};
use super::training::Training;
use crate::config::Config;
use crate::domain::{Entity, Time};
use crate::model::{Autoencoder, Bundle, ModelError, window_errors};
use crate::prep::window::{WindowSet, evenly};
use left_out::{Stretch, within};
use screen::{BACK_AND_FORTH, is_confined, periods, quantile};

pub use left_out::{LeftOut, Recurring};
pub use report::LeftOutReport;
pub(super) use screen::screen;

/// A window is extreme when its log error lies this many times as far over the upper quartile as that over the median
/// (4 standard deviations of a log-normal error). Up to a quarter of all windows may be bad without moving the cut.
const EXTREME: f64 = 5.0;

/// Windows of one entity that are looked at after training, evenly spread: every row lies in one of them.
const LOOKED_AT: usize = 4000;

/// With fewer values than this, or fewer windows, it can't be told what is usual and what sticks out.
const ENOUGH: usize = 120;

/// Windows in one pass through the network.
const PASS: usize = 512;

/// Under this part of the rows the network is not trained again: a trace moves a threshold, not the weights.
const TRACE: f64 = 0.005;

/// How far around a labelled incident rows are left out: half a window.
#[must_use]
pub fn around(config: &Config) -> Duration {
    let rows = u32::try_from(config.autoencoder.window / 2).unwrap_or(u32::MAX);
    config.source.step.0.saturating_mul(rows)
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
    let stretches = prepared.stretches.values().flatten();
    let all: usize = stretches.map(|s| s.segment.observed_rows()).sum();
    mark_broken(prepared, &found);
    for (entity, own) in &found {
        *prepared.trimmed.entry(entity.clone()).or_default() += own.rows;
    }
    prepared.left_out.extreme_rows += rows;
    learned.left_out.extreme_rows += rows;
    if rows as f64 >= TRACE * all as f64 {
        let groups = learn::groups(prepared, config)?;
        if learn::are_enough(&groups, &learned.bundle.networks, config) {
            tracing::info!(rows, "trained once more without rows that stick out");
            return learn::learn_from(prepared, groups, config, training);
        }
    }
    // Every window that holds one of these rows, not only those that end there.
    let span = config.source.step.0.saturating_mul(
        u32::try_from(config.autoencoder.window.saturating_sub(1)).unwrap_or(u32::MAX),
    );
    let bad = |entity: &Entity, end: Time| {
        let holds = |(from, to): &Stretch| *from <= end && end - span <= *to;
        let own = found.get(entity);
        own.is_some_and(|own| own.stretches.iter().any(holds))
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

/// Per entity the rows that extreme windows have in common, at most the part `[history] trim` of those observed, the most
/// extreme windows first. An entity without a network has none.
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
        let Some(network) = learned.bundle.network(entity) else {
            continue;
        };
        let errors = errors(&set, &places, network, &learned.bundle)?;
        let Some(cut) = extreme_cut(&errors) else {
            continue;
        };
        let observed: Vec<Vec<bool>> = stretches
            .iter()
            .map(|stretch| stretch.segment.rows_observed().collect())
            .collect();
        let rows = observed.iter().flatten().filter(|seen| **seen).count();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to `rows`.
        let most = (config.history.trim.0 * rows as f64) as usize;
        let most = most.saturating_sub(prepared.trimmed.get(entity).copied().unwrap_or(0));
        let slack = set.len().div_ceil(LOOKED_AT);
        let mut runs = once(runs(&set, &places, &errors, cut), &observed, slack, config);
        let ends = runs
            .iter()
            .flat_map(|r| [(r.segment, r.from), (r.segment, r.to)]);
        if !is_confined(&observed, ends) {
            continue;
        }
        runs.sort_by(|a, b| b.worst.total_cmp(&a.worst));
        let mut own = Found {
            stretches: Vec::new(),
            rows: 0,
        };
        for run in runs {
            let (Some(stretch), Some(observed)) =
                (stretches.get(run.segment), observed.get(run.segment))
            else {
                continue;
            };
            let own_rows = observed.get(run.from..=run.to).unwrap_or(&[]);
            let rows = own_rows.iter().filter(|seen| **seen).count();
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
    network: &Autoencoder,
    bundle: &Bundle,
) -> Result<Vec<f64>, LearnError> {
    let counts = bundle.pooled.known();
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
    if logs.len() < ENOUGH {
        return None;
    }
    logs.sort_by(f64::total_cmp);
    let (middle, upper) = (quantile(&logs, 0.5), quantile(&logs, 0.75));
    Some((upper + EXTREME * (upper - middle)).exp())
}

/// The runs that do not come back an hour or one of the configured seasons before and after: at half of up to eight such
/// distances, at least three of which were observed, there is another one at least half as long, give or take `slack` rows.
fn once(runs: Vec<Run>, observed: &[Vec<bool>], slack: usize, config: &Config) -> Vec<Run> {
    let periods = periods(config);
    let is_there = |run: &Run, from: usize, to: usize| {
        let others = runs.iter().filter(|other| !std::ptr::eq(*other, run));
        let length = |run: &Run| run.to - run.from + 1;
        let mut others = others.filter(|other| {
            other.segment == run.segment && 2 * (length(other) + slack) >= length(run)
        });
        others.any(|other| other.from <= to + slack && other.to + slack >= from)
    };
    let comes_back = |run: &Run| {
        let seen = observed.get(run.segment).map_or(&[][..], Vec::as_slice);
        let was_observed = |(from, to): &(usize, usize)| {
            let rows = seen.get(*from..=*to);
            rows.is_some_and(|rows| rows.contains(&true))
        };
        periods.iter().any(|period| {
            let known: Vec<(usize, usize)> = (1..=BACK_AND_FORTH)
                .map(|times| times * period)
                .flat_map(|away| {
                    let before = run.from.checked_sub(away).zip(run.to.checked_sub(away));
                    [before, Some((run.from + away, run.to + away))]
                })
                .flatten()
                .filter(was_observed)
                .collect();
            let again = known.iter().filter(|at| is_there(run, at.0, at.1)).count();
            known.len() >= 3 && again * 2 >= known.len()
        })
    };
    let again: Vec<bool> = runs.iter().map(comes_back).collect();
    let of = runs.into_iter().zip(again);
    of.filter(|(_, again)| !again).map(|(run, _)| run).collect()
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
pub(super) mod tests {
    use super::rows::Rows;
    use super::*;
    use crate::domain::{Feature, Grid, Incident, IncidentState, Label, Why};

    pub(super) fn time(row: usize) -> Time {
        Time::default() + Duration::from_mins(row as u64)
    }

    pub(super) fn incident(label: Label) -> Incident {
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
        let mut report = LeftOutReport::default();
        let rows = Rows::new(
            (
                &Entity::sole(),
                Grid::new(time(0), Duration::from_mins(1), 200),
            ),
            Array2::ones((200, 1)),
            &Arc::from([Feature::plain("cpu")]),
            &real,
            &config,
            &mut report,
        );
        assert_eq!(rows.values.iter().filter(|v| v.is_nan()).count(), 31);
        assert_eq!(rows.left_out.iter().filter(|out| **out).count(), 31);
        assert_eq!((report.rows, report.labelled_rows), (200, 31));
        // Two stretches of 90 and 79 rows are left.
        assert_eq!(rows::windows(&[rows], &config), 71 + 60);

        let normal = LeftOut::default().and_incidents(&[incident(Label::False)], around(&config));
        assert!(!own(&normal, 105));
        let nightly =
            LeftOut::default().and_recurring(Arc::new(|_, at: Time| at.millis() % 7_200_000 == 0));
        assert!(own(&nightly, 120) && !own(&nightly, 60));
    }

    #[test]
    fn runs_that_come_back_every_day_do_not_keep_an_incident_in() {
        let run = |from: usize, to: usize| Run {
            segment: 0,
            from,
            to,
            worst: 1.0,
        };
        // Every midnight, a minute or two off, and two incidents.
        let mut runs: Vec<Run> = (1..14)
            .map(|day| run(day * 1440 + day % 3, day * 1440 + 15))
            .collect();
        // One of them goes on from a midnight.
        runs.extend([run(5000, 5030), run(8641, 9000)]);
        runs.retain(|run| (run.from, run.to) != (8640, 8655));
        let observed = [vec![true; 14 * 1440]];
        let once = once(runs, &observed, 5, &Config::default());
        let left: Vec<(usize, usize)> = once.iter().map(|run| (run.from, run.to)).collect();
        assert_eq!(left, [(5000, 5030), (8641, 9000)]);
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
