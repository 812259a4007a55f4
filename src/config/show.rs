//! Shows the effective configuration as text, without secrets.

use super::Config;
use super::reader::masked_address;
use super::secret::{MASK, is_secret_name};

impl Config {
    /// Itself with every secret masked: those that are [`super::Secret`]s are masked when written anyway, this also masks
    /// credentials and parameters in addresses, and parameters such as `api_key`.
    #[must_use]
    pub fn masked(&self) -> Self {
        let mut shown = self.clone();
        let source = &mut shown.source;
        source.url = masked_address(&source.url);
        source.proxy = source.proxy.as_deref().map(masked_address);
        for (name, value) in &mut source.params {
            if is_secret_name(name) {
                MASK.clone_into(value);
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
