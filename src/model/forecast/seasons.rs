//! Which of the configured seasons a series really has.

use std::time::Duration;

use super::gaps::profile;

/// A season must explain at least this part of what shorter ones leave, however often it was seen.
const LEAST_STRENGTH: f64 = 0.1;

/// Whether `covered` holds two periods of a season, in any unit. A twentieth may be wanting: two weeks of history of which
/// the newest minutes have not arrived still show a week twice.
pub(super) fn seen_twice(period: f64, covered: f64) -> bool {
    period * 2.0 * 0.95 <= covered
}

/// Periods in rows of the seasons that `rows` rows show twice, ascending, without doubles. A season that is no whole number
/// of rows is rounded to one.
pub(super) fn periods(seasonalities: &[Duration], step: Duration, rows: usize) -> Vec<usize> {
    let step = step.as_secs_f64();
    let mut periods: Vec<usize> = seasonalities
        .iter()
        .filter_map(|season| {
            let period = (season.as_secs_f64() / step).round();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            (period >= 2.0 && seen_twice(period, rows as f64)).then_some(period as usize)
        })
        .collect();
    periods.sort_unstable();
    periods.dedup();
    periods
}

/// Those of `periods` (ascending) that show in `values` (finite; `observed` says which of them count).
///
/// The strength of a season is the autocorrelation, one period apart, of what the slow movement and the seasons already
/// taken leave: the part of its variance that repeats. Estimating a season from `c` cycles brings `1/c` of the noise into
/// the forecast, so it pays only when the strength is above `1 / (1 + c)`.
pub(super) fn strong(values: &[f64], observed: &[bool], periods: &[usize]) -> Vec<usize> {
    let mut rest = values.to_vec();
    clip(&mut rest);
    let mut taken = Vec::new();
    for period in periods {
        let cycles = values.len() as f64 / *period as f64;
        let mut level = detrended(&rest, *period);
        clip(&mut level);
        let strength = repeats(&level, observed, *period);
        if strength > LEAST_STRENGTH.max(1.0 / (1.0 + cycles)) {
            let shape = profile(&level, *period);
            for (value, shape) in rest.iter_mut().zip(shape.iter().cycle()) {
                *value -= shape;
            }
            taken.push(*period);
        }
    }
    taken
}

/// Autocorrelation `lag` rows apart over pairs that were both observed; 0 when there is nothing to correlate.
fn repeats(values: &[f64], observed: &[bool], lag: usize) -> f64 {
    let rows = || values.iter().zip(observed);
    let (mut product, mut before, mut after) = (0.0, 0.0, 0.0);
    for ((a, seen_a), (b, seen_b)) in rows().zip(rows().skip(lag)) {
        if *seen_a && *seen_b {
            product += a * b;
            before += a * a;
            after += b * b;
        }
    }
    let scale = (before * after).sqrt();
    if scale > 0.0 { product / scale } else { 0.0 }
}

/// Without the slow movement: a moving mean one period wide, or a straight line when there are too few periods for that.
fn detrended(values: &[f64], period: usize) -> Vec<f64> {
    if values.len() < 3 * period {
        return without_line(values);
    }
    let mut sums = Vec::with_capacity(values.len() + 1);
    let mut sum = 0.0;
    sums.push(sum);
    for value in values {
        sum += value;
        sums.push(sum);
    }
    let at = |row: usize| sums.get(row).copied().unwrap_or(sum);
    // At the ends the window is moved inwards, not cut: a mean over part of a period would hold some of the season.
    let widest = values.len() - period;
    values
        .iter()
        .enumerate()
        .map(|(row, value)| {
            let from = row.saturating_sub(period / 2).min(widest);
            value - (at(from + period) - at(from)) / period as f64
        })
        .collect()
}

/// Intercept and slope per row of the least-squares line.
pub(super) fn line(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let middle = (n - 1.0) / 2.0;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    let (mut over, mut under) = (0.0, 0.0);
    for (row, value) in values.iter().enumerate() {
        let x = row as f64 - middle;
        over += x * (value - mean);
        under += x * x;
    }
    let slope = if under > 0.0 { over / under } else { 0.0 };
    (mean - slope * middle, slope)
}

/// What the least-squares line leaves.
pub(super) fn without_line(values: &[f64]) -> Vec<f64> {
    let (start, slope) = line(values);
    values
        .iter()
        .enumerate()
        .map(|(row, value)| value - start - slope * row as f64)
        .collect()
}

/// Pulls values in that are further than five robust deviations from the median, so that one incident cannot hide or
/// feign a season.
fn clip(values: &mut [f64]) {
    let median = median(values);
    let away: Vec<f64> = values.iter().map(|v| (v - median).abs()).collect();
    let reach = 5.0 * 1.4826 * self::median(&away);
    if reach > 0.0 {
        for value in values {
            *value = value.clamp(median - reach, median + reach) - median;
        }
    }
}

/// The middle value, the upper of two; 0 of none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    let middle = sorted.len() / 2;
    if sorted.is_empty() {
        return 0.0;
    }
    *sorted.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn noisy(rows: usize, shape: impl Fn(f64) -> f64, noise: f64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        (0..rows)
            .map(|row| shape(row as f64) + noise * (rng.random::<f64>() - 0.5))
            .collect()
    }

    fn strong_of(values: &[f64], periods: &[usize]) -> Vec<usize> {
        strong(values, &vec![true; values.len()], periods)
    }

    #[test]
    fn two_periods_must_fit() {
        let hour = Duration::from_secs(3600);
        let spans = [hour * 24 * 7, hour * 24, hour * 24];
        assert_eq!(periods(&spans, hour, 24 * 14), [24, 168]);
        assert_eq!(periods(&spans, hour, 24 * 14 - 6), [24, 168]);
        assert_eq!(periods(&spans, hour, 24 * 13), [24]);
        assert!(periods(&spans, hour, 45).is_empty());
    }

    #[test]
    fn noise_and_trends_have_no_season() {
        assert!(strong_of(&noisy(480, |_| 0.0, 1.0), &[24, 168]).is_empty());
        assert!(strong_of(&noisy(480, |row| row, 1.0), &[24, 168]).is_empty());
        assert!(strong_of(&[3.0; 480], &[24, 168]).is_empty());
    }

    #[test]
    fn a_shape_that_repeats_is_found_beside_a_spike_and_a_drift() {
        let daily = |row: f64| (row / 24.0 * std::f64::consts::TAU).sin();
        let weekly = |row: f64| if row % 168.0 < 120.0 { 2.0 } else { 0.0 };
        let mut values = noisy(504, |row| daily(row) + weekly(row) + row / 200.0, 0.5);
        values[100] = 500.0;
        assert_eq!(strong_of(&values, &[24, 168]), [24, 168]);
        assert_eq!(strong_of(&noisy(504, daily, 0.5), &[24, 168]), [24]);
    }
}
