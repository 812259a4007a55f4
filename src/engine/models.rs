//! Models between the registry and the engine: loading the last good one, refusing one that does not fit, keeping a new one.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::EngineError;
use super::learn::{self, Learned};
use crate::config::Config;
use crate::detect::calibration::under;
use crate::domain::{Decision, ModelEntry, ModelView, Time};
use crate::model::Bundle;
use crate::store::{ListedModel, ModelMeta, Registry, RegistryError, version_of};

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
        let Some(version) = registry.current_version()? else {
            break;
        };
        if found.look_at(registry, &version, config)? {
            break;
        }
    }
    Ok(found)
}

/// One version, if it can be read and fits the configuration; a damaged one is set aside.
///
/// # Errors
/// [`EngineError::Registry`] when there is no such version or the registry can't be read.
pub fn choose(registry: &Registry, version: &str, config: &Config) -> Result<Found, EngineError> {
    registry.find(version)?;
    let mut found = Found::default();
    found.look_at(registry, version, config)?;
    Ok(found)
}

impl Found {
    /// Takes a version that fits; `false` when it is damaged and was set aside.
    fn look_at(
        &mut self,
        registry: &Registry,
        version: &str,
        config: &Config,
    ) -> Result<bool, EngineError> {
        let reason = match registry.read(version) {
            Err(RegistryError::Damaged { reason, .. }) => reason,
            Err(error) => return Err(error.into()),
            Ok((bytes, meta)) => match Bundle::from_bytes(&bytes) {
                Err(error) => error.to_string(),
                Ok(bundle) => {
                    self.take(bundle, meta, config);
                    return Ok(true);
                }
            },
        };
        registry.set_aside(version)?;
        self.notices.push(format!(
            "model {version} is damaged and was set aside: {reason}"
        ));
        Ok(false)
    }

    fn take(&mut self, mut bundle: Bundle, meta: ModelMeta, config: &Config) {
        let differences = differences(&bundle.fingerprint, &learn::fingerprint(config));
        if !differences.is_empty() {
            let (version, list) = (&meta.version, differences.join("; "));
            self.notices.push(format!(
                "model {version} does not fit the configuration and is not used: {list}"
            ));
            return;
        }
        self.notices.extend(recalibrate(&mut bundle, config));
        let meta = ModelMeta {
            threshold_mse: bundle.calibration.threshold_mse,
            threshold_rule: bundle.calibration.rule.clone(),
            ..meta
        };
        self.model = Some((bundle, meta));
    }
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

/// The version that the registry gives a model: trainings on the same data with the same settings give the same one.
///
/// # Errors
/// [`EngineError`] when the bundle can't be written out.
pub fn version(bundle: &Bundle) -> Result<String, EngineError> {
    Ok(version_of(&bundle.to_bytes()?, bundle.trained_on.1))
}

/// What becomes of a model that is the one that scores.
#[must_use]
pub fn same_again() -> Decision {
    Decision {
        promoted: true,
        reason: "it scores already, as the data and the settings are the same".into(),
        comparison: None,
    }
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

/// What readers see of the models that are kept, newest first. One that scores and could not be kept comes before them.
pub fn entries(kept: &[ListedModel], scoring: Option<&ModelView>) -> Arc<[ModelEntry]> {
    let scores = |version: &str| scoring.is_some_and(|model| model.version == version);
    let lost = scoring.filter(|model| kept.iter().all(|k| k.meta.version != model.version));
    let lost = lost.map(|model| ModelEntry {
        model: model.clone(),
        is_current: true,
        decision: None,
    });
    let kept = kept.iter().map(|ListedModel { meta, .. }| ModelEntry {
        model: view(meta),
        is_current: scores(&meta.version),
        decision: meta.decision.clone(),
    });
    lost.into_iter().chain(kept).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_model_that_scores_is_listed_also_when_it_could_not_be_kept() {
        let meta = |version: &str| ModelMeta {
            version: version.into(),
            trained_at: Time::from_secs(0),
            training_took_ms: 0,
            trained_on: (Time::from_secs(0), Time::from_secs(0)),
            windows: 0,
            epochs: 0,
            val_loss: 0.0,
            threshold_mse: 0.0,
            threshold_rule: "auto".into(),
            features: Vec::new(),
            entities: 1,
            decision: None,
        };
        let listed = |version: &str, current| ListedModel {
            meta: meta(version),
            current,
        };
        let kept = [listed("b", true), listed("a", false)];
        let shown = |scoring: Option<&str>| -> Vec<(String, bool)> {
            let scoring = scoring.map(|version| view(&meta(version)));
            let entries = entries(&kept, scoring.as_ref());
            let each = entries.iter();
            each.map(|e| (e.model.version.clone(), e.is_current))
                .collect()
        };
        let named = |all: &[(&str, bool)]| -> Vec<(String, bool)> {
            all.iter().map(|(v, is)| ((*v).to_owned(), *is)).collect()
        };
        assert_eq!(shown(Some("a")), named(&[("b", false), ("a", true)]));
        assert_eq!(
            shown(Some("in memory")),
            named(&[("in memory", true), ("b", false), ("a", false)])
        );
        // The registry's choice may not fit: then nothing scores.
        assert_eq!(shown(None), named(&[("b", false), ("a", false)]));
    }

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
