//! `run --once`: waits until there is something to show and prints one frame, as text and as a picture.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::screen;
use crate::cli::{self, RunArgs};
use crate::config::UiConfig;
use crate::disk::write_atomic;
use crate::domain::{PipelineId, Snapshot, SourceState};
use crate::report::svg;
use crate::tui;

/// Longest wait for something to show.
const LONGEST: Duration = Duration::from_mins(3);

/// Prints one frame of `mode`.
///
/// # Errors
/// When standard output or the picture can't be written.
pub async fn print(
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    mode: cli::Mode,
    ui: &UiConfig,
    args: &RunArgs,
) -> anyhow::Result<()> {
    let id = if mode == cli::Mode::Test {
        PipelineId::Test
    } else {
        PipelineId::Live
    };
    // When time runs out, what is there is shown: it says itself what is missing.
    let _ = tokio::time::timeout(
        LONGEST,
        snapshots.wait_for(|snapshot| has_something(snapshot, id)),
    )
    .await;
    let snapshot = Arc::clone(&snapshots.borrow());
    let theme = tui::Theme::new(ui.theme, tui::ColorDepth::True, true);
    let zone = screen::zone(ui);
    let (width, height) = (args.size.width, args.size.height);
    let buffer = tui::overview(
        &snapshot,
        screen::mode(mode),
        (&theme, &zone),
        width,
        height,
    );
    std::io::stdout().write_all(tui::buffer_text(&buffer).as_bytes())?;
    if let Some(path) = &args.svg {
        write_atomic(path, svg::svg(&buffer).as_bytes())?;
    }
    Ok(())
}

/// A scored row, or a reason why there is none.
fn has_something(snapshot: &Snapshot, id: PipelineId) -> bool {
    snapshot.pipeline(id).is_some_and(|pipeline| {
        let waiting = pipeline.training.is_none()
            && pipeline.model.is_none()
            && !pipeline.entities.is_empty();
        pipeline.last_scored.is_some()
            || matches!(pipeline.source.state, SourceState::Stale { .. })
            || waiting
    })
}
