//! A table of numbers on times, as a Parquet file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, Type, TypePtr};

use super::{DiskError, write_atomic};

/// Name of the column of times.
pub(super) const TIMESTAMP: &str = "timestamp";
/// What bytes without a file are called in messages.
pub(super) const NAMELESS: &str = "Parquet data";
/// Key of the words under which the checksum of all bytes before the footer stands, as `<length>:<crc32>`: flipped bits
/// decode to plausible numbers otherwise.
pub(super) const CHECKSUM: &str = "pulsewatch.checksum";
/// Rows of a row group: bounds what a reader must hold at once, 8 MiB a column.
const GROUP_ROWS: usize = 1 << 20;

/// Columns of numbers, one value per time. NaN is a missing value: it is null in the file, and null is NaN when read.
/// Held whole in memory: 8 bytes a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Milliseconds since the Unix epoch, UTC, one per row, in any order.
    pub times: Vec<i64>,
    /// Name and values of each column; every column is as long as `times`, every name is used once, none is `timestamp`.
    pub columns: Vec<(String, Vec<f64>)>,
    /// Words kept in the file's footer. The key `pulsewatch.checksum` is used by the format itself.
    pub metadata: BTreeMap<String, String>,
}

impl Table {
    /// The table as the bytes of a Parquet file: `timestamp` (INT64, milliseconds UTC), then the columns (DOUBLE,
    /// optional), Snappy-compressed. The same table gives the same bytes.
    ///
    /// # Errors
    /// [`DiskError::Unreadable`] when a column's length or name is not as [`Table`] asks.
    pub fn to_parquet(&self) -> Result<Vec<u8>, DiskError> {
        self.check()?;
        self.encode().map_err(|e| wrong(e.to_string()))
    }

    /// Reads a table. Times are the column named `timestamp`, else the first one that has the type of a timestamp; other
    /// columns of times are left out, every other one must be of numbers or truth values. What other programs write is
    /// for [`super::Sheet`].
    ///
    /// # Errors
    /// [`DiskError::Unreadable`] that names the column that is no number, the row without a time, or the damage.
    pub fn from_parquet(bytes: Vec<u8>) -> Result<Self, DiskError> {
        super::table_read::read(bytes)
    }

    /// Writes the table to `path` as a whole or not at all.
    ///
    /// # Errors
    /// Those of [`Table::to_parquet`] and [`write_atomic`], with the path.
    pub fn save(&self, path: &Path) -> Result<(), DiskError> {
        write_atomic(path, &self.to_parquet().map_err(|e| e.at(path))?)
    }

    /// Reads the table at `path`.
    ///
    /// # Errors
    /// Those of [`Table::from_parquet`], or the system's reason, with the path.
    pub fn load(path: &Path) -> Result<Self, DiskError> {
        let bytes = std::fs::read(path).map_err(|e| DiskError::io(path, "read the file", e))?;
        Self::from_parquet(bytes).map_err(|e| e.at(path))
    }

    /// One column's values by name.
    pub fn column(&self, name: &str) -> Option<&[f64]> {
        self.columns
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, values)| values.as_slice())
    }

    fn check(&self) -> Result<(), DiskError> {
        let mut seen = BTreeSet::from([TIMESTAMP]);
        for (name, values) in &self.columns {
            if values.len() != self.times.len() {
                return Err(wrong(format!(
                    "column `{name}` has {} values for {} times",
                    values.len(),
                    self.times.len()
                )));
            }
            if !seen.insert(name) {
                return Err(wrong(format!(
                    "column name `{name}` is used twice; give one of them another name"
                )));
            }
        }
        Ok(())
    }

    fn encode(&self) -> Result<Vec<u8>, ParquetError> {
        let words = self
            .metadata
            .iter()
            .map(|(key, value)| KeyValue::new(key.clone(), value.clone()))
            .collect();
        let time_path = ColumnPath::new(vec![TIMESTAMP.into()]);
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_key_value_metadata(Some(words))
            // No page index: tables are read whole, and the checksum then covers all that is not the footer.
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_column_dictionary_enabled(time_path.clone(), false)
            .set_column_encoding(time_path, Encoding::DELTA_BINARY_PACKED)
            .build();
        let mut file = SerializedFileWriter::new(Vec::new(), self.schema()?, Arc::new(properties))?;
        let mut from = 0;
        while from < self.times.len() {
            let to = self.times.len().min(from + GROUP_ROWS);
            let mut group = file.next_row_group()?;
            self.encode_rows(&mut group, from, to)?;
            group.close()?;
            from = to;
        }
        file.flush()?;
        let sum = checksum(file.inner());
        file.append_key_value_metadata(KeyValue::new(CHECKSUM.into(), sum));
        file.into_inner()
    }

    fn encode_rows(
        &self,
        group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
        from: usize,
        to: usize,
    ) -> Result<(), ParquetError> {
        if let Some(mut column) = group.next_column()? {
            let times = self.times.get(from..to).unwrap_or_default();
            column.typed::<Int64Type>().write_batch(times, None, None)?;
            column.close()?;
        }
        for (_, values) in &self.columns {
            let Some(mut column) = group.next_column()? else {
                break;
            };
            let values = values.get(from..to).unwrap_or_default();
            let defined: Vec<i16> = values.iter().map(|v| i16::from(!v.is_nan())).collect();
            let present: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
            column
                .typed::<DoubleType>()
                .write_batch(&present, Some(&defined), None)?;
            column.close()?;
        }
        Ok(())
    }

    fn schema(&self) -> Result<TypePtr, ParquetError> {
        let time = Type::primitive_type_builder(TIMESTAMP, Physical::INT64)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(Some(LogicalType::timestamp(true, TimeUnit::MILLIS)))
            .build()?;
        let mut fields = vec![Arc::new(time)];
        for (name, _) in &self.columns {
            let column = Type::primitive_type_builder(name, Physical::DOUBLE)
                .with_repetition(Repetition::OPTIONAL)
                .build()?;
            fields.push(Arc::new(column));
        }
        let root = Type::group_type_builder("table")
            .with_fields(fields)
            .build()?;
        Ok(Arc::new(root))
    }
}

