//! What a metric counts, and how a person reads it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The unit of a query's values. An unknown word in the configuration is kept and shown behind the number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Unit {
    /// A bare number.
    #[default]
    None,
    /// 0 to 100.
    Percent,
    /// 0 to 1, shown as a percentage.
    Ratio,
    /// Bytes, shown in powers of 1024.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Events a second.
    PerSecond,
    /// Degrees Celsius.
    Celsius,
    /// Any other word, shown as it is.
    Other(String),
}

impl From<String> for Unit {
    fn from(word: String) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "" | "none" | "short" => Self::None,
            "percent" | "%" => Self::Percent,
            "ratio" | "percentunit" => Self::Ratio,
            "bytes" | "b" => Self::Bytes,
            "bytes/s" | "bytes_per_second" | "bps" => Self::BytesPerSecond,
            "seconds" | "s" => Self::Seconds,
            "milliseconds" | "ms" => Self::Milliseconds,
            "per_second" | "/s" | "ops" | "rps" => Self::PerSecond,
            "celsius" | "°c" => Self::Celsius,
            _ => Self::Other(word),
        }
    }
}

impl From<Unit> for String {
    fn from(unit: Unit) -> Self {
        match unit {
            Unit::None => "none".into(),
            Unit::Percent => "percent".into(),
            Unit::Ratio => "ratio".into(),
            Unit::Bytes => "bytes".into(),
            Unit::BytesPerSecond => "bytes/s".into(),
            Unit::Seconds => "seconds".into(),
            Unit::Milliseconds => "ms".into(),
            Unit::PerSecond => "/s".into(),
            Unit::Celsius => "celsius".into(),
            Unit::Other(word) => word,
        }
    }
}

impl Unit {
    /// What its values end at, where they do: 100 for percentages, 1 for ratios.
    #[must_use]
    pub const fn full(&self) -> Option<f64> {
        match self {
            Self::Percent => Some(100.0),
            Self::Ratio => Some(1.0),
            _ => None,
        }
    }

    /// `value` as a person reads it, three significant digits and a unit: `1.2 GiB`, `37 %`, `840 ms`, `12 k/s`; `–` for NaN.
    #[must_use]
    pub fn show(&self, value: f64) -> String {
        if !value.is_finite() {
            return "–".into();
        }
        match self {
            Self::None => scaled(value, 1000.0, &["", " k", " M", " G", " T", " P", " E"], ""),
            Self::Percent => format!("{} %", digits(value)),
            Self::Ratio => format!("{} %", digits(value * 100.0)),
            Self::Bytes => scaled(
                value,
                1024.0,
                &[" B", " KiB", " MiB", " GiB", " TiB", " PiB"],
                "",
            ),
            Self::BytesPerSecond => scaled(
                value,
                1024.0,
                &[" B", " KiB", " MiB", " GiB", " TiB", " PiB"],
                "/s",
            ),
            Self::Seconds => seconds(value),
            Self::Milliseconds => seconds(value / 1000.0),
            Self::PerSecond => scaled(value, 1000.0, &[" ", " k", " M", " G", " T", " P"], "/s"),
            Self::Celsius => format!("{} °C", digits(value)),
            Self::Other(word) => format!(
                "{} {word}",
                scaled(value, 1000.0, &["", " k", " M", " G", " T", " P", " E"], "")
            ),
        }
    }
}

fn seconds(value: f64) -> String {
    let (number, word): (f64, Cow<'_, str>) = match value.abs() {
        0.0 => (0.0, "s".into()),
        v if v < 1e-6 => (value * 1e9, "ns".into()),
        v if v < 1e-3 => (value * 1e6, "µs".into()),
        v if v < 1.0 => (value * 1e3, "ms".into()),
        v if v < 120.0 => (value, "s".into()),
        v if v < 7200.0 => (value / 60.0, "min".into()),
        v if v < 172_800.0 => (value / 3600.0, "h".into()),
        _ => (value / 86400.0, "d".into()),
    };
    format!("{} {word}", digits(number))
}

fn scaled(value: f64, base: f64, prefixes: &[&str], suffix: &str) -> String {
    let mut number = value;
    let mut prefixes = prefixes.iter().peekable();
    let mut prefix = prefixes.next().copied().unwrap_or("");
    while number.abs() >= base && prefixes.peek().is_some() {
        number /= base;
        prefix = prefixes.next().copied().unwrap_or("");
    }
    format!("{}{prefix}{suffix}", digits(number))
}

/// At most three significant digits and no trailing zeros: 0.123, 1.23, 12.3, 123, 1234. What three decimals would show as 0,
/// and what has over six digits, has a power of ten: 3e-9, 1.2e7.
fn digits(value: f64) -> String {
    if value != 0.0 && !(0.0005..999_999.5).contains(&value.abs()) {
        return format!("{value:.1e}").replace(".0e", "e");
    }
    let decimals = match value.abs() {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    if text == "-0" {
        "0".into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_naturally() {
        assert_eq!(Unit::Bytes.show(1_288_490_188.8), "1.2 GiB");
        assert_eq!(Unit::Percent.show(37.0), "37 %");
        assert_eq!(Unit::Ratio.show(0.5), "50 %");
        assert_eq!(Unit::Seconds.show(0.84), "840 ms");
        assert_eq!(Unit::PerSecond.show(12_000.0), "12 k/s");
        assert_eq!(Unit::None.show(-0.0), "0");
        assert_eq!(Unit::None.show(-0.0001), "-1e-4");
        assert_eq!(Unit::Other("jobs".into()).show(3.0), "3 jobs");
        assert_eq!(Unit::Celsius.show(f64::NAN), "–");
    }

    #[test]
    fn every_magnitude_reads_as_what_it_is() {
        assert_eq!(Unit::None.show(3e-9), "3e-9");
        assert_eq!(Unit::None.show(0.0005), "0.001");
        assert_eq!(Unit::None.show(22_054e12), "22.1 P");
        assert_eq!(Unit::None.show(7e18), "7 E");
        assert_eq!(Unit::None.show(1.26e27), "1.3e9 E");
        assert_eq!(Unit::Percent.show(2.5e-5), "2.5e-5 %");
        assert_eq!(Unit::Percent.show(3e9), "3e9 %");
        assert_eq!(Unit::Seconds.show(3e-9), "3 ns");
        assert_eq!(Unit::PerSecond.show(4e15), "4 P/s");
        assert_eq!(Unit::Bytes.show(1e-5), "1e-5 B");
    }
}
