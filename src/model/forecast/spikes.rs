//! Takes short incidents out of a history before anything is learned from it.

use super::seasons::median;

/// Robust standard deviations from the running median that a value must be away to be a spike.
const FAR: f64 = 6.0;
/// When more than this part of the rows is far off, that is how the metric behaves, and nothing is taken out.
const RARE: f64 = 0.03;

/// Makes spikes in `values` (NaN where missing) missing: runs of rows far from both the usual value of their phase in
/// `period` (rows) and the running median. A run must be shorter than a quarter of the median's window, so a lasting new
/// level stays, and so does a run that reaches the end: it may be one.
pub(super) fn remove(values: &mut [f64], period: Option<usize>) {
    let seen: Vec<(usize, f64)> = values
        .iter()
        .enumerate()
        .filter(|(_, v)| v.is_finite())
        .map(|(row, v)| (row, *v))
        .collect();
    let window = period.map_or(25, |p| (p / 2).max(25));
    if seen.len() < 2 * window {
        return;
    }
    let usual = period.map_or_else(|| vec![0.0], |p| medians_by_phase(&seen, p));
    let rest: Vec<f64> = seen
        .iter()
        .map(|(row, v)| v - usual.get(row % usual.len()).copied().unwrap_or(0.0))
        .collect();
    let off: Vec<f64> = rest
        .iter()
        .zip(running_median(&rest, window))
        .map(|(v, level)| (v - level).abs())
        .collect();
    let reach = FAR * 1.4826 * median(&off);
    let far: Vec<bool> = off.iter().map(|away| *away > reach).collect();
    let count = far.iter().filter(|far| **far).count();
    if reach <= 0.0 || count as f64 > RARE * seen.len() as f64 {
        return;
    }
    let mut start = 0;
    for run in far.chunk_by(|a, b| a == b) {
        let end = start + run.len();
        let spike = run.first() == Some(&true) && run.len() < window / 4 && end < far.len();
        for (row, _) in seen.get(start..end).into_iter().flatten().filter(|_| spike) {
            if let Some(value) = values.get_mut(*row) {
                *value = f64::NAN;
            }
        }
        start = end;
    }
}

fn medians_by_phase(seen: &[(usize, f64)], period: usize) -> Vec<f64> {
    let mut phases: Vec<Vec<f64>> = vec![Vec::new(); period.max(1)];
    for (row, value) in seen {
        if let Some(phase) = phases.get_mut(row % period.max(1)) {
            phase.push(*value);
        }
    }
    phases.iter().map(|phase| median(phase)).collect()
}

/// Median of the `window` values around each one; at the ends the window is moved inwards.
fn running_median(values: &[f64], window: usize) -> impl Iterator<Item = f64> {
    let last = values.len().saturating_sub(window);
    (0..values.len()).map(move |row| {
        let from = row.saturating_sub(window / 2).min(last);
        median(values.get(from..from + window).unwrap_or(values))
    })
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn daily(rows: usize) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        (0..rows)
            .map(|row| (row as f64 / 144.0 * std::f64::consts::TAU).sin() + rng.random::<f64>())
            .collect()
    }

    #[test]
    fn a_short_incident_goes_and_a_new_level_stays() {
        let mut values = daily(1440);
        values[700..710].fill(40.0);
        let mut cleaned = values.clone();
        remove(&mut cleaned, Some(144));
        let gone: Vec<usize> = (0..1440).filter(|row| cleaned[*row].is_nan()).collect();
        assert_eq!(gone, (700..710).collect::<Vec<_>>());

        let mut shifted = daily(1440);
        for value in &mut shifted[1000..] {
            *value += 40.0;
        }
        remove(&mut shifted, Some(144));
        assert!(shifted.iter().all(|v| v.is_finite()));
        let mut late = daily(1440);
        late[1435..].fill(40.0);
        remove(&mut late, Some(144));
        assert!(late.iter().all(|v| v.is_finite()));
    }

    #[test]
    fn what_happens_often_is_no_spike() {
        let mut values = daily(1440);
        for row in (0..1440).step_by(20) {
            values[row] = 40.0;
        }
        remove(&mut values, None);
        assert!(values.iter().all(|v| v.is_finite()));
        let mut flat = vec![1.0; 500];
        flat[3] = 9.0;
        remove(&mut flat, None);
        assert_eq!(flat[3], 9.0);
    }
}
