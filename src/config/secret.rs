//! Secrets: given in place, by an environment variable or by a file; never printed.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// What stands in for a secret wherever it would be shown.
pub(super) const MASK: &str = "********";

/// What the name of a parameter has in it when its value is a secret.
const SECRET_NAMES: [&str; 10] = [
    "auth",
    "credential",
    "jwt",
    "key",
    "pass",
    "pwd",
    "secret",
    "session",
    "sig",
    "token",
];

/// Whether a parameter of this name holds a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_NAMES.iter().any(|word| name.contains(word))
}

/// A secret as it stands in the file: a string, `{ env = "NAME" }` or `{ file = "PATH" }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a string, { env = \"NAME\" } or { file = \"PATH\" }"
)]
pub enum Secret {
    /// In the file itself.
    Inline(SecretString),
    /// In an environment variable.
    Env(FromEnv),
    /// In a file, whose trailing line end is dropped.
    File(FromFile),
}

/// `{ env = "NAME" }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FromEnv {
    /// Name of the variable.
    pub env: String,
}

/// `{ file = "PATH" }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FromFile {
    /// Where the secret stands.
    pub file: PathBuf,
}

impl Secret {
    /// The secret itself.
    ///
    /// # Errors
    /// A sentence that names the variable or file that is not there; never the secret.
    pub fn resolve(&self) -> Result<SecretString, String> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::Env(FromEnv { env }) => std::env::var(env)
                .map(SecretString::from)
                .map_err(|_| format!("the environment variable `{env}` is not set; set it, or use {{ file = \"…\" }}")),
            Self::File(FromFile { file }) => match std::fs::read_to_string(file) {
                Ok(text) => Ok(SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned())),
                Err(error) => Err(format!("the secret's file {} can't be read: {error}", file.display())),
            },
        }
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inline(a), Self::Inline(b)) => a.expose_secret() == b.expose_secret(),
            (Self::Env(a), Self::Env(b)) => a == b,
            (Self::File(a), Self::File(b)) => a == b,
            _ => false,
        }
    }
}

/// Masked when given in place; where it comes from when not.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Inline(_) => serializer.serialize_str(MASK),
            Self::Env(from) => from.serialize(serializer),
            Self::File(from) => from.serialize(serializer),
        }
    }
}
