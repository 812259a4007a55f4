//! Letting another model score.

use crate::domain::{Command, Level, ModelEntry, Snapshot};

use super::super::action::Intent;
use super::super::state::{Mode, Question, UiState};
use super::super::text;
use super::{order, toast};

/// Enter on a row of the models: asks whether that one is to score from now on.
pub(super) fn ask(state: &mut UiState, row: usize, snapshot: &Snapshot) {
    let models = state.pipeline(snapshot).map(|pipeline| &pipeline.models);
    let entry = models.and_then(|models| models.get(row.min(models.len().saturating_sub(1))));
    let Some(entry) = entry else {
        let why = if state.mode == Mode::Test {
            "test mode keeps no models to choose from"
        } else {
            "there is no model yet"
        };
        return toast(state, Level::Info, why.into());
    };
    let version = &entry.model.version;
    if entry.is_current {
        return toast(
            state,
            Level::Info,
            format!("model {version} scores already"),
        );
    }
    let command = Command::UseModel(version.clone());
    if state.config.read_only {
        // Refused like every other order, and told so.
        order(state, command, &mut Vec::new());
        return;
    }
    state.question = Some(Question {
        text: format!(
            "Let model {} score from now on?",
            version.split('-').next().unwrap_or(version)
        ),
        detail: detail(entry, state, snapshot),
        command,
        said: format!("model {version} is to score"),
        again: Intent::Expand,
        ticket: None,
    });
}

/// What to know before, the most telling first: whether it was refused, whose place it takes, how old it is.
fn detail(entry: &ModelEntry, state: &UiState, snapshot: &Snapshot) -> Vec<String> {
    let ago = |time| text::span(state.now.since(time));
    let pipeline = state.pipeline(snapshot);
    let place = match pipeline.and_then(|pipeline| pipeline.model.as_ref()) {
        Some(now) => format!(
            "{} takes the place of {}, which is {} old.",
            entry.model.version,
            now.version,
            ago(now.trained_at)
        ),
        None => format!("So far no model scores; {} would.", entry.model.version),
    };
    let age = format!("It was trained {} ago.", ago(entry.model.trained_at));
    let refused = entry.decision.as_ref().filter(|d| !d.promoted);
    let refused = refused.map(|d| format!("It was refused when it was new: {}.", d.reason));
    let after =
        "Incidents and labels stay; a restart keeps the choice, the next training may end it.";
    let parts = [refused, Some(place), Some(age), Some(after.into())];
    vec![parts.into_iter().flatten().collect::<Vec<_>>().join(" ")]
}
