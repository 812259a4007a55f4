//! Reads the series of an answer and places their samples on the grid as they come.
//!
//! What is held is the block alone: values that have a place, and labels. What does not fit into the room that there is, is
//! read over.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::block::Block;
use crate::domain::{Grid, Labels, Time};

/// What a label takes beside its text, and a series beside its labels and values, in bytes: about.
const OVERHEAD: usize = 100;

/// Most labels of one series that are read.
const MAX_LABELS: usize = 1000;

/// The `data` of a query's answer.
#[derive(Debug)]
pub(super) struct Placed {
    /// `matrix`, `vector`, `scalar` or `string`.
    pub kind: String,
    /// Values by label set. On a grid without rows: the label sets alone, as an instant query gives them.
    pub block: Block,
    /// Series that carry native histograms, which have no single value to place.
    pub histograms: usize,
    /// Samples that are no finite number: NaN or an infinity.
    pub not_finite: usize,
    /// There was more than fits: what is here is not all.
    pub over: bool,
    room: usize,
}

/// Reads [`Placed`] onto a grid, in so many bytes at most.
pub(super) struct Place {
    pub grid: Grid,
    pub room: usize,
}

impl<'de> DeserializeSeed<'de> for Place {
    type Value = Placed;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Placed, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Place {
    type Value = Placed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("data with a resultType and a result")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Placed, A::Error> {
        let mut kind = None;
        let mut placed = Placed {
            kind: String::new(),
            block: Block::empty(self.grid),
            histograms: 0,
            not_finite: 0,
            over: false,
            room: self.room,
        };
        while let Some(key) = map.next_key::<DataKey>()? {
            match key {
                DataKey::ResultType => kind = Some(map.next_value()?),
                DataKey::Result => map.next_value_seed(Entries(&mut placed))?,
                DataKey::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        placed.kind = kind.ok_or_else(|| de::Error::missing_field("resultType"))?;
        Ok(placed)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum DataKey {
    ResultType,
    Result,
    #[serde(other)]
    Other,
}

impl Placed {
    /// Takes a series in, if there is room for it. Where two have the same labels, the later one's values count.
    fn take(&mut self, series: Series) {
        self.histograms += usize::from(series.histograms);
        self.not_finite += series.not_finite;
        let text: usize = series.labels.iter().map(|(k, v)| k.len() + v.len()).sum();
        let size = size_of_val(&*series.values) + text + OVERHEAD * (series.labels.len() + 1);
        let Some(room) = self.room.checked_sub(size).filter(|_| !series.over) else {
            self.over = true;
            return;
        };
        if !series.has_samples {
            return;
        }
        self.room = room;
        let rows = self.block.series.entry(series.labels);
        let rows = rows.or_insert_with(|| vec![f64::NAN; series.values.len()]);
        for (slot, value) in rows.iter_mut().zip(series.values) {
            if !value.is_nan() {
                *slot = value;
            }
        }
    }
}

/// The list of series, or null; for `scalar` and `string` the two halves of one sample, which are passed over.
struct Entries<'p>(&'p mut Placed);

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of series")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(series) = seq.next_element_seed(Entry(self.0.block.grid))? {
            if let Some(series) = series {
                self.0.take(series);
            }
        }
        Ok(())
    }
}

/// One series on its way into the block.
struct Series {
    labels: Labels,
    values: Vec<f64>,
    has_samples: bool,
    histograms: bool,
    not_finite: usize,
    /// It has more labels than are read.
    over: bool,
}

/// One element of `result`: a series, or `None` for a bare number or string.
struct Entry(Grid);

impl<'de> DeserializeSeed<'de> for Entry {
    type Value = Option<Series>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entry {
    type Value = Option<Series>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a series")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut series = Series {
            labels: Labels::new(),
            values: vec![f64::NAN; self.0.len()],
            has_samples: false,
            histograms: false,
            not_finite: 0,
            over: false,
        };
        while let Some(key) = map.next_key::<SeriesKey>()? {
            match key {
                SeriesKey::Metric => {
                    (series.labels, series.over) = map.next_value_seed(LabelSet)?;
                }
                SeriesKey::Values => {
                    series.has_samples |= map.next_value_seed(Samples {
                        grid: self.0,
                        values: &mut series.values,
                        not_finite: &mut series.not_finite,
                    })?;
                }
                SeriesKey::Histograms => {
                    let histograms: Option<Vec<IgnoredAny>> = map.next_value()?;
                    series.histograms |= histograms.is_some_and(|list| !list.is_empty());
                }
                // Of an instant query, that there is one and whether it is a number is all that is of interest.
                SeriesKey::Value => {
                    let sample: Sample = map.next_value()?;
                    series.not_finite += usize::from(!sample.value.is_finite());
                    series.has_samples = true;
                }
                SeriesKey::Histogram => {
                    map.next_value::<IgnoredAny>()?;
                    series.has_samples = true;
                }
                SeriesKey::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Some(series))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum SeriesKey {
    Metric,
    Values,
    Histograms,
    Value,
    Histogram,
    #[serde(other)]
    Other,
}

/// All labels, `__name__` included, and whether there were more than [`MAX_LABELS`].
struct LabelSet;

impl<'de> DeserializeSeed<'de> for LabelSet {
    type Value = (Labels, bool);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for LabelSet {
    type Value = (Labels, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut labels = Labels::new();
        while labels.len() < MAX_LABELS {
            let Some((name, value)) = map.next_entry()? else {
                return Ok((labels, false));
            };
            labels.insert(name, value);
        }
        let mut over = false;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            over = true;
        }
        Ok((labels, over))
    }
}

/// Samples, a list or null, onto the rows of a grid; says whether there were any.
struct Samples<'v> {
    grid: Grid,
    values: &'v mut [f64],
    not_finite: &'v mut usize,
}

impl<'de> DeserializeSeed<'de> for Samples<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Samples<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of samples")
    }

