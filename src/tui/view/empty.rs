//! What stands in the body while there is nothing to draw: what it waits for, and what can be done.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::domain::{PipelineView, Snapshot, SourceState};
use crate::tui::action::Intent;
use crate::tui::state::{Mode, UiState};
use crate::tui::text::span;
use crate::tui::theme::Theme;
use crate::tui::zone::Zone;

use super::pen::centered;

/// Draws the explanation.
pub fn draw(state: &UiState, snapshot: &Snapshot, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    centered(buffer, area, &lines(state, snapshot, theme));
}

fn lines(state: &UiState, snapshot: &Snapshot, theme: &Theme) -> Vec<(String, Style)> {
    let test = format!(
        "{} shows test mode on recorded data meanwhile",
        state.keymap.key(Intent::Test)
    );
    let quit = format!("{} ends", state.keymap.key(Intent::Quit));
    let blank = (String::new(), theme.text);
    let Some(pipeline) = state.pipeline(snapshot) else {
        let why = if state.config.read_only {
            "Test mode does not run, and this screen may not start it"
        } else {
            "Starting test mode"
        };
        let back = format!("{} goes back to live data", state.keymap.key(Intent::Live));
        return vec![(why.into(), theme.strong), blank, (back, theme.dim)];
    };
    let mut lines = failing(state, snapshot, pipeline, theme).unwrap_or_else(|| {
        let is_young = snapshot.now.since(snapshot.started) < pipeline.step * 2;
        waiting(pipeline, is_young, &state.zone, theme)
    });
    lines.push(blank);
    if state.mode != Mode::Test {
        lines.push((test, theme.dim));
    }
    lines.push((quit, theme.dim));
    lines
}

/// Why the source gives nothing.
fn failing(
    state: &UiState,
    snapshot: &Snapshot,
    pipeline: &PipelineView,
    theme: &Theme,
) -> Option<Vec<(String, Style)>> {
    let source = &pipeline.source;
    let reason = state.freshness(snapshot, pipeline).reason()?;
    let mut lines = vec![
        (format!("{} gives no data", source.name), theme.bad),
        (reason.to_string(), theme.text),
    ];
    if let SourceState::Stale { retry_at, .. } = source.state {
        let wait = span(retry_at.since(state.now));
        lines.push((format!("trying again in {wait}"), theme.dim));
    }
    Some(lines)
}

/// What is waited for from a source that answers.
fn waiting(
    pipeline: &PipelineView,
    is_young: bool,
    zone: &Zone,
    theme: &Theme,
) -> Vec<(String, Style)> {
    let source = &pipeline.source;
    let first_samples = || {
        vec![
            (
                format!("Waiting for the first samples from {}", source.name),
                theme.strong,
            ),
            (pipeline.readiness.text.clone(), theme.dim),
        ]
    };
    match &source.state {
        // A row is there once its step is over: until then nothing is known of what matches.
        SourceState::Up if is_young => first_samples(),
        SourceState::Connecting => first_samples(),
        SourceState::Up | SourceState::Stale { .. } if pipeline.model.is_some() => vec![
            (
                format!("{} answers, but has no samples of late", source.name),
                theme.strong,
            ),
            (
                format!(
                    "the model learned from rows up to {}",
                    learned(pipeline, zone)
                ),
                theme.text,
            ),
            (
                "`pulsewatch check` says for each query what it finds".into(),
                theme.dim,
            ),
        ],
        SourceState::Up | SourceState::Stale { .. } => vec![
            (
                format!("{} answers, but no series match the queries", source.name),
                theme.strong,
            ),
            (
                "`pulsewatch check` says for each query what it finds".into(),
                theme.text,
            ),
        ],
        SourceState::Finished => vec![("The recording holds no rows".into(), theme.strong)],
    }
}

/// The last row that the model learned from.
fn learned(pipeline: &PipelineView, zone: &Zone) -> String {
    let model = pipeline.model.as_ref();
    model.map_or_else(String::new, |model| zone.minute(model.trained_on.1))
}
