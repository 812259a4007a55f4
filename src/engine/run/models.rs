//! Which model scores: the last good one at the start, a new one after a training, or one that somebody chose.

use std::sync::Arc;

use super::Core;
use crate::domain::{Level, PipelineId};
use crate::engine::events;
use crate::engine::scorer::Scorer;
use crate::engine::{EngineError, models};
use crate::store::ModelMeta;

impl Core {
    /// The last good model scores at once; none does where nothing detects.
    pub(super) fn load_model(&mut self) -> Result<(), EngineError> {
        let found = if self.config.detects() {
            models::load(&self.registry, &self.config)?
        } else {
            models::Found::default()
        };
        for text in found.notices {
            self.note(Level::Warning, text);
        }
        if let Some((bundle, meta)) = found.model {
            let scorer = Scorer::new(bundle, Arc::clone(&self.config))?;
            let held_back = self.registry.held_back(&meta.version);
            self.let_score(PipelineId::Live, scorer, &meta, &held_back);
            let newest = self.registry.list()?.into_iter().next();
            self.live.learned =
                newest.map(|newest| (newest.meta.trained_at, newest.meta.trained_on));
        }
        if self.live.model.is_some() || !self.config.detects() {
            self.live.collector.play();
        }
        self.list_models();
        Ok(())
    }

    /// Another version of the registry scores from now on and after the next start; says so, or why not.
    pub(super) fn use_model(&mut self, version: &str) {
        if !self.config.detects() {
            let text = format!(
                "model {version} does not score: [autoencoder] enabled = false and [forecast] enabled = false"
            );
            return self.note(Level::Warning, text);
        }
        let before = self.live.model.as_ref().map(|model| model.version.clone());
        if before.as_deref() == Some(version) {
            return self.stay_with(version);
        }
        match self.change_model(version) {
            Ok(true) => {
                let place = before.map_or_else(String::new, |old| format!(", in place of {old}"));
                let text = format!("model {version} scores from now on{place}");
                self.note(Level::Info, text);
            }
            Ok(false) => {}
            Err(error) => self.note(
                Level::Error,
                format!("model {version} could not be taken: {error}"),
            ),
        }
        self.list_models();
    }

    /// The model that scores was chosen again. A shell may have chosen another one for the next start meanwhile.
    fn stay_with(&mut self, version: &str) {
        match self.registry.use_version(version) {
            Ok(()) => self.note(Level::Info, format!("model {version} scores already")),
            Err(error) => self.note(
                Level::Warning,
                format!("model {version} scores already, but not after the next start: {error}"),
            ),
        }
        self.list_models();
    }

    /// Whether it was taken: one that is damaged or does not fit is not, and that was told.
    fn change_model(&mut self, version: &str) -> Result<bool, EngineError> {
        let found = models::choose(&self.registry, version, &self.config)?;
        for text in found.notices {
            self.note(Level::Warning, text);
        }
        let Some((bundle, meta)) = found.model else {
            return Ok(false);
        };
        let scorer = Scorer::new(bundle, Arc::clone(&self.config))?;
        // First for the next start: what can't be kept must not score until then only.
        self.registry.use_version(version)?;
        let held_back = self.registry.held_back(version);
        self.let_score(PipelineId::Live, scorer, &meta, &held_back);
        self.live.collector.play();
        Ok(true)
    }

    /// Lets a model score in a lane from the next row on, also when labels can't be read: its threshold is then the calibrated
    /// one until they can.
    pub(super) fn let_score(
        &mut self,
        id: PipelineId,
        scorer: Scorer,
        meta: &ModelMeta,
        held_back: &[f64],
    ) {
        let now = self.clock.now();
        let Some(lane) = self.lane(id) else { return };
        lane.has_history &= !lane.pipeline.adopt(Arc::new(scorer));
        lane.source.has_new_columns();
        let model = models::view(meta);
        if id == PipelineId::Live {
            events::model_active(&model, now);
        }
        lane.model = Some(model);
        lane.forecast_at = None;
        lane.look_back();
        lane.touch();
        if let Err(error) = lane.pipeline.know(&meta.version, held_back) {
            let version = &meta.version;
            self.note(
                Level::Warning,
                format!(
                    "labels could not be read and do not count for model {version} yet: {error}"
                ),
            );
        }
    }

    /// Reads anew which models are kept; to be called when that has changed.
    pub(super) fn list_models(&mut self) {
        match self.registry.list() {
            Ok(kept) => self.live.models = models::entries(&kept, self.live.model.as_ref()),
            Err(error) => tracing::warn!("the models that are kept can't be listed: {error}"),
        }
    }
}
