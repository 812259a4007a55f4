//! The Prometheus source against servers that fail in every way they can: each a clear error, a repeated request where
//! that may help, and never a secret in what is said.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp
)]

mod common;
#[path = "bad_servers/limits.rs"]
mod limits;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::misbehaving::{Answers, Misbehaving, Reply, Request, Script, Server, serve};
use common::pki::Pki;
use common::query;
use common::servers::free_port;
use pulsewatch::config::{
    BasicAuth, EntitiesConfig, FromFile, HistoryConfig, QueryConfig, Secret, SourceConfig, Span,
};
use pulsewatch::domain::{Schema, Time};
use pulsewatch::source::prometheus::{Backoff, PrometheusSource};
use pulsewatch::source::{Batch, Collect, SourceError};
use secrecy::SecretString;

/// What must never be seen in a message.
const SECRET: &str = "hunter2-s3cr3t";

const START: i64 = 1_700_000_040;

fn secret() -> Secret {
    Secret::Inline(SecretString::from(SECRET))
}

/// Two repetitions, no waiting.
fn config(url: &str) -> SourceConfig {
    SourceConfig {
        url: url.to_owned(),
        retries: 2,
        ..SourceConfig::default()
    }
}

fn source_of(config: &SourceConfig, exprs: &[&str]) -> PrometheusSource {
    let queries: BTreeMap<String, QueryConfig> = exprs
        .iter()
        .enumerate()
        .map(|(index, expr)| (format!("q{index}"), query(expr)))
        .collect();
    let quick = Backoff {
        first: Duration::from_millis(1),
        most: Duration::from_millis(2),
        most_asked: Duration::from_millis(5),
    };
    let entities = EntitiesConfig::default();
    let history = HistoryConfig::default();
    PrometheusSource::new(config, &queries, &entities, &history, None)
        .unwrap()
        .with_backoff(quick)
}

/// Eleven minutes, freshly asked for.
async fn recent(source: &PrometheusSource, schema: Option<&Schema>) -> Result<Batch, SourceError> {
    let from = Time::from_secs(START);
    let to = from + Duration::from_secs(600);
    source.recent(from, to, to, schema).await
}

async fn ask(config: &SourceConfig) -> Result<Batch, SourceError> {
    recent(&source_of(config, &["up"]), None).await
}

/// What one server says to everything, as the error that comes of it and the number of requests that were made.
async fn meets(reply: Reply) -> (SourceError, usize) {
    let server = Misbehaving::always(reply).await;
    let error = ask(&config(&server.url())).await.unwrap_err();
    assert!(error.to_string().contains(&server.url()), "{error}");
    (error, server.requests().len())
}

fn good() -> Reply {
    let values: Vec<String> = (0..11)
        .map(|row| format!("[{},\"{row}\"]", START + 60 * row))
        .collect();
    Reply::matrix(&format!(
        r#"{{"metric":{{"a":"b"}},"values":[{}]}}"#,
        values.join(",")
    ))
}

fn error_json(kind: &str, text: &str) -> String {
    format!(r#"{{"status":"error","errorType":"{kind}","error":"{text}"}}"#)
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_and_told_once_for_all_queries() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let source = source_of(&config(&url), &["a", "b", "c", "d", "e", "f"]);
    let error = recent(&source, None).await.unwrap_err();
    assert_eq!(error.reason(), "connect");
    assert!(error.is_transient());
    let text = error.to_string();
    assert!(
        text.contains(&url) && text.contains("refused") && text.contains("[source] url"),
        "{text}"
    );
}

#[tokio::test]
async fn an_unknown_host_is_a_failed_connection() {
    let error = ask(&config("http://no-such-host.invalid:9090"))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "connect");
    assert!(
        error.to_string().contains("no-such-host.invalid"),
        "{error}"
    );
}

