//! What each gate asks, in one clause, and where it is set.

use crate::domain::Gate;

/// A gate as a newcomer should read it.
pub struct Entry {
    /// Its name in a verdict.
    name: &'static str,
    /// What it asks.
    pub asks: &'static str,
    /// Why there is no alarm when it does not pass, in a few words.
    pub short: &'static str,
    /// What decides it in the configuration.
    pub setting: &'static str,
}

/// Every gate, in the order in which they are asked.
const GATES: [Entry; 10] = [
    Entry {
        name: "threshold",
        asks: "is the score over what normal rows reach?",
        short: "within the usual",
        setting: "[detect] threshold",
    },
    Entry {
        name: "budget",
        asks: "is that rare enough for the allowed number of false alarms, seen against the last hours?",
        short: "not rare enough",
        setting: "[detect] false_alarms_per_day",
    },
    Entry {
        name: "maintenance",
        asks: "is no planned work under way?",
        short: "planned maintenance",
        setting: "[[detect.maintenance]]",
    },
    Entry {
        name: "mute",
        asks: "do features that are not muted contribute at least half of it?",
        short: "muted",
        setting: "[detect] mute, or mute of a query",
    },
    Entry {
        name: "direction",
        asks: "is it off in a direction that matters?",
        short: "harmless direction",
        setting: "direction of the query",
    },
    Entry {
        name: "min_deviation",
        asks: "is it far enough off to matter?",
        short: "deviation too small",
        setting: "[detect] min_deviation, or that of the query",
    },
    Entry {
        name: "young_model",
        asks: "is it far outside of all that a model of less than an hour has seen?",
        short: "the model knows less than an hour",
        setting: "no setting: it ends when the model has learned from an hour",
    },
    Entry {
        name: "new_entity",
        asks: "the model has not learned from it: is it far from its own last rows too?",
        short: "the model has not learned from it",
        setting: "no setting: it ends with the next training",
    },
    Entry {
        name: "max_incident",
        asks: "is it news, after an anomaly that went on for so long that it counts as normal?",
        short: "new normal",
        setting: "[detect] max_incident",
    },
    Entry {
        name: "min_duration",
        asks: "has it lasted long enough?",
        short: "too short so far",
        setting: "[detect] min_duration",
    },
];

/// Why a gate that did not pass stopped the alarm, in a few words.
pub fn short(gate: &Gate) -> &str {
    of(gate).map_or(&*gate.name, |entry| entry.short)
}

/// Why the first gate that did not pass stopped an alarm; `None` when all passed.
pub fn stopped(gates: &[Gate]) -> Option<&str> {
    gates.iter().find(|gate| !gate.passed).map(short)
}

/// What is known of a gate.
pub fn of(gate: &Gate) -> Option<&'static Entry> {
    GATES.iter().find(|entry| entry.name == gate.name)
}
