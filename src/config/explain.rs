//! Turns what serde says of a value into what is wrong and what would be right.

use super::later::renamed;
use super::suggest::nearest;

/// Says of `message` (serde's, about the key `path`) what is wrong and what to write instead. `path` is the key's own
/// path; a list position in it is a number.
pub(super) fn explain(message: &str, path: &[&str]) -> (String, String) {
    let key = path.last().copied().unwrap_or_default();
    if message.starts_with("unknown field") {
        return ("there is no such key".into(), unknown_key(message, path));
    }
    if message.starts_with("unknown variant") {
        return ("this is none of the choices".into(), choices(message, key));
    }
    if let Some(rest) = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .or_else(|| message.strip_prefix("invalid length "))
    {
        return mismatch(rest, path);
    }
    // `expecting` texts of untagged enums are what would be right, as a phrase.
    if message.starts_with("a ") || message.starts_with('"') {
        return (
            "this can't be understood".into(),
            format!("write {message}"),
        );
    }
    match message.split_once("; ") {
        Some((problem, remedy)) => (problem.into(), remedy.into()),
        None => (message.trim_end().into(), hint(path).into()),
    }
}

/// What to write for keys whose type does not say it.
pub(super) fn hint(path: &[&str]) -> &'static str {
    match path {
        ["exporter", "listen"] => "write an address and a port, such as \"127.0.0.1:8901\"",
        ["detect", "maintenance", _, "start" | "end"] => {
            "write \"02:00\" for every day, or \"2026-11-01T02:00:00Z\" for once"
        }
        [.., "start" | "end"] => "write a moment with its zone, such as \"2026-11-01T00:00:00Z\"",
        [.., "expr"] => "write a PromQL expression, such as expr = \"node_load5\"",
        ["source", "basic", "username"] => "write username = \"…\"",
        ["source", "basic", "password"] => {
            "write password = { env = \"NAME\" } or { file = \"PATH\" }"
        }
        _ => "",
    }
}

fn unknown_key(message: &str, path: &[&str]) -> String {
    let (key, parents) = path
        .split_last()
        .map_or(("", path), |(key, parents)| (*key, parents));
    let known = quoted(message);
    // The first quoted word is the unknown key itself.
    let known = known.get(1..).unwrap_or_default();
    if let Some(new) = renamed(key) {
        return format!("here it is {new}");
    }
    if let Some(near) = nearest(key, known.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    if let Some(section) = section_with(key).filter(|_| parents.len() < 2) {
        return format!("`{key}` belongs into [{section}]");
    }
    match parents {
        [] => format!("the sections are {}", known.join(", ")),
        parents => format!("[{}] knows {}", parents.join("."), known.join(", ")),
    }
}

/// The section whose defaults have this key.
fn section_with(key: &str) -> Option<String> {
    let defaults = toml::Table::try_from(super::Config::default()).ok()?;
    defaults
        .iter()
        .find(|(_, section)| {
            section
                .as_table()
                .is_some_and(|table| table.contains_key(key))
        })
        .map(|(name, _)| name.clone())
}

fn choices(message: &str, key: &str) -> String {
    let words = quoted(message);
    let (word, known) = words.split_first().map_or(("", &[][..]), |(w, k)| (*w, k));
    let list = match known.split_last() {
        Some((last, [])) => format!("\"{last}\""),
        Some((last, others)) => format!("\"{}\" or \"{last}\"", others.join("\", \"")),
        None => format!("one of the values of `{key}`"),
    };
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"? Write {list}"),
        None => format!("write {list}"),
    }
}

/// `integer `5`, expected a string` and its like, without the value: it is shown already, or it is a secret.
fn mismatch(rest: &str, path: &[&str]) -> (String, String) {
    let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, ""));
    let negative = found.contains("`-");
    let found = found.split(['`', '"', ',']).next().unwrap_or(found).trim();
    let found = match found {
        "map" => "a table",
        "sequence" => "a list",
        "string" => "a string",
        "boolean" => "true or false",
        "floating point" => "a number with a fraction",
        "integer" if negative => "a negative number",
        "integer" => "a number",
        other => other,
    };
    let right = match expected {
        "usize" | "u16" | "u32" | "u64" => "a whole number, 0 or more".to_owned(),
        "f64" | "f32" => "a number".into(),
        "a boolean" => "true or false".into(),
        "a string" | "a borrowed string" | "path string" => "a string in quotes".into(),
        "a sequence" => "a list in [brackets]".into(),
        "a map" => "a table: `{ name = value }` or a [section]".into(),
        expected if expected.starts_with("struct ") => match path {
            [section] => format!("a section: [{section}] with its keys below"),
            _ => "a table: `{ key = value }`".into(),
        },
        other => other.to_owned(),
    };
    let hint = hint(path);
    let remedy = match hint {
        "" => format!("write {right}"),
        hint => hint.to_owned(),
    };
    (format!("this is {found}, which does not fit"), remedy)
}

/// The words of `message` that stand in back-quotes.
fn quoted(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}