#[tokio::test]
async fn what_can_not_be_cured_is_asked_once() {
    for (status, words) in [
        (400, "parse error"),
        (401, "bearer"),
        (403, "bearer"),
        (404, "base address"),
        (422, "parse error"),
    ] {
        let body = error_json("bad_data", "1:3: parse error: unexpected end");
        let (error, requests) = meets(Reply::status(status, "", &body)).await;
        assert_eq!(
            (error.reason(), requests),
            ("query", 1),
            "{status}: {error}"
        );
        let text = error.to_string();
        assert!(!error.is_transient() && text.contains(words), "{text}");
        assert!(
            text.contains("query `q0` (up)") && text.contains(&status.to_string()),
            "{text}"
        );
    }
}

#[tokio::test]
async fn what_may_pass_is_asked_again() {
    for status in [429, 500, 502, 503, 504] {
        let (error, requests) = meets(Reply::status(status, "", "<html>oops</html>")).await;
        assert_eq!((error.reason(), requests), ("http", 3), "{status}: {error}");
        assert!(
            error.is_transient() && !error.to_string().contains("oops"),
            "{error}"
        );
    }
    let failing = Reply::status(503, "", &error_json("timeout", "query timed out"));
    let server = Misbehaving::start(vec![failing.clone(), failing], good()).await;
    let batch = ask(&config(&server.url())).await.unwrap();
    assert_eq!(batch.frames[0].values()[(10, 0)], 10.0);
    assert_eq!(server.requests().len(), 3);
}

/// Answers whoever asks for few points, and has no time for others.
struct Slow {
    most: usize,
    widths: Vec<usize>,
}

