//! Terminals that get no dashboard, or one in ASCII, and a run without a screen whose terminal goes away.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use tempfile::TempDir;

use crate::terminal::Terminal;
use crate::{PROGRAM, QUICK};

fn with(args: &[&str], variables: &[(&str, &str)], home: &TempDir) -> Terminal {
    let all: Vec<(&str, &str)> = QUICK.iter().chain(variables).copied().collect();
    Terminal::start(Path::new(PROGRAM), args, home.path(), &all, (120, 40))
}

#[test]
fn a_terminal_that_can_not_be_drawn_on_gets_lines_and_is_told_why() {
    for (term, why) in [("dumb", "TERM=dumb"), ("", "TERM is not set")] {
        let home = TempDir::new().unwrap();
        let mut terminal = with(&[], &[("TERM", term)], &home);
        terminal.sees("running without the dashboard");
        let screen = terminal.sees(why);
        assert!(!screen.alternate_screen() && !screen.hide_cursor());
        terminal.signal("TERM");
        assert!(terminal.ended().success());
    }
}

#[test]
fn a_locale_without_utf_8_gets_ascii_only() {
    for variables in [
        &[("LANG", "C")][..],
        &[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")],
        &[("LC_CTYPE", "POSIX"), ("LANG", "en_US.UTF-8")],
    ] {
        let home = TempDir::new().unwrap();
        let mut terminal = with(&["--mode", "test"], variables, &home);
        terminal.sees("learning what is normal");
        let text = terminal.text();
        let strange: String = text.chars().filter(|letter| !letter.is_ascii()).collect();
        assert_eq!(strange, "", "{variables:?}:\n{text}");
        terminal.press("q");
        assert!(terminal.ended().success());
    }
}

#[test]
fn without_a_terminal_it_says_that_there_is_no_dashboard() {
    let home = TempDir::new().unwrap();
    // Standard input is closed, standard output a terminal.
    let shell = format!("exec {PROGRAM} 0<&-");
    let mut terminal = Terminal::start(
        Path::new("/bin/sh"),
        &["-c", &shell],
        home.path(),
        &QUICK,
        (120, 40),
    );
    terminal.sees("standard input is not a terminal");
    terminal.signal("INT");
    assert!(terminal.ended().success());
}

/// Runs `command` by a shell on a terminal of its own, which goes away once `ready` is true; the process, and what waits for it.
fn terminal_goes_away(
    command: &str,
    home: &TempDir,
    ready: impl Fn() -> bool,
) -> Box<dyn portable_pty::Child + Send + Sync> {
    let pair = native_pty_system().openpty(PtySize::default()).unwrap();
    let mut shell = CommandBuilder::new("/bin/sh");
    shell.args(["-c", command]);
    shell.cwd(home.path());
    shell.env_clear();
    shell.env("HOME", home.path());
    shell.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    for (name, value) in QUICK {
        shell.env(name, value);
    }
    let child = pair.slave.spawn_command(shell).unwrap();
    let began = Instant::now();
    while !ready() {
        assert!(began.elapsed() < Duration::from_secs(120), "never ready");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Both ends: the kernel hangs up.
    drop(pair);
    child
}

fn log(home: &TempDir) -> String {
    std::fs::read_to_string(home.path().join("log")).unwrap_or_default()
}

/// The engine is up once its journal is there.
fn is_up(home: &TempDir) -> bool {
    home.path().join("data/journal.sqlite").exists()
}

#[test]
fn a_run_without_a_screen_ends_with_its_terminal() {
    let home = TempDir::new().unwrap();
    let command = format!("exec {PROGRAM} detect --data-dir data 2>log");
    let mut child = terminal_goes_away(&command, &home, || is_up(&home));
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{}", log(&home));
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success(), "{}", log(&home));
    assert!(log(&home).contains("terminal"), "{}", log(&home));
}

#[test]
fn what_nohup_started_outlives_its_terminal_and_still_hears_of_a_reload() {
    let home = TempDir::new().unwrap();
    let command = format!("exec nohup {PROGRAM} detect --data-dir data >out 2>log");
    let mut child = terminal_goes_away(&command, &home, || is_up(&home));
    let hang_up = || {
        let id = child.process_id().unwrap().to_string();
        Command::new("kill").args(["-HUP", &id]).status().unwrap()
    };
    let began = Instant::now();
    while !log(&home).contains("no configuration file to read anew") {
        assert!(hang_up().success(), "{}", log(&home));
        assert!(began.elapsed() < Duration::from_secs(60), "{}", log(&home));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(child.try_wait().unwrap().is_none(), "{}", log(&home));
    child.kill().unwrap();
}

#[test]
fn a_reload_is_asked_for_while_the_terminal_is_there() {
    let home = TempDir::new().unwrap();
    let mut terminal = Terminal::start(
        Path::new(PROGRAM),
        &["detect"],
        home.path(),
        &QUICK,
        (120, 40),
    );
    let journal = home.path().join(".local/share/pulsewatch/journal.sqlite");
    terminal.until("the engine", |_| journal.exists());
    terminal.signal("HUP");
    terminal.sees("no configuration file to read anew");
    terminal.signal("TERM");
    assert!(terminal.ended().success());
}
