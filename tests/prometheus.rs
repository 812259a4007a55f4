//! The Prometheus source against a real Prometheus with backfilled history.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp
)]

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use common::query;
use common::servers::{History, NodeExporter, Prometheus, hours_ago};
use pulsewatch::config::{EntitiesConfig, HistoryConfig, QueryConfig, SourceConfig, Span};
use pulsewatch::domain::{Frame, Time, Unit};
use pulsewatch::source::prometheus::PrometheusSource;
use pulsewatch::source::{Batch, Collect};

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;

/// What a test asks for, with the defaults of the configuration.
struct Setup {
    source: SourceConfig,
    queries: BTreeMap<String, QueryConfig>,
    entities: EntitiesConfig,
    history: HistoryConfig,
    cache: Option<PathBuf>,
}

impl Setup {
    fn of(server: &Prometheus, queries: &[(&str, &str)]) -> Self {
        Self {
            source: SourceConfig {
                url: server.url(),
                ..SourceConfig::default()
            },
            queries: queries
                .iter()
                .map(|(name, expr)| ((*name).to_owned(), query(expr)))
                .collect(),
            entities: EntitiesConfig::default(),
            history: HistoryConfig::default(),
            cache: None,
        }
    }

    fn source(&self) -> PrometheusSource {
        PrometheusSource::new(
            &self.source,
            &self.queries,
            &self.entities,
            &self.history,
            self.cache.clone(),
        )
        .unwrap()
    }

    async fn history(&self, periods: &[(i64, i64)]) -> Batch {
        let periods: Vec<(Time, Time)> = periods.iter().map(|p| times(*p)).collect();
        self.source()
            .history(&periods, None, &|_| ())
            .await
            .unwrap()
    }
}

fn times((from, to): (i64, i64)) -> (Time, Time) {
    (Time::from_secs(from), Time::from_secs(to))
}

/// A wave with a daily and a short period, one sample every `step` from `from` to `to`.
fn wave(from: i64, to: i64, step: i64, level: f64) -> Vec<(i64, f64)> {
    (from..=to)
        .step_by(usize::try_from(step).unwrap())
        .map(|t| {
            let day = (t as f64 / 86_400.0 * std::f64::consts::TAU).sin();
            let short = (t as f64 / 1700.0).cos();
            (t, level + 10.0 * day + short)
        })
        .collect()
}

/// A frame's column by feature name, as (seconds, value).
fn column(frame: &Frame, feature: &str) -> Vec<(i64, f64)> {
    let index = frame
        .schema()
        .iter()
        .position(|f| &*f.name == feature)
        .unwrap_or_else(|| panic!("{feature} in {:?}", frame.schema()));
    frame
        .grid()
        .times()
        .map(|t| t.millis() / 1000)
        .zip(frame.column(index).unwrap().to_vec())
        .collect()
}

/// Same times and values, NaN equal to NaN.
fn assert_same(left: &[(i64, f64)], right: &[(i64, f64)]) {
    assert_eq!(left.len(), right.len());
    for (l, r) in left.iter().zip(right) {
        let same = l.0 == r.0 && (l.1 == r.1 || (l.1.is_nan() && r.1.is_nan()));
        assert!(same, "{l:?} and {r:?}");
    }
}

/// An entity, with its rows as time and bits.
type Rows = (String, Vec<(i64, Vec<u64>)>);

fn frames(batch: &Batch) -> Vec<Rows> {
    batch
        .frames
        .iter()
        .map(|frame| {
            let rows = frame
                .grid()
                .times()
                .zip(frame.values().rows())
                .map(|(t, row)| (t.millis(), row.iter().map(|v| v.to_bits()).collect()))
                .collect();
            (frame.entity().to_string(), rows)
        })
        .collect()
}

fn wall() -> Time {
    Time::from_millis(jiff::Timestamp::now().as_millisecond())
}

