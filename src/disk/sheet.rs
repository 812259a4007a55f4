//! Columns of a Parquet file as they are, whichever program wrote it: what they mean is for others to say.

use std::collections::BTreeMap;

use bytes::Bytes;
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{DataType, Int96};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::DiskError;
use super::table::{CHECKSUM, checksum, wrong};

/// Rows decoded at a time: a footer that promises too much can't make us reserve for it.
const BATCH: usize = 16_384;
/// Longest text that a cell may have: numbers and times are shorter, and long texts would fill the memory.
const LONGEST_TEXT: usize = 64;
const DAY_MS: i64 = 86_400_000;

/// Columns of equal length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sheet {
    /// Rows of every column.
    pub rows: usize,
    /// Name and cells of each column, in the file's order.
    pub columns: Vec<(String, Cells)>,
    /// Words kept in the file's footer.
    pub metadata: BTreeMap<String, String>,
}

/// One column's cells.
#[derive(Clone, Debug, PartialEq)]
pub enum Cells {
    /// Numbers and truth values (0 or 1); NaN is missing.
    Numbers(Vec<f64>),
    /// Moments and dates.
    Times {
        /// Milliseconds since the epoch; `None` is missing.
        millis: Vec<Option<i64>>,
        /// They are what a clock on a wall showed, as if that were UTC.
        local: bool,
    },
    /// Text, at most 64 bytes a cell; `None` is missing.
    Texts(Vec<Option<Box<str>>>),
    /// What can't be read, said in words such as "lists".
    Other(&'static str),
}

impl Sheet {
    /// Reads a whole Parquet file: uncompressed, Snappy, gzip, Brotli, LZ4 or Zstandard.
    ///
    /// The decoder panics on some damaged pages. Files with our checksum never get that far; for all others the panic is
    /// caught here, where nothing shared can be left half done.
    ///
    /// # Errors
    /// [`DiskError::Unreadable`] that says what is damaged.
    pub fn from_parquet(bytes: Vec<u8>) -> Result<Self, DiskError> {
        std::panic::catch_unwind(|| decode(&Bytes::from(bytes)))
            .unwrap_or_else(|_| Err(wrong("a page of this Parquet file is damaged")))
    }
}

fn decode(bytes: &Bytes) -> Result<Sheet, DiskError> {
    let reader = SerializedFileReader::new(bytes.clone()).map_err(|e| damaged(&e))?;
    let mut metadata = words(&reader);
    verify(bytes, metadata.remove(CHECKSUM))?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let kinds: Vec<Kind> = schema.columns().iter().map(|c| Kind::of(c)).collect();
    let mut all: Vec<Cells> = kinds.iter().map(Kind::empty).collect();
    let mut rows = 0;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(|e| damaged(&e))?;
        for (index, (kind, cells)) in kinds.iter().zip(&mut all).enumerate() {
            read(group.as_ref(), index, *kind, cells)?;
        }
        rows += usize::try_from(group.metadata().num_rows()).unwrap_or(0);
    }
    let names = schema.columns().iter().map(|c| c.path().parts().join("."));
    Ok(Sheet {
        rows,
        columns: names.zip(all).collect(),
        metadata,
    })
}

/// Compares the bytes before the footer with the checksum, where there is one.
fn verify(bytes: &[u8], sum: Option<String>) -> Result<(), DiskError> {
    let Some(sum) = sum else {
        return Ok(());
    };
    let body = sum
        .split_once(':')
        .and_then(|(len, _)| bytes.get(..len.parse().ok()?))
        .unwrap_or_default();
    if checksum(body) == sum {
        Ok(())
    } else {
        Err(wrong(
            "the checksum does not match: the file was damaged after it was written",
        ))
    }
}

