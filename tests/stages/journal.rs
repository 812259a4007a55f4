//! `incidents` on a journal that has some.

use pulsewatch::domain::{Contribution, Entity, Incident, IncidentState, Time, Why};
use pulsewatch::store::Journal;
use serde_json::{Value, json};

use super::shell::Shell;

fn incident(start: i64, state: IncidentState, peak_score: f64) -> Incident {
    let part = |feature: &str, share| Contribution {
        feature: feature.into(),
        share,
        value: 97.5,
        expected: f64::NAN,
        lower: f64::NAN,
        upper: f64::NAN,
    };
    Incident {
        id: 0,
        entity: Entity::named("web-1"),
        start: Time::from_secs(start),
        end: Time::from_secs(start + 600),
        peak: Time::from_secs(start + 300),
        peak_score,
        peak_alarm: None,
        state,
        features: vec![part("cpu", 0.75), part("latency", 0.25)],
        why: Why::default(),
        acknowledged: false,
        label: None,
    }
}

#[test]
fn incidents_are_listed_shown_acknowledged_and_labelled() {
    let shell = Shell::new();
    assert_eq!(shell.json(&["incidents", "list", "--json"]), json!([]));
    assert_eq!(shell.ok(&["incidents", "list"]), "no incidents yet\n");
    assert!(
        !shell.data("journal.sqlite").exists(),
        "a question made a journal"
    );
    let said = shell.fails(1, &["incidents", "show", "1"]);
    assert!(said.contains("no incident 1"), "{said}");

    std::fs::create_dir_all(shell.data("")).unwrap();
    let (mut journal, _) = Journal::open(&shell.data("journal.sqlite")).unwrap();
    let closed = journal
        .insert(&incident(1_780_000_000, IncidentState::Closed, 3.25))
        .unwrap();
    let open = journal
        .insert(&incident(1_780_090_000, IncidentState::Open, 1.5))
        .unwrap();
    // The journal stays open, as a running engine has it.
    let ids = |list: &Value| -> Vec<u64> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|i| i["id"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(
        ids(&shell.json(&["incidents", "list", "--json"])),
        [open, closed]
    );
    assert_eq!(
        ids(&shell.json(&["incidents", "list", "--open", "--json"])),
        [open]
    );
    assert_eq!(
        ids(&shell.json(&["incidents", "list", "--limit", "1", "--json"])).len(),
        1
    );
    let table = shell.ok(&["incidents", "list"]);
    assert!(
        table.contains("cpu 75 %, latency 25 %") && table.contains("web-1"),
        "{table}"
    );

    let id = closed.to_string();
    let page = shell.ok(&["incidents", "show", &id]);
    assert!(page.contains("score 3.2 at 2026-05-28T20:31:40Z"), "{page}");
    let shown = shell.json(&["incidents", "show", &id, "--json"]);
    assert_eq!(
        shown["features"][0],
        json!({"feature": "cpu", "share": 0.75, "value": 97.5, "expected": null, "lower": null, "upper": null})
    );
    assert_eq!(shown["why"], json!({"opening": [], "peak": []}));
    assert!(page.contains("why       not kept"), "{page}");

    assert_eq!(
        shell.json(&["incidents", "ack", &id, "--json"])["acknowledged"],
        true
    );
    assert!(journal.get(closed).unwrap().unwrap().acknowledged);
    for (word, label) in [
        ("false", json!("false")),
        ("real", json!("real")),
        ("none", json!(null)),
    ] {
        let labelled = shell.json(&["incidents", "label", &id, word, "--json"]);
        assert_eq!(labelled["label"], label, "{labelled}");
    }
    for args in [
        &["incidents", "ack", "99"][..],
        &["incidents", "label", "99", "real"],
    ] {
        let said = shell.fails(1, args);
        assert!(said.contains("99"), "{said}");
    }
    shell.fails(2, &["incidents", "label", &id, "perhaps"]);
}
