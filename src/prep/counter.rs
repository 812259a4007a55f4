//! Raw counters as rates.

use ndarray::{Array1, ArrayView1};

/// The rate per second of a counter sampled every `step_seconds`. Each observed row carries the rate since the observed row
/// before it, over the whole span between them; a value below the one before means that the counter began again at 0, so
/// the increase is the new value. NaN where nothing can be said: in the first observed row, in missing rows, at negative
/// values (no counter), everywhere when `step_seconds` is not above 0.
#[must_use]
pub fn rates(values: ArrayView1<'_, f64>, step_seconds: f64) -> Array1<f64> {
    let mut rates = Array1::from_elem(values.len(), f64::NAN);
    if !(step_seconds > 0.0 && step_seconds.is_finite()) {
        return rates;
    }
    let mut before: Option<(usize, f64)> = None;
    for (row, value) in values.iter().copied().enumerate() {
        if !(value.is_finite() && value >= 0.0) {
            continue;
        }
        if let Some((last_row, last)) = before {
            let increase = if value >= last { value - last } else { value };
            rates[row] = increase / ((row - last_row) as f64 * step_seconds);
        }
        before = Some((row, value));
    }
    rates
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn rises_resets_and_gaps() {
        let values = array![f64::NAN, 100.0, 160.0, f64::NAN, 280.0, 30.0, -1.0, 30.0];
        let rates = rates(values.view(), 60.0);
        let text: Vec<String> = rates.iter().map(|r| format!("{r}")).collect();
        assert_eq!(text, ["NaN", "NaN", "1", "NaN", "1", "0.5", "NaN", "0"]);
    }

    #[test]
    fn a_step_that_is_no_length_gives_no_rate() {
        for step in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(
                rates(array![1.0, 2.0].view(), step)
                    .iter()
                    .all(|r| r.is_nan())
            );
        }
    }
}
