//! The program itself: killed, told to read its file anew, and started where it can't be.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pulsewatch::domain::Incident;
use pulsewatch::store::{IncidentFilter, Journal};

use crate::common::http;
use crate::common::servers::free_port;
use crate::fixture::{NOW, STEP, bumped, value, wave};

/// Longest that anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// The program without a screen, with a home of its own; killed when dropped.
pub struct App {
    child: Child,
    home: tempfile::TempDir,
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl App {
    /// Runs it on `data` with this configuration.
    pub fn start(data: &Path, config: &str, args: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("config.toml"), config).unwrap();
        let log = File::create(home.path().join("log.txt")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_pulsewatch"))
            .args(["run", "--no-tui", "--color", "never", "--config"])
            .arg(home.path().join("config.toml"))
            .arg("--data-dir")
            .arg(data)
            .args(args)
            .env("HOME", home.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_DATA_HOME")
            .env_remove("PROMETHEUS_URL")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, home }
    }

    /// All that it said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log.txt")).unwrap()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    fn configure(&self, config: &str) {
        fs::write(self.home.path().join("config.toml"), config).unwrap();
        self.signal("-HUP");
    }

    /// Waits until what is looked for is there.
    pub fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(&Self) -> Option<T>) -> T {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(found) = wanted(self) {
                return found;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("ended with {status} before {what}:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("never {what}:\n{}", self.log());
    }

    /// Waits for its end; gives back its exit code and what it said.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end:\n{}", self.log());
    }

    /// Ends it as a service manager does; gives back what it said.
    pub fn stop(self) -> String {
        self.signal("-TERM");
        let (code, said) = self.ended();
        assert_eq!(code, Some(0), "{said}");
        said
    }
}

/// 800 rows, 480 of them learned; `cpu` is far too high from row 540 on.
fn recording(dir: &Path) -> PathBuf {
    let mut csv = String::from("timestamp,cpu,load\n");
    for row in 0..800 {
        let time = NOW + row * STEP;
        let cpu = bumped(time, 0.0, NOW + 540 * STEP, i64::MAX);
        writeln!(csv, "{time},{cpu},{}", wave(time, 1.0)).unwrap();
    }
    let path = dir.join("recording.csv");
    fs::write(&path, csv).unwrap();
    path
}

fn config(file: &Path, port: u16, detect: &str) -> String {
    format!(
        "[source]\nkind = \"replay\"\nfile = \"{}\"\nspeed = 20.0\n\
         [exporter]\nlisten = \"127.0.0.1:{port}\"\n\
         [autoencoder]\nencoder = [12]\nlatent = 6\ndecoder = [12]\nepochs = 12\nlearning_rate = 0.01\nmax_windows = 400\n\
         [forecast]\nenabled = false\n\
         [detect]\nfalse_alarms_per_day = 0.001\n{detect}",
        file.display()
    )
}

fn incidents(data: &Path) -> Vec<Incident> {
    let path = data.join("journal.sqlite");
    if !path.exists() {
        return Vec::new();
    }
    let (journal, _) = Journal::open(&path).unwrap();
    journal.list(&IncidentFilter::default()).unwrap()
}

#[test]
fn killed_in_the_middle_of_an_incident_it_goes_on_with_the_same_one() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let config = config(&recording(dir.path()), free_port(), "interval = \"1s\"\n");
    let mut app = App::start(&data, &config, &[]);
    let first = app.until("an incident", |_| {
        incidents(&data).into_iter().find(Incident::is_open)
    });
    // Drop sends SIGKILL.
    drop(app);
    let before = incidents(&data);
    let mut app = App::start(&data, &config, &[]);
    app.until("it goes on", |_| {
        let now = incidents(&data);
        now.into_iter()
            .find(|i| i.id == first.id && i.end > before[0].end)
    });
    let now = incidents(&data);
    assert_eq!(now.len(), before.len(), "{now:#?}");
    assert_eq!(now[0].start, first.start);
    let said = app.stop();
    assert!(!said.contains("damaged"), "{said}");
    assert_eq!(
        fs::read_dir(data.join("models")).unwrap().count(),
        2,
        "one model and which it is"
    );
}

