//! Recognises counters that a server repeats between samples which are further apart than the rows.
//!
//! The rate from row to row is then 0 in some rows and a multiple in others, though the counter rises all the time.

use std::time::Duration;

/// Rises that a series must have before anything is said of their distances.
const RISES: usize = 20;

/// The part of all distances that are alike, where samples come at an even pace.
const ALIKE: f64 = 0.9;

/// The least mean distance, in rows: below it the odd sample was late.
const APART: f64 = 1.2;

/// How far a counter's samples are apart when that is more than a row and even; `None` where rows have samples of their own,
/// and where the counter rises now and then only.
pub(super) fn apart(values: &[f64], step: Duration) -> Option<Duration> {
    let mut rises: Vec<usize> = Vec::new();
    let mut before = f64::NAN;
    for (row, value) in values
        .iter()
        .enumerate()
        .filter(|(_, value)| value.is_finite())
    {
        if !before.is_nan() && before.total_cmp(value).is_ne() {
            rises.push(row);
        }
        before = *value;
    }
    let distances: Vec<usize> = rises
        .iter()
        .zip(rises.iter().skip(1))
        .map(|(one, next)| next - one)
        .collect();
    if distances.len() < RISES {
        return None;
    }
    let count = distances.len() as f64;
    let mean = distances.iter().sum::<usize>() as f64 / count;
    let is_alike = |distance: &&usize| (**distance as f64 - mean).abs() < 1.0;
    let alike = distances.iter().filter(is_alike).count() as f64;
    (mean >= APART && alike >= ALIKE * count).then(|| step.mul_f64(mean))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A counter that rises by 80 a second, sampled every `scrape` seconds and asked for every minute.
    fn sampled(scrape: u32) -> Vec<f64> {
        let at = |minute: u32| f64::from(minute * 60 / scrape * scrape * 80);
        (0..720).map(at).collect()
    }

    #[test]
    fn samples_further_apart_than_rows_are_seen() {
        let minute = Duration::from_secs(60);
        for (scrape, found) in [
            (15, false),
            (45, false),
            (60, false),
            (90, true),
            (120, true),
            (300, true),
        ] {
            let apart = apart(&sampled(scrape), minute);
            assert_eq!(apart.is_some(), found, "{scrape}");
            let apart = apart.unwrap_or(minute).as_secs_f64();
            assert!(
                !found || (apart - f64::from(scrape)).abs() < 2.0,
                "{scrape}: {apart}"
            );
        }
    }

    #[test]
    fn a_counter_that_seldom_rises_is_none() {
        let mut value = 0.0;
        let mut state = 7_u32;
        let seldom: Vec<f64> = (0..720)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                value += f64::from(u8::from(state >> 31 == 1));
                value
            })
            .collect();
        assert_eq!(apart(&seldom, Duration::from_secs(60)), None);
        assert_eq!(apart(&[5.0; 720], Duration::from_secs(60)), None);
    }
}
