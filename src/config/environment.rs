//! Settings from the environment: `PULSEWATCH__SECTION__KEY` and `PROMETHEUS_URL`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::document::{Data, Node, join};
use super::errors::{ConfigError, Place};

const PREFIX: &str = "PULSEWATCH__";
/// Sets `source.url`, and with it `source.kind` unless that is set.
const URL: &str = "PROMETHEUS_URL";
/// Most parts of a variable's name; no key lies so deep.
const DEEPEST: usize = 8;
/// Names the configuration file.
pub(super) const FILE: &str = "PULSEWATCH_CONFIG";

/// The variables that concern the configuration, of this process. Text that is not UTF-8 has its bad bytes replaced.
#[must_use]
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let ours = name.starts_with(PREFIX) || name == URL || name == FILE;
            ours.then(|| (name, value.to_string_lossy().into_owned()))
        })
        .collect()
}

/// Lays the variables over the document; whether there were any.
pub(super) fn overlay(
    root: &mut Node,
    variables: &BTreeMap<String, String>,
    errors: &mut Vec<ConfigError>,
) -> bool {
    let mut any = false;
    if let Some(url) = variables.get(URL).filter(|url| !url.trim().is_empty()) {
        set(root, URL, &["source", "url"], url.trim(), errors);
        any = true;
    }
    for (name, value) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        any = true;
        let steps: Vec<&str> = path.split("__").collect();
        if steps.len() > DEEPEST || steps.iter().any(|step| step.is_empty()) {
            errors.push(ConfigError {
                place: Place::Variable(name.as_str().into()),
                key: String::new(),
                value: None,
                problem: "this names no key".into(),
                remedy: "write PULSEWATCH__SECTION__KEY, such as PULSEWATCH__DETECT__INTERVAL"
                    .into(),
            });
        } else {
            set(root, name, &steps, value, errors);
        }
    }
    any
}

/// Puts `text` at `path`; names are matched without regard to case, and new ones are written small.
fn set(node: &mut Node, variable: &str, path: &[&str], text: &str, errors: &mut Vec<ConfigError>) {
    let Some((step, rest)) = path.split_first() else {
        return;
    };
    let variable_name: Arc<str> = variable.into();
    let Data::Table(entries) = &mut node.data else {
        errors.push(ConfigError {
            place: Place::Variable(variable_name),
            key: node.key.clone(),
            value: None,
            problem: "this key is a value, nothing lies below it".into(),
            remedy: format!("set {PREFIX}{}", node.key.replace('.', "__").to_uppercase()),
        });
        return;
    };
    let name = existing(entries, step);
    let key = join(&node.key, &name);
    if rest.is_empty() {
        entries.insert(name, Node::from_variable(&variable_name, &key, text));
        return;
    }
    let below = entries.entry(name).or_insert_with(|| Node {
        key,
        place: Place::Variable(variable_name),
        data: Data::Table(BTreeMap::new()),
        raw: None,
    });
    set(below, variable, rest, text, errors);
}

fn existing(entries: &BTreeMap<String, Node>, step: &str) -> String {
    entries
        .keys()
        .find(|key| key.eq_ignore_ascii_case(step))
        .cloned()
        .unwrap_or_else(|| step.to_lowercase())
}
