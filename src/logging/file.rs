//! Writes the log file, whose size is bounded, and reports lines that could not be written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::domain::{Component, HealthBoard, Time};

/// A writer whose failures and recovery are reported to the health board, never to the log that can't be written.
pub(super) struct Reported<W> {
    inner: W,
    /// Where it writes to, for people.
    place: String,
    health: HealthBoard,
}

impl<W: Write> Reported<W> {
    pub(super) fn new(inner: W, place: impl Into<String>, health: &HealthBoard) -> Self {
        Self {
            inner,
            place: place.into(),
            health: health.clone(),
        }
    }

    fn report<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        match &outcome {
            Ok(_) => {
                self.health.recover(Component::Log);
            }
            Err(error) => {
                let text = format!(
                    "log lines can't be written to {}: {error}; what is logged meanwhile is lost",
                    self.place
                );
                let now = jiff::Timestamp::now().as_millisecond();
                self.health
                    .fail(Component::Log, Time::from_millis(now), text);
            }
        }
        outcome
    }
}

impl<W: Write> Write for Reported<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let outcome = self.inner.write(bytes);
        self.report(outcome)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A file that, once over its size, becomes `<name>.old` (replacing the one before) and begins anew.
pub(super) struct BoundedFile {
    path: PathBuf,
    file: File,
    written: u64,
    largest: u64,
}

impl BoundedFile {
    /// Opens for appending; makes the directory.
    pub(super) fn open(path: &Path, largest: u64) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = append(path)?;
        let written = file.metadata()?.len();
        let mut log = Self {
            path: path.to_path_buf(),
            file,
            written,
            largest,
        };
        log.turn_over()?;
        Ok(log)
    }

    fn turn_over(&mut self) -> io::Result<()> {
        if self.written <= self.largest {
            return Ok(());
        }
        let mut old = self.path.clone().into_os_string();
        old.push(".old");
        fs::rename(&self.path, old)?;
        self.file = append(&self.path)?;
        self.written = 0;
        Ok(())
    }
}

impl Write for BoundedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.turn_over()?;
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_makes_room_and_keeps_one_old() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/pulsewatch.log");
        let mut log = BoundedFile::open(&path, 10).unwrap();
        for line in ["first, long\n", "second, long\n", "third\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        let old = path.with_extension("log.old");
        assert_eq!(fs::read_to_string(&path).unwrap(), "third\n");
        assert_eq!(fs::read_to_string(&old).unwrap(), "second, long\n");
        fs::write(&path, "grown by others").unwrap();
        BoundedFile::open(&path, 10).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        assert_eq!(fs::read_to_string(&old).unwrap(), "grown by others");
    }

    #[test]
    fn a_log_that_can_not_be_written_is_reported_until_it_can() {
        struct Disk(bool);
        impl Write for Disk {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0
                    .then_some(bytes.len())
                    .ok_or_else(|| io::ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let health = HealthBoard::default();
        let mut log = Reported::new(Disk(false), "pulsewatch.log", &health);
        assert!(log.write_all(b"lost\n").is_err());
        let fault = health.view()[0].fault.clone().unwrap();
        assert_eq!(health.view()[0].component, Component::Log);
        assert!(fault.text.contains("pulsewatch.log"), "{}", fault.text);
        log.inner.0 = true;
        log.write_all(b"kept\n").unwrap();
        assert_eq!(health.view()[0].fault, None);
    }
}
