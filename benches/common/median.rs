//! What stands for several runs.

/// Middle of some figures, of which there is at least one.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
