//! What goes to the clipboard: the words of what is selected.

use crate::domain::Snapshot;

use super::state::UiState;

/// The words; `None` when nothing is selected.
pub fn words(state: &UiState, snapshot: &Snapshot) -> Option<String> {
    let entity = state.shown(snapshot)?;
    let order = state.order(entity);
    let column = order.get(state.selected_index(entity, &order))?;
    let feature = entity.features.get(*column)?;
    Some(feature.feature.name.to_string())
}