/// How a column's stored values are to be understood.
#[derive(Clone, Copy)]
enum Kind {
    Plain,
    Unsigned,
    /// Divided by this.
    Decimal(f64),
    Half,
    Text,
    Time(Scale, bool),
    Other(&'static str),
}

/// What one unit of a stored time is.
#[derive(Clone, Copy)]
enum Scale {
    Days,
    Millis,
    Micros,
    Nanos,
}

impl Kind {
    fn of(column: &ColumnDescriptor) -> Self {
        if column.max_rep_level() > 0 {
            return Self::Other("lists");
        }
        let (logical, converted) = (column.logical_type_ref(), column.converted_type());
        if let Some(by) = decimal(column) {
            return Self::Decimal(by);
        }
        match column.physical_type() {
            Physical::BYTE_ARRAY if matches!(logical, Some(LogicalType::Bson)) => {
                return Self::Other("documents");
            }
            Physical::BYTE_ARRAY => return Self::Text,
            Physical::FIXED_LEN_BYTE_ARRAY if matches!(logical, Some(LogicalType::Float16)) => {
                return Self::Half;
            }
            Physical::FIXED_LEN_BYTE_ARRAY => return Self::Other("bytes of a fixed length"),
            // Julian days: the reader itself turns them into milliseconds.
            Physical::INT96 => return Self::Time(Scale::Millis, false),
            _ => {}
        }
        match (logical, converted) {
            (Some(LogicalType::Timestamp(stamp)), _) => {
                let scale = match stamp.unit {
                    TimeUnit::MILLIS => Scale::Millis,
                    TimeUnit::MICROS => Scale::Micros,
                    TimeUnit::NANOS => Scale::Nanos,
                };
                Self::Time(scale, !stamp.is_adjusted_to_u_t_c)
            }
            (_, ConvertedType::TIMESTAMP_MILLIS) => Self::Time(Scale::Millis, false),
            (_, ConvertedType::TIMESTAMP_MICROS) => Self::Time(Scale::Micros, false),
            (Some(LogicalType::Date), _) | (_, ConvertedType::DATE) => {
                Self::Time(Scale::Days, true)
            }
            (Some(LogicalType::Time(_)), _)
            | (_, ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS) => {
                Self::Other("times of day")
            }
            (Some(LogicalType::Integer(integer)), _) if !integer.is_signed => Self::Unsigned,
            (
                _,
                ConvertedType::UINT_8
                | ConvertedType::UINT_16
                | ConvertedType::UINT_32
                | ConvertedType::UINT_64,
            ) => Self::Unsigned,
            _ => Self::Plain,
        }
    }

    fn empty(&self) -> Cells {
        match self {
            Self::Time(_, local) => Cells::Times {
                millis: Vec::new(),
                local: *local,
            },
            Self::Text => Cells::Texts(Vec::new()),
            Self::Other(what) => Cells::Other(what),
            _ => Cells::Numbers(Vec::new()),
        }
    }

    fn small(self, value: i32) -> f64 {
        match self {
            Self::Unsigned => f64::from(value.cast_unsigned()),
            Self::Decimal(by) => f64::from(value) / by,
            _ => f64::from(value),
        }
    }

    fn wide(self, value: i64) -> f64 {
        match self {
            Self::Unsigned => value.cast_unsigned() as f64,
            Self::Decimal(by) => value as f64 / by,
            _ => value as f64,
        }
    }

    /// A number kept as bytes.
    fn bytes(self, bytes: &[u8]) -> f64 {
        match self {
            Self::Decimal(by) => integer(bytes) / by,
            _ => half(bytes),
        }
    }
}

/// What a column of decimal numbers is divided by; `None` for any other column.
fn decimal(column: &ColumnDescriptor) -> Option<f64> {
    match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Decimal(decimal)), _) => Some(10_f64.powi(decimal.scale)),
        (None, ConvertedType::DECIMAL) => Some(10_f64.powi(column.type_scale())),
        _ => None,
    }
}

/// A whole number in two's complement, the highest byte first, of any length.
fn integer(bytes: &[u8]) -> f64 {
    if bytes.len() <= 16 {
        let sign = bytes.first().is_some_and(|high| *high >= 0x80);
        let start = if sign { -1_i128 } else { 0 };
        return bytes
            .iter()
            .fold(start, |all, byte| (all << 8) | i128::from(*byte)) as f64;
    }
    let mut bytes = bytes.iter();
    let high = bytes
        .next()
        .map_or(0.0, |high| f64::from(high.cast_signed()));
    bytes.fold(high, |all, byte| all * 256.0 + f64::from(*byte))
}

