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
    /// counts as empty.
    #[must_use]
    pub fn of(labels: &Labels, group_by: &[String]) -> Self {
        let values: Vec<&str> = group_by
            .iter()
            .map(|name| labels.get(name).map_or("", String::as_str))
            .collect();
        Self::named(&values.join("/"))
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
