//! Looks after a pipeline's journal: when it is written, read, pruned and, if its file is lost, made anew.

use std::time::Duration;

use super::checkpointing::{self, Checkpointing, Failure};
use super::pipeline::Pipeline;
use crate::domain::{Component, HealthBoard, Level, Time};
use crate::store::{DataDir, Rescued, Standing};

/// A journal that could not be written is tried again after this long, ticks or not.
const WRITE_AGAIN: Duration = Duration::from_secs(5);

/// Between two looks at what was said of incidents through another process, and at the files themselves.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Between two rounds of deleting what is older than the retention.
const PRUNE_AGAIN: Duration = Duration::from_hours(1);

/// A file that was made anew counts as a fault for this long, so that whoever scrapes `/metrics` sees it.
const REPAIR_SHOWN: Duration = Duration::from_mins(5);

/// A checkpoint that takes longer to write is told: the disk may hang.
const STUCK: Duration = Duration::from_mins(1);

/// Something to tell the readers.
pub type Told = (Level, String);

/// How the journal of a pipeline is doing.
#[derive(Debug)]
pub struct Keeping {
    data_dir: DataDir,
    health: HealthBoard,
    checkpointing: Checkpointing,
    /// While it can't be written.
    unwritten: Option<Unwritten>,
    /// When it was last looked into.
    looked: Option<Time>,
    /// It could not be read then.
    unread: bool,
    /// When what is old was last deleted.
    pruned: Option<Time>,
    /// The content of its file is damaged.
    damaged: bool,
    /// When directory or journal was last made anew.
    repaired: Option<Time>,
}

/// Since when a journal can't be written.
#[derive(Clone, Copy, Debug)]
struct Unwritten {
    /// The last try.
    tried: Time,
    /// Readers know.
    told: bool,
}

impl Keeping {
    /// The journal in `data_dir` has just been opened.
    pub fn new(data_dir: DataDir, health: HealthBoard) -> Self {
        data_dir.mark_journal();
        Self {
            checkpointing: Checkpointing::new(data_dir.journal()),
            data_dir,
            health,
            unwritten: None,
            looked: None,
            unread: false,
            pruned: None,
            damaged: false,
            repaired: None,
        }
    }

    /// Another process owns the data directory: nothing is written any more, and this one must end.
    pub fn is_lost(&self) -> bool {
        self.data_dir.lost().is_some()
    }

    /// Does what is due at `now`: tries a write that failed again, looks into the journal, deletes what is old, and looks whether
    /// the files are in their place.
    pub fn tick(&mut self, pipeline: &mut Pipeline, now: Time) -> Vec<Told> {
        let mut told = Vec::new();
        if self.is_lost() {
            return told;
        }
        if let Some(Unwritten { tried, .. }) = self.unwritten
            && is_over(Some(tried), WRITE_AGAIN, now)
        {
            told.extend(self.write(pipeline, now));
        }
        if is_over(self.looked, LOOK_AGAIN, now) {
            told.extend(self.look(pipeline, now));
            if !self.is_writing() {
                self.prune(pipeline, now);
            }
            told.extend(self.look_at_files(pipeline, now));
        }
        told.extend(self.look_at_checkpoint(now));
        told
    }

    /// Tells once that a checkpoint takes too long to write.
    fn look_at_checkpoint(&self, now: Time) -> Option<Told> {
        let stuck_for = self.stuck_for()?;
        let text = format!(
            "the checkpoint has been written for {} s, and nothing else is meanwhile; does the disk of {} hang?",
            stuck_for.as_secs(),
            self.data_dir.path().display()
        );
        let is_new = self.health.fail(Component::Journal, now, text.clone());
        is_new.then_some((Level::Error, text))
    }

    /// Writes what is to be kept; the checkpoint of all on a thread of its own, and nothing while that one is at work.
    pub fn write(&mut self, pipeline: &mut Pipeline, now: Time) -> Option<Told> {
        if self.is_lost() || self.is_writing() {
            return None;
        }
        if let Err(error) = pipeline.commit_changes() {
            return self.not_written(&error.into(), now);
        }
        match pipeline.take_checkpoint() {
            // It is written by path, and what is there now may be another process's; the next look says so.
            Some(_) if !self.data_dir.has_journal() => {
                pipeline.checkpoint_ended(false);
                None
            }
            // What becomes of it says whether the journal can be written.
            Some(whole) => {
                self.checkpointing.start(whole);
                None
            }
            None => self.written(now),
        }
    }

