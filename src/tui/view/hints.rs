//! Which keys are offered where. Outside of panels they are those of the binding table, with its words; in a panel a key
//! does something of its own, so each panel has its words here. Keys come from the table in both cases, and what the screen
//! may not do is not offered.

use ratatui::layout::Rect;

use crate::domain::Snapshot;
use crate::tui::action::Intent;
use crate::tui::keymap::{BINDINGS, Binding, Hint};
use crate::tui::state::{Mode, Panel, Place, Sort, UiState};

use super::layout::{Kind, layout};

/// Keys with what they do, the most useful first.
type Words = &'static [(Intent, &'static str)];

const HELP: Words = &[
    (Intent::Back, "back"),
    (Intent::Down, "more"),
    (Intent::Filter, "search"),
    (Intent::Palette, "do"),
    (Intent::Quit, "quit"),
];
const WHY: Words = &[
    (Intent::Back, "back"),
    (Intent::Acknowledge, "seen"),
    (Intent::MarkFalse, "false alarm"),
    (Intent::MarkReal, "real"),
    (Intent::Copy, "copy"),
    (Intent::Down, "more"),
    (Intent::Help, "help"),
];
const LOG: Words = &[
    (Intent::Back, "back"),
    (Intent::Expand, "go there"),
    (Intent::Why, "why"),
    (Intent::Acknowledge, "seen"),
    (Intent::MarkFalse, "false alarm"),
    (Intent::MarkReal, "real"),
    (Intent::Filter, "filter"),
    (Intent::Sort, "sort"),
    (Intent::Reverse, "reverse"),
    (Intent::Copy, "copy"),
    (Intent::Export, "export"),
    (Intent::Help, "help"),
];
const ERRORS: Words = &[
    (Intent::Back, "back"),
    (Intent::Expand, "chart"),
    (Intent::Sort, "sort"),
    (Intent::Reverse, "reverse"),
    (Intent::Filter, "filter"),
    (Intent::Why, "why"),
    (Intent::NextEntity, "entity"),
    (Intent::Copy, "copy"),
    (Intent::Export, "export"),
    (Intent::Help, "help"),
];
const ENTITIES: Words = &[
    (Intent::Back, "back"),
    (Intent::Expand, "show it"),
    (Intent::Filter, "search"),
    (Intent::Sort, "sort"),
    (Intent::Reverse, "reverse"),
    (Intent::Export, "export"),
    (Intent::Help, "help"),
];
const TRAINING: Words = &[
    (Intent::Back, "back"),
    (Intent::Retrain, "train"),
    (Intent::Cancel, "cancel"),
    (Intent::Models, "models"),
    (Intent::Down, "more"),
    (Intent::Export, "export"),
    (Intent::Help, "help"),
];
const MODELS: Words = &[
    (Intent::Back, "back"),
    (Intent::Expand, "use this model"),
    (Intent::Retrain, "train"),
    (Intent::Training, "training"),
    (Intent::Export, "export"),
    (Intent::Help, "help"),
];
const HEALTH: Words = &[
    (Intent::Back, "back"),
    (Intent::Down, "more"),
    (Intent::Slower, "slower"),
    (Intent::Faster, "faster"),
    (Intent::Models, "models"),
    (Intent::Help, "help"),
];
/// Under what is known of an incident.
const INCIDENT: Words = &[
    (Intent::Expand, "shows the moment"),
    (Intent::Why, "why"),
    (Intent::Acknowledge, "acknowledge"),
    (Intent::MarkFalse, "false alarm"),
    (Intent::MarkReal, "real"),
];

const fn of_panel(panel: Panel) -> Words {
    match panel {
        Panel::Help => HELP,
        Panel::Why => WHY,
        Panel::Log => LOG,
        Panel::Errors => ERRORS,
        Panel::Entities => ENTITIES,
        Panel::Training => TRAINING,
        Panel::Models => MODELS,
        Panel::Health => HEALTH,
    }
}

