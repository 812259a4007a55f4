//! A TOML document in which every value knows its key's full path and where it was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::errors::{ConfigError, Place};

/// A value of the document. Its key stays what was written even when earlier elements of its list are taken out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// Dotted path from the root, with list positions as `[0]`.
    pub key: String,
    /// Where its key (or, in a list, the value) stands.
    pub place: Place,
    /// What it is.
    pub data: Data,
    /// The text of a variable that reads as something else than a string, though it may be meant as one.
    pub raw: Option<String>,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    /// A string, number or truth value; dates become strings.
    Scalar(toml::Value),
    /// A list, or an array of tables.
    List(Vec<Node>),
    /// A table.
    Table(BTreeMap<String, Node>),
}

/// A document being read.
struct Builder {
    name: Arc<str>,
    /// Offsets at which lines end, ascending.
    line_ends: Vec<usize>,
    errors: Vec<ConfigError>,
}

impl Node {
    /// A document without anything in it.
    pub fn empty(name: &Arc<str>) -> Self {
        Self {
            key: String::new(),
            place: Place::File {
                name: Arc::clone(name),
                line: None,
            },
            data: Data::Table(BTreeMap::new()),
            raw: None,
        }
    }

    /// Parses a file's text; all syntax errors at once.
    pub fn parse(text: &str, name: &Arc<str>) -> Result<Self, Vec<ConfigError>> {
        let mut builder = Builder::new(text, name);
        let (table, broken) = DeTable::parse_recoverable(text);
        for error in broken {
            let line = builder.line(error.span().map_or(0, |span| span.start));
            builder.syntax(line, error.message());
        }
        if !builder.errors.is_empty() {
            return Err(builder.errors);
        }
        let mut root = Self::empty(name);
        root.data = builder.table(table.get_ref(), "");
        if builder.errors.is_empty() {
            Ok(root)
        } else {
            Err(builder.errors)
        }
    }

    /// A value of an environment variable: TOML if it is that, else its text.
    pub fn from_variable(variable: &Arc<str>, key: &str, text: &str) -> Self {
        let place = Place::Variable(Arc::clone(variable));
        let parsed = DeValue::parse(text).ok().and_then(|value| {
            let mut builder = Builder::new(text, variable);
            let data = builder.data(&value, key);
            builder.errors.is_empty().then_some(data)
        });
        let data = parsed.unwrap_or_else(|| Data::Scalar(toml::Value::String(text.to_owned())));
        let is_string = matches!(data, Data::Scalar(toml::Value::String(_)));
        let mut node = Self {
            key: key.to_owned(),
            place: place.clone(),
            data,
            raw: (!is_string).then(|| text.to_owned()),
        };
        node.move_to(&place);
        node
    }

    fn move_to(&mut self, place: &Place) {
        self.place = place.clone();
        match &mut self.data {
            Data::Scalar(_) => {}
            Data::List(items) => items.iter_mut().for_each(|item| item.move_to(place)),
            Data::Table(entries) => entries.values_mut().for_each(|entry| entry.move_to(place)),
        }
    }

