//! A configuration that is being made of a preset and an older program's settings.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use toml::{Table, Value};

use super::yaml::Setting;
use crate::config::errors::{ConfigError, ConfigErrors, Place};
use crate::config::{Span, load};

/// Longest time that a setting may ask for, in seconds: a thousand years.
const LONGEST: f64 = 3.2e10;

/// The sections in the order in which they are written; queries come last.
const ORDER: [&str; 12] = [
    "app",
    "source",
    "entities",
    "history",
    "preprocess",
    "autoencoder",
    "forecast",
    "detect",
    "retrain",
    "exporter",
    "api",
    "ui",
];

/// What it is made of so far.
pub(super) struct Draft {
    name: Arc<str>,
    table: Table,
    /// For each key that was taken from the file: the older key and its line.
    origin: BTreeMap<String, (String, usize)>,
    remarks: Vec<(usize, String)>,
    errors: Vec<ConfigError>,
    /// The preset's queries are still there.
    has_preset_queries: bool,
}

impl Draft {
    /// Begins with a preset, which is built in and reads.
    pub fn new(name: &Arc<str>, preset: &str) -> Self {
        Self {
            name: Arc::clone(name),
            table: preset.parse().unwrap_or_default(),
            origin: BTreeMap::new(),
            remarks: Vec::new(),
            errors: Vec::new(),
            has_preset_queries: true,
        }
    }

    /// Says of a setting what is to be known of it.
    pub fn remark(&mut self, setting: &Setting, text: &str) {
        let value = setting
            .value
            .as_ref()
            .map_or("null".into(), ToString::to_string);
        let (name, line, key) = (&self.name, setting.line, setting.key());
        let text = format!("{name}:{line}: {key} = {value}: {text}");
        self.remarks
            .push((line, crate::domain::printable(&text, &[]).into_owned()));
    }

