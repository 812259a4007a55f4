//! Tests of `pulsewatch incidents`.

use std::sync::Arc;

use super::*;
use crate::cli::Since;
use crate::domain::{Entity, IncidentState, Why};

const START: i64 = 1_700_000_000;

fn now() -> Time {
    Time::from_secs(START + 3 * 3600)
}

fn incident(state: IncidentState) -> Incident {
    let feature = |name: &str, share, value| Contribution {
        feature: Arc::from(name),
        share,
        value,
        expected: 40.0,
        lower: 35.0,
        upper: if value.is_nan() { f64::NAN } else { 45.0 },
    };
    let gate = |name: &str, passed| Gate {
        name: name.into(),
        passed,
        detail: "what was measured".into(),
    };
    Incident {
        id: 0,
        entity: Entity::named("web-1"),
        start: Time::from_secs(START),
        end: Time::from_secs(START + 750),
        peak: Time::from_secs(START + 60),
        peak_score: 3.456,
        peak_alarm: Some(1.25),
        state,
        features: vec![
            feature("cpu", 0.7, 97.5),
            feature("memory", 0.2, f64::NAN),
            feature("disk", 0.06, 1.0),
            feature("load", 0.04, 2.0),
        ],
        why: Why {
            opening: vec![gate("threshold", true), gate("min_duration", true)],
            peak: vec![gate("threshold", true), gate("min_duration", false)],
        },
        acknowledged: false,
        label: None,
    }
}

/// A data directory with two incidents, and the engine that has the journal open.
fn data_dir() -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(&DataDir::at(dir.path()).journal()).unwrap();
    for state in [IncidentState::Closed, IncidentState::Open] {
        journal.insert(&incident(state)).unwrap();
    }
    (dir, journal)
}

fn said(work: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> String {
    let mut out = Vec::new();
    work(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn which(open: bool, limit: usize, json: bool) -> IncidentsListArgs {
    IncidentsListArgs {
        open,
        limit,
        json,
        ..IncidentsListArgs::default()
    }
}

#[test]
fn past_incidents_are_listed_when_they_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(&DataDir::at(dir.path()).journal()).unwrap();
    let past = incident(IncidentState::Past);
    journal
        .commit(&crate::store::Batch {
            past: Some(&[past]),
            ..crate::store::Batch::default()
        })
        .unwrap();
    let live = said(|out| list(dir.path(), &which(false, 50, false), now(), out));
    assert_eq!(
        live,
        "no incidents yet; `incidents list --past` lists those found in the history\n"
    );
    let mut asked = IncidentsListArgs {
        past: true,
        since: Some(Since::At(Time::from_secs(START + 750))),
        ..which(false, 50, false)
    };
    let text = said(|out| list(dir.path(), &asked, now(), out));
    assert!(
        text.contains("past    web-1") || text.contains("past   web-1"),
        "{text}"
    );
    asked.since = Some(Since::At(Time::from_secs(START + 751)));
    let text = said(|out| list(dir.path(), &asked, now(), out));
    assert_eq!(
        text,
        "no past incidents since then: none was found in the history\n"
    );
}

#[test]
fn the_list_is_a_table_with_open_ones_first() {
    let (dir, _engine) = data_dir();
    let text = said(|out| list(dir.path(), &which(false, 50, false), now(), out));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("ID  STATE   ENTITY  START"), "{text}");
    assert_eq!(
        lines[1],
        " 2  open    web-1   2023-11-14T22:13:20Z   3h       12m   3.5  no    –      cpu 70 %, memory 20 %, disk 6 %, 1 more"
    );
    assert!(lines[2].contains("closed"), "{text}");
    let open = said(|out| list(dir.path(), &which(true, 50, false), now(), out));
    assert_eq!(open.lines().count(), 2);
    assert_eq!(
        said(|out| list(dir.path(), &which(false, 1, false), now(), out))
            .lines()
            .count(),
        2
    );
}

#[test]
fn nothing_yet_is_said_and_makes_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let text = said(|out| list(&data, &which(false, 50, false), now(), out));
    assert_eq!(text, "no incidents yet\n");
    let text = said(|out| list(&data, &which(true, 50, false), now(), out));
    assert_eq!(text, "no open incidents\n");
    assert_eq!(
        said(|out| list(&data, &which(false, 50, true), now(), out)),
        "[]\n"
    );
    let error = acknowledge(&data, 3, false, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("no journal yet"), "{error}");
    assert!(!data.exists());
}

