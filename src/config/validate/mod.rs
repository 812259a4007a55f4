//! What the types can't say: ranges, names, expressions, and settings that must fit each other.
//!
//! Every check adds to one list, so that a person sees everything that is wrong at once.

mod learning;
mod maintenance;
mod outside;
mod serving;
mod source;

use super::document::{Node, join};
use super::errors::ConfigError;
use super::reader::describe;
use super::{Config, Span};

/// Checks the whole configuration. `root` is the document it was read from, for the places of errors; `known` are errors
/// found before, whose keys are not spoken of again. Returns what is wrong and what a person should know.
pub(super) fn validate(
    config: &Config,
    root: &Node,
    known: &[ConfigError],
) -> (Vec<ConfigError>, Vec<String>) {
    let mut findings = Findings {
        root,
        known,
        errors: Vec::new(),
        notes: Vec::new(),
    };
    source::check(config, &mut findings);
    source::check_queries(config, &mut findings);
    source::check_entities(config, &mut findings);
    learning::check(config, &mut findings);
    maintenance::check(config, &mut findings);
    serving::check(config, &mut findings);
    (findings.errors, findings.notes)
}

/// What asking the source needs from outside and does not find.
pub(super) fn lacks_for_source(config: &Config, root: &Node) -> Vec<ConfigError> {
    lacks(config, root, outside::check_source)
}

/// What the HTTP routes need from outside and do not find.
pub(super) fn lacks_for_serving(config: &Config, root: &Node) -> Vec<ConfigError> {
    lacks(config, root, outside::check_serving)
}

fn lacks(
    config: &Config,
    root: &Node,
    check: impl Fn(&Config, &mut Findings<'_>),
) -> Vec<ConfigError> {
    let mut findings = Findings {
        root,
        known: &[],
        errors: Vec::new(),
        notes: Vec::new(),
    };
    check(config, &mut findings);
    findings.errors
}

/// An error about the value at `path`, be it written or not.
pub(super) fn error_at(
    root: &Node,
    path: &[&str],
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> ConfigError {
    let mut error = describe(root.nearest(path), problem, remedy);
    if root.get(path).is_none() {
        // Not written: a default, or a key that is missing.
        error.key = path
            .iter()
            .fold(String::new(), |key, step| join(&key, step));
        error.value = None;
    }
    error
}

/// What was found so far.
struct Findings<'d> {
    root: &'d Node,
    known: &'d [ConfigError],
    errors: Vec<ConfigError>,
    notes: Vec<String>,
}

impl Findings<'_> {
    /// Records that the value at `path` is wrong, unless that key or a part of it was spoken of already.
    fn wrong(&mut self, path: &[&str], problem: impl Into<String>, remedy: impl Into<String>) {
        let error = error_at(self.root, path, problem, remedy);
        if self
            .known
            .iter()
            .any(|known| overlap(&known.key, &error.key))
        {
            return;
        }
        self.errors.push(error);
    }

    fn require(&mut self, holds: bool, path: &[&str], problem: &str, remedy: &str) {
        if !holds {
            self.wrong(path, problem, remedy);
        }
    }

    /// A length of time of at least `least`.
    fn at_least(&mut self, span: Span, least: Span, path: &[&str]) {
        if span < least {
            self.wrong(
                path,
                "this is too short",
                format!("write \"{least}\" or more"),
            );
        }
    }

    /// A whole number within `range`.
    fn within(&mut self, number: usize, range: std::ops::RangeInclusive<usize>, path: &[&str]) {
        if !range.contains(&number) {
            self.wrong(
                path,
                "this is out of range",
                format!(
                    "write a whole number from {} to {}",
                    range.start(),
                    range.end()
                ),
            );
        }
    }

    /// A finite number over 0.
    fn positive(&mut self, number: f64, path: &[&str], example: &str) {
        self.require(
            number.is_finite() && number > 0.0,
            path,
            "this must be a number over 0",
            &format!("write {example}"),
        );
    }
}

/// Whether one key is the other or lies within it.
fn overlap(a: &str, b: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    !a.is_empty() && !b.is_empty() && (within(a, b) || within(b, a))
}
