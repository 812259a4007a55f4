//! When a pipeline's journal is written and looked into, and what readers are told of it when that fails.

use std::time::Duration;

use super::pipeline::Pipeline;
use crate::domain::{Level, Time};

/// A journal that could not be written is tried again after this long, ticks or not.
const WRITE_AGAIN: Duration = Duration::from_secs(5);

/// Between two looks for what was said of incidents through another process.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Something to tell the readers.
pub type Told = (Level, String);

/// How the journal of a pipeline is doing.
#[derive(Debug, Default)]
pub struct Keeping {
    /// When it was last tried, while it can't be written.
    unwritten: Option<Time>,
    /// When it was last looked into.
    looked: Option<Time>,
    /// It could not be read then.
    unread: bool,
}

impl Keeping {
    /// Does what is due at `now`: a write that failed is tried again, and the journal is looked into.
    pub fn tick(&mut self, pipeline: &mut Pipeline, now: Time) -> Vec<Told> {
        let over = |last: Time, pause| now.since(last) >= pause || now < last;
        let mut told = Vec::new();
        if self.unwritten.is_some_and(|last| over(last, WRITE_AGAIN)) {
            told.extend(self.write(pipeline, now));
        }
        if self.looked.is_none_or(|last| over(last, LOOK_AGAIN)) {
            told.extend(self.look(pipeline, now));
        }
        told
    }

    /// Writes what is to be kept. A journal that can't be written is told once, and once more when it can be again.
    pub fn write(&mut self, pipeline: &mut Pipeline, now: Time) -> Option<Told> {
        let failing = self.unwritten.is_some();
        let result = pipeline.commit();
        self.unwritten = result.is_err().then_some(now);
        match result {
            Err(error) if !failing => Some((
                Level::Error,
                format!(
                    "the journal could not be written; scoring goes on, what is new is held and tried again: {error}"
                ),
            )),
            Ok(()) if failing => Some((Level::Info, "the journal is written again".into())),
            _ => None,
        }
    }

    /// Takes over what was said of incidents through another process. A journal that can't be read is told once.
    fn look(&mut self, pipeline: &mut Pipeline, now: Time) -> Option<Told> {
        self.looked = Some(now);
        let failing = self.unread;
        let result = pipeline.hear();
        self.unread = result.is_err();
        let error = result.err().filter(|_| !failing)?;
        Some((
            Level::Warning,
            format!("what other processes said of incidents could not be read: {error}"),
        ))
    }
}