impl Answers for Slow {
    fn answer(&mut self, request: Request) -> Reply {
        let form: BTreeMap<String, String> = url::form_urlencoded::parse(request.body.as_bytes())
            .into_owned()
            .collect();
        let time = |name: &str| form[name].parse::<usize>().unwrap();
        let width = (time("end") - time("start")) / time("step") + 1;
        self.widths.push(width);
        if width > self.most {
            let text = "query timed out in expression evaluation";
            return Reply::status(503, "", &error_json("timeout", text));
        }
        let times = (time("start")..=time("end")).step_by(time("step"));
        let values: Vec<String> = times.map(|time| format!("[{time},\"{time}\"]")).collect();
        let series = format!(r#"{{"metric":{{}},"values":[{}]}}"#, values.join(","));
        Reply::matrix(&series)
    }
}

#[tokio::test]
async fn a_query_that_a_server_has_no_time_for_is_asked_in_shorter_ranges() {
    let ask = async |most: usize| {
        let server = Server::saying(Slow {
            most,
            widths: Vec::new(),
        })
        .await;
        let mut config = config(&server.url());
        config.retries = 1;
        let source = source_of(&config, &["up"]);
        let period = (Time::from_secs(START), Time::from_secs(START + 60 * 999));
        let batch = source.history(&[period], None, &|_| ()).await;
        (batch, server.change(|slow| slow.widths.clone()))
    };
    let (batch, widths) = ask(150).await;
    let batch = batch.unwrap();
    let column = batch.frames[0].column(0).unwrap();
    let times = batch.frames[0].grid().times();
    assert_eq!(column.len(), 1000);
    assert!(
        times
            .zip(column)
            .all(|(time, value)| *value == (time.millis() / 1000) as f64)
    );
    assert!(batch.warnings.is_empty() && widths.len() < 30, "{widths:?}");
    // One that never has time is not asked for every row.
    let (error, widths) = ask(0).await;
    assert!(error.unwrap_err().to_string().contains("timed out"));
    assert!(
        widths.len() < 10 && widths.iter().min() > Some(&25),
        "{widths:?}"
    );
}

#[tokio::test]
async fn an_answer_without_parts_is_taken_and_said_to_be_so() {
    let values = format!(r#"[[{START},"7"]]"#);
    for (status, values, warns) in [
        ("partial", values.as_str(), true),
        ("success", &values, false),
        ("partial", "null", true),
        ("success", "null", false),
    ] {
        let body = format!(
            r#"{{"status":"{status}","data":{{"resultType":"matrix","result":[{{"metric":{{}},"values":{values},"histograms":null}}]}}}}"#
        );
        let server = Misbehaving::always(Reply::json(&body)).await;
        let batch = ask(&config(&server.url())).await.unwrap();
        let is_said = batch.warnings.iter().any(|text| text.contains("partial"));
        assert_eq!(is_said, warns, "{:?}", batch.warnings);
        let seen = batch.frames.first().map(|frame| frame.values()[(0, 0)]);
        assert_eq!(seen, (values != "null").then_some(7.0));
    }
    let odd = r#"{"status":"odd","data":null}"#;
    let (error, _) = meets(Reply::json(odd)).await;
    assert!(error.to_string().contains("status is `odd`"), "{error}");
}

/// Passes what is configured and refuses all else.
struct Guard {
    passes: bool,
}

impl Answers for Guard {
    fn answer(&mut self, request: Request) -> Reply {
        let is_own = request.body.contains("query=up&");
        if is_own || self.passes {
            good()
        } else {
            Reply::status(403, "", "not this query")
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_say_what_it_repeats_is_waited_for() {
    let server = Server::saying(Guard { passes: false }).await;
    let mut config = config(&server.url());
    config.step = Span::secs(15);
    let source = source_of(&config, &["up"]);
    let usual = Duration::from_secs(30);
    recent(&source, None).await.unwrap();
    assert_eq!(source.settling(), usual);
    // Asked again a minute later: what it answers then is no time.
    server.change(|guard| guard.passes = true);
    let look = async |secs: i64| {
        let now = Time::from_secs(START + 600 + secs);
        source.recent(now, now, now, None).await.unwrap();
        source.settling()
    };
    assert_eq!(look(30).await, usual);
    assert_eq!(look(61).await, Duration::ZERO);
    server.change(|guard| guard.passes = false);
    assert_eq!(look(4000).await, Duration::ZERO, "what was known is kept");
    config.step = Span::secs(60);
    assert_eq!(source_of(&config, &["up"]).settling(), Duration::ZERO);
}

#[tokio::test]
async fn a_clock_that_is_behind_is_said_with_what_to_set() {
    // A day before the times that are asked for, or the same.
    for (date, behind) in [
        ("Mon, 13 Nov 2023 22:24:00 GMT", Some("1440 min")),
        ("Tue, 14 Nov 2023 22:24:00 GMT", None),
    ] {
        let Reply::Raw(bytes) = good() else {
            panic!("a whole answer");
        };
        let text = String::from_utf8(bytes).unwrap();
        let text = text.replacen("Connection", &format!("Date: {date}\r\nConnection"), 1);
        let server = Misbehaving::always(Reply::Raw(text.into_bytes())).await;
        let batch = ask(&config(&server.url())).await.unwrap();
        let said = batch.warnings.iter().find(|text| text.contains("clock"));
        match behind {
            None => assert_eq!(said, None),
            Some(words) => {
                let said = said.unwrap();
                assert!(said.contains(words), "{said}");
                assert!(said.contains("latency_offset = \"1445m\""), "{said}");
            }
        }
    }
}

#[tokio::test]
async fn answers_that_can_not_be_understood_are_asked_for_again() {
    let success = |data: &str| Reply::json(&format!(r#"{{"status":"success","data":{data}}}"#));
    for (reply, words) in [
        (good().half(), "broke off"),
        (Reply::json("{\"status\":\"suc"), "begins with"),
        (
            Reply::json("not json\u{1b}[2J"),
            "begins with `not json [2J`",
        ),
        (
            Reply::status(200, "", "<!doctype html><title>Log in</title>"),
            "<!doctype html>",
        ),
        (Reply::json(""), "EOF"),
        (
            success(r#"{"resultType":"matrix","result":[{"metric":{},"values":[["x"]]}]}"#),
            "not what",
        ),
        (success("7"), "not what"),
    ] {
        let (error, requests) = meets(reply).await;
        assert_eq!((error.reason(), requests), ("decode", 3), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let (error, _) = meets(success(r#"{"resultType":"vector","result":[]}"#)).await;
    assert!(error.to_string().contains("with a vector"), "{error}");
    let (error, requests) = meets(Reply::json(&error_json("execution", "out of memory"))).await;
    assert_eq!((error.reason(), requests), ("query", 1));
    let (error, requests) = meets(Reply::HangUp).await;
    assert_eq!((error.reason(), requests), ("connect", 3), "{error}");
    let (error, _) = meets(Reply::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())).await;
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn half_an_answer_is_made_whole_by_asking_again() {
    let server = Misbehaving::start(vec![good().half(), Reply::HangUp], good()).await;
    let batch = ask(&config(&server.url())).await.unwrap();
    assert!(batch.frames[0].values().iter().all(|v| v.is_finite()));
}

#[tokio::test]
async fn silence_is_a_timeout() {
    let server = Misbehaving::always(Reply::Silence).await;
    let mut config = config(&server.url());
    config.timeout = Span(Duration::from_millis(200));
    let error = ask(&config).await.unwrap_err();
    assert_eq!(error.reason(), "timeout");
    assert!(
        error.to_string().contains("within 200ms") && error.is_transient(),
        "{error}"
    );
    assert_eq!(server.requests().len(), 1, "the next look asks again");
}

#[tokio::test]
async fn redirects_are_told_not_followed() {
    let to = format!("Location: https://me:{SECRET}@login.example/start?next={SECRET}\r\n");
    let (error, requests) = meets(Reply::status(302, &to, "")).await;
    let text = error.to_string();
    assert_eq!(requests, 1);
    assert!(
        text.contains("https://login.example/start") && !text.contains(SECRET),
        "{text}"
    );
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    // 300 MB of white space, compressed to 300 kB.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..300 {
        std::io::Write::write_all(&mut packed, &vec![b' '; 1 << 20]).unwrap();
    }
    let packed = packed.finish().unwrap();
    let length = packed.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let huge = Reply::Raw([head.as_bytes(), &packed].concat());
    // Less is asked for then; that works here.
    let server = Misbehaving::start(vec![huge], good()).await;
    let batch = ask(&config(&server.url())).await.unwrap();
    assert_eq!(batch.frames[0].values()[(10, 0)], 10.0);
    let requests = server.requests();
    assert_eq!(requests.len(), 4, "once whole, then in parts of five rows");
    assert!(
        requests[0]
            .head
            .to_lowercase()
            .contains("accept-encoding: gzip")
    );
    assert!(
        requests[1]
            .body
            .contains(&format!("end={}", START + 4 * 60)),
        "{}",
        requests[1].body
    );
}

#[tokio::test]
async fn too_many_points_are_asked_for_in_halves() {
    let limit = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
    let refused = Reply::status(400, "", &error_json("bad_data", limit));
    let server = Misbehaving::start(vec![refused.clone()], good()).await;
    let batch = ask(&config(&server.url())).await.unwrap();
    assert!(batch.frames[0].values().iter().all(|v| v.is_finite()));
    assert_eq!(server.requests().len(), 4);
    // A server that never has enough ends the game.
    let (error, _) = meets(refused).await;
    assert_eq!(error.reason(), "query");
}

#[tokio::test]
async fn empty_and_unusable_values_are_missing_not_wrong() {
    let server = Misbehaving::always(Reply::matrix("")).await;
    let batch = ask(&config(&server.url())).await.unwrap();
    assert!(batch.frames.is_empty());
    assert!(
        batch.warnings[0].contains("query `q0` gave no samples"),
        "{:?}",
        batch.warnings
    );

    let odd = r#"{"metric":{},"values":[[1700000040,"NaN"],[1700000100,"+Inf"],[1700000160,"-Inf"],[1700000220,"1e3"]]},
        {"metric":{"h":"1"},"histograms":[[1700000040,{"count":"3","sum":"4"}]]}"#;
    let server = Misbehaving::always(Reply::matrix(odd)).await;
    let batch = ask(&config(&server.url())).await.unwrap();
    let values = batch.frames[0].column(0).unwrap().to_vec();
    assert!(values[..3].iter().chain(&values[4..]).all(|v| v.is_nan()));
    assert_eq!(values[3], 1000.0);
    assert!(
        batch.warnings[0].contains("native histograms"),
        "{:?}",
        batch.warnings
    );
}

#[tokio::test]
async fn the_servers_warnings_are_passed_on() {
    let body = r#"{"status":"success","data":{"resultType":"matrix","result":[]},"warnings":["store gateway 2 is down"],"infos":["PromQL info: not a counter"],"isPartial":true}"#;
    let server = Misbehaving::always(Reply::json(body)).await;
    let batch = ask(&config(&server.url())).await.unwrap();
    for words in ["store gateway 2 is down", "not a counter", "partial"] {
        assert!(
            batch.warnings.iter().any(|w| w.contains(words)),
            "{:?}",
            batch.warnings
        );
    }
}

#[tokio::test]
async fn label_sets_may_come_and_go() {
    let set = |pod: &str, value: i32| {
        format!(r#"{{"metric":{{"pod":"{pod}"}},"values":[[{START},"{value}"]]}}"#)
    };
    let both = Reply::matrix(&format!("{},{}", set("a", 1), set("b", 2)));
    let other = Reply::matrix(&format!("{},{}", set("b", 3), set("c", 4)));
    let server = Misbehaving::start(vec![both, other], Reply::matrix("")).await;
    let source = source_of(&config(&server.url()), &["up"]);
    let first = recent(&source, None).await.unwrap();
    let schema = first.frames[0].schema().clone();
    assert_eq!(schema.len(), 2);
    let second = recent(&source, Some(&schema)).await.unwrap();
    let row = second.frames[0].values().row(0).to_vec();
    assert!(row[0].is_nan() && row[1] == 3.0);
    assert_eq!(second.unknown, [r#"q0{pod="c"}"#]);
    let third = recent(&source, Some(&schema)).await.unwrap();
    assert!(third.frames[0].values().iter().all(|v| v.is_nan()));
    assert!(third.unknown.is_empty());
}

#[tokio::test]
async fn one_bad_query_does_not_stop_the_others() {
    let refused = Reply::status(400, "", &error_json("bad_data", "parse error"));
    let server = Misbehaving::start(vec![refused], good()).await;
    let mut config = config(&server.url());
    config.concurrency = 1;
    let batch = recent(&source_of(&config, &["bad(", "up"]), None)
        .await
        .unwrap();
    assert_eq!(batch.frames[0].schema().len(), 1);
    assert!(
        batch.warnings[0].contains("query `q0` (bad()"),
        "{:?}",
        batch.warnings
    );
    let server = Misbehaving::always(Reply::status(400, "", "no")).await;
    let source = source_of(&self::config(&server.url()), &["bad(", "worse("]);
    let error = recent(&source, None).await.unwrap_err();
    assert_eq!(error.reason(), "query");
    assert!(error.to_string().contains("other 1 quer"), "{error}");
}

#[tokio::test]
async fn post_is_tried_first_and_get_when_it_is_not_allowed() {
    for status in [405, 501] {
        let server = Misbehaving::start(vec![Reply::status(status, "", "")], good()).await;
        let mut config = config(&format!(
            "{}/prom/api/v1/query_range?dedup=true",
            server.url()
        ));
        config
            .params
            .insert("max_source_resolution".into(), "5m".into());
        let source = source_of(&config, &["sum(up{a=\"b c\"})"]);
        recent(&source, None).await.unwrap();
        recent(&source, None).await.unwrap();
        let lines: Vec<String> = server
            .requests()
            .iter()
            .map(|r| r.head.lines().next().unwrap().to_owned())
            .collect();
        let path = "/prom/api/v1/query_range?dedup=true&max_source_resolution=5m";
        assert_eq!(lines[0], format!("POST {path} HTTP/1.1"));
        let query = "query=sum%28up%7Ba%3D%22b+c%22%7D%29";
        let end = START + 600;
        let range = format!("start={START}&end={end}&step=60&latency_offset=15000ms");
        assert_eq!(lines[1], format!("GET {path}&{query}&{range} HTTP/1.1"));
        assert_eq!(lines[2], lines[1], "the second time at once");
        assert_eq!(server.requests()[0].body, format!("{query}&{range}"));
    }
}

#[tokio::test]
async fn credentials_and_headers_are_sent() {
    let server = Misbehaving::always(good()).await;
    let sent = async |config: &SourceConfig| {
        ask(config).await.unwrap();
        server.requests().last().unwrap().head.clone()
    };
    let has = |head: &str, name: &str, value: &str| {
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .any(|(n, v)| n.eq_ignore_ascii_case(name) && v == value)
    };
    let mut bearer = config(&server.url());
    bearer.bearer = Some(secret());
    bearer.headers.insert(
        "X-Scope-OrgID".into(),
        Secret::Inline(SecretString::from("team-a")),
    );
    let head = sent(&bearer).await;
    assert!(
        has(&head, "authorization", &format!("Bearer {SECRET}")),
        "{head}"
    );
    assert!(has(&head, "x-scope-orgid", "team-a"), "{head}");

    let mut basic = config(&server.url());
    basic.basic = Some(BasicAuth {
        username: "Aladdin".into(),
        password: Secret::Inline(SecretString::from("open sesame")),
    });
    let head = sent(&basic).await;
    // The example of RFC 7617.
    assert!(
        has(&head, "authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        "{head}"
    );

    let url = server.url().replace("//", "//Aladdin:open%20sesame@");
    let in_address = config(&url);
    assert_eq!(source_of(&in_address, &["up"]).name(), server.url());
    let head = sent(&in_address).await;
    assert!(
        has(&head, "authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        "{head}"
    );
}

#[tokio::test]
async fn a_rotated_token_is_read_anew() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "first-token\n").unwrap();
    let denied = || Reply::status(401, "", "expired");
    let server = Misbehaving::start(vec![good(), denied()], good()).await;
    let mut config = config(&server.url());
    config.bearer = Some(Secret::File(FromFile { file: file.clone() }));
    let source = source_of(&config, &["up"]);
    recent(&source, None).await.unwrap();
    std::fs::write(&file, "second-token\n").unwrap();
    recent(&source, None).await.unwrap();
    let tokens: Vec<bool> = server
        .requests()
        .iter()
        .map(|r| r.head.contains("Bearer second-token"))
        .collect();
    assert_eq!(tokens, [false, false, true]);
    // The same token again would be refused again.
    let server = Misbehaving::always(denied()).await;
    config.url = server.url();
    ask(&config).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn what_may_be_incomplete_is_not_kept() {
    let body = |extra: &str| {
        Reply::status(
            200,
            extra,
            &format!(
                r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{}},"values":[[{START},"1"]]}}]}}{}}}"#,
                if extra.is_empty() {
                    r#","warnings":["store is down"]"#
                } else {
                    ""
                }
            ),
        )
    };
    // The second says that hardly any time has passed since the first chunk.
    let young = "Date: Tue, 14 Nov 2023 22:20:00 GMT\r\n";
    let old = "Date: Tue, 14 Nov 2023 23:59:00 GMT\r\n";
    for (reply, kept) in [(body(""), 0), (body(young), 0), (body(old), 2)] {
        let server = Misbehaving::always(reply).await;
        let dir = tempfile::tempdir().unwrap();
        let history = HistoryConfig {
            chunk: Span::secs(300),
            ..HistoryConfig::default()
        };
        let queries = BTreeMap::from([("q".to_owned(), query("up"))]);
        let source = PrometheusSource::new(
            &config(&server.url()),
            &queries,
            &EntitiesConfig::default(),
            &history,
            Some(dir.path().to_owned()),
        )
        .unwrap();
        // 22:15 to 22:30.
        let from = Time::from_secs(START + 60);
        let period = (from, from + Duration::from_secs(900));
        source.history(&[period], None, &|_| ()).await.unwrap();
        let files = std::fs::read_dir(dir.path())
            .unwrap()
            .flat_map(|sub| std::fs::read_dir(sub.unwrap().path()).unwrap())
            .count();
        assert_eq!(files, kept);
    }
}

#[tokio::test]
async fn a_proxy_is_asked_instead_of_the_server() {
    let proxy = Misbehaving::always(good()).await;
    let mut config = config("http://prometheus.invalid:9090");
    config.proxy = Some(proxy.url());
    ask(&config).await.unwrap();
    let head = proxy.requests()[0].head.clone();
    assert!(
        head.starts_with("POST http://prometheus.invalid:9090/api/v1/query_range"),
        "{head}"
    );
}

/// The secret in every place that takes one.
fn with_secret(url: &str) -> [SourceConfig; 5] {
    let mut all = [(); 5].map(|()| config(url));
    let [address, bearer, basic, header, param] = &mut all;
    address.url = url.replace("//", &format!("//me:{SECRET}@"));
    bearer.bearer = Some(secret());
    basic.basic = Some(BasicAuth {
        username: "me".into(),
        password: secret(),
    });
    header.headers.insert("X-Token".into(), secret());
    param.params.insert("token".into(), SECRET.into());
    all
}

#[tokio::test]
async fn secrets_are_never_repeated() {
    // A server, a proxy or a login page may echo what it was sent.
    // As `Authorization: Basic` has it, for the user `me`.
    let encoded = "bWU6aHVudGVyMi1zM2NyM3Q=";
    let echo = format!("denied: {SECRET}");
    let replies = [
        Reply::status(401, "", &error_json("unauthorized", &echo)),
        Reply::status(403, "", &format!("denied: Basic {encoded} {SECRET}")),
        Reply::status(500, "", &echo),
        Reply::status(200, "", &echo),
        Reply::json(&format!(
            r#"{{"status":"success","data":{{"resultType":"{echo}","result":[]}}}}"#
        )),
        Reply::json(&format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"values":[[1,"{echo}"]]}}]}}}}"#
        )),
        Reply::HangUp,
    ];
    for reply in replies {
        let server = Misbehaving::always(reply).await;
        for config in with_secret(&server.url()) {
            let source = source_of(&config, &["up"]);
            assert!(!format!("{source:?} {}", source.name()).contains(SECRET));
            let error = recent(&source, None).await.unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains(SECRET), "{shown}");
            let basic = config.basic.is_some() || config.url.contains('@');
            assert!(!basic || !shown.contains(encoded), "{shown}");
            if let Ok(report) = source.probe(Time::from_secs(START), &[]).await {
                assert!(!format!("{report:?}").contains(SECRET), "{report:?}");
            }
        }
    }
    // Warnings are shown as well.
    let body = format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[]}},"warnings":["{SECRET}"]}}"#
    );
    let server = Misbehaving::always(Reply::json(&body)).await;
    let mut config = config(&server.url());
    config.bearer = Some(secret());
    let batch = ask(&config).await.unwrap();
    assert!(!format!("{:?}", batch.warnings).contains(SECRET));
}

