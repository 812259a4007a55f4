//! Values with units, as they stand in the file: `"30s"`, `"14d"`, `"0.5%"`.

use std::fmt;
use std::time::Duration;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const UNITS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

/// A length of time; in the file a string such as `"30s"`, `"1h30m"`, `"14d"`, `"250ms"` or `"0s"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// A span of whole seconds.
    #[must_use]
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// Reads `"1h30m"`: numbers with a unit (ms, s, m, h, d, w), largest first or not, without fractions.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a length of time; write a number with a unit, such as \"30s\", \"5m\", \"12h\" or \"14d\""
            )
        };
        let mut rest = text.trim();
        let mut millis = 0_u64;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let (number, tail) = rest.split_at(digits);
            let word_end = tail
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(tail.len());
            let (word, tail) = tail.split_at(word_end);
            let number: u64 = number.parse().map_err(|_| wrong())?;
            let (_, unit) = UNITS
                .iter()
                .find(|(name, _)| *name == word.trim())
                .ok_or_else(wrong)?;
            millis = number
                .checked_mul(*unit)
                .and_then(|v| millis.checked_add(v))
                .ok_or_else(wrong)?;
            rest = tail;
        }
        Ok(Self(Duration::from_millis(millis)))
    }
}

/// The shortest exact spelling: `90s` is `1m30s`, 14 days are `14d`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.write_str("0s");
        }
        for (name, unit) in UNITS[..5].iter().rev() {
            if millis >= *unit {
                write!(f, "{}{name}", millis / unit)?;
                millis %= unit;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(SpanVisitor)
    }
}

/// Says what a length of time looks like also when the file has a bare number.
struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a length of time in quotes, such as \"30s\", \"5m\", \"12h\" or \"14d\"")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
        Span::parse(text).map_err(E::custom)
    }
}

/// A part of a whole; in the file a number (`0.005`) or a percentage (`"0.5%"`).
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Ratio(pub f64);

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "a number such as 0.05 or a percentage such as \"5%\""
        )]
        enum Written {
            Number(f64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(value) => Ok(Self(value)),
            Written::Text(text) => text
                .trim()
                .strip_suffix('%')
                .and_then(|number| number.trim().parse::<f64>().ok())
                .map(|percent| Self(percent / 100.0))
                .ok_or_else(|| {
                    serde::de::Error::custom(format!(
                        "`{text}` is not a part of a whole; write 0.05 or \"5%\""
                    ))
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_round_trip() {
        for (text, secs, shown) in [
            ("30s", 30, "30s"),
            ("1h30m", 5400, "1h30m"),
            ("14d", 1_209_600, "14d"),
            ("2w", 1_209_600, "14d"),
            ("0s", 0, "0s"),
        ] {
            let span = Span::parse(text).unwrap();
            assert_eq!((span.0.as_secs(), span.to_string().as_str()), (secs, shown));
        }
        for bad in [
            "",
            "30",
            "s",
            "1.5h",
            "-3s",
            "3 fortnights",
            "99999999999999999999s",
        ] {
            assert!(Span::parse(bad).unwrap_err().contains("14d"), "{bad}");
        }
    }
}
