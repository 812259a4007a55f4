//! What a server may take of memory and of time.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pulsewatch::config::Span;
use pulsewatch::domain::Time;
use pulsewatch::source::Collect;

use super::common::misbehaving::{Answers, Misbehaving, Reply, Request, Server};
use super::{START, config, good, recent, source_of};

/// `megabytes` of series, each with labels of its own, packed to a few hundred kilobytes.
fn bomb(megabytes: usize) -> Reply {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let head = r#"{"status":"success","data":{"resultType":"matrix","result":["#;
    packed.write_all(head.as_bytes()).unwrap();
    let filler = "x".repeat(10_000);
    for n in 0..megabytes * 100 {
        let comma = if n == 0 { "" } else { "," };
        let series = format!(
            r#"{comma}{{"metric":{{"n":"{n}","filler":"{filler}"}},"values":[[{START},"1"]]}}"#
        );
        packed.write_all(series.as_bytes()).unwrap();
    }
    packed.write_all(b"]}}").unwrap();
    let packed = packed.finish().unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        packed.len()
    );
    Reply::Raw([head.as_bytes(), &packed].concat())
}

#[tokio::test]
async fn an_answer_of_too_many_series_names_the_query_and_what_to_do() {
    let server = Misbehaving::always(bomb(30)).await;
    let mut config = config(&server.url());
    config.concurrency = 16;
    let source = source_of(&config, &["up", "down"]);
    let now = Time::from_secs(START);
    let text = source
        .recent(now, now, now, None)
        .await
        .unwrap_err()
        .to_string();
    for words in ["`q0` (up)", "16 MB", "256 MB", "aggregate"] {
        assert!(text.contains(words), "{text}");
    }
}

/// Peak resident memory of a process that runs, in MB.
#[cfg(target_os = "linux")]
fn peak(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024)
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_unpack_to_a_gigabyte_stay_within_the_budget() {
    let huge = bomb(350);
    let server = Misbehaving::start(vec![huge; 3], good()).await;
    let dir = tempfile::tempdir().unwrap();
    let mut text = format!(
        "[source]\nkind = \"prometheus\"\nurl = \"{}\"\n[history]\nperiod = \"1h\"\ncache = false\n[queries]\n",
        server.url()
    );
    for name in ["a", "b", "c"] {
        writeln!(text, "{name} = {{ expr = \"{name}\" }}").unwrap();
    }
    std::fs::write(dir.path().join("pulsewatch.toml"), text).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_pulsewatch"))
        .args([
            "collect",
            "--config",
            "pulsewatch.toml",
            "--data-dir",
            "data",
        ])
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = peak(child.id()).unwrap_or(0).max(most);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(server.requests().len() > 3, "less was asked for after it");
    assert!((1..256).contains(&most), "{most} MB");
}

#[tokio::test]
async fn retry_after_is_heard_but_does_not_park_the_source() {
    let busy = |after: &str| Reply::status(429, &format!("Retry-After: {after}\r\n"), "slow down");
    let server = Misbehaving::start(vec![busy("0"), busy("soon")], good()).await;
    let source = source_of(&config(&server.url()), &["up"]);
    recent(&source, None).await.unwrap();
    assert_eq!(server.requests().len(), 3);
    let server = Misbehaving::always(busy("999999999")).await;
    let source = source_of(&config(&server.url()), &["up"]);
    let now = Time::from_secs(START);
    let errors = [
        recent(&source, None).await.unwrap_err(),
        source
            .history(&[(now, now)], None, &|_| ())
            .await
            .unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.reason(), "http");
        assert!(error.to_string().contains("999999999 s"), "{error}");
    }
    assert_eq!(server.requests().len(), 2, "it was left alone");
}

#[tokio::test]
async fn a_look_is_over_after_twice_the_time_of_a_request() {
    let server = Misbehaving::start(vec![good()], Reply::Silence).await;
    let mut config = config(&server.url());
    (config.concurrency, config.retries) = (1, 100);
    config.timeout = Span(Duration::from_millis(300));
    // The first is answered: that the server is there is known, and each of the others is tried.
    let source = source_of(&config, &["a", "b", "c", "d", "e", "f", "g", "h"]);
    let batch = recent(&source, None).await.unwrap();
    assert_eq!(batch.frames[0].values()[(10, 0)], 10.0);
    let warnings = batch.warnings.join("\n");
    assert!(
        warnings.contains("the 0.6 s that one look may take"),
        "{warnings}"
    );
    let asked = server.requests().len();
    assert!(asked <= 4, "{asked}");
}

/// Answers what is recent, and never a long range.
struct SlowHistory;

impl Answers for SlowHistory {
    fn answer(&mut self, request: Request) -> Reply {
        let form: std::collections::HashMap<String, String> =
            url::form_urlencoded::parse(request.body.as_bytes())
                .into_owned()
                .collect();
        let time = |name: &str| form[name].parse::<i64>().unwrap();
        if time("end") - time("start") > 600 {
            Reply::Silence
        } else {
            good()
        }
    }
}

#[tokio::test]
async fn a_look_does_not_wait_for_history() {
    let server = Server::saying(SlowHistory).await;
    let mut config = config(&server.url());
    config.concurrency = 2;
    let source = Arc::new(source_of(&config, &["a", "b", "c", "d"]));
    let fetching = Arc::clone(&source);
    let history = tokio::spawn(async move {
        let day = (Time::from_secs(START - 86_400), Time::from_secs(START));
        fetching.history(&[day], None, &|_| ()).await.map(|_| ())
    });
    for _ in 0..3 {
        let batch = recent(&source, None).await.unwrap();
        assert_eq!(batch.frames[0].values().dim(), (11, 4));
    }
    assert!(!history.is_finished());
    history.abort();
}
