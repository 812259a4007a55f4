//! A home directory, a data directory, and the program in them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

/// A network that learns in a moment.
pub const SMALL: &str = "[autoencoder]\nwindow = 10\nencoder = [8]\nlatent = 4\ndecoder = [4, 8]\nepochs = 8\nlearning_rate = 0.01\nmax_windows = 200\n";

/// First time of [`series`].
pub const START: i64 = 1_780_000_200;
/// Its step, seconds.
pub const STEP: i64 = 300;

/// Where nothing of the machine's own configuration is seen.
pub struct Shell {
    home: tempfile::TempDir,
    config: Option<PathBuf>,
}

impl Shell {
    /// Nothing configured.
    pub fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            config: None,
        }
    }

    /// With a configuration file.
    pub fn with(config: &str) -> Self {
        let mut shell = Self::new();
        shell.config = Some(shell.write("pulsewatch.toml", config));
        shell
    }

    /// A file in the home directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A file in the data directory.
    pub fn data(&self, name: &str) -> PathBuf {
        self.path("data").join(name)
    }

    /// Writes a file in the home directory.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program, about to run in the home directory.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pulsewatch"));
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(self.home.path())
            .args(args);
        if !args.contains(&"--data-dir") {
            command.args(["--data-dir", "data"]);
        }
        if let Some(config) = &self.config {
            command.env("PULSEWATCH_CONFIG", config);
        }
        command
    }

    /// What it prints when it succeeds.
    pub fn ok(&self, args: &[&str]) -> String {
        let done = self.command(args).assert().success();
        String::from_utf8(done.get_output().stdout.clone()).unwrap()
    }

    /// The same as JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(args)).unwrap()
    }

    /// What it says on stderr when it fails with `code`.
    pub fn fails(&self, code: i32, args: &[&str]) -> String {
        let done = self.command(args).assert().failure().code(code);
        assert!(done.get_output().stdout.is_empty(), "{done}");
        String::from_utf8(done.get_output().stderr.clone()).unwrap()
    }

    /// A small model, trained on [`series`]; returns its version.
    pub fn trained(&self) -> String {
        let input = self.write("series.csv", &series(700, |_, _| {}));
        self.ok(&["collect", "--input", input.to_str().unwrap()]);
        self.ok(&["preprocess"]);
        let summary = self.json(&["train", "--json"]);
        summary["version"].as_str().unwrap().to_owned()
    }
}

/// Two columns that swing with some noise, as CSV; `change` may put others in a row's place.
pub fn series(rows: usize, change: impl Fn(usize, &mut [f64; 2])) -> String {
    let mut text = String::from("timestamp,cpu,latency\n");
    for row in 0..rows {
        let mut values = [0.0; 2];
        for (column, value) in values.iter_mut().enumerate() {
            let phase = row as f64 * 0.07 + column as f64;
            let noise = ((row * 7919 + column * 104_729) % 1000) as f64 / 1000.0 - 0.5;
            *value = 50.0 + 20.0 * phase.sin() + 3.0 * noise;
        }
        change(row, &mut values);
        let cell = |value: f64| {
            if value.is_nan() {
                String::new()
            } else {
                value.to_string()
            }
        };
        let [cpu, latency] = values.map(cell);
        writeln!(text, "{},{cpu},{latency}", START + row as i64 * STEP).unwrap();
    }
    text
}

/// The shape of a `.npy` file of single precision, and how many values follow its header.
pub fn npy(path: &Path) -> (Vec<usize>, usize) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00", "{}", path.display());
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = std::str::from_utf8(&bytes[10..header]).unwrap();
    assert!(
        text.contains("'<f4'") && text.contains("'fortran_order': False"),
        "{text}"
    );
    let shape = text.split_once('(').unwrap().1.split_once(')').unwrap().0;
    let shape = shape
        .split(',')
        .filter_map(|size| size.trim().parse().ok())
        .collect();
    (shape, (bytes.len() - header) / 4)
}
