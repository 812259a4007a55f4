//! From a document to the typed configuration: what can't be read is recorded and taken out, until the rest can.

use serde_path_to_error::Segment;

use super::Config;
use super::document::{Data, Node, join};
use super::errors::ConfigError;
use super::explain::{explain, hint};
use super::secret::MASK;
use super::suggest::nearest;

/// Most errors that one reading looks for; nobody mends more at once, and each costs a round.
const MOST_ERRORS: usize = 100;
/// Longest value that an error shows, in characters.
const SHOWN: usize = 80;

/// Deserializes `root`. Every failure is added to `errors` and its key taken out of `root`, so that one reading finds all
/// of them, up to a hundred; what was taken out has its default.
pub(super) fn read(root: &mut Node, errors: &mut Vec<ConfigError>) -> Config {
    while errors.len() < MOST_ERRORS {
        let (path, message) = match attempt(root) {
            Ok(config) => return config,
            Err(failure) => failure,
        };
        let steps: Vec<&str> = path.iter().map(String::as_str).collect();
        if retry_as_text(root, &steps) {
            continue;
        }
        let error = failure(root, &steps, &message);
        // A key is missing also when it was wrong and taken out: that was said already.
        if !errors.iter().any(|known| known.key == error.key) {
            errors.push(error);
        }
        if root.remove(&steps).is_none() {
            break;
        }
    }
    Config::default()
}

/// The typed configuration, or the path of what failed with serde's message.
fn attempt(root: &Node) -> Result<Config, (Vec<String>, String)> {
    serde_path_to_error::deserialize(root.to_value()).map_err(|error| {
        let steps = error
            .path()
            .iter()
            .map_while(|segment| match segment {
                Segment::Seq { index } => Some(index.to_string()),
                Segment::Map { key } => Some(key.clone()),
                Segment::Enum { .. } | Segment::Unknown => None,
            })
            .collect();
        (steps, error.inner().message().to_owned())
    })
}

/// A variable's text such as `12345` reads as a number; where a string is wanted (a token, a user name) it is one.
fn retry_as_text(root: &mut Node, path: &[&str]) -> bool {
    let Some(node) = root.get(path) else {
        return false;
    };
    let Some(text) = node.raw.clone() else {
        return false;
    };
    let mut trial = root.clone();
    if let Some(node) = trial.get_mut(path) {
        node.data = Data::Scalar(toml::Value::String(text));
        node.raw = None;
    }
    let helped = attempt(&trial).map_or_else(|(failed, _)| failed != path, |_| true);
    if helped {
        *root = trial;
    }
    helped
}

fn failure(root: &Node, path: &[&str], message: &str) -> ConfigError {
    if let Some(missing) = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next())
    {
        let parent = root.nearest(path);
        let mut full = path.to_vec();
        full.push(missing);
        let remedy = match hint(&full) {
            "" => format!("write {missing} = …"),
            hint => hint.to_owned(),
        };
        return ConfigError {
            key: join(&parent.key, missing),
            value: None,
            ..describe(parent, "the key is missing", remedy)
        };
    }
    let (problem, remedy) = explain(message, path);
    let node = root.nearest(path);
    describe(node, problem, remedy)
}

/// An error about `node`, its value shown unless it is a secret.
pub(super) fn describe(
    node: &Node,
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> ConfigError {
    ConfigError {
        place: node.place.clone(),
        key: node.key.clone(),
        value: shown(node),
        problem: problem.into(),
        remedy: remedy.into(),
    }
}

fn shown(node: &Node) -> Option<String> {
    // A table would be long, and may hold a secret further down.
    if matches!(node.data, Data::Table(_)) || is_secret(&node.key) {
        return None;
    }
    let mut value = node.to_value();
    if let toml::Value::String(text) = &mut value {
        *text = masked_address(text);
    }
    let text = value.to_string().replace(['\n', '\r'], " ");
    if text.chars().count() <= SHOWN {
        return Some(text);
    }
    let cut: String = text.chars().take(SHOWN).collect();
    Some(format!("{cut}…"))
}

/// Whether a key may hold a secret, also when it is misspelt or stands in the wrong place.
fn is_secret(key: &str) -> bool {
    const WORDS: [&str; 9] = [
        "token",
        "password",
        "passwd",
        "secret",
        "bearer",
        "basic",
        "credential",
        "headers",
        "params",
    ];
    let key = key.to_lowercase();
    let last = key.rsplit('.').next().unwrap_or_default();
    WORDS.iter().any(|word| key.contains(word)) || nearest(last, WORDS).is_some()
}

/// An address with credentials, the values of its parameters and its fragment masked: `http://********@host/?token=********`.
/// Any other text unchanged.
pub(super) fn masked_address(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (rest, fragment) = match rest.split_once('#') {
        Some((rest, _)) => (rest, format!("#{MASK}")),
        None => (rest, String::new()),
    };
    let (place, query) = match rest.split_once('?') {
        Some((place, query)) => (place, format!("?{}", masked_query(query))),
        None => (rest, String::new()),
    };
    let authority = if url::Url::parse(text).is_ok() {
        place.split('/').next().unwrap_or(place)
    } else {
        // Where the password of what is no address ends nobody can tell.
        place
    };
    let place = match authority.rsplit_once('@') {
        Some((credentials, _)) => {
            let rest = place.get(credentials.len()..).unwrap_or_default();
            format!("{MASK}{rest}")
        }
        None => place.to_owned(),
    };
    format!("{scheme}://{place}{query}{fragment}")
}

/// Whatever a parameter is called, its value may be a secret.
fn masked_query(query: &str) -> String {
    let masked = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) => format!("{name}={MASK}"),
        // A word alone may be a token.
        None if pair.is_empty() => String::new(),
        None => MASK.to_owned(),
    });
    masked.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_what_may_be_secret() {
        for (address, shown) in [
            ("http://h:9090/prom", "http://h:9090/prom"),
            ("http://me:pa/ss@h/x", "http://********@h/x"),
            ("http://h/a@b", "http://h/a@b"),
            ("http://me:pw@h/x", "http://********@h/x"),
            ("http://me:p@ss@h", "http://********@h"),
            (
                "https://h/p?dedup=true&sid=abc&word#part",
                "https://h/p?dedup=********&sid=********&********#********",
            ),
            ("http://h?token=a@b", "http://h?token=********"),
            ("2024-01-01 ?x=1", "2024-01-01 ?x=1"),
        ] {
            assert_eq!(masked_address(address), shown);
        }
    }
}
