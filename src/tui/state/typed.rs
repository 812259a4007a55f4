//! The line that is typed, and the words that choose what is shown.

use super::{Panel, Place};

/// A line that is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// What for.
    pub kind: PromptKind,
    /// What was typed; at most 64 characters.
    pub text: String,
    /// The chosen line of what matches, from 0.
    pub chosen: usize,
}

/// What a line is typed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptKind {
    /// Choosing an action.
    Palette,
    /// Choosing what is shown in a place.
    Filter(Place),
}

/// Words that choose what is shown; empty ones choose everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Panes by name.
    pub panes: String,
    /// Anomalies by entity, feature, state or label.
    pub log: String,
    /// Entities by name.
    pub entities: String,
    /// Keys by their words.
    pub help: String,
}

impl Filters {
    /// What is typed in a place; empty where nothing is, or nothing is chosen from.
    #[must_use]
    pub fn word(&self, place: Place) -> &str {
        match place {
            Place::Panes | Place::Panel(Panel::Errors) => &self.panes,
            Place::Log | Place::Panel(Panel::Log) => &self.log,
            Place::Panel(Panel::Entities) => &self.entities,
            Place::Panel(Panel::Help) => &self.help,
            Place::Detail
            | Place::Panel(Panel::Why | Panel::Training | Panel::Models | Panel::Health) => "",
        }
    }

    /// The word for a place; `None` where nothing is chosen from.
    pub const fn of(&mut self, place: Place) -> Option<&mut String> {
        match place {
            Place::Panes | Place::Panel(Panel::Errors) => Some(&mut self.panes),
            Place::Log | Place::Panel(Panel::Log) => Some(&mut self.log),
            Place::Panel(Panel::Entities) => Some(&mut self.entities),
            Place::Panel(Panel::Help) => Some(&mut self.help),
            Place::Detail
            | Place::Panel(Panel::Why | Panel::Training | Panel::Models | Panel::Health) => None,
        }
    }
}

/// Whether `word` is in `text`, whatever the case; an empty one is in everything.
#[must_use]
pub fn has(text: &str, word: &str) -> bool {
    word.is_empty() || text.to_lowercase().contains(&word.to_lowercase())
}
