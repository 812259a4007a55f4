//! What the log says of one played day, line by line: an operator can follow it, and it stays short.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp
)]

mod common;

#[path = "robust/fixture.rs"]
#[allow(dead_code)]
mod fixture;

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pulsewatch::domain::{Command, Label, PipelineId};
use serde_json::Value;

use common::driver::Driver;
use common::misbehaving::Reply;
use fixture::{STEP, bumped, config, is_up, open_incident, opened, scoring, server, stale};

/// Most lines that a day may have.
const MOST: usize = 60;

/// Fields that differ from machine to machine.
const VARY: [&str; 22] = [
    "version",
    "model",
    "active_model",
    "source",
    "windows",
    "epochs",
    "validation_loss",
    "threshold_mse",
    "score",
    "features",
    "figures",
    "error",
    "rows",
    // The first and the last row go by how far the clock was when the history was asked for.
    "from",
    "to",
    "seconds",
    "collections",
    "late_ticks",
    "failed_collections",
    "away_seconds",
    "anomalies",
    "duration_seconds",
];

/// All that is logged in this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Logs of every thread, at info, as JSON without times.
    fn begin() -> Self {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .without_time()
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        log
    }

    /// Waits until there are so many lines that have this text.
    async fn until(&self, text: &str, lines: usize) {
        let found = || self.lines().into_iter().filter(|line| line.contains(text));
        let is_there = || found().count() == lines;
        let waited = async {
            while !is_there() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waited)
            .await
            .unwrap_or_else(|_| panic!("no line with `{text}`"));
    }

    /// The lines as a person reads them, without what differs from run to run.
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(shown).collect()
    }
}

fn shown(line: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap();
    let mut fields = line["fields"].as_object().unwrap().clone();
    let message = fields.remove("message").unwrap();
    let mut text = format!(
        "{} {}",
        line["level"].as_str().unwrap(),
        message.as_str().unwrap()
    );
    for (name, value) in fields {
        if VARY.contains(&name.as_str()) {
            write!(text, " {name}=…").unwrap();
        } else {
            write!(text, " {name}={value}").unwrap();
        }
    }
    text
}

/// Plays on to a minute of the day.
async fn until_minute(driver: &mut Driver, minute: i64) {
    let end = fixture::NOW + minute * STEP;
    while driver.now.millis() / 1000 < end {
        driver.go_on(1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_told_in_few_lines() {
    let log = Log::begin();
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    // The history is judged in the background: its line is waited for, so that its place is the same in every run.
    log.until("the history has been judged", 1).await;

    // An incident that somebody has seen and called real.
    let bump = fixture::NOW + 120 * STEP;
    fake.change(|world| {
        world.forget("cpu");
        world.add("cpu", &[], move |t| {
            Some(bumped(t, 0.0, bump, bump + 12 * STEP))
        });
    });
    let found = opened(&mut driver).await;
    let id = open_incident(&found).unwrap().id;
    driver.send(Command::Acknowledge(id));
    driver
        .wait("seen", |s| open_incident(s).is_some_and(|i| i.acknowledged))
        .await;
    driver.send(Command::Label(id, Some(Label::Real)));
    driver
        .wait("labelled", |s| {
            open_incident(s).is_some_and(|i| i.label.is_some())
        })
        .await;
    driver.until("over", |s| open_incident(s).is_none()).await;
    // The line comes once the journal has it: a checkpoint that is being written holds it up while the clock is driven on.
    log.until("incident is over", 1).await;

    // The server is away for ten minutes.
    until_minute(&mut driver, 400).await;
    fake.change(|world| world.trouble = Some(Reply::status(503, "", "away")));
    driver.until("lost", |s| stale(s).is_some()).await;
    driver.go_on(10).await;
    fake.change(|world| world.trouble = None);
    driver.until("back", is_up).await;

    // Somebody asks for a new model.
    until_minute(&mut driver, 800).await;
    let before = driver.snapshot().live.model.clone();
    driver.send(Command::Retrain(PipelineId::Live));
    driver
        .until("trained", |s| {
            let last = s.live.last_training.as_ref();
            s.live.training.is_none()
                && last.is_some_and(|t| before.as_ref().is_none_or(|b| t.ended > b.trained_at))
        })
        .await;
    log.until("the history has been judged", 2).await;

    until_minute(&mut driver, 24 * 60).await;
    driver.stop().await;
    let lines = log.lines();
    assert!(lines.len() < MOST, "{} lines", lines.len());
    insta::assert_snapshot!(lines.join("\n"));
}
