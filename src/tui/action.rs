//! What can happen to the screen, and what the screen can ask for.

use crate::domain::{
    Command, ControlError, HistoryAnswer, HistoryQuery, Label, LabelEffect, Level, Time,
};

use super::keymap::Key;

/// What a key asks for. The [binding table](super::keymap::BINDINGS) says which key and in what words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// End the dashboard.
    Quit,
    /// Open or close the help screen.
    Help,
    /// Close what is open.
    Back,
    /// Next colours.
    Theme,
    /// Stop or go on taking snapshots.
    Freeze,
    /// Save the screen.
    Screenshot,
    /// Give the terminal back to the shell for a while.
    Suspend,
    /// Live mode.
    Live,
    /// Long-term mode.
    LongTerm,
    /// Test mode.
    Test,
    /// The next of the three.
    NextMode,
    /// Move left.
    Left,
    /// Move right.
    Right,
    /// Move up.
    Up,
    /// Move down.
    Down,
    /// Large chart.
    Expand,
    /// One page back.
    PageUp,
    /// One page on.
    PageDown,
    /// Previous entity.
    PreviousEntity,
    /// Next entity.
    NextEntity,
    /// The oldest moment, the first line.
    Home,
    /// The newest moment, the last line.
    End,
    /// Other order of panes, or of the rows of the open table.
    Sort,
    /// The opposite order of the open table.
    Reverse,
    /// Show or hide the incidents of a group.
    Fold,
    /// Shorter time range.
    ZoomIn,
    /// Longer time range.
    ZoomOut,
    /// The next shorter usual time range.
    RangeShorter,
    /// The next longer usual time range.
    RangeLonger,
    /// Show what a word is in.
    Filter,
    /// Why the selected moment or incident is, or is not, an anomaly.
    Why,
    /// All anomalies.
    Log,
    /// Errors of all features.
    Errors,
    /// All entities.
    Entities,
    /// How training goes and how the last one went.
    Training,
    /// The models that are kept.
    Models,
    /// Source, readiness, process.
    Health,
    /// Choose any action by its words.
    Palette,
    /// Copy what is shown to the clipboard.
    Copy,
    /// Write what is shown as CSV.
    Export,
    /// Clicks and wheel on or off.
    Mouse,
    /// Longer interval.
    Slower,
    /// Shorter interval.
    Faster,
    /// Train a new model.
    Retrain,
    /// Cancel the training.
    Cancel,
    /// Inject a spike.
    Inject,
    /// Acknowledge the selected incident.
    Acknowledge,
    /// Call it a false alarm.
    MarkFalse,
    /// Call it real.
    MarkReal,
}

/// What the mouse did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointer {
    /// The left button went down.
    Click,
    /// The wheel was turned away from the hand.
    WheelUp,
    /// The wheel was turned towards the hand.
    WheelDown,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Action {
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// What a key of the table asks for, however it came to be asked.
    Press(Intent),
    /// The mouse did something at a column and row.
    Mouse(Pointer, u16, u16),
    /// The answer to the label question number `ticket`.
    Preview {
        /// Which question.
        ticket: u64,
        /// Its answer.
        result: Result<LabelEffect, ControlError>,
    },
    /// The terminal has this many columns and rows now.
    Resize(u16, u16),
    /// A new snapshot is shown from now on.
    Arrived,
    /// Time goes on: the engine's clock, carried on between snapshots.
    Tick(Time),
    /// The answer to the history question number `ticket`.
    History {
        /// Which question.
        ticket: u64,
        /// Its answer.
        result: Result<HistoryAnswer, ControlError>,
    },
    /// Something outside went well or wrong: a command refused, a screenshot saved.
    Say(Level, String),
}

/// What the runner is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send a command to the engine.
    Send(Command),
    /// Ask for history and bring the answer back under this ticket.
    Query {
        /// Number of the question.
        ticket: u64,
        /// The question.
        query: HistoryQuery,
    },
    /// Ask what a label would change and bring the answer back under this ticket.
    Preview {
        /// Number of the question.
        ticket: u64,
        /// Which incident.
        incident: u64,
        /// The label; `None` takes one back.
        label: Option<Label>,
    },
    /// Save the screen as it is.
    Screenshot,
    /// Put text on the terminal's clipboard.
    Copy(String),
    /// Save a table.
    Export {
        /// What it is of: part of the file's name.
        name: &'static str,
        /// The table as CSV.
        csv: String,
    },
    /// Take the mouse from the terminal, or give it back.
    Mouse(bool),
    /// Stop the process until the shell wakes it.
    Suspend,
    /// End.
    Quit,
}
