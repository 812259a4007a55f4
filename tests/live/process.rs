//! The program itself as a process, with a configuration file and a data directory of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::servers;

/// Longest that anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Waits until `wanted` gives something.
pub fn until<T>(what: &str, said: impl Fn() -> String, mut wanted: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = wanted() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "never {what}: {}", said());
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Where the program is installed for one test, and what it is told.
pub struct Home {
    dir: TempDir,
}

impl Home {
    /// A home with this configuration.
    pub fn new(config: &str) -> Self {
        let home = Self {
            dir: TempDir::new().unwrap(),
        };
        home.configure(config);
        home
    }

    /// Writes another configuration.
    pub fn configure(&self, config: &str) {
        let path = self.dir.path().join("pulsewatch.toml");
        let draft = path.with_extension("draft");
        fs::write(&draft, config).unwrap();
        fs::rename(draft, path).unwrap();
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pulsewatch"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PULSEWATCH") || name == "PROMETHEUS_URL" {
                command.env_remove(name);
            }
        }
        command
            .arg("--config")
            .arg(self.dir.path().join("pulsewatch.toml"))
            .arg("--data-dir")
            .arg(self.data())
            .args(args)
            .env("HOME", self.dir.path())
            .env("PULSEWATCH_TOKEN", "sesame")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Starts a command that goes on.
    pub fn start(&self, args: &[&str]) -> Running {
        let log = self.dir.path().join("stderr.txt");
        let child = self
            .command(args)
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Running { child, log }
    }
}

/// A running program; killed when dropped.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// What it has said on stderr.
    pub fn said(&self) -> String {
        said(&self.log)
    }

    /// Sends SIGTERM and waits for the end; how it ended, and how long that took.
    pub fn terminate(mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        servers::signal(self.child.id(), "TERM");
        let log = self.log.clone();
        let status = until("ended", || said(&log), || self.child.try_wait().unwrap());
        (status, started.elapsed())
    }
}

fn said(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_default()
}

/// Standard output as text.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