    /// Whether a checkpoint is being written.
    pub fn is_writing(&self) -> bool {
        self.checkpointing.busy_for().is_some()
    }

    /// Waits for the checkpoint that is being written; for ever when there is none.
    ///
    /// # Errors
    /// [`Failure`], for [`Keeping::checkpoint_ended`].
    pub async fn checkpoint(&mut self) -> checkpointing::Ended {
        self.checkpointing.next().await
    }

    /// The checkpoint has been written, or could not be.
    pub fn checkpoint_ended(
        &mut self,
        pipeline: &mut Pipeline,
        ended: checkpointing::Ended,
        now: Time,
    ) -> Option<Told> {
        pipeline.checkpoint_ended(ended.is_ok());
        match ended {
            Ok(()) => self.written(now),
            Err(failure) => self.not_written(&failure, now),
        }
    }

    /// Writes all there is at the end of a run, after the checkpoint that was being written.
    pub async fn finish(&mut self, pipeline: &mut Pipeline, now: Time) -> Vec<Told> {
        let mut told = Vec::new();
        if let Some(ended) = self.checkpointing.last().await {
            told.extend(self.checkpoint_ended(pipeline, ended, now));
        }
        if self.is_lost() {
            return told;
        }
        pipeline.checkpoint_now();
        told.extend(match pipeline.commit() {
            Ok(()) => self.written(now),
            Err(error) => self.not_written(&error.into(), now),
        });
        told
    }

    /// The journal could be written: told when it was told that it could not.
    fn written(&mut self, now: Time) -> Option<Told> {
        let before = self.unwritten.take();
        self.recovered(now);
        let was_told = before.is_some_and(|before| before.told);
        was_told.then(|| (Level::Info, "the journal is written again".into()))
    }

    /// The journal could not be written: told once. That another process holds it is told only when it does so for longer.
    fn not_written(&mut self, failure: &Failure, now: Time) -> Option<Told> {
        self.damaged |= failure.is_damage;
        let before = self.unwritten;
        let was_told = before.is_some_and(|before| before.told);
        let told = was_told || before.is_some() || !failure.is_busy;
        self.unwritten = Some(Unwritten { tried: now, told });
        if !told {
            return None;
        }
        let text = format!(
            "the journal could not be written; scoring goes on, what is new is held and tried again: {}",
            failure.text
        );
        self.health.fail(Component::Journal, now, text.clone());
        (!was_told).then_some((Level::Error, text))
    }

    /// Takes over what was said of incidents through another process. A journal that can't be read is told once.
    fn look(&mut self, pipeline: &mut Pipeline, now: Time) -> Option<Told> {
        self.looked = Some(now);
        let was_unread = self.unread;
        let result = pipeline.hear();
        self.unread = result.is_err();
        let Err(error) = result else {
            self.recovered(now);
            return None;
        };
        self.damaged |= error.is_damage();
        let text = format!("what other processes said of incidents could not be read: {error}");
        self.health.fail(Component::Journal, now, text.clone());
        (!was_unread).then_some((Level::Warning, text))
    }

    /// For how long the checkpoint has been written, when that is too long.
    fn stuck_for(&self) -> Option<Duration> {
        self.checkpointing.busy_for().filter(|busy| *busy >= STUCK)
    }

    /// The journal works again when it can be written and read.
    fn recovered(&self, now: Time) {
        let is_well = self.unwritten.is_none() && !self.unread && self.stuck_for().is_none();
        if is_well && is_over(self.repaired, REPAIR_SHOWN, now) {
            self.health.recover(Component::Journal);
        }
    }

    /// Deletes what is older than the retention, a bounded number of rows each second until there is no more.
    fn prune(&mut self, pipeline: &mut Pipeline, now: Time) {
        let due = is_over(self.pruned, PRUNE_AGAIN, now);
        match pipeline.prune(now, due) {
            Ok(more) if due && !more => self.pruned = Some(now),
            Ok(_) => {}
            Err(error) => {
                // It is tried again with the next round; what matters is told by the writes.
                self.pruned = Some(now);
                tracing::warn!("what is old could not be deleted from the journal: {error}");
            }
        }
    }

