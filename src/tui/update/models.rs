//! Moving among the models, and letting another one score.

use crate::domain::{Command, Level, ModelEntry, Snapshot};

use super::super::action::Intent;
use super::super::state::{Mode, Panel, Question, UiState};
use super::super::{text, view};
use super::{moves, order, toast};

/// Points at the newest model: by its version, as one that comes later takes its place in the list.
pub(super) fn open(state: &mut UiState, snapshot: &Snapshot) {
    point(state, 0, snapshot);
}

fn point(state: &mut UiState, row: usize, snapshot: &Snapshot) {
    let entry = state.pipeline(snapshot).and_then(|p| p.models.get(row));
    state.model = entry.map(|entry| entry.model.version.clone());
}

/// A key in the panel: arrows point at a model, Enter asks for it.
pub(super) fn press(state: &mut UiState, intent: Intent, snapshot: &Snapshot) {
    if intent == Intent::Expand {
        return ask(state, snapshot);
    }
    if let Some(pipeline) = state.pipeline(snapshot) {
        let at = state.model_index(pipeline);
        let page = view::page(state, snapshot, Panel::Models);
        let next = moves::along(intent, at, page, pipeline.models.len());
        point(state, next, snapshot);
    }
}

/// Asks whether the model that is pointed at is to score from now on.
fn ask(state: &mut UiState, snapshot: &Snapshot) {
    let pipeline = state.pipeline(snapshot);
    let entry = pipeline.and_then(|p| p.models.get(state.model_index(p)));
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
        said: format!("switching to model {version}"),
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