#[tokio::test]
async fn samples_that_come_late_are_said_with_what_to_set() {
    let newest = wall().millis() / 1000 - 600;
    let server = Prometheus::with_history(&[History::new(
        "late",
        &[("instance", "a")],
        wave(newest - HOUR, newest, 15, 1.0),
    )]);
    let mut setup = Setup::of(&server, &[("late", "late")]);
    setup.source.step = Span::secs(15);
    let source = setup.source();
    let now = wall();
    let look = source.recent(now - Duration::from_secs(60), now, now, None);
    let batch = look.await.unwrap();
    let probe = source.probe(now, &[]).await.unwrap();
    for said in [batch.warnings.last(), probe.notes.last()] {
        // The newest sample is ten minutes old; the server repeats it for five of them.
        let said = said.unwrap();
        assert!(said.contains("are 5 min old"), "{said}");
        assert!(
            said.contains("latency_offset = \"11m\"") || said.contains("latency_offset = \"10m\""),
            "{said}"
        );
    }
    // Prometheus has its own values at once.
    assert_eq!(source.settling(), Duration::ZERO);
    let back = now - Duration::from_secs(700);
    let batch = source
        .recent(back, back + Duration::from_secs(60), now, None)
        .await
        .unwrap();
    assert!(batch.warnings.is_empty(), "{:?}", batch.warnings);
}

