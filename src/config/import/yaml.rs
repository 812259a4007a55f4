//! Reads a YAML file as a list of settings, each with its path and line.

use std::sync::Arc;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

use crate::config::errors::{ConfigError, ConfigErrors, Place};

/// Deepest nesting that is read.
const DEEPEST: usize = 16;

/// One value of the file: a scalar or a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setting {
    /// Keys from the root on.
    pub path: Vec<String>,
    /// Where it stands, from 1.
    pub line: usize,
    /// What it is; `None` for null.
    pub value: Option<toml::Value>,
}

impl Setting {
    /// Its keys with dots between them.
    pub fn key(&self) -> String {
        self.path.join(".")
    }
}

/// All settings of a file, in its order.
pub(super) fn settings(text: &str, name: &Arc<str>) -> Result<Vec<Setting>, ConfigErrors> {
    let fail = |line: Option<usize>, problem: String, remedy: &str| {
        let name = Arc::clone(name);
        ConfigErrors(vec![ConfigError {
            place: Place::File { name, line },
            key: String::new(),
            value: None,
            problem,
            remedy: remedy.into(),
        }])
    };
    let documents = MarkedYaml::load_from_str(text).map_err(|error| {
        let line = error.marker().line();
        let problem = format!("this is not YAML: {}", error.info());
        fail(Some(line), problem, "correct it, then import it again")
    })?;
    let root = documents.first().map(|root| &root.data);
    let Some(YamlData::Mapping(_)) = root else {
        let problem = "this file has no settings".to_owned();
        return Err(fail(
            None,
            problem,
            "name the older program's configuration file",
        ));
    };
    let mut settings = Vec::new();
    for document in documents.iter().take(1) {
        flatten(document, &mut Vec::new(), &mut settings).map_err(|line| {
            let problem = format!("this is nested more than {DEEPEST} levels deep");
            fail(
                Some(line),
                problem,
                "name the older program's configuration file",
            )
        })?;
    }
    Ok(settings)
}

/// Adds the settings below a node; on failure the line that lies too deep.
fn flatten(
    node: &MarkedYaml<'_>,
    path: &mut Vec<String>,
    settings: &mut Vec<Setting>,
) -> Result<(), usize> {
    let line = node.span.start.line();
    if path.len() > DEEPEST {
        return Err(line);
    }
    let YamlData::Mapping(entries) = &node.data else {
        settings.push(Setting {
            path: path.clone(),
            line,
            value: value(node, path.len())?,
        });
        return Ok(());
    };
    for (key, entry) in entries {
        path.push(word(key));
        flatten(entry, path, settings)?;
        path.pop();
    }
    Ok(())
}

/// A key as text.
fn word(key: &MarkedYaml<'_>) -> String {
    match value(key, DEEPEST) {
        Ok(Some(toml::Value::String(text))) => text,
        Ok(Some(other)) => other.to_string(),
        Ok(None) | Err(_) => "null".into(),
    }
}

fn value(node: &MarkedYaml<'_>, depth: usize) -> Result<Option<toml::Value>, usize> {
    if depth > DEEPEST {
        return Err(node.span.start.line());
    }
    Ok(match &node.data {
        YamlData::Value(scalar) => match scalar {
            Scalar::Null => None,
            Scalar::Boolean(flag) => Some((*flag).into()),
            Scalar::Integer(number) => Some((*number).into()),
            Scalar::FloatingPoint(number) => Some(number.into_inner().into()),
            Scalar::String(text) => Some(text.to_string().into()),
        },
        YamlData::Representation(text, ..) => Some(text.to_string().into()),
        YamlData::Sequence(items) => {
            let mut list = Vec::new();
            for item in items {
                list.extend(value(item, depth + 1)?);
            }
            Some(list.into())
        }
        YamlData::Mapping(entries) => {
            let mut table = toml::Table::new();
            for (key, entry) in entries {
                if let Some(value) = value(entry, depth + 1)? {
                    table.insert(word(key), value);
                }
            }
            Some(table.into())
        }
        YamlData::Tagged(_, inner) => value(inner, depth + 1)?,
        YamlData::Alias(_) | YamlData::BadValue => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Setting>, String> {
        settings(text, &"old.yaml".into()).map_err(|errors| errors.to_string())
    }

    #[test]
    fn settings_have_their_paths_and_lines() {
        let text =
            "a:\n  b: 1\n  c: 'x # y'   # comment\n# d: 5\nlist: [1, {k: v}]\nnothing:\n7: yes\n";
        let read = read(text).unwrap();
        let shown: Vec<(String, usize, String)> = read
            .iter()
            .map(|s| {
                (
                    s.key(),
                    s.line,
                    s.value.as_ref().map_or("-".into(), ToString::to_string),
                )
            })
            .collect();
        let of = |key: &str, line, value: &str| (key.to_owned(), line, value.to_owned());
        assert_eq!(
            shown,
            [
                of("a.b", 2, "1"),
                of("a.c", 3, "\"x # y\""),
                of("list", 5, "[1, { k = \"v\" }]"),
                of("nothing", 6, "-"),
                of("7", 7, "\"yes\""),
            ]
        );
    }

    #[test]
    fn what_is_no_file_of_settings_is_refused_with_its_line() {
        for (text, words) in [
            ("a: [1,\n  b: }\n", "old.yaml:"),
            ("", "no settings"),
            ("- 1\n- 2\n", "no settings"),
            ("a: 1\na: 2\n", "not YAML"),
            (
                &("a: ".to_owned() + &"[".repeat(40) + &"]".repeat(40)),
                "deep",
            ),
            (&"[".repeat(100_000), "old.yaml"),
            ("a: &x [1]\nb: &y [*x,*x]\nc: *z\n", "not YAML"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