/// Keys and words of the hint bar, the most useful first: those of the open panel, or those of the table that do something
/// here.
pub fn hints(state: &UiState, snapshot: &Snapshot) -> Vec<(String, String)> {
    if let Some(open) = state.open {
        let mut words = told(state, of_panel(open.panel));
        if open.panel == Panel::Log && on_group(state, snapshot) {
            words.insert(1, (keys(state, Intent::Fold), "fold".into()));
        }
        return words;
    }
    BINDINGS
        .iter()
        .filter(|binding| state.may(binding.intent) && applies(binding, state, snapshot))
        .map(|binding| (keys(state, binding.intent), word(binding, state)))
        .collect()
}

/// Keys and words under what is known of an incident.
pub fn of_incident(state: &UiState) -> Vec<(String, String)> {
    told(state, INCIDENT)
}

fn told(state: &UiState, words: Words) -> Vec<(String, String)> {
    let able = words.iter().filter(|(intent, _)| state.may(*intent));
    able.map(|(intent, word)| (keys(state, *intent), (*word).to_owned()))
        .collect()
}

/// The key, with that of the other direction.
fn keys(state: &UiState, intent: Intent) -> String {
    let (one, other) = match intent {
        Intent::ZoomIn => (Intent::ZoomIn, Intent::ZoomOut),
        Intent::NextEntity => (Intent::PreviousEntity, Intent::NextEntity),
        Intent::Down => (Intent::Up, Intent::Down),
        Intent::Left => (Intent::Left, Intent::Right),
        intent => return state.keymap.key(intent),
    };
    format!("{} {}", state.keymap.key(one), state.keymap.key(other))
}

fn word(binding: &Binding, state: &UiState) -> String {
    match (binding.intent, state.frozen) {
        (Intent::Sort, _) => sorts(state),
        (Intent::Freeze, Some(_)) => "resume".into(),
        _ => binding.short.into(),
    }
}

/// What the key that sorts does to what is in focus.
fn sorts(state: &UiState) -> String {
    let words = match (state.place(), state.sort) {
        (Place::Log, _) => return format!("sort {}", state.log.next().told(state.reversed.log)),
        (_, Sort::Name) => "sort by score",
        (_, Sort::Score) => "sort by last anomaly",
        (_, Sort::LastIncident) => "sort by name",
    };
    words.into()
}

fn applies(binding: &Binding, state: &UiState, snapshot: &Snapshot) -> bool {
    let pipeline = state.pipeline(snapshot);
    let shown = state.shown(snapshot).is_some();
    let incidents = pipeline.is_some_and(|p| !p.incidents.is_empty());
    match binding.hint {
        Hint::Never => false,
        Hint::Always => true,
        Hint::Panes | Hint::Lists => !state.expanded && shown,
        Hint::Scored => pipeline.is_some_and(|p| p.model.is_some()),
        Hint::Compact => !state.expanded && incidents && view_kind(state) == Kind::Compact,
        Hint::Charts => shown,
        Hint::Inside | Hint::Detail => state.expanded,
        Hint::Training => pipeline.is_some_and(|p| p.training.is_some()),
        Hint::Test => state.mode == Mode::Test && pipeline.is_some(),
        Hint::Entities => pipeline.is_some_and(|p| p.entities.len() > 1),
        Hint::Incident => incidents,
        Hint::Group => state.place() == Place::Log && on_group(state, snapshot),
    }
}

/// The selected line of the log is a group, or one of its incidents.
fn on_group(state: &UiState, snapshot: &Snapshot) -> bool {
    let pipeline = state.pipeline(snapshot);
    let chosen = pipeline.and_then(|p| Some((p, state.chosen_incident(p)?)));
    chosen.is_some_and(|(p, incident)| state.group_of(p, incident).is_some())
}

fn view_kind(state: &UiState) -> Kind {
    let area = Rect::new(0, 0, state.size.0, state.size.1);
    layout(area, 0, 0, 0, state.hints).kind
}
