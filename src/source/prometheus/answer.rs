//! The server's JSON: `{"status", "data": {"resultType", "result"}, "errorType", "error", "warnings", "infos"}`, as
//! documented under "HTTP API" by Prometheus and spoken by VictoriaMetrics, Thanos and Mimir.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor, value};
use serde::{Deserialize, de};

use crate::domain::{Labels, Time};

/// The outer object.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub(super) struct Answer<T> {
    /// `success` or `error`.
    pub status: String,
    /// Present on success.
    #[serde(default = "none")]
    pub data: Option<T>,
    /// `bad_data`, `execution`, `timeout`, …
    #[serde(rename = "errorType", default)]
    pub error_type: Option<String>,
    /// What went wrong, in the server's words.
    #[serde(default)]
    pub error: Option<String>,
    /// What the server wants known about an answer it gave all the same.
    #[serde(default)]
    pub warnings: Option<Vec<String>>,
    /// Hints about the expression.
    #[serde(default)]
    pub infos: Option<Vec<String>>,
    /// VictoriaMetrics' word for "some of my nodes did not answer".
    #[serde(rename = "isPartial", default)]
    pub partial: bool,
}

fn none<T>() -> Option<T> {
    None
}

impl<T> Answer<T> {
    /// Everything the server wants known.
    pub fn notes(&mut self) -> Vec<String> {
        let mut notes = self.warnings.take().unwrap_or_default();
        notes.extend(self.infos.take().unwrap_or_default());
        if self.partial {
            notes.push("the answer is partial: some storage nodes did not take part".into());
        }
        notes
    }
}

/// The result of a query.
#[derive(Debug, Deserialize)]
pub(super) struct Data {
    /// `matrix`, `vector`, `scalar` or `string`.
    #[serde(rename = "resultType")]
    pub kind: String,
    /// Series; for `scalar` and `string` the two halves of one sample; some servers write none at all as `null`.
    #[serde(default)]
    pub result: Option<Vec<Entry>>,
}

/// What a server says about itself.
#[derive(Debug, Default, Deserialize)]
pub(super) struct BuildInfo {
    /// Only some products name themselves.
    #[serde(default)]
    pub application: Option<String>,
    /// Version, often that of the API which is imitated.
    #[serde(default)]
    pub version: Option<String>,
}

/// One element of `result`.
#[derive(Debug)]
pub(super) enum Entry {
    /// A label set with samples.
    Series(Found),
    /// A bare number or string.
    Bare,
}

/// A label set with samples.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Found {
    /// All labels, `__name__` included.
    #[serde(default)]
    pub metric: Labels,
    /// Samples of a range query.
    #[serde(default)]
    pub values: Vec<Sample>,
    /// Native histograms of a range query; what they hold is not read.
    #[serde(default)]
    pub histograms: Vec<IgnoredAny>,
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Entry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a series")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
                Found::deserialize(value::MapAccessDeserializer::new(map)).map(Entry::Series)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Entry, E> {
                Ok(Entry::Bare)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Entry, E> {
                Ok(Entry::Bare)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Entry, E> {
                Ok(Entry::Bare)
            }
            fn visit_str<E>(self, _: &str) -> Result<Entry, E> {
                Ok(Entry::Bare)
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

/// `[seconds, "value"]`; the value may be `NaN`, `+Inf` or `-Inf`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// When.
    pub time: Time,
    /// What, not necessarily finite.
    pub value: f64,
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
    use super::*;

    fn read(text: &str) -> Result<Answer<Data>, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn reads_a_matrix_with_every_kind_of_number() {
        let mut answer = read(
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"a","b":"c"},
            "values":[[1700000000,"1.5"],[1700000060.123,"NaN"],[1700000120,"+Inf"],[1700000180,"-Inf"],[1700000240,2]],
            "histograms":[[1700000000,{"count":"1"}]]}]},"warnings":["w"],"infos":["i"],"isPartial":true,"new":{}}"#,
        )
        .unwrap();
        assert_eq!(answer.notes().len(), 3);
        let data = answer.data.unwrap();
        assert_eq!(data.kind, "matrix");
        let Entry::Series(found) = &data.result.as_ref().unwrap()[0] else {
            panic!("a series");
        };
        assert_eq!(found.metric["b"], "c");
        assert_eq!(found.histograms.len(), 1);
        let values: Vec<f64> = found.values.iter().map(|s| s.value).collect();
        assert_eq!(values[0], 1.5);
        assert!(values[1].is_nan());
        assert_eq!(values[2..], [f64::INFINITY, f64::NEG_INFINITY, 2.0]);
        assert_eq!(found.values[1].time, Time::from_millis(1_700_000_060_123));
    }

    #[test]
    fn reads_errors_and_instant_results() {
        let answer =
            read(r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#).unwrap();
        assert_eq!(answer.error.as_deref(), Some("parse error"));
        assert!(answer.data.is_none());
        let scalar =
            read(r#"{"status":"success","data":{"resultType":"scalar","result":[1.5,"2"]}}"#);
        assert_eq!(scalar.unwrap().data.unwrap().result.unwrap().len(), 2);
        let vector = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]}]}}"#;
        assert_eq!(read(vector).unwrap().data.unwrap().result.unwrap().len(), 1);
    }

    #[test]
    fn says_what_is_not_a_sample() {
        for bad in [r#"[1,"x"]"#, r#"[1]"#, r#"["1","2"]"#, "[1e300,\"1\"]", "7"] {
            let text = format!(
                r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{}},"values":[{bad}]}}]}}}}"#
            );
            assert!(read(&text).is_err(), "{bad}");
        }
    }
}
