//! The effective configuration as text, without secrets.

use super::Config;
use super::reader::without_password;

/// What a URL parameter's name has in it when its value is a secret.
const SECRET_PARAMETERS: [&str; 4] = ["key", "token", "secret", "password"];

impl Config {
    /// Itself with every secret masked: those that are [`super::Secret`]s are masked when written anyway, this also masks
    /// credentials in addresses and parameters such as `api_key`.
    #[must_use]
    pub fn masked(&self) -> Self {
        let mut shown = self.clone();
        let source = &mut shown.source;
        source.url = without_password(&source.url);
        source.proxy = source.proxy.as_deref().map(without_password);
        for (name, value) in &mut source.params {
            let name = name.to_lowercase();
            if SECRET_PARAMETERS.iter().any(|word| name.contains(word)) {
                "********".clone_into(value);
            }
        }
        shown
    }

    /// As TOML, secrets masked, every key present that has a value.
    ///
    /// # Errors
    /// A value that TOML can't say, such as a number over 2^63.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(&self.masked())
    }
}
