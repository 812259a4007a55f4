//! From what happened to the next state: no I/O, no clock, no terminal.

mod detail;
mod entities;
mod errors;
mod history;
mod jump;
mod log;
mod models;
mod mouse;
mod moves;
mod orders;
mod panels;
mod prompt;
mod question;

use std::time::Duration;

use crate::config::ThemeName;
use crate::domain::{Command, Level, Snapshot, Time};

use super::action::{Action, Effect, Intent};
use super::keymap::Key;
use super::state::{Focus, Mode, Panel, Toast, UiState};
use super::{copy, export, palette};

/// Most toasts kept at once.
pub const TOASTS: usize = 3;
/// Most groups of incidents that are unfolded at once.
pub const UNFOLDED: usize = 32;
/// A notice older than this makes no toast.
const NEWS: Duration = Duration::from_secs(60);

/// Changes the state by one action and says what is to be done outside.
pub fn update(state: &mut UiState, action: Action, snapshot: &Snapshot) -> Vec<Effect> {
    let mut effects = Vec::new();
    match action {
        Action::Key(key) => typed(state, key, snapshot, &mut effects),
        Action::Paste(text) => pasted(state, &text),
        Action::Press(intent) => press(state, intent, snapshot, &mut effects),
        Action::Mouse(pointer, column, row) => {
            mouse::moved(state, pointer, (column, row), snapshot, &mut effects);
        }
        Action::Resize(columns, rows) => state.size = (columns, rows),
        Action::Arrived => arrived(state, snapshot),
        Action::Tick(now) => tick(state, now),
        Action::History { ticket, result } => history::answered(state, ticket, result),
        Action::Preview { ticket, result } => question::answered(state, ticket, result),
        Action::Say(level, text) => toast(state, level, text),
    }
    orders::wake_test(state, snapshot, &mut effects);
    history::ask(state, snapshot, &mut effects);
    effects
}

/// A key goes to the line that is typed, if there is one, else to what it is bound to.
fn typed(state: &mut UiState, key: Key, snapshot: &Snapshot, effects: &mut Vec<Effect>) {
    if key.interrupts() {
        effects.push(Effect::Quit);
    } else if state.question.is_some() {
        question::typed(state, key, effects);
    } else if state.prompt.is_some() {
        prompt::typed(state, key, snapshot, effects);
    } else if let Some(intent) = state.keymap.intent(key) {
        press(state, intent, snapshot, effects);
    }
}

/// Pasted text goes into the line that is typed and is nothing else: its letters are no keys.
fn pasted(state: &mut UiState, text: &str) {
    if state.prompt.is_some() && state.question.is_none() {
        prompt::pasted(state, text);
    } else {
        let why = "pasted text is ignored: it is only taken where a line is typed";
        toast(state, Level::Info, why.into());
    }
}

fn press(state: &mut UiState, intent: Intent, snapshot: &Snapshot, effects: &mut Vec<Effect>) {
    if state.question.is_some() {
        return;
    }
    if let Some(panel) = panel(intent) {
        panels::toggle(state, panel, snapshot);
        return;
    }
    match intent {
        Intent::Quit => effects.push(Effect::Quit),
        Intent::Back => back(state, snapshot),
        Intent::Theme => recolor(state, palette::next_theme(state.theme)),
        Intent::Freeze => {
            state.frozen = match state.frozen {
                Some(_) => None,
                None => Some(state.now),
            }
        }
        Intent::Screenshot => effects.push(Effect::Screenshot),
        Intent::Suspend => effects.push(Effect::Suspend),
        Intent::Live => enter(state, Mode::Live),
        Intent::LongTerm => enter(state, Mode::LongTerm),
        Intent::Test => enter(state, Mode::Test),
        Intent::NextMode => enter(state, next_mode(state.mode)),
        Intent::Palette | Intent::Filter => prompt::open(state, intent),
        Intent::Copy => match copy::words(state, snapshot) {
            Some(words) => effects.push(Effect::Copy(words)),
            None => toast(state, Level::Info, "there is nothing to copy here".into()),
        },
        Intent::Export => match export::table(state, snapshot) {
            Some(effect) => effects.push(effect),
            None => toast(state, Level::Info, "there is nothing to export yet".into()),
        },
        Intent::Fold => log::fold(state, snapshot),
        Intent::Mouse => {
            state.mouse = !state.mouse;
            effects.push(Effect::Mouse(state.mouse));
        }
        Intent::Slower
        | Intent::Faster
        | Intent::Retrain
        | Intent::Cancel
        | Intent::Inject
        | Intent::Acknowledge
        | Intent::MarkFalse
        | Intent::MarkReal => orders::press(state, intent, snapshot, effects),
        _ => moves::press(state, intent, snapshot),
    }
}

