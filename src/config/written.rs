//! Remembers where each setting was written, so that what is found wrong later can still name file, line and key.

use super::Config;
use super::document::Node;
use super::errors::{ConfigError, ConfigErrors};
use super::validate;

/// The document that a configuration was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Written(pub(super) Node);

impl Written {
    /// An error about the value at `path` (keys, and positions of lists as numbers).
    #[must_use]
    pub fn error(
        &self,
        path: &[&str],
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> ConfigError {
        validate::error_at(&self.0, path, problem, remedy)
    }

    /// What `config` needs to ask its source and does not find: variables, files, secrets that can be sent.
    #[must_use]
    pub fn lacks_for_source(&self, config: &Config) -> Vec<ConfigError> {
        validate::lacks_for_source(config, &self.0)
    }

    /// What `config` needs to serve its HTTP routes and does not find.
    #[must_use]
    pub fn lacks_for_serving(&self, config: &Config) -> Vec<ConfigError> {
        validate::lacks_for_serving(config, &self.0)
    }

    /// All of `found`, in the order of the file.
    ///
    /// # Errors
    /// [`ConfigErrors`] unless that is nothing.
    pub fn refuse(found: Vec<ConfigError>) -> Result<(), ConfigErrors> {
        ConfigErrors::check(found)
    }
}
