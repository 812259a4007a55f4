//! Who is watched: one host, pod, or whatever `group_by` names.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Label names and values, ordered by name.
pub type Labels = BTreeMap<String, String>;

/// One watched thing, named by the values of the `group_by` labels joined with `/`. Without `group_by` there is exactly
/// one entity and its name is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Entity(Arc<str>);

impl Entity {
    /// The single entity of an installation without `group_by`.
    #[must_use]
    pub fn sole() -> Self {
        Self(Arc::from(""))
    }

    /// An entity by name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The entity that a label set belongs to: values of `group_by` in that order, joined with `/`; a missing label
    /// counts as empty. A `/` in any value but the last is written as `\/` (and `\` as `\\`), so that no name is that of two
    /// entities.
    #[must_use]
    pub fn of(labels: &Labels, group_by: &[String]) -> Self {
        let value = |name: &String| labels.get(name).map_or("", String::as_str);
        let Some((last, others)) = group_by.split_last() else {
            return Self::sole();
        };
        let mut joined = String::new();
        for name in others {
            joined.push_str(&value(name).replace('\\', "\\\\").replace('/', "\\/"));
            joined.push('/');
        }
        joined.push_str(value(last));
        Self::named(&joined)
    }

    /// Its name; empty for [`Entity::sole`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether this is the nameless single entity.
    #[must_use]
    pub fn is_sole(&self) -> bool {
        self.0.is_empty()
    }
}

/// The name, or `all` for the nameless entity.
impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.is_sole() { "all" } else { &self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[(&str, &str)]) -> Entity {
        let labels: Labels = values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Entity::of(&labels, &["job".into(), "instance".into()])
    }

    #[test]
    fn two_label_sets_never_have_one_name() {
        let one = of(&[("job", "mon/node"), ("instance", "x")]);
        let other = of(&[("job", "mon"), ("instance", "node/x")]);
        assert_eq!((one.name(), other.name()), (r"mon\/node/x", "mon/node/x"));
        assert_ne!(
            of(&[("job", r"a\"), ("instance", "b")]),
            of(&[("job", "a"), ("instance", "b")])
        );
        assert_eq!(
            of(&[("job", "node"), ("instance", "web-1:9100")]).name(),
            "node/web-1:9100"
        );
        assert!(Entity::of(&Labels::new(), &[]).is_sole());
    }
}
