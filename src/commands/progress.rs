//! How long work shows itself: a bar on a terminal, a line in the log now and then elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::model::Progress as Epochs;

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

/// How far a training is that may be done once more, without what stuck out the first time. Each pass trains all networks,
/// one after the other.
#[derive(Debug)]
pub struct Passes {
    networks: usize,
    /// Networks trained so far, those of both passes.
    done: usize,
    /// Part of the one that is trained now.
    part: f64,
}

impl Passes {
    /// No network of so many is trained yet.
    pub fn new(networks: usize) -> Self {
        Self {
            networks,
            done: 0,
            part: 0.0,
        }
    }

    /// The pass under way, from 1.
    pub fn number(&self) -> usize {
        (self.done / self.networks + 1).min(2)
    }

    /// The part of both passes that is done, 0 to 1; it never falls.
    pub fn part(&mut self, now: &Epochs) -> f64 {
        let epochs = now.epoch.saturating_sub(1) as f64 + now.fraction;
        let part = epochs / now.epochs.max(1) as f64;
        if now.epoch == 1 && part < self.part {
            self.done += 1;
            self.part = 0.0;
        }
        self.part = self.part.max(part);
        ((self.done as f64 + self.part) / (2 * self.networks) as f64).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_never_falls_when_training_runs_twice() {
        let mut passes = Passes::new(1);
        let mut told = Vec::new();
        for pass in 1..=2 {
            // It ends early.
            for epoch in 1..=9 {
                for fraction in [0.1, 0.5, 1.0] {
                    let part = passes.part(&Epochs {
                        epoch,
                        epochs: 10,
                        fraction,
                        train_loss: 0.1,
                        val_loss: None,
                    });
                    assert_eq!(passes.number(), pass);
                    told.push(part);
                }
            }
        }
        assert!(told.is_sorted(), "{told:?}");
        assert!(told[26] <= 0.5 && told[27] >= 0.5 && told[53] <= 1.0);
    }
}