#[tokio::test]
async fn a_full_or_forbidden_cache_is_a_warning() {
    let server = Misbehaving::always(good()).await;
    let dir = tempfile::tempdir().unwrap();
    // A file where the folder should be can't be written into, not even by root.
    let blocked: PathBuf = dir.path().join("cache");
    std::fs::write(&blocked, "").unwrap();
    let queries = BTreeMap::from([("q".to_owned(), query("up"))]);
    let history = HistoryConfig {
        chunk: Span::secs(300),
        ..HistoryConfig::default()
    };
    let source = config(&server.url());
    let entities = EntitiesConfig::default();
    let source = PrometheusSource::new(
        &source,
        &queries,
        &entities,
        &history,
        Some(blocked.clone()),
    )
    .unwrap();
    let from = Time::from_secs(START);
    let period = (from, from + Duration::from_secs(600));
    let batch = source.history(&[period], None, &|_| ()).await.unwrap();
    assert_eq!(batch.frames[0].values()[(3, 0)], 3.0);
    assert!(
        batch.warnings[0].contains("can't be kept"),
        "{:?}",
        batch.warnings
    );
    assert!(matches!(batch.stored, Some(Err(_))), "{:?}", batch.stored);
    std::fs::remove_file(&blocked).unwrap();
    let batch = source.history(&[period], None, &|_| ()).await.unwrap();
    assert_eq!(batch.stored, Some(Ok(())));
    let batch = source.history(&[period], None, &|_| ()).await.unwrap();
    assert_eq!(batch.stored, None, "it is all there");
}

