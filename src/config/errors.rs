//! What is wrong with a configuration, where, and what would be right.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::domain::printable;

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File {
        /// Its path as it was given.
        name: Arc<str>,
        /// Line, counted from 1; `None` when the trouble has no line (a key that is missing altogether).
        line: Option<usize>,
    },
    /// In this environment variable.
    Variable(Arc<str>),
}

impl Place {
    pub(super) fn line_of(name: &Arc<str>, line: usize) -> Self {
        Self::File {
            name: Arc::clone(name),
            line: Some(line),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                name,
                line: Some(line),
            } => write!(f, "{name}:{line}"),
            Self::File { name, line: None } => f.write_str(name),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where it was written.
    pub place: Place,
    /// Dotted path of the key, such as `detect.interval`; empty when the trouble is not one key's (a syntax error).
    pub key: String,
    /// The value as written, shortened; `None` when there is none, or when it is a secret.
    pub value: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What would be right; may be empty when the problem says it.
    pub remedy: String,
}

/// `pulsewatch.toml:12: detect.interval = "30": this is not …; write …`, on one line and without control characters.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting = match (self.key.as_str(), &self.value) {
            ("", _) => String::new(),
            (key, Some(value)) => format!("{key} = {value}: "),
            (key, None) => format!("{key}: "),
        };
        let remedy = match self.remedy.as_str() {
            "" => String::new(),
            remedy => format!("; {remedy}"),
        };
        let line = format!("{}: {setting}{}{remedy}", self.place, self.problem);
        f.write_str(&printable(&line, &[]))
    }
}

/// Everything that is wrong with a configuration, in the order of the file, then of the environment. Never empty; bounded
/// by the number of keys written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    /// Sorts what was found; `Ok` when that is nothing.
    pub(super) fn check(mut found: Vec<ConfigError>) -> Result<(), Self> {
        if found.is_empty() {
            return Ok(());
        }
        found.sort_by(|a, b| order(&a.place, &b.place));
        Err(Self(found))
    }
}

fn order(a: &Place, b: &Place) -> Ordering {
    match (a, b) {
        (Place::File { line: a, .. }, Place::File { line: b, .. }) => {
            (a.is_none(), a).cmp(&(b.is_none(), b))
        }
        (Place::File { .. }, Place::Variable(_)) => Ordering::Less,
        (Place::Variable(_), Place::File { .. }) => Ordering::Greater,
        (Place::Variable(a), Place::Variable(b)) => a.cmp(b),
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "the configuration can't be used: {one}"),
            many => {
                write!(
                    f,
                    "the configuration can't be used, {} things are wrong:",
                    many.len()
                )?;
                many.iter().try_for_each(|error| write!(f, "\n  {error}"))
            }
        }
    }
}

impl std::error::Error for ConfigErrors {}