/// The words under [`CHECKSUM`] for these bytes.
pub(super) fn checksum(bytes: &[u8]) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    format!("{}:{:08x}", bytes.len(), crc.sum())
}

/// Content that can't be used, in bytes whose file is not known here.
pub(super) fn wrong(reason: impl Into<String>) -> DiskError {
    DiskError::Unreadable {
        place: NAMELESS.into(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same(a: &Table, b: &Table) {
        assert_eq!(a.times, b.times);
        assert_eq!(a.metadata, b.metadata);
        assert_eq!(a.columns.len(), b.columns.len());
        for ((n, x), (m, y)) in a.columns.iter().zip(&b.columns) {
            assert_eq!(n, m);
            assert_eq!(x.len(), y.len());
            for (x, y) in x.iter().zip(y) {
                assert!(
                    x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan()),
                    "{x} {y}"
                );
            }
        }
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![4 => any::<f64>(), 1 => Just(f64::NAN), 1 => Just(-0.0), 1 => Just(1.5)]
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z]{1,8}",
            Just(String::new()),
            Just("cpu{instance=\"a.b:9100\",mode=\"idle\"}".to_owned()),
            Just("Last μ/s, °C \u{1F525}".to_owned()),
            ".{0,12}"
        ]
        .prop_filter("taken by the times", |n| n != TIMESTAMP)
    }

    prop_compose! {
        fn table()(rows in prop_oneof![Just(0_usize), Just(1), 2_usize..60])
            (times in prop::collection::vec(any::<i64>(), rows),
             columns in prop::collection::btree_map(name(), prop::collection::vec(value(), rows), 0..6),
             metadata in prop::collection::btree_map("[a-z]{1,6}", ".{0,20}", 0..4)) -> Table {
            Table { times, columns: columns.into_iter().collect(), metadata }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(table in table()) {
            let bytes = table.to_parquet().unwrap();
            prop_assert_eq!(&bytes, &table.to_parquet().unwrap());
            same(&Table::from_parquet(bytes).unwrap(), &table);
        }
    }

    #[test]
    fn several_row_groups_are_one_table() {
        let rows = GROUP_ROWS + 3;
        let table = Table {
            times: (0..i64::try_from(rows).unwrap()).collect(),
            columns: vec![("v".into(), (0..rows).map(|r| (r % 7) as f64).collect())],
            metadata: BTreeMap::new(),
        };
        same(
            &Table::from_parquet(table.to_parquet().unwrap()).unwrap(),
            &table,
        );
    }

    #[test]
    fn ill_shaped_tables_are_refused() {
        let mut table = Table {
            times: vec![1, 2],
            columns: vec![("a".into(), vec![1.0])],
            ..Table::default()
        };
        let said = table.to_parquet().unwrap_err().to_string();
        assert!(
            said.contains("`a`") && said.contains("1 values for 2"),
            "{said}"
        );
        table.columns = vec![(TIMESTAMP.into(), vec![1.0, 2.0])];
        let said = table.to_parquet().unwrap_err().to_string();
        assert!(said.contains("twice"), "{said}");
    }

    #[test]
    fn files_are_named_in_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("raw.parquet");
        let said = Table::load(&path).unwrap_err().to_string();
        assert!(said.contains("raw.parquet"), "{said}");
        std::fs::write(&path, b"PAR1 not really").unwrap();
        let error = Table::load(&path).unwrap_err();
        assert!(
            error.is_damage() && error.to_string().contains("raw.parquet"),
            "{error}"
        );
        let table = Table {
            times: vec![5],
            columns: vec![("a".into(), vec![f64::NAN])],
            ..Table::default()
        };
        table.save(&path).unwrap();
        assert!(Table::load(&path).unwrap().column("a").unwrap()[0].is_nan());
    }
}
