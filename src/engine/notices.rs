//! What readers are told, and the log with them.

use std::collections::VecDeque;

use crate::domain::{Level, Notice, Time};

/// Notices kept for readers.
const KEPT: usize = 100;

/// The newest notices, at most 100.
#[derive(Debug, Default)]
pub struct Notices {
    kept: VecDeque<Notice>,
    told: u64,
}

impl Notices {
    /// Tells readers and the log.
    pub fn tell(&mut self, time: Time, level: Level, text: String) {
        match level {
            Level::Info => tracing::info!("{text}"),
            Level::Warning => tracing::warn!("{text}"),
            Level::Error => tracing::error!("{text}"),
        }
        self.show(time, level, text);
    }

    /// Tells readers alone.
    pub fn show(&mut self, time: Time, level: Level, text: String) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.told += 1;
        let id = self.told;
        self.kept.push_back(Notice {
            id,
            time,
            level,
            text,
        });
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Notice> {
        self.kept.iter()
    }
}
