//! What `run` would refuse, `check` finds: bad usage's exit code, with file, line and key, and no secret in it.

use super::shell::Shell;

/// A configuration, the line that is wrong in it, its key, and a word of what is said.
type Case = (&'static str, usize, &'static str, &'static str);

const CASES: [Case; 12] = [
    ("[api]\ntoken = \"  \"\n", 2, "api.token", "empty"),
    (
        "[api]\ntoken = { file = \"none.txt\" }\n",
        2,
        "api.token",
        "none.txt",
    ),
    (
        "[api]\ntoken = { env = \"NOT_SET\" }\n",
        2,
        "api.token",
        "`NOT_SET` is not set",
    ),
    (
        "[ui.keys]\nretrain = \"Hyper-9\"\n",
        2,
        "ui.keys.retrain",
        "no key",
    ),
    (
        "[ui.keys]\n\nretrain = \"q\"\n",
        3,
        "ui.keys.retrain",
        "`quit`",
    ),
    (
        "[ui.keys]\nfly = \"z\"\n",
        2,
        "ui.keys.fly",
        "no such action",
    ),
    (
        "[source]\nurl = \"http://127.0.0.1:1\"\nheaders = { X-A = \"hunter\\r\\nX-B: 2\" }\n",
        3,
        "source.headers.X-A",
        "control character",
    ),
    (
        "[source]\nurl = \"http://127.0.0.1:1\"\nbearer = { env = \"NOT_SET\" }\n",
        3,
        "source.bearer",
        "not set",
    ),
    (
        "[source]\nurl = \"http://127.0.0.1:1\"\nbasic = { username = \"me\", password = { file = \"none\" } }\n",
        3,
        "source.basic.password",
        "can't be read",
    ),
    (
        "[source]\nurl = \"https://127.0.0.1:1\"\ntls = { ca = \"none.pem\" }\n",
        3,
        "source.tls.ca",
        "can't be read",
    ),
    (
        "[source]\nkind = \"replay\"\nfile = \"none.csv\"\n",
        3,
        "source.file",
        "can't be read",
    ),
    (
        "[source]\nkind = \"replay\"\nfile = \".\"\n",
        3,
        "source.file",
        "folder",
    ),
];

#[test]
fn check_finds_what_run_refuses() {
    for (config, line, key, word) in CASES {
        let shell = Shell::with(config);
        for args in [
            &["check"][..],
            &["check", "--offline"],
            &["run", "--no-tui"],
            &["detect"],
            &["run"],
        ] {
            let said = shell.fails(2, args);
            let place = format!("pulsewatch.toml:{line}: {key}");
            assert!(said.contains(&place), "{args:?}: {said}");
            assert!(said.contains(word), "{args:?}: {said}");
            assert!(!said.contains("hunter"), "{args:?}: {said}");
        }
    }
}

#[test]
fn what_only_a_run_needs_does_not_keep_from_reading() {
    let shell = Shell::with(CASES[2].0);
    assert_eq!(shell.ok(&["incidents", "list"]), "no incidents yet\n");
    assert!(shell.ok(&["config", "show"]).contains("NOT_SET"));
}

#[test]
fn check_finds_a_file_that_is_no_recording_and_an_address_of_another_host() {
    let shell = Shell::with("[source]\nkind = \"replay\"\nfile = \"data.csv\"\n");
    shell.write("data.csv", "not,a recording\n");
    let said = shell.fails(1, &["check", "--offline"]);
    assert!(said.contains("data.csv"), "{said}");
    let shell = Shell::with("[exporter]\nlisten = \"192.0.2.1:8901\"\n");
    let said = shell.fails(1, &["check", "--offline"]);
    assert!(said.contains("exporter.listen"), "{said}");
}

#[test]
fn control_characters_of_settings_do_not_reach_the_terminal() {
    let shell = Shell::with(
        "[preprocess]\ntimezone = \"UTC\\u001b]0;title\\u0007\"\n[queries.\"c\\u001b[31m\"]\nexpr = \"up\"\n",
    );
    let said = shell.fails(2, &["check", "--offline"]);
    assert!(said.contains("preprocess.timezone"), "{said}");
    assert!(
        !said.contains('\u{1b}') && !said.contains('\u{7}'),
        "{said:?}"
    );

    let shell = Shell::with(
        "[source]\nurl = \"http://127.0.0.1:1\"\n[queries.cpu]\nexpr = '''up{a=\"\u{9b}31m\"}'''\n",
    );
    let shown = shell.ok(&["config", "show"]);
    assert!(shown.contains("up{a="), "{shown}");
    assert!(!shown.contains('\u{9b}'), "{shown:?}");
}

#[test]
fn no_part_of_an_address_is_shown_that_may_be_secret() {
    let shell = Shell::with(
        "[source]\nurl = \"http://me:hunter2@127.0.0.1:1/p?sid=hunter3#hunter4\"\nproxy = \"http://127.0.0.1:2/?k=hunter5\"\n\
         [source.params]\nsession_id = \"hunter6\"\ndedup = \"true\"\n",
    );
    for args in [&["config", "show"][..], &["config", "show", "--json"]] {
        let shown = shell.ok(args);
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(shown.contains("127.0.0.1:1/p?sid="), "{shown}");
        assert!(shown.contains("dedup"), "{shown}");
    }
    let shell = Shell::with("[source]\nurl = \"htp://127.0.0.1/?token=hunter2\"\n");
    let said = shell.fails(2, &["check"]);
    assert!(
        said.contains("source.url") && !said.contains("hunter"),
        "{said}"
    );
}