#[test]
fn a_changed_file_is_taken_up_and_a_bad_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (file, port) = (recording(dir.path()), free_port());
    let mut app = App::start(&data, &config(&file, port, "interval = \"1s\"\n"), &[]);
    let threshold = |_: &App| {
        let (status, text) = http::request(port, "GET", "/metrics", &[]).ok()?;
        (status == 200).then(|| value(&text, "anomaly_threshold_mse"))?
    };
    let auto = app.until("a model", threshold);

    let good = config(&file, port, "interval = \"2s\"\nthreshold = 0.125\n");
    app.configure(&good);
    app.until("the new threshold", |app| {
        threshold(app).filter(|t| *t == 0.125)
    });
    assert!(auto != 0.125);
    assert!(
        app.log().contains("has changed and is in force"),
        "{}",
        app.log()
    );

    // What can't be read is told and changes nothing.
    app.configure("[detect]\nthreshold = \"high\"\nintervall = \"2s\"\n");
    app.until("refused", |app| {
        app.log().contains("is not used").then_some(())
    });
    let said = app.log();
    assert!(
        said.contains("config.toml") && said.contains("intervall"),
        "{said}"
    );
    assert_eq!(threshold(&app), Some(0.125));

    // Neither is what reads well but names a file that is not there.
    let missing = dir.path().join("missing.csv");
    app.configure(&config(&missing, port, ""));
    app.until("refused too", |app| {
        app.log().contains("missing.csv").then_some(())
    });
    assert_eq!(threshold(&app), Some(0.125));

    // What can't work is taken back.
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap();
    app.configure(&config(&file, address.port(), ""));
    app.until("taken back", |app| {
        app.log()
            .contains("is rejected, the previous one is kept")
            .then_some(())
    });
    app.until("back", |app| threshold(app).filter(|t| *t == 0.125));
    assert!(app.log().contains(&address.to_string()), "{}", app.log());

    // And the next good one is taken again.
    app.configure(&config(&file, port, "threshold = 0.25\n"));
    app.until("the newest threshold", |app| {
        threshold(app).filter(|t| *t == 0.25)
    });
    app.stop();
}

#[test]
fn a_port_that_was_asked_for_must_be_free() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let config = config(&recording(dir.path()), address.port(), "");
    let app = App::start(&dir.path().join("data"), &config, &[]);
    let (code, said) = app.ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains(&address.to_string()) && said.contains("exporter.listen"),
        "{said}"
    );
}

#[test]
fn the_default_port_may_be_taken() {
    let dir = tempfile::tempdir().unwrap();
    // Whoever has it, it is taken.
    let _taken = TcpListener::bind(("127.0.0.1", 8901));
    let text = config(&recording(dir.path()), 8901, "interval = \"1s\"\n");
    let text = text.replace("listen = \"127.0.0.1:8901\"\n", "");
    let data = dir.path().join("data");
    let mut app = App::start(&data, &text, &[]);
    app.until("it says so", |app| {
        let said = app.log();
        (said.contains("127.0.0.1:8901") && said.contains("exporter.listen")).then_some(())
    });
    app.until("it works", |_| {
        data.join("models/current").exists().then_some(())
    });
    app.stop();
}

#[test]
fn the_default_port_must_be_free_when_it_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    // Whoever has it, it is taken.
    let _taken = TcpListener::bind(("127.0.0.1", 8901));
    let text = config(&recording(dir.path()), 8901, "");
    let (code, said) = App::start(&dir.path().join("data"), &text, &[]).ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("127.0.0.1:8901"), "{said}");
}

#[test]
fn nobody_is_refused_while_the_configuration_is_read_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (file, port) = (recording(dir.path()), free_port());
    let data = dir.path().join("data");
    let mut app = App::start(&data, &config(&file, port, "threshold = 0.5\n"), &[]);
    app.until("it answers", |_| {
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    for round in 1..=3 {
        app.configure(&config(&file, port, &format!("threshold = 0.{round}\n")));
        app.until("the new session", |app| {
            TcpStream::connect(("127.0.0.1", port)).expect("the port is still listened on");
            let said = app.log();
            (said.matches("has changed and is in force").count() >= round).then_some(())
        });
    }
    app.until("it answers again", |_| {
        http::request(port, "GET", "/livez", &[]).ok()
    });
    app.stop();
}

/// A request that never ends holds up the listener's end.
#[test]
fn a_second_signal_ends_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (file, port) = (recording(dir.path()), free_port());
    let mut app = App::start(&dir.path().join("data"), &config(&file, port, ""), &[]);
    let mut request = app.until("it answers", |_| {
        http::request(port, "GET", "/livez", &[]).ok()?;
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    request
        .write_all(b"POST /train HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        .unwrap();
    let is_listening = |app: &App| app.log().contains("stopping").then_some(());
    // The listener has taken the connection once it has answered a later one.
    http::request(port, "GET", "/livez", &[]).unwrap();
    app.signal("-TERM");
    app.until("it stops", is_listening);
    app.signal("-TERM");
    let (code, said) = app.ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("ended at once"), "{said}");
}

#[test]
fn a_data_directory_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = recording(dir.path());
    let mut first = App::start(&data, &config(&file, free_port(), ""), &[]);
    first.until("it runs", |_| {
        data.join("journal.sqlite").exists().then_some(())
    });
    let second = App::start(&data, &config(&file, free_port(), ""), &[]);
    let (code, said) = second.ended();
    assert_eq!(code, Some(1), "{said}");
    let owner = format!("process {}", first.child.id());
    assert!(
        said.contains(&owner) && said.contains(data.to_str().unwrap()),
        "{said}"
    );
    first.stop();
    let port = free_port();
    let mut next = App::start(&data, &config(&file, port, ""), &[]);
    next.until("it is free", |_| {
        let answer = http::request(port, "GET", "/livez", &[]).ok()?;
        (answer.0 == 200).then_some(())
    });
}
