//! The server's JSON: `{"status", "data": {"resultType", "result"}, "errorType", "error", "warnings", "infos"}`, as
//! documented under "HTTP API" by Prometheus and spoken by VictoriaMetrics, Thanos and Mimir.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

/// Most warnings or hints of one answer that are taken note of.
const MAX_NOTES: usize = 100;

/// The status of an answer that lacks parts, by servers that say it there.
const PARTIAL: &str = "partial";

/// The outer object.
#[derive(Debug)]
pub(super) struct Answer<T> {
    /// `success` or `error`; some servers say `partial`.
    pub status: String,
    /// Present on success.
    pub data: Option<T>,
    /// `bad_data`, `execution`, `timeout`, …
    pub error_type: Option<String>,
    /// What went wrong, in the server's words.
    pub error: Option<String>,
    /// What the server wants known about an answer it gave all the same.
    warnings: Vec<String>,
    /// Hints about the expression.
    infos: Vec<String>,
    /// VictoriaMetrics' word for "some of my nodes did not answer".
    partial: bool,
}

impl<T> Answer<T> {
    /// Whether something is missing that will be there another time. Warnings of the expression itself will not go away.
    pub fn is_partial(&self) -> bool {
        let passing = |warning: &String| !warning.starts_with("PromQL warning");
        self.lacks_parts() || self.warnings.iter().any(passing)
    }

    /// The data and what is said with them are an answer, be it one that lacks parts.
    pub fn is_answer(&self) -> bool {
        self.status == "success" || self.status == PARTIAL
    }

    fn lacks_parts(&self) -> bool {
        self.partial || self.status == PARTIAL
    }

    /// Everything the server wants known.
    pub fn notes(&mut self) -> Vec<String> {
        let mut notes = std::mem::take(&mut self.warnings);
        notes.append(&mut self.infos);
        if self.lacks_parts() {
            notes.push("the answer is partial: some storage nodes did not take part".into());
        }
        notes
    }
}

/// Reads an [`Answer`] whose `data` is read by `S`.
pub(super) struct Reading<S>(pub S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Reading<S> {
    type Value = Answer<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Reading<S> {
    type Value = Answer<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer with a status")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut data_seed = Some(self.0);
        let mut status = None;
        let mut answer = Answer {
            status: String::new(),
            data: None,
            error_type: None,
            error: None,
            warnings: Vec::new(),
            infos: Vec::new(),
            partial: false,
        };
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Status => status = Some(map.next_value()?),
                Key::Data => {
                    let seed = data_seed
                        .take()
                        .ok_or_else(|| de::Error::duplicate_field("data"))?;
                    answer.data = map.next_value_seed(Maybe(seed))?;
                }
                Key::ErrorType => answer.error_type = map.next_value()?,
                Key::Error => answer.error = map.next_value()?,
                Key::Warnings => answer.warnings = map.next_value::<Few>()?.0,
                Key::Infos => answer.infos = map.next_value::<Few>()?.0,
                Key::IsPartial => answer.partial = map.next_value()?,
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        answer.status = status.ok_or_else(|| de::Error::missing_field("status"))?;
        Ok(answer)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Key {
    Status,
    Data,
    ErrorType,
    Error,
    Warnings,
    Infos,
    IsPartial,
    #[serde(other)]
    Other,
}

/// What `S` reads, or null.
struct Maybe<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Maybe<S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Maybe<S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("data or null")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.0.deserialize(deserializer).map(Some)
    }
}

/// The first [`MAX_NOTES`] texts of a list, or of null.
struct Few(Vec<String>);

impl<'de> Deserialize<'de> for Few {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Few;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts")
            }
            fn visit_unit<E>(self) -> Result<Few, E> {
                Ok(Few(Vec::new()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Few, A::Error> {
                let mut texts = Vec::new();
                while texts.len() < MAX_NOTES
                    && let Some(text) = seq.next_element()?
                {
                    texts.push(text);
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Few(texts))
            }
        }
        deserializer.deserialize_any(Texts)
    }
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

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use super::*;

    fn read(text: &str) -> Result<Answer<BuildInfo>, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        Reading(PhantomData::<BuildInfo>).deserialize(&mut json)
    }

    #[test]
    fn reads_what_the_server_wants_known() {
        let text = r#"{"status":"success","data":{"version":"1"},"warnings":["w"],"infos":["i"],"isPartial":true,"new":{}}"#;
        let mut answer = read(text).unwrap();
        assert!(answer.is_partial());
        assert_eq!(answer.notes().len(), 3);
        assert_eq!(answer.data.unwrap().version.as_deref(), Some("1"));
        let many = vec!["\"PromQL warning: x\""; 500].join(",");
        let text =
            format!(r#"{{"warnings":[{many}],"infos":null,"data":null,"status":"success"}}"#);
        let mut answer = read(&text).unwrap();
        assert!(!answer.is_partial() && answer.data.is_none());
        assert_eq!(answer.notes().len(), MAX_NOTES);
    }

    #[test]
    fn reads_errors_and_refuses_what_is_none_of_both() {
        let text = r#"{"status":"error","errorType":"bad_data","error":"parse error","data":null}"#;
        let answer = read(text).unwrap();
        assert_eq!(answer.error.as_deref(), Some("parse error"));
        assert!(answer.data.is_none());
        let answer = read(r#"{"status":"partial","data":{"version":"1"}}"#).unwrap();
        assert!(answer.is_answer() && answer.is_partial());
        for bad in [
            "{}",
            "[]",
            "7",
            r#"{"data":{}}"#,
            r#"{"status":"success","data":7}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
