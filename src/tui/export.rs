//! What is shown, as a table of comma-separated values.

use crate::domain::Snapshot;

use super::action::Effect;
use super::state::UiState;

/// The table.
pub fn table(_state: &UiState, _snapshot: &Snapshot) -> Effect {
    Effect::Export {
        name: "overview",
        csv: String::new(),
    }
}
