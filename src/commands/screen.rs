//! Decides whether a run has a screen, and shows the dashboard on it.

use std::io::IsTerminal as _;
use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::sync::watch;

use super::Context;
use crate::cli::{self, RunArgs};
use crate::config::{LOCAL_ZONE, UiConfig};
use crate::disk::write_atomic;
use crate::domain::{Control, Snapshot};
use crate::report::svg;
use crate::store::DataDir;
use crate::tui;

/// Whether a run has a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// The terminal shows the dashboard.
    Dashboard,
    /// Nobody asked for a screen.
    None,
    /// There can be none, for this reason.
    Impossible(&'static str),
}

impl Screen {
    /// For this run: none when it was not asked for, or the terminal can't show it.
    pub fn of(args: &RunArgs) -> Self {
        if args.no_tui || args.once {
            return Self::None;
        }
        let tty = |name, is: bool| (!is).then_some(name);
        tty(
            "standard output is not a terminal",
            std::io::stdout().is_terminal(),
        )
        .or_else(|| {
            tty(
                "standard input is not a terminal",
                std::io::stdin().is_terminal(),
            )
        })
        .or_else(|| incapable(cfg!(windows), variable("TERM").as_deref()))
        .map_or(Self::Dashboard, Self::Impossible)
    }
}

/// Why a terminal of this `TERM` can't be drawn on, if so. Windows does not set the variable.
fn incapable(windows: bool, term: Option<&str>) -> Option<&'static str> {
    match term.unwrap_or_default() {
        "dumb" => Some("the terminal can't be drawn on (TERM=dumb)"),
        "" if !windows => Some("TERM is not set, so nothing is known of the terminal"),
        _ => None,
    }
}

/// Shows the dashboard until the user quits, a signal ends it or the engine stops.
///
/// # Errors
/// [`tui::TuiError`]: the terminal or the key bindings can't be used.
pub async fn show(
    context: &Context,
    ui: &UiConfig,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    control: Arc<dyn Control>,
    first: cli::Mode,
) -> Result<(), tui::TuiError> {
    let options = tui::Options {
        mode: mode(first),
        config: ui.clone(),
        shots: DataDir::at(&context.data_dir).plots(),
        picture: svg::svg,
        write: |path, bytes| write_atomic(path, bytes).map_err(std::io::Error::other),
        memory: DataDir::at(&context.data_dir).screen_memory(),
        color: color_depth(context),
        unicode: tui::has_glyphs(variable),
        zone: zone(ui),
    };
    tui::run(snapshots, control, options).await
}

/// The zone that moments are shown in; UTC where the system names none.
pub fn zone(ui: &UiConfig) -> tui::Zone {
    let found = if ui.timezone == LOCAL_ZONE {
        TimeZone::try_system()
    } else {
        TimeZone::get(&ui.timezone)
    };
    tui::Zone::new(found.unwrap_or_else(|error| {
        tracing::warn!(zone = %ui.timezone, %error, "the time zone is not known; the screen shows UTC");
        TimeZone::UTC
    }))
}

/// The screen's name for a mode of the command line.
pub const fn mode(mode: cli::Mode) -> tui::Mode {
    match mode {
        cli::Mode::Live => tui::Mode::Live,
        cli::Mode::LongTerm => tui::Mode::LongTerm,
        cli::Mode::Test => tui::Mode::Test,
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn color_depth(context: &Context) -> tui::ColorDepth {
    match context.global.color {
        cli::Color::Never => tui::ColorDepth::None,
        cli::Color::Auto => tui::ColorDepth::detect(variable),
        cli::Color::Always => tui::ColorDepth::forced(variable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_can_not_be_drawn_on_gets_no_screen() {
        assert!(incapable(false, Some("dumb")).is_some_and(|why| why.contains("TERM=dumb")));
        assert!(incapable(false, None).is_some_and(|why| why.contains("not set")));
        assert!(incapable(false, Some("")).is_some());
        assert_eq!(incapable(false, Some("xterm-256color")), None);
        assert_eq!(incapable(true, None), None);
    }
}