#[test]
fn one_incident_is_shown_in_full() {
    let (dir, _engine) = data_dir();
    let text = said(|out| show(dir.path(), &Config::default(), 2, false, now(), out));
    for words in [
        "incident 2\n",
        "start     2023-11-14T22:13:20Z, 3h ago\n",
        "(last anomalous row so far)",
        "peak      score 3.5 at 2023-11-14T22:14:20Z, at most 1.25 times the calibrated threshold",
        "FEATURE  CONTRIBUTION  VALUE AT PEAK  EXPECTED  BAND\n",
        "cpu              70 %           97.5        40  35 to 45\n",
        "memory           20 %              –        40  –\n",
        "  why, when it opened\n    passed  threshold: what was measured\n    passed  min_duration:",
        "  why, at its peak\n    passed  threshold: what was measured\n    stopped min_duration:",
    ] {
        assert!(text.contains(words), "{words:?} in\n{text}");
    }
    let closed = said(|out| show(dir.path(), &Config::default(), 1, false, now(), out));
    assert!(
        closed.contains("end       2023-11-14T22:25:50Z\n"),
        "{closed}"
    );
    let text = said(|out| show(dir.path(), &Config::default(), 2, true, now(), out));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["why"]["peak"][1]["name"], "min_duration");
    assert_eq!(json["why"]["opening"][1]["passed"], true);
    assert_eq!(json["features"][0]["upper"], 45.0);
    let error = show(
        dir.path(),
        &Config::default(),
        9,
        false,
        now(),
        &mut Vec::new(),
    )
    .unwrap_err();
    assert!(error.to_string().contains("no incident 9"), "{error}");
}

#[test]
fn values_have_the_units_of_their_queries() {
    let (dir, _engine) = data_dir();
    let text = "[source]\nurl = \"http://h\"\n[queries.cpu]\nexpr = \"up\"\nunit = \"percent\"\n[queries.disk]\nexpr = \"up\"\nunit = \"bytes/s\"\n";
    let config = crate::config::parse(text, "test").unwrap();
    let text = said(|out| show(dir.path(), &config, 2, false, now(), out));
    assert!(text.contains("35 % to 45 %"), "{text}");
    assert!(text.contains("35 B/s to 45 B/s"), "{text}");
}

#[test]
fn operators_words_are_kept_while_an_engine_runs() {
    let (dir, engine) = data_dir();
    let text = said(|out| acknowledge(dir.path(), 2, false, out));
    assert_eq!(text, "incident 2 is marked as seen\n");
    let word = |word, json| IncidentsLabelArgs {
        id: 2,
        label: word,
        clear: false,
        preview: false,
        json,
    };
    let config = Config::default();
    let told = word(Some(LabelWord::False), true);
    let text = said(|out| label(dir.path(), &config, &told, out));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&json["label"], &json["acknowledged"]),
        (&"false".into(), &true.into())
    );
    assert!(json["features"][1]["value"].is_null());
    let read = engine.get(2).unwrap().unwrap();
    assert!(read.acknowledged && read.label == Some(Label::False));
    let text = said(|out| label(dir.path(), &config, &word(None, false), out));
    assert!(
        text.starts_with("incident 2 has no label any more\nReplaying stored data: 0 of"),
        "{text}"
    );
    let other = IncidentsLabelArgs { id: 9, ..told };
    assert!(label(dir.path(), &config, &other, &mut Vec::new()).is_err());
}

#[test]
fn lengths_are_told_as_people_tell_them() {
    for (secs, text) in [(0, "0s"), (90, "1m30s"), (750, "12m"), (90_061, "1d1h")] {
        assert_eq!(span(Duration::from_secs(secs)), text);
    }
    assert_eq!(ago(Time::from_secs(1), Time::from_secs(2)), "–");
}
