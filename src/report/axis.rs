//! An axis with round ticks and short labels, linear or logarithmic.

use std::ops::Range;

use plotters::coord::ranged1d::{
    KeyPointHint, NoDefaultFormatting, Ranged, ReversibleRanged, ValueFormatter,
};

/// Ticks aimed at.
const TICKS: f64 = 7.0;

/// Values from `low` to `high`, at equal distances or, when `log`, at equal ratios.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    /// Ticks are at least so far apart.
    least_step: f64,
}

impl Axis {
    /// A linear axis; widened when it would be empty.
    pub(super) fn linear(low: f64, high: f64) -> Self {
        let high = if high > low {
            high
        } else {
            low + low.abs().max(1.0)
        };
        Self {
            low,
            high,
            log: false,
            least_step: 0.0,
        }
    }

    /// A linear axis of counts: no ticks between whole numbers.
    pub(super) fn whole(low: f64, high: f64) -> Self {
        Self {
            least_step: 1.0,
            ..Self::linear(low, high)
        }
    }

    /// A logarithmic axis; both ends must be positive. Widened when it would be empty.
    pub(super) fn log(low: f64, high: f64) -> Self {
        let low = low.max(f64::MIN_POSITIVE);
        let high = if high > low { high } else { low * 10.0 };
        Self {
            low,
            high,
            log: true,
            least_step: 0.0,
        }
    }

    /// Where `value` lies: 0 at the low end, 1 at the high end, clipped to the axis.
    pub(super) fn part(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    /// The value at `part` of the way, 0 to 1.
    pub(super) fn at(&self, part: f64) -> f64 {
        if self.log {
            self.low * (self.high / self.low).powf(part)
        } else {
            self.low + (self.high - self.low) * part
        }
    }

    /// The same axis, ending at this part of the way, which may be over 1.
    pub(super) fn until(self, part: f64) -> Self {
        let high = self.at(part);
        Self { high, ..self }
    }

    fn ticks(&self) -> Vec<f64> {
        let decades = if self.log {
            (self.high / self.low).log10()
        } else {
            0.0
        };
        let ticks = if decades > 2.5 {
            self.decade_ticks(&[1.0])
        } else if decades > 1.0 {
            self.decade_ticks(&[1.0, 2.0, 5.0])
        } else {
            self.even_ticks()
        };
        let inside = |v: &f64| *v >= self.low * 0.999_999 && *v <= self.high * 1.000_001;
        ticks.into_iter().filter(inside).collect()
    }

    /// Multiples of powers of ten; with many decades not every one.
    fn decade_ticks(&self, multiples: &[f64]) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor(), self.high.log10().ceil());
        let stride = ((last - first) / TICKS).ceil().max(1.0);
        let mut ticks = Vec::new();
        let mut exponent = first;
        while exponent <= last {
            ticks.extend(multiples.iter().map(|m| m * 10_f64.powf(exponent)));
            exponent += stride;
        }
        ticks
    }

    /// Multiples of 1, 2 or 5 times a power of ten.
    fn even_ticks(&self) -> Vec<f64> {
        let rough = (self.high - self.low) / TICKS;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0]
            .into_iter()
            .map(|m| m * power)
            .find(|step| *step >= rough)
            .unwrap_or(10.0 * power)
            .max(self.least_step);
        let first = (self.low / step).ceil();
        let count = ((self.high / step).floor() - first).clamp(0.0, 4.0 * TICKS);
        let mut ticks = Vec::new();
        let mut index = 0.0;
        while index <= count {
            ticks.push((first + index) * step);
            index += 1.0;
        }
        ticks
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    // Pixels: far below any integer's end, and the part is within 0 and 1.
    #[allow(clippy::cast_possible_truncation)]
    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let length = f64::from(limit.1 - limit.0);
        limit.0 + (self.part(*value) * length).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ReversibleRanged for Axis {
    fn unmap(&self, input: i32, limit: (i32, i32)) -> Option<f64> {
        let length = f64::from(limit.1 - limit.0);
        (length != 0.0).then(|| self.at(f64::from(input - limit.0) / length))
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(value: &f64) -> String {
        short(*value)
    }
}

/// A number in few characters: `0.0025`, `3e-5`, `40`, `12k`, `1.5M`.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    if size < 1e-12 {
        return "0".into();
    }
    if (0.000_1..10_000.0).contains(&size) {
        return three_digits(value);
    }
    for (power, letter) in [(1e9, 'G'), (1e6, 'M'), (1e3, 'k')] {
        if size >= power && size < 1e12 {
            return format!("{}{letter}", three_digits(value / power));
        }
    }
    let text = format!("{value:.2e}");
    match text.split_once('e') {
        Some((digits, exponent)) => format!("{}e{exponent}", trimmed(digits)),
        None => text,
    }
}

fn three_digits(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        v if v >= 0.1 => 3,
        v if v >= 0.01 => 4,
        v if v >= 0.001 => 5,
        _ => 6,
    };
    trimmed(&format!("{value:.decimals$}")).to_owned()
}

fn trimmed(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.0025, "0.0025"),
            (0.000_03, "3e-5"),
            (0.000_123_4, "0.000123"),
            (0.000_012_34, "1.23e-5"),
            (1.0, "1"),
            (1600.0, "1600"),
            (20_160.0, "20.2k"),
            (2e6, "2M"),
            (-0.5, "-0.5"),
        ] {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(
            Axis::linear(0.0, 50.0).ticks(),
            [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
        );
        assert_eq!(Axis::whole(0.0, 3.0).ticks(), [0.0, 1.0, 2.0, 3.0]);
        let close = |axis: Axis, expected: &[f64]| {
            let ticks = axis.ticks();
            assert_eq!(ticks.len(), expected.len(), "{ticks:?}");
            for (a, b) in ticks.iter().zip(expected) {
                assert!((a / b - 1.0).abs() < 1e-9, "{ticks:?}");
            }
        };
        close(Axis::log(0.002, 5.0), &[0.01, 0.1, 1.0]);
        close(Axis::log(0.01, 0.3), &[0.01, 0.02, 0.05, 0.1, 0.2]);
        close(Axis::log(0.011, 0.019), &[0.012, 0.014, 0.016, 0.018]);
        for axis in [
            Axis::linear(3.0, 3.0),
            Axis::log(3.0, 3.0),
            Axis::log(1e-300, 1e300),
        ] {
            let ticks = axis.ticks().len();
            assert!((2..20).contains(&ticks), "{axis:?} has {ticks}");
        }
    }

    #[test]
    fn values_map_into_the_axis() {
        let axis = Axis::log(0.01, 1.0);
        assert_eq!(axis.map(&0.1, (0, 100)), 50);
        assert_eq!(axis.map(&1e9, (0, 100)), 100);
        assert_eq!(axis.map(&0.0, (0, 100)), 0);
        assert!((axis.at(0.5) - 0.1).abs() < 1e-12);
    }
}
