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

/// What stands in the data directory.
fn names(shell: &Shell) -> Vec<String> {
    let entries = std::fs::read_dir(shell.data("")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_damaged_or_older_journal_is_left_as_it_is() {
    let shell = Shell::new();
    std::fs::create_dir_all(shell.data("")).unwrap();
    let path = shell.data("journal.sqlite");
    let commands = [
        &["incidents", "list"][..],
        &["incidents", "show", "1"],
        &["incidents", "ack", "1"],
        &["incidents", "label", "1", "real"],
        &["incidents", "label", "1", "real", "--preview"],
    ];

    std::fs::write(&path, "no database, only a line of text").unwrap();
    for args in commands {
        let said = shell.fails(1, args);
        assert!(said.contains("journal.sqlite"), "{args:?}: {said}");
        assert_eq!(
            said.matches("not a database").count(),
            1,
            "{args:?}: {said}"
        );
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert_eq!(kept, "no database, only a line of text");
    assert_eq!(names(&shell), ["journal.sqlite"]);

    std::fs::remove_file(&path).unwrap();
    let (mut journal, _) = Journal::open(&path).unwrap();
    let closed = incident(1_780_000_000, IncidentState::Closed, 3.25);
    journal.insert(&closed).unwrap();
    drop(journal);
    let database = rusqlite::Connection::open(&path).unwrap();
    database.pragma_update(None, "user_version", 1).unwrap();
    for args in commands {
        let said = shell.fails(1, args);
        assert!(said.contains("older pulsewatch"), "{args:?}: {said}");
    }
    let version: i64 = database
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, 1);
}

#[test]
fn the_owner_says_that_a_damaged_journal_was_set_aside() {
    let shell = Shell::new();
    let input = shell.write("series.csv", &super::shell::series(200, |_, _| {}));
    shell.ok(&["collect", "--input", input.to_str().unwrap()]);
    std::fs::write(shell.data("journal.sqlite"), "no database at all").unwrap();
    let done = shell.command(&["preprocess"]).assert().success();
    let said = String::from_utf8(done.get_output().stderr.clone()).unwrap();
    assert!(said.contains("was damaged"), "{said}");
    assert!(shell.data("journal.sqlite.damaged-1").exists());
}

/// The program as a user whom no folder is writable for: as root, everything is.
#[cfg(unix)]
fn unprivileged(shell: &Shell, args: &[&str]) -> std::process::Output {
    let root = std::process::Command::new("id").arg("-u").output().unwrap();
    let program = env!("CARGO_BIN_EXE_pulsewatch");
    let mut command = if root.stdout == b"0\n" {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        command.arg(program);
        command
    } else {
        std::process::Command::new(program)
    };
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", shell.path(""))
        .current_dir(shell.path(""))
        .args(args)
        .args(["--data-dir", "data"])
        .output()
        .unwrap()
}

#[cfg(unix)]
#[test]
fn reading_needs_no_place_to_write() {
    use std::os::unix::fs::PermissionsExt as _;

    let shell = Shell::new();
    std::fs::create_dir_all(shell.data("")).unwrap();
    let (mut journal, _) = Journal::open(&shell.data("journal.sqlite")).unwrap();
    let closed = incident(1_780_000_000, IncidentState::Closed, 3.25);
    journal.insert(&closed).unwrap();
    drop(journal);
    let before = names(&shell);
    let allow = |mode: u32, name: &str| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(shell.path(name), mode).unwrap();
    };
    allow(0o755, "");
    allow(0o444, "data/journal.sqlite");
    allow(0o555, "data");
    let commands = [
        (&["incidents", "list"][..], "web-1"),
        (&["incidents", "show", "1"], "incident 1"),
        (&["incidents", "label", "1", "real", "--preview"], "would"),
        (&["models", "list"], "no models yet"),
        (&["config", "show"], "[source]"),
        (&["check", "--offline"], "configuration  ok"),
    ];
    let outputs = commands.map(|(args, word)| (args, word, unprivileged(&shell, args)));
    let refused = unprivileged(&shell, &["incidents", "ack", "1"]);
    let run = unprivileged(&shell, &["run", "--no-tui"]);
    allow(0o755, "data");
    for (args, word, output) in outputs {
        let text = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{args:?}: {text}{said}");
        assert!(text.contains(word), "{args:?}: {text}{said}");
    }
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(run.status.code(), Some(1));
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(said.matches("Permission denied").count(), 1, "{said}");
    assert_eq!(names(&shell), before);
}