    /// Looks whether directory and journal are in their place; they are made anew when they were deleted, replaced or
    /// overwritten.
    fn look_at_files(&mut self, pipeline: &mut Pipeline, now: Time) -> Vec<Told> {
        let dir = self.data_dir.path().display().to_string();
        let what = format!("the data directory {dir} was deleted or replaced while it was in use");
        let found = self.data_dir.check();
        let is_owned = found.is_ok();
        let text = match found {
            Ok(Standing::Kept) => {
                if is_over(self.repaired, REPAIR_SHOWN, now) {
                    self.health.recover(Component::DataDir);
                }
                return self.look_at_journal(pipeline, now).into_iter().collect();
            }
            Ok(Standing::MadeAnew) if self.data_dir.models().exists() => {
                format!("{what}: its lock was taken again")
            }
            Ok(Standing::MadeAnew) => {
                format!("{what}: it was made again, and holds no model until the next training")
            }
            Err(error) => {
                let then = if self.is_lost() {
                    "this process ends"
                } else {
                    "it can't be made again yet"
                };
                format!("{what}, {then}: {error}")
            }
        };
        if is_owned {
            self.repaired = Some(now);
        }
        let is_new = self.health.fail(Component::DataDir, now, text.clone());
        let journal = is_owned.then(|| self.look_at_journal(pipeline, now));
        is_new
            .then_some((Level::Error, text))
            .into_iter()
            .chain(journal.flatten())
            .collect()
    }

    /// Writes the journal anew when it is not in its place or damaged. That it can't be is told once.
    fn look_at_journal(&mut self, pipeline: &mut Pipeline, now: Time) -> Option<Told> {
        let is_well = self.data_dir.has_journal() && !self.damaged;
        if is_well || self.is_writing() {
            return None;
        }
        let path = self.data_dir.journal().display().to_string();
        let what =
            format!("the journal {path} was deleted, replaced or damaged while it was in use");
        let (saved, text) = match pipeline.rescue() {
            Ok(rescued) => {
                self.data_dir.mark_journal();
                self.damaged = false;
                self.repaired = Some(now);
                // With the checkpoint, which is due now; a failure is told by the next try.
                let _ = self.write(pipeline, now);
                let text = match rescued {
                    Some(Rescued::Remembered) => format!(
                        "{what}: what is known of it was written again, which is the newest incidents, counts and the checkpoint"
                    ),
                    _ => format!("{what}: all that was in it was written again"),
                };
                (true, text)
            }
            Err(error) => (
                false,
                format!("{what} and can't be written again yet: {error}"),
            ),
        };
        let is_new = self.health.fail(Component::Journal, now, text.clone());
        // It works again when the next look has read it.
        self.unread = true;
        (saved || is_new).then_some((Level::Error, text))
    }
}

/// Whether `pause` has passed since `last`, or the clock was set back; also when there was none.
fn is_over(last: Option<Time>, pause: Duration, now: Time) -> bool {
    last.is_none_or(|last| now.since(last) >= pause || now < last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::engine::ledger::Ledger;
    use crate::store::Journal;

    #[test]
    fn a_checkpoint_that_hangs_is_told_once_and_stays_a_fault() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::at(dir.path());
        let (journal, _) = Journal::open(&data_dir.journal()).unwrap();
        let ledger = Ledger::new(Some(journal)).unwrap();
        let mut pipeline = Pipeline::new(Config::default().into(), ledger).unwrap();
        let health = HealthBoard::default();
        let mut keeping = Keeping::new(data_dir.clone(), health.clone());
        keeping.checkpointing = Checkpointing::hanging(data_dir.journal(), STUCK);
        let mut told = Vec::new();
        for second in 0..5 {
            told.extend(keeping.tick(&mut pipeline, Time::from_secs(1000 + second)));
            let journal = health.view();
            let journal = journal.iter().find(|h| h.component == Component::Journal);
            let fault = journal.and_then(|health| health.fault.as_ref());
            assert!(fault.is_some(), "second {second}");
        }
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].1.contains("has been written for 60 s"), "{told:?}");
    }
}