/// An IEEE 754 number of two bytes, the lowest first.
fn half(bytes: &[u8]) -> f64 {
    let [low, high] = *bytes else {
        return f64::NAN;
    };
    let bits = u16::from_le_bytes([low, high]);
    let (exponent, fraction) = (i32::from((bits >> 10) & 0x1f), f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2_f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2_f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

impl Scale {
    fn millis(self, stored: i64) -> Option<i64> {
        match self {
            Self::Days => stored.checked_mul(DAY_MS),
            Self::Millis => Some(stored),
            Self::Micros => Some(stored.div_euclid(1000)),
            Self::Nanos => Some(stored.div_euclid(1_000_000)),
        }
    }
}

/// Appends a row group's cells of one column.
fn read(
    group: &dyn RowGroupReader,
    index: usize,
    kind: Kind,
    cells: &mut Cells,
) -> Result<(), DiskError> {
    let reader = || group.get_column_reader(index).map_err(|e| damaged(&e));
    match cells {
        Cells::Other(_) => Ok(()),
        Cells::Numbers(numbers) => {
            let mut sink = |value: Option<f64>| numbers.push(value.unwrap_or(f64::NAN));
            read_numbers(group, index, kind, reader()?, &mut sink)
        }
        Cells::Times { millis, .. } => {
            let Kind::Time(scale, _) = kind else {
                return Ok(());
            };
            let mut sink =
                |stored: Option<i64>| millis.push(stored.and_then(|stored| scale.millis(stored)));
            match reader()? {
                ColumnReader::Int64ColumnReader(r) => drain(group, index, r, |v| *v, &mut sink),
                ColumnReader::Int32ColumnReader(r) => {
                    drain(group, index, r, |v| i64::from(*v), &mut sink)
                }
                ColumnReader::Int96ColumnReader(r) => {
                    drain(group, index, r, Int96::to_millis, &mut sink)
                }
                _ => Err(wrong(format!("column {} holds no times", index + 1))),
            }
        }
        Cells::Texts(texts) => {
            let ColumnReader::ByteArrayColumnReader(reader) = reader()? else {
                return Err(wrong(format!("column {} holds no text", index + 1)));
            };
            let mut problem = None;
            let mut sink = |value: Option<Result<Box<str>, &'static str>>| match value {
                Some(Err(what)) => problem = Some(what),
                Some(Ok(text)) => texts.push(Some(text)),
                None => texts.push(None),
            };
            drain(group, index, reader, |v| text(v.data()), &mut sink)?;
            if let Some(what) = problem {
                *cells = Cells::Other(what);
            }
            Ok(())
        }
    }
}

fn text(bytes: &[u8]) -> Result<Box<str>, &'static str> {
    if bytes.len() > LONGEST_TEXT {
        return Err("long texts or bytes");
    }
    std::str::from_utf8(bytes)
        .map(Box::from)
        .map_err(|_| "bytes that are no text")
}

fn read_numbers(
    group: &dyn RowGroupReader,
    index: usize,
    kind: Kind,
    reader: ColumnReader,
    sink: &mut dyn FnMut(Option<f64>),
) -> Result<(), DiskError> {
    match reader {
        ColumnReader::DoubleColumnReader(r) => drain(group, index, r, |v| *v, sink),
        ColumnReader::FloatColumnReader(r) => drain(group, index, r, |v| f64::from(*v), sink),
        ColumnReader::Int64ColumnReader(r) => drain(group, index, r, |v| kind.wide(*v), sink),
        ColumnReader::Int32ColumnReader(r) => drain(group, index, r, |v| kind.small(*v), sink),
        ColumnReader::BoolColumnReader(r) => {
            drain(group, index, r, |v| f64::from(u8::from(*v)), sink)
        }
        ColumnReader::ByteArrayColumnReader(r) => {
            drain(group, index, r, |v| kind.bytes(v.data()), sink)
        }
        ColumnReader::FixedLenByteArrayColumnReader(r) => {
            drain(group, index, r, |v| kind.bytes(v.data()), sink)
        }
        ColumnReader::Int96ColumnReader(_) => {
            Err(wrong(format!("column {} holds no numbers", index + 1)))
        }
    }
}

/// Hands every row of a column to `sink`, `None` for null, and checks that there are as many as the footer says.
fn drain<T: DataType, V>(
    group: &dyn RowGroupReader,
    index: usize,
    mut reader: ColumnReaderImpl<T>,
    convert: impl Fn(&T::T) -> V,
    sink: &mut dyn FnMut(Option<V>),
) -> Result<(), DiskError> {
    let column = group.metadata().column(index).column_descr_ptr();
    let full = column.max_def_level();
    let expected = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let mut rows = 0;
    while rows < expected {
        values.clear();
        levels.clear();
        let wanted = BATCH.min(expected - rows);
        let (read, _, _) = reader
            .read_records(wanted, Some(&mut levels), None, &mut values)
            .map_err(|e| damaged(&e))?;
        if read == 0 {
            return Err(wrong(format!(
                "column `{}` ends after {rows} of {expected} rows: the file is damaged",
                column.path().string()
            )));
        }
        rows += read;
        let mut present = values.iter().map(&convert);
        if full == 0 {
            present.for_each(|value| sink(Some(value)));
        } else {
            for level in &levels {
                sink(if *level == full { present.next() } else { None });
            }
        }
    }
    Ok(())
}

fn words(reader: &SerializedFileReader<Bytes>) -> BTreeMap<String, String> {
    reader
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .into_iter()
        .flatten()
        .map(|word| (word.key.clone(), word.value.clone().unwrap_or_default()))
        .collect()
}

fn damaged(error: &ParquetError) -> DiskError {
    wrong(format!("not a Parquet file that can be read: {error}"))
}

#[cfg(test)]
#[path = "sheet_tests.rs"]
mod tests;