    /// Records that a setting can't be used.
    pub fn wrong(&mut self, setting: &Setting, problem: &str, remedy: &str) {
        self.errors.push(ConfigError {
            place: Place::line_of(&self.name, setting.line),
            key: setting.key(),
            value: setting.value.as_ref().map(ToString::to_string),
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }

    /// Sets `section.key` to what a setting says.
    pub fn set(&mut self, section: &str, key: &str, value: impl Into<Value>, from: &Setting) {
        let place = format!("{section}.{key}");
        self.origin.insert(place, (from.key(), from.line));
        let section = self
            .table
            .entry(section)
            .or_insert_with(|| Table::new().into());
        if let Value::Table(section) = section {
            section.insert(key.into(), value.into());
        }
    }

    /// Takes `section.key` out.
    pub fn unset(&mut self, section: &str, key: &str) {
        if let Some(Value::Table(section)) = self.table.get_mut(section) {
            section.remove(key);
        }
    }

    /// A text as it stands.
    pub fn text(&mut self, section: &str, key: &str, from: &Setting) {
        if let Some(text) = self.is_text(from) {
            self.set(section, key, text, from);
        }
    }

    /// A truth value as it stands.
    pub fn flag(&mut self, section: &str, key: &str, from: &Setting) {
        match from.value {
            Some(Value::Boolean(flag)) => self.set(section, key, flag, from),
            _ => self.wrong(
                from,
                "this is neither true nor false",
                "write true or false",
            ),
        }
    }

    /// A number over 0 as it stands.
    pub fn number(&mut self, section: &str, key: &str, from: &Setting) {
        if let Some(number) = self.is_number(from) {
            self.set(section, key, number, from);
        }
    }

    /// A whole number over 0 as it stands.
    pub fn whole(&mut self, section: &str, key: &str, from: &Setting) {
        if let Some(number) = self.is_whole(from) {
            self.set(section, key, number, from);
        }
    }

    /// A number of `unit` seconds, or a length of time such as "2m", as one.
    pub fn span(&mut self, section: &str, key: &str, unit: f64, from: &Setting) {
        if let Some(span) = self.is_span(from, unit) {
            self.set(section, key, span, from);
        }
    }

    /// A text.
    pub fn is_text(&mut self, from: &Setting) -> Option<String> {
        if let Some(Value::String(text)) = &from.value {
            return Some(text.trim().to_owned());
        }
        self.wrong(from, "this is no text", "write it in quotes");
        None
    }

    /// A whole number over 0.
    pub fn is_whole(&mut self, from: &Setting) -> Option<i64> {
        match from.value {
            Some(Value::Integer(number)) if number > 0 => Some(number),
            _ => {
                self.wrong(
                    from,
                    "this is no whole number over 0",
                    "write a number such as 20",
                );
                None
            }
        }
    }

    /// A number over 0.
    pub fn is_number(&mut self, from: &Setting) -> Option<f64> {
        let number = match from.value {
            Some(Value::Integer(number)) => number as f64,
            Some(Value::Float(number)) => number,
            _ => f64::NAN,
        };
        if number.is_finite() && number > 0.0 {
            return Some(number);
        }
        self.wrong(
            from,
            "this is no number over 0",
            "write a number such as 0.5",
        );
        None
    }

    fn is_span(&mut self, from: &Setting, unit: f64) -> Option<String> {
        let seconds = match &from.value {
            Some(Value::Integer(number)) => *number as f64 * unit,
            Some(Value::Float(number)) => number * unit,
            Some(Value::String(text)) => match (text.trim().parse::<f64>(), Span::parse(text)) {
                (Ok(number), _) => number * unit,
                (_, Ok(span)) => span.0.as_secs_f64(),
                _ => f64::NAN,
            },
            _ => f64::NAN,
        };
        if !(seconds > 0.0 && seconds <= LONGEST) {
            let remedy = "write a number over 0, or a length such as \"30s\" or \"2m\"";
            self.wrong(from, "this is no length of time", remedy);
            return None;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to LONGEST.
        let millis = (seconds * 1000.0).round() as u64;
        Some(Span(Duration::from_millis(millis)).to_string())
    }

    /// A query for all systems, or for the one that `os` names.
    pub fn query(&mut self, alias: &str, os: Option<&str>, from: &Setting) {
        let Some(expr) = self.is_text(from) else {
            return;
        };
        if std::mem::take(&mut self.has_preset_queries) {
            self.table.insert("queries".into(), Table::new().into());
        }
        let name = sane(alias);
        if name != alias {
            self.remark(from, &format!("as a query's name it is written `{name}`"));
        }
        let Some(Value::Table(queries)) = self.table.get_mut("queries") else {
            return;
        };
        let query = queries.entry(&name).or_insert_with(|| Table::new().into());
        let Value::Table(query) = query else { return };
        let place = match os {
            None => {
                if query.contains_key("expr") {
                    let remedy = "give them names that differ in letters and digits";
                    self.wrong(from, "another query has the same name here", remedy);
                    return;
                }
                query.insert("expr".into(), expr.into());
                format!("queries.{name}.expr")
            }
            Some(os) => {
                let by_os = query.entry("expr").or_insert_with(|| Table::new().into());
                if let Value::Table(by_os) = by_os {
                    by_os.insert(os.into(), expr.into());
                }
                format!("queries.{name}.expr.{os}")
            }
        };
        self.origin.insert(place, (from.key(), from.line));
    }

    /// The configuration as text, and what there is to say of it.
    pub fn finish(mut self, program: &str) -> Result<(String, Vec<String>), ConfigErrors> {
        ConfigErrors::check(std::mem::take(&mut self.errors))?;
        let text = self.render(program);
        let config = load::parse(&text, &self.name).map_err(|errors| self.traced(errors))?;
        if self.has_preset_queries {
            let text = format!(
                "{}: it has no queries: those of the preset are taken",
                self.name
            );
            self.remarks.push((usize::MAX, text));
        }
        if let Some((key, problem, remedy)) = config.history_too_short(1) {
            let text = format!("{}: history.{key}: {problem}; {remedy}", self.name);
            self.remarks.push((usize::MAX, text));
        }
        self.remarks.sort_by_key(|(line, _)| *line);
        Ok((
            text,
            self.remarks.into_iter().map(|(_, text)| text).collect(),
        ))
    }

    /// Errors of the configuration at the places of the older settings that they come from.
    fn traced(&self, errors: ConfigErrors) -> ConfigErrors {
        let traced = errors.0.into_iter().map(|error| {
            let from = self.origin.iter().find(|(ours, _)| {
                error.key.starts_with(ours.as_str()) || ours.starts_with(&error.key)
            });
            match from.filter(|_| !error.key.is_empty()) {
                Some((_, (theirs, line))) => ConfigError {
                    place: Place::line_of(&self.name, *line),
                    key: theirs.clone(),
                    ..error
                },
                None => ConfigError {
                    place: Place::File {
                        name: Arc::clone(&self.name),
                        line: None,
                    },
                    ..error
                },
            }
        });
        ConfigErrors(traced.collect())
    }

    fn render(&self, program: &str) -> String {
        let mut text = format!(
            "# Made of {program} by `pulsewatch config import`. Its key stands behind each setting that was taken from it; the\n# others are what that program did without a setting. What is not written here has its default.\n"
        );
        let mut sections: Vec<&str> = ORDER.to_vec();
        let others: BTreeSet<&str> = self.table.keys().map(String::as_str).collect();
        sections.extend(
            others
                .iter()
                .filter(|name| !ORDER.contains(name) && **name != "queries"),
        );
        for section in sections {
            if let Some(Value::Table(entries)) = self.table.get(section) {
                self.render_section(section, entries, &mut text);
            }
        }
        if let Some(Value::Table(queries)) = self.table.get("queries") {
            for (name, query) in queries {
                if let Value::Table(query) = query {
                    self.render_section(&format!("queries.{name}"), query, &mut text);
                }
            }
        }
        text
    }

    fn render_section(&self, place: &str, entries: &Table, text: &mut String) {
        // Writing to a String does not fail.
        let _ = writeln!(text, "\n[{place}]");
        for (key, value) in entries {
            let origin = self.origin.iter().find(|(ours, _)| {
                let key = format!("{place}.{key}");
                **ours == key || ours.starts_with(&format!("{key}."))
            });
            let _ = write!(text, "{key} = {value}");
            let _ = match origin {
                Some((_, (theirs, _))) if !place.starts_with("queries.") => {
                    writeln!(text, "  # {}", crate::domain::printable(theirs, &[]))
                }
                _ => writeln!(text),
            };
        }
    }
}

/// A name that a query may have.
fn sane(alias: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut name: String = alias
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name.insert(0, '_');
    }
    name
}