#[tokio::test]
async fn a_counter_whose_samples_are_further_apart_than_rows_is_said() {
    let (from, to) = (hours_ago(6), hours_ago(1));
    let rising = |every: i64| -> Vec<(i64, f64)> {
        let times = (from..=to).step_by(usize::try_from(every).unwrap());
        times.map(|t| (t, ((t - from) * 80) as f64)).collect()
    };
    let server = Prometheus::with_history(&[
        History::new("slow", &[("instance", "a")], rising(120)),
        History::new("quick", &[("instance", "a")], rising(30)),
    ]);
    let mut setup = Setup::of(&server, &[("slow", "slow"), ("quick", "quick")]);
    for query in setup.queries.values_mut() {
        query.counter = true;
    }
    let batch = setup.history(&[(from + HOUR, to)]).await;
    let [said] = batch.warnings.as_slice() else {
        panic!("{:?}", batch.warnings);
    };
    for words in ["`slow`", "120 s apart", "rows are 60 s", "rate("] {
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn values_are_what_was_recorded_gaps_and_all() {
    let (from, to) = (hours_ago(12), hours_ago(3));
    let all = wave(from, to, MINUTE, 50.0);
    // Two hours are missing; the server still shows the last sample before for its lookback of five minutes.
    let (gap_from, gap_to) = (from + 3 * HOUR, from + 5 * HOUR);
    let gappy: Vec<(i64, f64)> = all
        .iter()
        .copied()
        .filter(|(t, _)| *t <= gap_from || *t >= gap_to)
        .collect();
    let nans: Vec<(i64, f64)> = all
        .iter()
        .map(|(t, v)| match (t / MINUTE) % 4 {
            0 => (*t, f64::NAN),
            1 => (*t, f64::INFINITY),
            _ => (*t, *v),
        })
        .collect();
    let server = Prometheus::with_history(&[
        History::new("whole", &[("instance", "a")], all.clone()),
        History::new("gappy", &[("instance", "a")], gappy),
        History::new("nans", &[("instance", "a")], nans),
    ]);
    let mut setup = Setup::of(
        &server,
        &[("whole", "whole"), ("gappy", "gappy"), ("nans", "nans")],
    );
    let cache = tempfile::tempdir().unwrap();
    setup.cache = Some(cache.path().to_owned());
    // Once from the server, once from the cache.
    for _ in 0..2 {
        let batch = setup.history(&[(from, to)]).await;
        assert!(batch.warnings.is_empty(), "{:?}", batch.warnings);
        let [frame] = &batch.frames[..] else {
            panic!("one frame");
        };
        assert!(frame.entity().is_sole());
        assert_same(&column(frame, "whole"), &all);
        for ((t, value), (_, expected)) in column(frame, "gappy").iter().zip(&all) {
            if *t == gap_from + 300 {
                // Whether the lookback includes its far end differs between versions.
                continue;
            }
            let shown = *t < gap_from + 300 || *t >= gap_to;
            let expected = if *t > gap_from && *t < gap_to {
                all[usize::try_from((gap_from - from) / MINUTE).unwrap()].1
            } else {
                *expected
            };
            assert_eq!(value.is_nan(), !shown, "at {}", t - gap_from);
            assert!(!shown || *value == expected, "at {}", t - gap_from);
        }
        for ((t, value), (_, expected)) in column(frame, "nans").iter().zip(&all) {
            let missing = (t / MINUTE) % 4 < 2;
            assert!(if missing {
                value.is_nan()
            } else {
                value == expected
            });
        }
    }
}

#[tokio::test]
async fn label_sets_become_entities_and_features() {
    let (from, to) = (hours_ago(5), hours_ago(3));
    let mut series = Vec::new();
    for (host, level) in [("a:9100", 10.0), ("b:9100", 20.0)] {
        for (device, more) in [("sda", 1.0), ("sdb", 2.0)] {
            let labels = [("device", device), ("instance", host), ("job", "node")];
            let level = level + more;
            series.push(History::new("disk", &labels, wave(from, to, MINUTE, level)));
        }
        let labels = [("instance", host), ("job", "node")];
        series.push(History::new("load", &labels, wave(from, to, MINUTE, level)));
    }
    let server = Prometheus::with_history(&series);
    let mut setup = Setup::of(&server, &[("disk", "disk"), ("load", "load")]);
    setup.entities.group_by = vec!["instance".into()];
    let disk = setup.queries.get_mut("disk").unwrap();
    (disk.unit, disk.limit) = (Unit::Percent, Some(90.0));
    let batch = setup.history(&[(from, to)]).await;
    let names: Vec<String> = batch
        .frames
        .iter()
        .map(|f| f.entity().to_string())
        .collect();
    assert_eq!(names, ["a:9100", "b:9100"]);
    let disk_b = wave(from, to, MINUTE, 22.0);
    assert_same(&column(&batch.frames[1], r#"disk{device="sdb"}"#), &disk_b);
    assert_same(
        &column(&batch.frames[0], "load"),
        &wave(from, to, MINUTE, 10.0),
    );
    let disk = &batch.frames[0].schema()[0];
    assert_eq!((&disk.unit, disk.limit), (&Unit::Percent, Some(90.0)));

    // Without group_by the host is one more label that differs.
    setup.entities.group_by = Vec::new();
    let batch = setup.history(&[(from, to)]).await;
    assert_eq!(batch.frames.len(), 1);
    let feature = r#"disk{device="sdb",instance="b:9100"}"#;
    assert_same(&column(&batch.frames[0], feature), &disk_b);

    // The schema of one host leaves the other's device unknown.
    setup.entities.group_by = vec!["instance".into()];
    setup.queries.insert(
        "disk".into(),
        query("disk{device=\"sda\"} or disk{instance=\"b:9100\"}"),
    );
    let schema = setup.history(&[(from, to)]).await.frames[0]
        .schema()
        .clone();
    let cut: pulsewatch::domain::Schema = schema
        .iter()
        .filter(|f| !f.name.contains("sdb"))
        .cloned()
        .collect();
    let (from, to) = times((from, to));
    let batch = setup
        .source()
        .recent(from, to, to, Some(&cut))
        .await
        .unwrap();
    assert_eq!(batch.unknown, [r#"disk{device="sdb"}"#]);
    assert_eq!(batch.frames[0].schema().len(), 2);
}

#[tokio::test]
async fn explicit_periods_are_a_frame_each() {
    let (from, to) = (hours_ago(50), hours_ago(3));
    let all = wave(from, to, MINUTE, 1.0);
    let server = Prometheus::with_history(&[History::new("m", &[], all.clone())]);
    let mut setup = Setup::of(&server, &[("m", "m")]);
    let cache = tempfile::tempdir().unwrap();
    setup.cache = Some(cache.path().to_owned());
    let periods = [
        (from + 90, from + 4 * HOUR),
        (from + 20 * HOUR, from + 30 * HOUR + 59),
    ];
    for _ in 0..2 {
        let batch = setup.history(&periods).await;
        assert_eq!(batch.frames.len(), 2);
        for (frame, (start, end)) in batch.frames.iter().zip(periods) {
            let inside: Vec<(i64, f64)> = all
                .iter()
                .copied()
                .filter(|(t, _)| (start..=end).contains(t))
                .collect();
            assert_same(&column(frame, "m"), &inside);
        }
    }
}

#[tokio::test]
async fn a_second_run_asks_almost_nothing() {
    // In the middle of a chunk of six hours, so that the counts below do not depend on the time of day.
    let to = hours_ago(5) / (6 * HOUR) * 6 * HOUR + 3 * HOUR;
    let from = to - 72 * HOUR;
    let mut series = Vec::new();
    for device in ["sda", "sdb", "sdc"] {
        let level = f64::from(device.as_bytes()[2]);
        series.push(History::new(
            "disk",
            &[("device", device)],
            wave(from, to, MINUTE, level),
        ));
    }
    series.push(History::new("cpu", &[], wave(from, to, MINUTE, 5.0)));
    let server = Prometheus::with_history(&series);
    let mut setup = Setup::of(&server, &[("disk", "disk"), ("cpu", "cpu")]);
    let cache = tempfile::tempdir().unwrap();
    setup.cache = Some(cache.path().to_owned());

    let first = setup.history(&[(from, to)]).await;
    let after_first = server.range_query_count();
    let second = setup.history(&[(from, to)]).await;
    let after_second = server.range_query_count();
    assert_eq!(frames(&first), frames(&second));
    // The newest chunk is still open: one request per query.
    assert_eq!(after_second - after_first, 2);

    // Now moves on, also by less than a step.
    let moved = setup
        .history(&[(from + 7 * MINUTE + 13, to + 7 * MINUTE + 13)])
        .await;
    assert_eq!(server.range_query_count() - after_second, 2);
    assert_eq!(
        moved.frames[0].grid().start(),
        Time::from_secs(from + 8 * MINUTE)
    );

    // A damaged chunk is fetched again, and said so.
    let query_dir = std::fs::read_dir(cache.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let chunk = std::fs::read_dir(query_dir)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    std::fs::write(&chunk, b"PAR1 this is none").unwrap();
    let before = server.range_query_count();
    let healed = setup.history(&[(from, to)]).await;
    assert_eq!(frames(&first), frames(&healed));
    assert_eq!(server.range_query_count() - before, 3);
    assert!(
        healed.warnings[0].contains("damaged"),
        "{:?}",
        healed.warnings
    );

    // Another expression is another cache.
    setup.queries.insert("cpu".into(), query("cpu * 2"));
    let before = server.range_query_count();
    let doubled = setup.history(&[(from, to)]).await;
    assert!(server.range_query_count() - before > 2);
    let (cpu, twice) = (
        column(&first.frames[0], "cpu"),
        column(&doubled.frames[0], "cpu"),
    );
    assert_eq!(cpu[100].1 * 2.0, twice[100].1);
}

#[tokio::test]
async fn bad_promql_is_told_with_one_request() {
    let (from, to) = (hours_ago(100), hours_ago(2));
    let server = Prometheus::with_history(&[History::new("m", &[], wave(from, to, 300, 1.0))]);
    let mut setup = Setup::of(&server, &[("broken", "sum(rate(m[5m])")]);
    let progress = Mutex::new(Vec::new());
    let error = setup
        .source()
        .history(&[times((from, to))], None, &|part| {
            progress.lock().unwrap().push(part);
        })
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "query");
    assert!(!error.is_transient());
    let text = error.to_string();
    for part in ["`broken`", "sum(rate(m[5m])", "parse error", &server.url()] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(
        server.range_queries(),
        BTreeMap::from([("400".to_owned(), 1)])
    );

    // Beside a good one it is a warning.
    setup.queries.insert("good".into(), query("m"));
    let batch = setup.history(&[(from, to)]).await;
    assert_eq!(batch.frames[0].schema().len(), 1);
    assert!(
        batch.warnings[0].contains("`broken`"),
        "{:?}",
        batch.warnings
    );
    assert_eq!(server.range_queries()["400"], 2);
}

#[tokio::test]
async fn recent_rows_are_those_of_history() {
    let (from, to) = (hours_ago(6), hours_ago(2));
    let server = Prometheus::with_history(&[
        History::new("m", &[("x", "1")], wave(from, to, MINUTE, 1.0)),
        History::new("m", &[("x", "2")], wave(from, to, MINUTE, 2.0)),
    ]);
    let setup = Setup::of(&server, &[("m", "m")]);
    let source = setup.source();
    let whole = source
        .history(&[times((from, to))], None, &|_| ())
        .await
        .unwrap();
    let schema = whole.frames[0].schema().clone();
    let before = server.range_query_count();
    let (start, end) = (to - 30 * MINUTE - 17, to - 5);
    let recent = source
        .recent(
            Time::from_secs(start),
            Time::from_secs(end),
            Time::from_secs(end),
            Some(&schema),
        )
        .await
        .unwrap();
    assert_eq!(server.range_query_count() - before, 1);
    let inside: Vec<(i64, f64)> = column(&whole.frames[0], r#"m{x="2"}"#)
        .into_iter()
        .filter(|(t, _)| (start..=end).contains(t))
        .collect();
    assert_eq!(inside.len(), 30);
    assert_same(&column(&recent.frames[0], r#"m{x="2"}"#), &inside);
}

#[tokio::test]
async fn answers_are_compressed() {
    let (from, to) = (hours_ago(100), hours_ago(2));
    let all = wave(from, to, MINUTE, 3.0);
    let server = Prometheus::with_history(&[History::new("m", &[], all)]);
    Setup::of(&server, &[("m", "m")])
        .history(&[(from, to)])
        .await;
    let packed = server.range_query_bytes();
    let path = format!("/api/v1/query_range?query=m&start={from}&end={to}&step=60");
    let plain = common::http::get(server.port(), &path).len() as f64;
    assert!(packed > 0.0 && packed < 0.8 * plain, "{packed} of {plain}");
}

#[tokio::test]
async fn long_ranges_are_split_below_the_servers_limit() {
    let (from, to) = (hours_ago(14 * 24), hours_ago(2));
    let all = wave(from, to, MINUTE, 3.0);
    assert!(all.len() > 20_000);
    let server = Prometheus::with_history(&[History::new("m", &[], all.clone())]);
    let setup = Setup::of(&server, &[("m", "m")]);
    let heard = Mutex::new(Vec::new());
    let batch = setup
        .source()
        .history(&[times((from, to))], None, &|part| {
            heard.lock().unwrap().push(part);
        })
        .await
        .unwrap();
    assert_same(&column(&batch.frames[0], "m"), &all);
    let asked = server.range_queries();
    assert_eq!(asked.keys().collect::<Vec<_>>(), ["200"]);
    // One or two for the newest chunk, and as few as may be for the rest.
    assert!((3..=5).contains(&asked["200"]), "{asked:?}");
    let heard = heard.into_inner().unwrap();
    assert!(heard.windows(2).all(|pair| pair[0] <= pair[1]), "{heard:?}");
    assert_eq!(heard.last(), Some(&1.0));

    // The live path splits as well.
    let source = setup.source();
    let (start, end) = times((from, to));
    let recent = source.recent(start, end, end, None).await.unwrap();
    assert_same(&column(&recent.frames[0], "m"), &all);
    assert_eq!(server.range_queries()["200"] - asked["200"], 3);
}

#[tokio::test]
async fn a_scraped_server_is_probed_and_collected_live() {
    let node = NodeExporter::start();
    let server = Prometheus::start(&[], &[node.target()]);
    let mut setup = Setup::of(
        &server,
        &[
            ("up", "up"),
            ("range", "up[5m]"),
            ("nothing", "no_such_metric"),
            ("broken", "up{"),
            ("scalar", "time()"),
        ],
    );
    setup.entities.group_by = vec!["instance".into()];
    setup.source.step = Span::secs(1);
    // The first scrape comes within the first second.
    let probe = loop {
        let probe = setup.source().probe(wall(), &[]).await.unwrap();
        if probe.queries[4].series > 0 {
            break probe;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(probe.server.unwrap().contains("2."));
    let [broken, nothing, range, scalar, up] = &probe.queries[..] else {
        panic!("five queries");
    };
    assert!(
        broken
            .error
            .as_ref()
            .unwrap()
            .to_string()
            .contains("parse error")
    );
    assert!(nothing.error.is_none() && nothing.warnings[0].contains("no series"));
    assert!(range.error.as_ref().unwrap().to_string().contains("rate("));
    assert_eq!((scalar.series, scalar.entities), (1, 1));
    assert_eq!((up.series, up.entities), (1, 1));

    setup.queries.retain(|name, _| name == "up");
    let source = setup.source();
    // The grid's newest time lies before the first scrape for up to a second.
    let batch = loop {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let now = i64::try_from(now.as_secs()).unwrap();
        let (from, to) = times((now - 2, now));
        let batch = source.recent(from, to, to, None).await.unwrap();
        if !batch.frames.is_empty() {
            break batch;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let values = column(&batch.frames[0], "up");
    assert_eq!(values.last().unwrap().1, 1.0);
}