#[tokio::test]
async fn what_can_not_work_is_told_before_anything_is_asked() {
    let new = |source: &SourceConfig, exprs: BTreeMap<String, QueryConfig>| {
        let (entities, history) = (EntitiesConfig::default(), HistoryConfig::default());
        PrometheusSource::new(source, &exprs, &entities, &history, None).unwrap_err()
    };
    let one = || BTreeMap::from([("q".to_owned(), query("up"))]);
    let good = config("http://127.0.0.1:1");
    for (error, key) in [
        (new(&config("localhost:9090"), one()), "[source] url"),
        (new(&good, BTreeMap::new()), "[queries.<name>]"),
        (
            new(
                &SourceConfig {
                    step: Span::secs(0),
                    ..good.clone()
                },
                one(),
            ),
            "[source] step",
        ),
        (
            new(
                &SourceConfig {
                    bearer: Some(secret()),
                    basic: Some(BasicAuth {
                        username: "me".into(),
                        password: secret(),
                    }),
                    ..good.clone()
                },
                one(),
            ),
            "both bearer and basic",
        ),
    ] {
        assert_eq!(error.reason(), "other");
        assert!(error.to_string().contains(key), "{error}");
    }
    let source = source_of(&good, &["up"]);
    let period = (Time::from_secs(0), Time::from_secs(4_000_000_000));
    let error = source.history(&[period], None, &|_| ()).await.unwrap_err();
    assert!(error.to_string().contains("[history]"), "{error}");
}

#[tokio::test]
async fn tls_trusts_the_given_authority_and_shows_the_given_certificate() {
    let pki = Pki::new();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(pki.server.clone()));
    let script = Arc::new(Mutex::new(Script::new(Vec::new(), good())));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, script) = (acceptor.clone(), Arc::clone(&script));
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, script).await;
                }
            });
        }
    });
    let mut config = config(&url);
    let error = ask(&config).await.unwrap_err();
    assert!(error.to_string().contains("[source.tls] ca"), "{error}");

    config.tls.ca = Some(pki.file("ca.pem"));
    let error = ask(&config).await.unwrap_err();
    assert_eq!(error.reason(), "connect");
    assert!(error.to_string().contains("[source.tls]"), "{error}");

    config.tls.cert = Some(pki.file("cert.pem"));
    config.tls.key = Some(pki.file("key.pem"));
    let batch = ask(&config).await.unwrap();
    assert_eq!(batch.frames[0].values()[(10, 0)], 10.0);

    config.tls.ca = None;
    config.tls.insecure_skip_verify = true;
    ask(&config).await.unwrap();
}
