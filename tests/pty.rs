//! The real program on a real (pseudo-)terminal: what a person sees, presses and gets back.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;
#[path = "screens/fixture.rs"]
#[allow(dead_code, reason = "the golden screens take the rest")]
mod fixture;
#[path = "pty/keys.rs"]
mod keys;
#[path = "pty/panic.rs"]
mod panic;
#[path = "pty/paste.rs"]
mod paste;
#[path = "pty/storm.rs"]
mod storm;
#[path = "common/terminal.rs"]
mod terminal;
#[path = "pty/tour.rs"]
mod tour;
#[path = "common/views.rs"]
mod views;
#[path = "pty/without_screen.rs"]
mod without_screen;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::http;
use tempfile::TempDir;
use terminal::{Terminal, has_mark};

const PROGRAM: &str = env!("CARGO_BIN_EXE_pulsewatch");

/// A training of a few seconds, no listener, this host as the live source.
const QUICK: [(&str, &str); 5] = [
    ("PULSEWATCH__AUTOENCODER__EPOCHS", "4"),
    ("PULSEWATCH__AUTOENCODER__MAX_WINDOWS", "600"),
    ("PULSEWATCH__EXPORTER__ENABLED", "false"),
    ("PULSEWATCH__SOURCE__KIND", "host"),
    ("PULSEWATCH__DETECT__INTERVAL", "5s"),
];

fn quick(args: &[&str], home: &TempDir, size: (u16, u16)) -> Terminal {
    Terminal::start(Path::new(PROGRAM), args, home.path(), &QUICK, size)
}

/// The row of the screen that holds `text`.
fn row(terminal: &Terminal, text: &str) -> String {
    let contents = terminal.text();
    let found = contents.lines().find(|line| line.contains(text));
    found.unwrap_or_default().to_owned()
}

