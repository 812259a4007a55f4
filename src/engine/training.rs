//! How a training is done: what it needs of the world, and, asked for, a folder in which trainings done are kept.
//!
//! With such a folder an experiment behind the network (fusion, calibration, gates) is a matter of seconds: whatever is
//! done with a trained network is done anew, and only the training itself is not. An entry is named by all that decides
//! over it: shape, options (the seed is one) and every window, besides the program's version and the instruction set. What
//! it can't know is the program's code: empty the folder when training itself has changed. An entry that is cut short,
//! altered or of another layout is passed over and written anew. The folder grows by a file for each training, of some 300 kB
//! to a few MB; nothing but its owner removes them.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::disk::write_atomic;
use crate::model::{Instructions, Progress, Shape, TrainError, TrainOptions, Trained, train};
use crate::prep::window::WindowSet;

/// The layout of an entry.
const LAYOUT: u32 = 1;

/// How networks are trained.
pub struct Training<'a> {
    /// Ends a training when it is raised.
    pub cancel: &'a AtomicBool,
    /// Hears how far it is.
    pub progress: &'a mut dyn FnMut(Progress),
    /// Where trainings done are kept.
    pub cache: Option<&'a TrainingCache>,
    /// How many there were so far.
    pub count: usize,
    /// How many of them had been done before.
    pub recalled: usize,
}

impl<'a> Training<'a> {
    /// Training that keeps nothing.
    pub fn new(cancel: &'a AtomicBool, progress: &'a mut dyn FnMut(Progress)) -> Self {
        Self {
            cancel,
            progress,
            cache: None,
            count: 0,
            recalled: 0,
        }
    }

    /// A trained network: as [`train()`] makes it, or as it did before. What can't be kept is logged and costs nothing but
    /// the next training.
    ///
    /// # Errors
    /// As [`train()`].
    pub fn run(
        &mut self,
        shape: &Shape,
        options: &TrainOptions,
        windows: &WindowSet,
    ) -> Result<Trained, TrainError> {
        self.count += 1;
        let Some(cache) = self.cache else {
            return train(shape, options, windows, self.cancel, self.progress);
        };
        let key = key(shape, options, windows);
        if let Some(trained) = cache.recall(&key) {
            self.recalled += 1;
            return Ok(trained);
        }
        let trained = train(shape, options, windows, self.cancel, self.progress)?;
        cache.keep(&key, &trained);
        Ok(trained)
    }
}

/// A folder of trainings done.
#[derive(Clone, Debug)]
pub struct TrainingCache {
    folder: PathBuf,
}

impl TrainingCache {
    /// In `folder`, which is made when the first entry is written.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
        }
    }

    fn recall(&self, key: &str) -> Option<Trained> {
        let bytes = fs::read(self.path(key)).ok()?;
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (first, content) = bytes.split_at_checked(end + 1)?;
        let trained = content.strip_prefix(key.as_bytes())?;
        (first == heading(content).as_bytes())
            .then(|| Trained::from_bytes(trained))
            .flatten()
    }

    fn keep(&self, key: &str, trained: &Trained) {
        let Some(bytes) = trained.to_bytes() else {
            tracing::warn!("a training is not kept: it can't be put into bytes");
            return;
        };
        let content = [key.as_bytes(), &bytes].concat();
        let entry = [heading(&content).as_bytes(), &content].concat();
        if let Err(error) = write_atomic(&self.path(key), &entry) {
            tracing::warn!("a training is not kept: {error}");
        }
    }

    fn path(&self, key: &str) -> PathBuf {
        let hash = hash(key.as_bytes());
        self.folder.join(format!("{hash:016x}.training"))
    }
}

/// All that decides over a training, on one line.
fn key(shape: &Shape, options: &TrainOptions, windows: &WindowSet) -> String {
    let mut values = DefaultHasher::new();
    for window in 0..windows.len() {
        if let Some((segment, row)) = windows.start(window) {
            values.write_usize(segment);
            values.write_usize(row);
        }
        for value in windows.view(window) {
            values.write_u32(value.to_bits());
        }
    }
    format!(
        "{} {} {shape:?} {options:?} {} {:016x}\n",
        super::BUILD.version,
        Instructions::best().name(),
        windows.len(),
        values.finish()
    )
}

/// The first line of an entry: its layout, and a checksum of everything behind it.
fn heading(content: &[u8]) -> String {
    format!("{LAYOUT} {:016x}\n", hash(content))
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
