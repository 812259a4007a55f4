//! How long work shows itself: a bar on a terminal, a line in the log now and then elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Between two lines.
const LINES: Duration = Duration::from_secs(5);

/// Progress of one piece of work, on stderr.
pub struct Progress {
    what: &'static str,
    bar: Option<ProgressBar>,
    last: Mutex<Option<Instant>>,
}

impl Progress {
    /// Progress of `what`, such as `collecting`.
    pub fn of(what: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(1000);
            if let Ok(style) =
                ProgressStyle::with_template("{prefix} {bar:40} {percent:>3} % {msg}")
            {
                bar.set_style(style);
            }
            bar.set_prefix(what);
            bar
        });
        Self {
            what,
            bar,
            last: Mutex::new(None),
        }
    }

    /// The part done, 0 to 1, and what there is to say of it.
    pub fn set(&self, part: f64, text: &str) {
        if let Some(bar) = &self.bar {
            // Clamped to 0..=1000 before.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            bar.set_position((part.clamp(0.0, 1.0) * 1000.0) as u64);
            bar.set_message(text.to_owned());
            return;
        }
        // A poisoned lock means that a line was cut short: the next one may still come.
        let mut last = self
            .last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= LINES) {
            *last = Some(Instant::now());
            tracing::info!("{}: {:.0} % {text}", self.what, part * 100.0);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