/// Every tag is closed, in order.
fn is_well_formed(xml: &str) -> bool {
    let mut open = Vec::new();
    for tag in xml.split('<').skip(1) {
        let Some((tag, text)) = tag.split_once('>') else {
            return false;
        };
        let name = tag.split([' ', '\n', '/']).next().unwrap_or_default();
        if let Some(closed) = tag.strip_prefix('/') {
            if open.pop() != Some(closed) {
                return false;
            }
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        if text.contains('&') && !text.contains(';') {
            return false;
        }
    }
    open.is_empty() && xml.starts_with("<svg ")
}

#[test]
fn a_newcomer_sees_an_anomaly_and_how_to_go_on() {
    let home = TempDir::new().unwrap();
    let mut terminal = Terminal::start(Path::new(PROGRAM), &[], home.path(), &[], (120, 40));
    terminal.sees("No configuration");
    terminal.sees("PROMETHEUS_URL=");
    let screen = terminal.sees("built-in sample");
    assert!(screen.alternate_screen() && screen.hide_cursor());
    terminal.sees("learning what is normal");
    terminal.until("marked anomaly", has_mark);
    terminal.until("anomaly in the log", |screen| {
        let text = screen.contents();
        text.contains("this session") && !text.contains(" 0 this session")
    });
    terminal.press("1");
    terminal.sees("this host");
    terminal.sees("of 120 windows");
    terminal.press("q");
    assert!(terminal.ended().success());
    terminal.is_given_back();
}

#[test]
fn test_mode_is_looked_around_in_and_takes_orders() {
    let home = TempDir::new().unwrap();
    let mut terminal = quick(&["--mode", "test"], &home, (120, 40));
    terminal.sees("built-in sample");
    terminal.until("marked anomaly", has_mark);
    looking_around(&mut terminal);
    holding_still(&mut terminal);
    orders_to_the_engine(&mut terminal);
    terminal.press("S");
    terminal.sees("saved pulsewatch-");
    let shots = home.path().join(".local/share/pulsewatch/plots");
    let files: Vec<_> = std::fs::read_dir(shots)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let content = |kind: &str| {
        let file = files.iter().find(|f| f.extension().unwrap() == kind);
        std::fs::read_to_string(file.unwrap()).unwrap()
    };
    assert!(is_well_formed(&content("svg")));
    assert!(content("txt").contains("built-in sample"));
    terminal.press("q");
    assert!(terminal.ended().success());
    terminal.is_given_back();
}

/// Help, modes, panes and themes.
fn looking_around(terminal: &mut Terminal) {
    terminal.press("?");
    terminal.sees("Esc closes");
    terminal.press("\x1b");
    terminal.loses("Esc closes");
    terminal.press("1");
    terminal.sees("this host");
    terminal.sees("every 5 s");
    terminal.press(">");
    terminal.sees("every 2 s");
    terminal.press("<");
    terminal.sees("every 5 s");
    terminal.press("2");
    terminal.until("long-term mode", |screen| {
        screen.contents().contains("this host")
    });
    terminal.press("3");
    terminal.sees("built-in sample");
    terminal.press("\r");
    terminal.sees("1 of 6");
    terminal.press("\x1b[B");
    terminal.sees("2 of 6");
    terminal.press("\x1b[A");
    terminal.sees("1 of 6");
    terminal.press("\x1b");
    terminal.loses("1 of 6");
    let ground = |terminal: &Terminal| terminal.screen().cell(0, 0).unwrap().bgcolor();
    let dark = ground(terminal);
    terminal.press("t");
    terminal.until("other theme", |screen| {
        screen.cell(0, 0).unwrap().bgcolor() != dark
    });
    terminal.press("tttt");
    terminal.until("first theme", |screen| {
        screen.cell(0, 0).unwrap().bgcolor() == dark
    });
}

/// A frozen picture stays, and its time range can be changed.
fn holding_still(terminal: &mut Terminal) {
    terminal.press("f");
    terminal.sees("frozen at");
    let axis = |terminal: &Terminal| row(terminal, "╰");
    let before = axis(terminal);
    terminal.press("+");
    terminal.until("shorter time range", |_| axis(terminal) != before);
    assert!(terminal.text().contains("frozen at"));
    terminal.press("-");
    terminal.until("the first time range", |_| axis(terminal) == before);
    terminal.press("f");
    terminal.loses("frozen at");
}

/// A spike, a training, its end.
fn orders_to_the_engine(terminal: &mut Terminal) {
    terminal.press("x");
    terminal.sees("a spike comes with the next rows");
    terminal.press("r");
    terminal.sees("a new model will be trained");
    terminal.press("c");
    terminal.until("end of the training", |screen| {
        !screen.contents().contains("c cancels")
    });
}

#[test]
fn any_size_is_drawn() {
    let home = TempDir::new().unwrap();
    let mut terminal = quick(&["--mode", "test"], &home, (120, 40));
    terminal.sees("built-in sample");
    terminal.resize((40, 10));
    terminal.until("small screen", |screen| {
        let text = screen.contents();
        text.contains("▸ cpu") && !text.contains('╭')
    });
    terminal.resize((10, 3));
    terminal.sees("20×5");
    terminal.resize((1, 1));
    terminal.resize((200, 60));
    terminal.until("large screen", |screen| {
        let text = screen.contents();
        text.contains("╭ errors") && text.contains(": do")
    });
    terminal.resize((80, 24));
    terminal.until("usual screen", |screen| {
        let text = screen.contents();
        text.contains("╭ cpu") && text.lines().all(|line| line.chars().count() <= 80)
    });
    terminal.press("\x03");
    assert!(terminal.ended().success());
    terminal.is_given_back();
}

#[test]
fn signals_leave_a_clean_terminal() {
    let home = TempDir::new().unwrap();
    let mut terminal = quick(&["--mode", "live"], &home, (100, 30));
    terminal.sees("this host");
    terminal.press("\x1a");
    terminal.is_given_back();
    terminal.signal("CONT");
    terminal.sees("this host");
    assert!(terminal.screen().alternate_screen());
    terminal.signal("TERM");
    assert!(terminal.ended().success());
    terminal.is_given_back();
}

#[test]
fn without_a_terminal_it_runs_headless() {
    let home = TempDir::new().unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let listen = format!("127.0.0.1:{port}");
    let mut program = plain(&home);
    program
        .env_remove("PULSEWATCH__EXPORTER__ENABLED")
        .env("PULSEWATCH__EXPORTER__LISTEN", listen)
        .stdout(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let began = Instant::now();
    let alive = |child: &mut std::process::Child| {
        child.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(60)
    };
    while !matches!(http::request(port, "GET", "/livez", &[]), Ok((200, _))) {
        assert!(alive(&mut child), "the listener does not answer");
        std::thread::sleep(Duration::from_millis(50));
    }
    let id = child.id().to_string();
    Command::new("kill").arg(&id).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"", "standard output is nobody's screen");
}

#[test]
fn one_frame_is_printed_and_drawn() {
    let home = TempDir::new().unwrap();
    let picture = home.path().join("frame.svg");
    let output = plain(&home)
        .args([
            "run", "--once", "--mode", "test", "--size", "120x40", "--svg",
        ])
        .arg(&picture)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let frame = String::from_utf8(output.stdout).unwrap();
    assert_eq!(frame.lines().count(), 40);
    assert!(
        frame.lines().all(|line| line.chars().count() <= 120),
        "{frame}"
    );
    assert!(!frame.contains('\x1b'), "plain text");
    for part in ["built-in sample", "latency", "1 open", "▲", "● anomaly"] {
        assert!(frame.contains(part), "no {part} in\n{frame}");
    }
    assert!(is_well_formed(&std::fs::read_to_string(picture).unwrap()));
}

/// The program without a terminal.
fn plain(home: &TempDir) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .env_clear()
        .env("HOME", home.path())
        .envs(QUICK)
        .current_dir(home.path())
        .stdin(Stdio::null());
    command
}
