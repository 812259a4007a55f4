//! Writes whole checkpoints to the journal on a thread of its own, one at a time: a slow disk does not hold up the engine.
//!
//! While one is being written the engine writes nothing else, so that the journal changes in the order in which things happened.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::checkpoint::{CHECKPOINT, Kept};
use super::collector::panic_text;
use super::drifting::DRIFT;
use crate::domain::Entity;
use crate::store::{Batch, Journal, JournalError};

/// How long the end of the engine waits for the checkpoint that is being written.
const STOP: Duration = Duration::from_secs(10);

/// Between two looks whether the thread has ended, for who can't be woken by it.
const LOOK: Duration = Duration::from_millis(2);

/// The checkpoint of all entities, as of one moment.
pub struct Whole {
    /// How far rows were judged, packed.
    pub header: Vec<u8>,
    /// What the test for a lasting change goes by, packed.
    pub drift: Vec<u8>,
    /// Each entity's part; `None` deletes that of one that is gone.
    pub entities: Vec<(Entity, Option<Kept>)>,
}

impl Whole {
    /// Writes it in one transaction.
    ///
    /// # Errors
    /// [`JournalError`]; the journal is then as it was.
    pub fn write(&self, journal: &mut Journal) -> Result<(), JournalError> {
        let pack = |(entity, kept): &(Entity, Option<Kept>)| {
            (entity.clone(), kept.as_ref().map(Kept::to_bytes))
        };
        let entities: Vec<_> = self.entities.iter().map(pack).collect();
        journal
            .commit(&Batch {
                checkpoints: &[(CHECKPOINT, &self.header), (DRIFT, &self.drift)],
                entities: &entities,
                ..Batch::default()
            })
            .map(drop)
    }
}

/// Why the journal was not written.
#[derive(Debug)]
pub struct Failure {
    /// A sentence with the path.
    pub text: String,
    /// The content of the file is at fault.
    pub is_damage: bool,
    /// Another process holds it; a later try may work.
    pub is_busy: bool,
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self {
            text: error.to_string(),
            is_damage: error.is_damage(),
            is_busy: error.is_busy(),
        }
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self {
            text,
            is_damage: false,
            is_busy: false,
        }
    }
}

/// How a checkpoint ended.
pub type Ended = Result<(), Failure>;

#[derive(Debug)]
struct Running {
    done: oneshot::Receiver<Ended>,
    began: Instant,
    thread: Option<JoinHandle<()>>,
}

/// Writes one checkpoint at a time into the journal at a path.
#[derive(Debug)]
pub struct Checkpointing {
    journal: PathBuf,
    running: Option<Running>,
}

impl Checkpointing {
    /// Nothing is written yet.
    pub const fn new(journal: PathBuf) -> Self {
        Self {
            journal,
            running: None,
        }
    }

    /// For how long the one under way has been written; `None` when there is none.
    pub fn busy_for(&self) -> Option<Duration> {
        self.running.as_ref().map(|running| running.began.elapsed())
    }

    /// Begins to write; only when none is under way.
    pub fn start(&mut self, whole: Whole) {
        let (done, ended) = oneshot::channel();
        let path = self.journal.clone();
        let work = move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| write(&whole, &path)));
            let outcome = outcome.unwrap_or_else(|panic| {
                let text = panic_text(&*panic);
                Err(format!("writing the checkpoint ended with a panic: {text}").into())
            });
            // The receiver is gone only when the engine has ended.
            let _ = done.send(outcome);
        };
        // Without a thread the channel closes at once, and that says so.
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(work);
        self.running = Some(Running {
            done: ended,
            began: Instant::now(),
            thread: thread.ok(),
        });
    }

    /// Waits for the one under way to end; for ever when there is none.
    ///
    /// # Errors
    /// [`Failure`]: it could not be written, or its thread panicked or could not be started.
    pub async fn next(&mut self) -> Ended {
        let Some(running) = &mut self.running else {
            return std::future::pending().await;
        };
        let ended = (&mut running.done).await;
        self.running = None;
        ended.unwrap_or_else(|_| {
            Err("no thread could be started to write the checkpoint"
                .to_owned()
                .into())
        })
    }

    /// Waits for the one under way to end, but not for longer than 10 s: then it is left behind.
    pub async fn last(&mut self) -> Option<Ended> {
        self.running.as_ref()?;
        let Ok(ended) = tokio::time::timeout(STOP, self.next()).await else {
            tracing::warn!(
                seconds = STOP.as_secs(),
                "the checkpoint that is being written has not ended; it is left behind"
            );
            self.running = None;
            return None;
        };
        Some(ended)
    }
}

#[cfg(test)]
impl Checkpointing {
    /// One that has been written for so long and does not end.
    pub fn hanging(journal: PathBuf, busy: Duration) -> Self {
        let (done, ended) = oneshot::channel();
        std::mem::forget(done);
        Self {
            journal,
            running: Some(Running {
                done: ended,
                began: Instant::now() - busy,
                thread: None,
            }),
        }
    }
}

impl Drop for Checkpointing {
    /// An engine that was ended without a word leaves no thread behind that writes beside its successor.
    fn drop(&mut self) {
        let thread = self.running.take().and_then(|running| running.thread);
        let began = std::time::Instant::now();
        while thread.as_ref().is_some_and(|thread| !thread.is_finished()) && began.elapsed() < STOP
        {
            std::thread::sleep(LOOK);
        }
    }
}

fn write(whole: &Whole, path: &Path) -> Ended {
    let mut journal = Journal::open_to_change(path)?;
    Ok(whole.write(&mut journal)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(header: &str) -> Whole {
        Whole {
            header: header.into(),
            drift: Vec::new(),
            entities: vec![(Entity::named("gone"), None)],
        }
    }

    #[tokio::test]
    async fn a_checkpoint_is_written_beside_the_engine_and_a_failure_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.sqlite");
        let mut checkpointing = Checkpointing::new(path.clone());
        assert!(checkpointing.busy_for().is_none());
        checkpointing.start(whole("first"));
        let failure = checkpointing.next().await.unwrap_err();
        assert!(failure.text.contains("journal.sqlite"), "{failure:?}");
        assert!(!failure.is_damage && !failure.is_busy);
        assert!(checkpointing.last().await.is_none(), "none is under way");

        let (journal, _) = Journal::open(&path).unwrap();
        checkpointing.start(whole("second"));
        assert!(checkpointing.busy_for().is_some());
        checkpointing.last().await.unwrap().unwrap();
        assert_eq!(
            journal.checkpoint_get(CHECKPOINT).unwrap().unwrap(),
            b"second"
        );
    }

    #[tokio::test]
    async fn an_engine_that_ends_at_once_leaves_no_writer_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.sqlite");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let mut checkpointing = Checkpointing::new(path);
        checkpointing.start(whole("old"));
        drop(checkpointing);
        assert!(journal.checkpoint_get(CHECKPOINT).unwrap().is_some());
        journal.checkpoint_put(CHECKPOINT, b"new").unwrap();
        assert_eq!(journal.checkpoint_get(CHECKPOINT).unwrap().unwrap(), b"new");
    }
}
