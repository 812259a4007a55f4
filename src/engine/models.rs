//! Models between the registry and the engine: loading the last good one, refusing one that does not fit, keeping a new one.

use std::collections::BTreeSet;

use serde_json::Value;

use super::EngineError;
use super::learn::{self, Learned};
use crate::config::Config;
use crate::detect::calibration::under;
use crate::domain::{Decision, ModelView, Time};
use crate::model::Bundle;
use crate::store::{ModelMeta, Registry, RegistryError};

/// A bundle that was found, or what was wrong with those that were not taken.
#[derive(Debug, Default)]
pub struct Found {
    /// The model and its figures.
    pub model: Option<(Bundle, ModelMeta)>,
    /// What was refused or set aside, one readable line each.
    pub notices: Vec<String>,
}

/// Damaged models that are set aside before the search ends.
const TRIES: usize = 10;

/// The current model, if it can be read and fits the configuration. A damaged one is set aside and the one before it is
/// looked at; one that does not fit is left where it is and refused.
///
/// # Errors
/// [`EngineError::Registry`] when the registry itself can't be read.
pub fn load(registry: &Registry, config: &Config) -> Result<Found, EngineError> {
    let mut found = Found::default();
    for _ in 0..TRIES {
        let (damaged, reason) = match registry.current() {
            Ok(None) => break,
            Err(RegistryError::Damaged { version, reason }) => (version, reason),
            Err(error) => return Err(error.into()),
            Ok(Some((version, bytes, meta))) => match Bundle::from_bytes(&bytes) {
                Err(error) => (version, error.to_string()),
                Ok(mut bundle) => {
                    let differences = differences(&bundle.fingerprint, &learn::fingerprint(config));
                    if differences.is_empty() {
                        found.notices.extend(recalibrate(&mut bundle, config));
                        let meta = ModelMeta {
                            threshold_mse: bundle.calibration.threshold_mse,
                            threshold_rule: bundle.calibration.rule.clone(),
                            ..meta
                        };
                        found.model = Some((bundle, meta));
                    } else {
                        let list = differences.join("; ");
                        found.notices.push(format!(
                            "model {version} does not fit the configuration and is not used: {list}"
                        ));
                    }
                    break;
                }
            },
        };
        registry.set_aside(&damaged)?;
        found.notices.push(format!(
            "model {damaged} is damaged and was set aside: {reason}"
        ));
    }
    Ok(found)
}

/// Puts the configured threshold in force; says so when that takes a new training.
fn recalibrate(bundle: &mut Bundle, config: &Config) -> Option<String> {
    let Some(calibration) = under(&bundle.calibration, config.detect.threshold) else {
        return Some(format!(
            "[detect] threshold is in force after the next training; until then it is {}, by the rule `{}`",
            bundle.calibration.threshold_mse, bundle.calibration.rule
        ));
    };
    bundle.calibration = calibration;
    None
}

/// Where two fingerprints differ, one readable line a place.
pub fn differences(model: &Value, config: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", model, config, &mut lines);
    lines
}

fn compare(path: &str, model: &Value, config: &Value, lines: &mut Vec<String>) {
    match (model, config) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let inner = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                compare(
                    &inner,
                    a.get(key).unwrap_or(&Value::Null),
                    b.get(key).unwrap_or(&Value::Null),
                    lines,
                );
            }
        }
        (Value::Null, Value::Null) => {}
        (Value::Null, new) => lines.push(format!("{path} is new: {new}")),
        (old, Value::Null) => lines.push(format!("{path} is gone (the model has {old})")),
        (old, new) if old != new => {
            lines.push(format!("{path} is {new}, the model was trained with {old}"));
        }
        _ => {}
    }
}

/// Keeps a new model in the registry, as the current one unless it was refused; returns its figures.
///
/// # Errors
/// [`EngineError`] when it can't be written.
pub fn keep(
    registry: &Registry,
    learned: &Learned,
    decision: &Decision,
    (started, ended): (Time, Time),
    keep: usize,
) -> Result<ModelMeta, EngineError> {
    let bytes = learned.bundle.to_bytes()?;
    let mut meta = ModelMeta {
        decision: Some(decision.clone()),
        ..meta(&learned.bundle, started, ended)
    };
    meta.version = registry.add(&bytes, &meta, &learned.held_back, keep)?;
    Ok(meta)
}

/// The figures of a bundle; its version is given by the registry.
pub fn meta(bundle: &Bundle, started: Time, ended: Time) -> ModelMeta {
    ModelMeta {
        version: "in memory".into(),
        trained_at: ended,
        training_took_ms: u64::try_from(ended.since(started).as_millis()).unwrap_or(u64::MAX),
        trained_on: bundle.trained_on,
        windows: bundle.windows,
        epochs: bundle.epochs,
        val_loss: bundle.val_loss,
        threshold_mse: bundle.calibration.threshold_mse,
        threshold_rule: bundle.calibration.rule.clone(),
        features: bundle.schema.iter().map(|f| f.name.to_string()).collect(),
        entities: bundle.scalers.len(),
        decision: None,
    }
}

/// What readers see of a model.
pub fn view(meta: &ModelMeta) -> ModelView {
    ModelView {
        version: meta.version.clone(),
        trained_at: meta.trained_at,
        trained_on: meta.trained_on,
        windows: meta.windows,
        epochs: meta.epochs,
        val_loss: meta.val_loss,
        threshold_mse: meta.threshold_mse,
        threshold_rule: meta.threshold_rule.clone(),
        entities: meta.entities,
        training_took: std::time::Duration::from_millis(meta.training_took_ms),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_listed_place_by_place() {
        let model = json!({"queries": {"cpu": {"expr": "a"}, "old": {"expr": "x"}}, "step": "1m"});
        let config = json!({"queries": {"cpu": {"expr": "b"}, "new": {"expr": "y"}}, "step": "1m"});
        let lines = differences(&model, &config);
        assert_eq!(lines.len(), 3);
        assert!(
            lines[0].contains("queries.cpu.expr") && lines[0].contains("\"b\""),
            "{lines:?}"
        );
        assert!(lines[1].contains("queries.new is new"), "{lines:?}");
        assert!(lines[2].contains("queries.old is gone"), "{lines:?}");
    }
}
