//! Whether the data of a pipeline have changed for good: one test per entity, kept over restarts.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::checkpoint;
use crate::config::Config;
use crate::detect::drift::{Drift, Usual};
use crate::domain::{Entity, Verdict};

/// Key of its checkpoint in the journal.
pub const DRIFT: &str = "drift";

/// Part of the entities that must have changed: a fleet's shared model is not trained anew for one of its hosts.
const PART: f64 = 0.1;

/// The tests of a pipeline; a few numbers per entity.
#[derive(Debug)]
pub struct Drifts {
    kept: Kept,
    window: usize,
    step: Duration,
}

/// What a restart needs.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// Version of the model whose errors are looked at.
    model: Option<String>,
    usual: Option<Usual>,
    /// Each is written with its entity's checkpoint. An older release kept them here.
    #[serde(default, skip_serializing)]
    tests: BTreeMap<Entity, Drift>,
}

impl Drifts {
    /// Tests that go on where the checkpoint `bytes` and those of the entities left them; a checkpoint that can't be read
    /// begins anew. Entities without a checkpoint are gone, and their tests with them.
    pub fn new(
        config: &Config,
        bytes: Option<&[u8]>,
        entities: &mut BTreeMap<Entity, checkpoint::Kept>,
    ) -> Self {
        let kept = bytes.and_then(|bytes| serde_json::from_slice(bytes).ok());
        let mut kept: Kept = kept.unwrap_or_default();
        kept.tests.retain(|entity, _| entities.contains_key(entity));
        let own = entities
            .iter_mut()
            .filter_map(|(entity, own)| Some((entity.clone(), own.drift.take()?)));
        kept.tests.extend(own);
        Self {
            kept,
            window: config.autoencoder.window,
            step: config.source.step.0,
        }
    }

    /// The bytes of its checkpoint, without the tests.
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.kept).unwrap_or_default()
    }

    /// The test of an entity, for its checkpoint.
    pub fn test(&self, entity: &Entity) -> Option<&Drift> {
        self.kept.tests.get(entity)
    }

    /// A model scores from now on. The one that did so before goes on as it was; another begins anew, with what is usual by
    /// its held-back errors.
    pub fn model(&mut self, version: &str, held_back: &[f64]) {
        if self.kept.model.as_deref() != Some(version) {
            self.kept = Kept {
                model: Some(version.into()),
                usual: Usual::of(held_back),
                tests: BTreeMap::new(),
            };
        }
    }

    /// The next model is another one, even under the same name: those that are not kept have none of their own.
    pub fn replaced(&mut self) {
        self.kept.model = None;
    }

    /// Begins anew under the same model: its successor was refused.
    pub fn clear(&mut self) {
        self.kept.tests.clear();
    }

    /// Takes a verdict, in order of time per entity.
    pub fn take(&mut self, verdict: &Verdict) {
        let Some(mse) = verdict.mse else { return };
        let usual = self.kept.usual;
        let test = self.kept.tests.entry(verdict.entity.clone());
        test.or_insert_with(|| Drift::new(usual))
            .take(mse, self.window, self.step);
    }

    /// Entities gone for good.
    pub fn forget(&mut self, entity: &Entity) {
        self.kept.tests.remove(entity);
    }

    /// How many entities have changed, when that is a tenth of them or more.
    pub fn fired(&self) -> Option<usize> {
        let levels = self.kept.tests.values();
        let changed = levels
            .filter(|test| test.level(self.window, self.step) >= 1.0)
            .count();
        let enough = (changed as f64) >= PART * self.kept.tests.len() as f64;
        (changed > 0 && enough).then_some(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{RowState, Time};

    #[test]
    fn a_new_model_of_the_same_name_is_looked_at_anew() {
        let config = Config::default();
        let mut drifts = Drifts::new(&config, None, &mut BTreeMap::new());
        let usual: Vec<f64> = (0..200)
            .map(|i| 1e-3 * (1.0 + 0.1 * f64::from(i % 7)))
            .collect();
        drifts.model("in memory", &usual);
        for row in 0..3000 {
            let verdict = Verdict {
                mse: Some(0.1),
                ..Verdict::unscored(Time::from_secs(row * 60), Entity::sole(), RowState::Scored)
            };
            drifts.take(&verdict);
        }
        assert_eq!(drifts.fired(), Some(1));
        drifts.model("in memory", &usual);
        assert_eq!(
            drifts.fired(),
            Some(1),
            "the same model as before a restart"
        );
        drifts.replaced();
        drifts.model("in memory", &usual);
        assert_eq!(drifts.fired(), None);
    }

    #[test]
    fn an_entity_that_is_gone_has_no_part_in_the_quota() {
        let config = Config::default();
        let mut drifts = Drifts::new(&config, None, &mut BTreeMap::new());
        let usual: Vec<f64> = (0..200).map(|i| 1e-3 * f64::from(1 + i % 7)).collect();
        drifts.model("in memory", &usual);
        let host = |i: u32| Entity::named(&format!("host-{i}"));
        for row in 0..3000 {
            for entity in (0..11).map(host) {
                let mse = if entity == host(0) { 0.1 } else { 2e-3 };
                drifts.take(&Verdict {
                    mse: Some(mse),
                    ..Verdict::unscored(Time::from_secs(row * 60), entity, RowState::Scored)
                });
            }
        }
        assert_eq!(drifts.fired(), None, "one of eleven");
        drifts.forget(&host(10));
        assert_eq!(drifts.fired(), Some(1), "one of ten");
        drifts.forget(&host(0));
        assert_eq!(drifts.fired(), None, "the one that had changed is gone");
        assert!(drifts.test(&host(0)).is_none());
    }
}