/// The panel that a key opens and closes.
const fn panel(intent: Intent) -> Option<Panel> {
    Some(match intent {
        Intent::Help => Panel::Help,
        Intent::Why => Panel::Why,
        Intent::Log => Panel::Log,
        Intent::Errors => Panel::Errors,
        Intent::Entities => Panel::Entities,
        Intent::Training => Panel::Training,
        Intent::Models => Panel::Models,
        Intent::Health => Panel::Health,
        _ => return None,
    })
}

/// Closes the innermost of what is open; on the grid, lets the filters go, and then the hint on how this run began.
fn back(state: &mut UiState, snapshot: &Snapshot) {
    let place = state.place();
    if let Some(word) = state.filters.of(place).filter(|word| !word.is_empty()) {
        word.clear();
    } else if state.open.is_some() {
        state.open = None;
    } else if state.expanded {
        state.leave_detail();
        state.open = state.came_from.take();
    } else if state.focus == Focus::Log {
        state.focus = Focus::Panes;
    } else if let Some(banner) = state.banner(snapshot) {
        state.dismissed = Some(banner.to_owned());
    }
}

fn enter(state: &mut UiState, mode: Mode) {
    if state.mode.pipeline() != mode.pipeline() {
        state.entity = None;
        state.incident = None;
        state.pointed = None;
        state.focus = Focus::Panes;
    }
    state.mode = mode;
    state.open = None;
    (state.cursor, state.until) = (None, None);
}

const fn next_mode(mode: Mode) -> Mode {
    match mode {
        Mode::Live => Mode::LongTerm,
        Mode::LongTerm => Mode::Test,
        Mode::Test => Mode::Live,
    }
}

fn recolor(state: &mut UiState, theme: ThemeName) {
    state.theme = theme;
    let said = format!("theme {}", palette::theme_name(theme));
    toast(state, Level::Info, said);
}

fn arrived(state: &mut UiState, snapshot: &Snapshot) {
    tick(state, snapshot.now);
    for notice in snapshot.notices.iter() {
        let fresh = snapshot.now.since(notice.time) <= NEWS;
        if fresh && state.seen_notice.is_none_or(|seen| notice.id > seen) {
            toast(state, notice.level, notice.text.clone());
        }
    }
    if state.interval == Some(snapshot.interval) {
        state.interval = None;
    }
    let newest = snapshot.notices.last().map(|notice| notice.id);
    state.seen_notice = state.seen_notice.max(newest);
}

fn tick(state: &mut UiState, now: Time) {
    state.now = now;
    state.toasts.retain(|toast| toast.until > now);
}

/// Shows a line for some seconds, the longer the worse it is; the same line twice is one.
fn toast(state: &mut UiState, level: Level, text: String) {
    let seconds = match level {
        Level::Info => 4,
        Level::Warning => 8,
        Level::Error => 15,
    };
    state.toasts.retain(|toast| toast.text != text);
    if state.toasts.len() >= TOASTS {
        state.toasts.remove(0);
    }
    state.toasts.push(Toast {
        level,
        text,
        until: state.now + Duration::from_secs(seconds),
    });
}

/// Queues a command that changes the engine, unless the screen is read-only; says whether it was queued.
fn order(state: &mut UiState, command: Command, effects: &mut Vec<Effect>) -> bool {
    if state.config.read_only {
        let why = "this screen only looks: [ui] read_only is true";
        toast(state, Level::Warning, why.into());
        return false;
    }
    effects.push(Effect::Send(command));
    true
}