    /// Null: none.
    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        let mut any = false;
        while let Some(Sample { time, value }) = seq.next_element()? {
            any = true;
            *self.not_finite += usize::from(!value.is_finite());
            let row = self.grid.row(time).and_then(|row| self.values.get_mut(row));
            if let Some(slot) = row
                && value.is_finite()
            {
                *slot = value;
            }
        }
        Ok(any)
    }
}

/// `[seconds, "value"]`; the value may be `NaN`, `+Inf` or `-Inf`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    time: Time,
    /// Not necessarily finite.
    value: f64,
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Sample;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sample such as [1700000000.5, \"1.5\"]")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Sample, A::Error> {
                let short = || de::Error::invalid_length(1, &self);
                let secs: f64 = seq.next_element()?.ok_or_else(short)?;
                let Number(value) = seq.next_element()?.ok_or_else(short)?;
                let time = Time::from_secs_f64(secs)
                    .ok_or_else(|| de::Error::custom(format!("{secs} is not a time in seconds")))?;
                Ok(Sample { time, value })
            }
        }
        deserializer.deserialize_tuple(2, Pair)
    }
}

/// A number written as a string, or (by lenient servers) as a number.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number as a string, such as \"1.5\", \"NaN\" or \"+Inf\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                text.parse()
                    .map(Number)
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
            fn visit_unit<E>(self) -> Result<Number, E> {
                Ok(Number(f64::NAN))
            }
        }
        deserializer.deserialize_any(Written)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn grid(first: i64, len: usize) -> Grid {
        Grid::new(Time::from_secs(first), Duration::from_secs(60), len)
    }

    fn read_in(text: &str, grid: Grid, room: usize) -> Result<Placed, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        Place { grid, room }.deserialize(&mut json)
    }

    fn read(text: &str, grid: Grid) -> Result<Placed, serde_json::Error> {
        read_in(text, grid, 10_000)
    }

    fn labels(name: &str, value: &str) -> Labels {
        Labels::from([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn samples_land_on_their_rows() {
        let text = r#"{"resultType":"matrix","result":[{"metric":{"device":"a"},"values":[[60,"1"],[180,"NaN"],[240,"4"],[9000,"5"]]},
            {"metric":{"device":"h"},"histograms":[[60,{}]]}]}"#;
        let placed = read(text, grid(60, 4)).unwrap();
        assert_eq!((placed.histograms, placed.over), (1, false));
        assert_eq!(placed.block.series.len(), 1);
        let row = &placed.block.series[&labels("device", "a")];
        assert_eq!((row[0], row[3]), (1.0, 4.0));
        assert!(row[1].is_nan() && row[2].is_nan());
    }

    #[test]
    fn reads_every_kind_of_number_and_labels_that_come_last() {
        let text = r#"{"result":[{"values":[[1700000040,"1.5"],[1700000100.0,"NaN"],[1700000160,"+Inf"],[1700000220,"-Inf"],[1700000280,2],
            [1700000340,null],[1700000400,-3]],"new":[1],"metric":{"b":"c"}}],"resultType":"matrix"}"#;
        let placed = read(text, grid(1_700_000_040, 7)).unwrap();
        assert_eq!(placed.kind, "matrix");
        let row = &placed.block.series[&labels("b", "c")];
        assert_eq!((row[0], row[4], row[6]), (1.5, 2.0, -3.0));
        assert!([1, 2, 3, 5].iter().all(|i| row[*i].is_nan()));
    }

    #[test]
    fn an_instant_answer_is_its_label_sets() {
        let none = grid(0, 0);
        let scalar = read(r#"{"resultType":"scalar","result":[1.5,"2"]}"#, none).unwrap();
        assert_eq!((&*scalar.kind, scalar.block.series.len()), ("scalar", 0));
        let text = r#"{"resultType":"vector","result":[{"metric":{"a":"1"},"value":[1,"2"]},{"metric":{},"histogram":[1,{}]}]}"#;
        assert_eq!(read(text, none).unwrap().block.series.len(), 2);
        let nothing = read(r#"{"resultType":"vector","result":null}"#, none).unwrap();
        assert!(nothing.block.series.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_read_over_and_told() {
        let series: Vec<String> = (0..100)
            .map(|n| format!(r#"{{"metric":{{"n":"{n}"}},"values":[[60,"1"]]}}"#))
            .collect();
        let all = |series: &str| format!(r#"{{"resultType":"matrix","result":[{series}]}}"#);
        let text = all(&series.join(","));
        let part = read_in(&text, grid(60, 4), 10_000).unwrap();
        assert!(part.over && part.block.series.len() < 50);
        assert!(!read_in(&text, grid(60, 4), 100_000).unwrap().over);
        let names: Vec<String> = (0..=MAX_LABELS).map(|n| format!(r#""{n}":"""#)).collect();
        let wide = format!(
            r#"{{"metric":{{{}}},"values":[[60,"1"]]}}"#,
            names.join(",")
        );
        let placed = read_in(&all(&wide), grid(60, 4), 1 << 20).unwrap();
        assert!(placed.over && placed.block.series.is_empty());
    }

    #[test]
    fn says_what_is_not_a_sample() {
        for bad in [r#"[1,"x"]"#, "[1]", r#"["1","2"]"#, "[1e300,\"1\"]", "7"] {
            let text = format!(
                r#"{{"resultType":"matrix","result":[{{"metric":{{}},"values":[{bad}]}}]}}"#
            );
            assert!(read(&text, grid(0, 1)).is_err(), "{bad}");
        }
    }
}
