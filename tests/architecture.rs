//! Holds the source to the table in ARCHITECTURE.md: who may know whom, how long a file may get, where `unsafe` may be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "architecture/arrows.rs"]
mod arrows;
#[path = "architecture/lexer.rs"]
mod lexer;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use arrows::arrows;

/// Lines after which a file is about more than one thing.
const LONGEST: usize = 600;
/// How many `allow(unsafe_code)` there are.
const UNSAFE_ALLOWANCES: usize = 0;

/// Room → rooms that it may import.
type Table = BTreeMap<String, BTreeSet<String>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The path as a reader of the repository knows it.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// The names that lead to a file's module: `src/serve/routes/mod.rs` is `[serve, routes]`, `src/cli.rs` is `[cli]`,
/// `src/lib.rs` is empty.
fn module(path: &Path) -> Vec<String> {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let mut names: Vec<String> = inside
        .with_extension("")
        .iter()
        .map(|name| name.to_str().unwrap().to_owned())
        .collect();
    if names
        .last()
        .is_some_and(|name| name == "mod" || name == "lib")
    {
        names.pop();
    }
    names
}

/// The table under "Who may know whom": `| room | may import |`, where the second column lists rooms or says `nothing`.
fn table() -> Table {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows: Vec<(String, String)> = text
        .lines()
        .skip_while(|line| !line.starts_with("## Who may know whom"))
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            (cells[0].replace('`', ""), cells[1].replace('`', ""))
        })
        .collect();
    assert!(!rows.is_empty(), "ARCHITECTURE.md has no table of rooms");
    let all: BTreeSet<String> = rows.iter().map(|(room, _)| room.clone()).collect();
    let table: Table = rows
        .into_iter()
        .map(|(room, list)| {
            let names = list.split(',').map(|name| name.trim().to_owned());
            (room, names.filter(|name| name != "nothing").collect())
        })
        .collect();
    for (room, list) in &table {
        let strangers: Vec<_> = list.difference(&all).collect();
        assert!(
            strangers.is_empty(),
            "row `{room}` names no rooms: {strangers:?}"
        );
    }
    table
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let table = table();
    let mut wrong = Vec::new();
    for path in sources() {
        let module = module(&path);
        let Some(room) = module.first() else {
            continue;
        };
        let Some(allowed) = table.get(room) else {
            wrong.push(format!("{}: no row for the room `{room}`", shown(&path)));
            continue;
        };
        let source = std::fs::read_to_string(&path).unwrap();
        let itself = if room == "main" {
            "pulsewatch"
        } else {
            "crate"
        };
        for arrow in arrows(&source, itself, module.len()) {
            let place = format!("{}:{}", shown(&path), arrow.line);
            if arrow.to == "super" {
                wrong.push(format!(
                    "{place}: `super` leads out of `{room}`; write crate::…"
                ));
            } else if arrow.to != *room && !allowed.contains(&arrow.to) {
                wrong.push(format!("{place}: `{room}` may not know `{}`", arrow.to));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "these arrows are not in ARCHITECTURE.md's table:\n{}",
        wrong.join("\n")
    );
}

/// The table is the rule, so what must never be written into it stands here.
#[test]
fn the_table_itself_is_sound() {
    let mut open = table();
    for room in ["domain", "disk"] {
        assert!(open[room].is_empty(), "`{room}` imports nothing");
    }
    for room in ["serve", "tui", "report"] {
        for machine in ["engine", "model", "detect", "source"] {
            assert!(
                !open[room].contains(machine),
                "`{room}` reads snapshots, not `{machine}`"
            );
        }
    }
    // Take away rooms that import nothing which is left, until none is left: else there is a circle.
    while !open.is_empty() {
        let ready: Vec<String> = open
            .iter()
            .filter(|(_, list)| !list.iter().any(|to| open.contains_key(to)))
            .map(|(room, _)| room.clone())
            .collect();
        assert!(
            !ready.is_empty(),
            "rooms import each other in a circle: {open:?}"
        );
        open.retain(|room, _| !ready.contains(room));
    }
}

#[test]
fn no_file_is_about_too_much() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|path| {
            (
                std::fs::read_to_string(&path).unwrap().lines().count(),
                path,
            )
        })
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, path)| format!("{}: {lines} lines", shown(&path)))
        .collect();
    assert!(
        long.is_empty(),
        "over {LONGEST} lines; split them by what they are about:\n{}",
        long.join("\n")
    );
}

#[test]
fn unsafe_code_is_allowed_only_where_it_is_counted() {
    let places: Vec<String> = sources()
        .into_iter()
        .flat_map(|path| {
            let words = lexer::tokens(&std::fs::read_to_string(&path).unwrap());
            let lines: Vec<usize> = words
                .iter()
                .filter(|word| word.text == "unsafe_code")
                .map(|word| word.line)
                .collect();
            lines
                .into_iter()
                .map(move |line| format!("{}:{line}", shown(&path)))
        })
        .collect();
    assert_eq!(places.len(), UNSAFE_ALLOWANCES, "{places:?}");
}
