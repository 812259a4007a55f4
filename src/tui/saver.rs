//! Writes one small file again and again, away from the dashboard's loop, so that the newest text is what it says in the end.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Writes a file whole or not at all.
pub(super) type Write = fn(&Path, &[u8]) -> io::Result<()>;

/// One file and the order of what is written to it: writes wait for each other, and one that is overtaken is left out.
#[derive(Debug)]
pub(super) struct Saver {
    file: PathBuf,
    write: Write,
    /// Number of the newest text given.
    given: u64,
    /// Number of the newest text that was written; held during a write.
    written: Arc<Mutex<u64>>,
}

impl Saver {
    /// Of a file that nobody else writes.
    pub(super) fn new(file: PathBuf, write: Write) -> Self {
        Self {
            file,
            write,
            given: 0,
            written: Arc::default(),
        }
    }

    /// The write of `text`, to be done wherever waiting for the disk does no harm.
    pub(super) fn save(&mut self, text: String) -> impl FnOnce() -> io::Result<()> + Send + use<> {
        self.given += 1;
        let (number, write, file) = (self.given, self.write, self.file.clone());
        let written = Arc::clone(&self.written);
        move || {
            let mut newest = written.lock().unwrap_or_else(PoisonError::into_inner);
            if *newest > number {
                return Ok(());
            }
            *newest = number;
            write(&file, text.as_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_write_that_was_overtaken_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ui.toml");
        let mut saver = Saver::new(file.clone(), |path, bytes| std::fs::write(path, bytes));
        let (first, second) = (saver.save("first".into()), saver.save("second".into()));
        second().unwrap();
        first().unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "second");
    }

    #[test]
    fn the_last_write_waits_for_a_slow_one() {
        let slow = |path: &Path, bytes: &[u8]| {
            if bytes == b"slow" {
                std::fs::write(path, "begun")?;
                std::thread::sleep(Duration::from_millis(200));
            }
            std::fs::write(path, bytes)
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ui.toml");
        let mut saver = Saver::new(file.clone(), slow);
        let (first, last) = (saver.save("slow".into()), saver.save("last".into()));
        let (done, ended) = mpsc::channel();
        std::thread::spawn(move || {
            first().unwrap();
            done.send(()).unwrap();
        });
        while !file.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        last().unwrap();
        ended.recv().unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "last");
    }
}
