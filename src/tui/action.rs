//! What can happen to the screen, and what the screen can ask for.

use crate::domain::{Command, ControlError, HistoryAnswer, HistoryQuery, Level, Time};

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
    /// Other order of panes.
    Sort,
    /// Shorter time range.
    ZoomIn,
    /// Longer time range.
    ZoomOut,
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

/// What happened.
#[derive(Clone, Debug)]
pub enum Action {
    /// A key of the table was pressed.
    Press(Intent),
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
    /// Save the screen as it is.
    Screenshot,
    /// Stop the process until the shell wakes it.
    Suspend,
    /// End.
    Quit,
}