    /// The node at `path` (keys, and positions of lists as numbers).
    pub fn get(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, step| match &node.data {
            Data::Scalar(_) => None,
            Data::List(items) => items.get(step.parse::<usize>().ok()?),
            Data::Table(entries) => entries.get(*step),
        })
    }

    /// The node at `path`, or the nearest one above it.
    pub fn nearest(&self, path: &[&str]) -> &Self {
        (0..=path.len())
            .rev()
            .find_map(|length| self.get(path.get(..length)?))
            .unwrap_or(self)
    }

    /// Takes out the node at `path`.
    pub fn remove(&mut self, path: &[&str]) -> Option<Self> {
        let (last, parents) = path.split_last()?;
        match &mut self.get_mut(parents)?.data {
            Data::Scalar(_) => None,
            Data::List(items) => {
                let position = last.parse::<usize>().ok()?;
                (position < items.len()).then(|| items.remove(position))
            }
            Data::Table(entries) => entries.remove(*last),
        }
    }

    pub fn get_mut(&mut self, path: &[&str]) -> Option<&mut Self> {
        path.iter()
            .try_fold(self, |node, step| match &mut node.data {
                Data::Scalar(_) => None,
                Data::List(items) => items.get_mut(step.parse::<usize>().ok()?),
                Data::Table(entries) => entries.get_mut(*step),
            })
    }

    /// Names in the table at `path`; none if there is no such table.
    pub fn names(&self, path: &[&str]) -> Vec<String> {
        match self.get(path).map(|node| &node.data) {
            Some(Data::Table(entries)) => entries.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// As plain TOML.
    pub fn to_value(&self) -> toml::Value {
        match &self.data {
            Data::Scalar(value) => value.clone(),
            Data::List(items) => toml::Value::Array(items.iter().map(Self::to_value).collect()),
            Data::Table(entries) => toml::Value::Table(
                entries
                    .iter()
                    .map(|(key, node)| (key.clone(), node.to_value()))
                    .collect(),
            ),
        }
    }
}

impl Builder {
    fn new(text: &str, name: &Arc<str>) -> Self {
        Self {
            name: Arc::clone(name),
            line_ends: text.match_indices('\n').map(|(offset, _)| offset).collect(),
            errors: Vec::new(),
        }
    }

    /// Line of a byte of the text, from 1.
    fn line(&self, offset: usize) -> usize {
        1 + self.line_ends.partition_point(|end| *end < offset)
    }

    /// One error a line: after the first, the rest of a line makes no sense anyway.
    fn syntax(&mut self, line: usize, message: &str) {
        let place = Place::line_of(&self.name, line);
        if self.errors.iter().any(|known| known.place == place) {
            return;
        }
        self.errors.push(ConfigError {
            place,
            key: String::new(),
            value: None,
            problem: format!("this is not TOML: {message}"),
            remedy: "write `key = value`, with strings in quotes and sections in [brackets]".into(),
        });
    }

    fn table(&mut self, table: &DeTable<'_>, parent: &str) -> Data {
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let path = join(parent, key.get_ref());
            let node = Node {
                place: Place::line_of(&self.name, self.line(key.span().start)),
                data: self.data(value, &path),
                key: path,
                raw: None,
            };
            entries.insert(key.get_ref().to_string(), node);
        }
        Data::Table(entries)
    }

    fn data(&mut self, value: &Spanned<DeValue<'_>>, key: &str) -> Data {
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, key),
            DeValue::Array(items) => Data::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(position, item)| {
                        let key = format!("{key}[{position}]");
                        Node {
                            place: Place::line_of(&self.name, self.line(item.span().start)),
                            data: self.data(item, &key),
                            key,
                            raw: None,
                        }
                    })
                    .collect(),
            ),
            DeValue::Datetime(moment) => Data::Scalar(toml::Value::String(moment.to_string())),
            _ => Data::Scalar(self.scalar(value, key)),
        }
    }

    fn scalar(&mut self, value: &Spanned<DeValue<'_>>, key: &str) -> toml::Value {
        let scalar = toml::Value::deserialize(ValueDeserializer::from(value.clone()));
        scalar.unwrap_or_else(|_| {
            // The syntax is right, so it can only be a number that no type holds.
            self.errors.push(ConfigError {
                place: Place::line_of(&self.name, self.line(value.span().start)),
                key: key.to_owned(),
                value: None,
                problem: "this number is too large".into(),
                remedy: format!("write one up to {}", i64::MAX),
            });
            toml::Value::Boolean(false)
        })
    }
}

/// `parent.key`, the key in quotes when TOML needs them.
pub(super) fn join(parent: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let dot = if parent.is_empty() { "" } else { "." };
    if bare {
        format!("{parent}{dot}{key}")
    } else {
        format!("{parent}{dot}{key:?}")
    }
}
