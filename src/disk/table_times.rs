//! Times as other programs write them.

use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::schema::types::ColumnDescriptor;

use super::DiskError;
use super::table::wrong;

/// A time as it stands in the file.
#[derive(Clone, Copy)]
pub(super) enum Stamp {
    Whole(i64),
    Seconds(f64),
    Millis(i64),
}

/// Milliseconds since the epoch from what the file holds.
pub(super) fn to_millis(
    stamps: &[Option<Stamp>],
    column: &ColumnDescriptor,
) -> Result<Vec<i64>, DiskError> {
    let largest = stamps.iter().flatten().map(Stamp::size).fold(0.0, f64::max);
    let scale = Scale::declared(column).unwrap_or_else(|| Scale::guessed(largest));
    let missing = |row: usize| {
        wrong(format!(
            "row {} has no time in column `{}`; leave such rows out",
            row + 1,
            column.name()
        ))
    };
    stamps
        .iter()
        .enumerate()
        .map(|(row, stamp)| match stamp {
            Some(stamp) => stamp.millis(scale).ok_or_else(|| missing(row)),
            None => Err(missing(row)),
        })
        .collect()
}

/// What one unit of a stored time is.
#[derive(Clone, Copy)]
enum Scale {
    Days,
    Seconds,
    Millis,
    Micros,
    Nanos,
}

impl Scale {
    fn declared(column: &ColumnDescriptor) -> Option<Self> {
        match (column.logical_type_ref(), column.converted_type()) {
            (Some(LogicalType::Timestamp(stamp)), _) => Some(match stamp.unit {
                TimeUnit::MILLIS => Self::Millis,
                TimeUnit::MICROS => Self::Micros,
                TimeUnit::NANOS => Self::Nanos,
            }),
            (_, ConvertedType::TIMESTAMP_MILLIS) => Some(Self::Millis),
            (_, ConvertedType::TIMESTAMP_MICROS) => Some(Self::Micros),
            (_, ConvertedType::DATE) => Some(Self::Days),
            _ => None,
        }
    }

    /// By the largest number in the column: as seconds, 1e11 is the year 5138; as milliseconds it is 1973.
    fn guessed(largest: f64) -> Self {
        match largest {
            v if v < 1e11 => Self::Seconds,
            v if v < 1e14 => Self::Millis,
            v if v < 1e17 => Self::Micros,
            _ => Self::Nanos,
        }
    }
}

impl Stamp {
    fn size(&self) -> f64 {
        match self {
            Self::Whole(v) => (*v as f64).abs(),
            Self::Seconds(v) if v.is_finite() => v.abs(),
            Self::Seconds(_) | Self::Millis(_) => 0.0,
        }
    }

    fn millis(self, scale: Scale) -> Option<i64> {
        match self {
            Self::Millis(v) => Some(v),
            Self::Whole(v) => match scale {
                Scale::Days => v.checked_mul(86_400_000),
                Scale::Seconds => v.checked_mul(1000),
                Scale::Millis => Some(v),
                Scale::Micros => Some(v.div_euclid(1000)),
                Scale::Nanos => Some(v.div_euclid(1_000_000)),
            },
            Self::Seconds(v) => {
                let millis = match scale {
                    Scale::Days => v * 86_400_000.0,
                    Scale::Seconds => v * 1000.0,
                    Scale::Millis => v,
                    Scale::Micros => v / 1000.0,
                    Scale::Nanos => v / 1_000_000.0,
                }
                .round();
                // Beyond 2^53 a float does not count milliseconds any more.
                #[allow(clippy::cast_possible_truncation)]
                (millis.abs() < 9_007_199_254_740_992.0).then_some(millis as i64)
            }
        }
    }
}
