//! Numbers in JSON, which knows no NaN: it is written as null, and null is read as NaN.

use serde::{Deserialize, Deserializer};

/// For `#[serde(deserialize_with)]`: a number, or NaN for null. Writing needs no help: serde_json writes NaN as null.
pub(super) fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
