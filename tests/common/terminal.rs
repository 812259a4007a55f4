//! The real program in a pseudo-terminal, with what it draws parsed as a terminal would. Tests and benches use it.

#![allow(
    dead_code,
    reason = "each program that includes this file takes the part that it needs"
)]

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portable_pty::{
    Child, CommandBuilder, ExitStatus, MasterPty, PtySize, SlavePty, native_pty_system,
};
use vt100::{Parser, Screen};

/// Longest that anything is waited for: a training in a dev build on a busy machine is part of it.
const PATIENCE: Duration = Duration::from_secs(180);

/// How often the screen is looked at.
const LOOK: Duration = Duration::from_millis(30);

/// What came out of the program so far.
struct Output {
    parser: Parser,
    bytes: u64,
}

/// A program with a terminal of its own; killed when dropped.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    /// Held open, so that the terminal's settings can be looked at after the end.
    _slave: Box<dyn SlavePty + Send>,
    writer: Box<dyn Write + Send>,
    output: Arc<Mutex<Output>>,
    started: Instant,
    /// The terminal's settings before the program began.
    before: String,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Terminal {
    /// Starts `program` with `home` as its home directory and nothing else in its environment but `variables` and what a
    /// terminal sets. `size` is columns and rows.
    pub fn start(
        program: &Path,
        args: &[&str],
        home: &Path,
        variables: &[(&str, &str)],
        size: (u16, u16),
    ) -> Self {
        let pair = native_pty_system().openpty(pty_size(size)).unwrap();
        let before = settings(&*pair.master);
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.cwd(home);
        command.env_clear();
        command.env("HOME", home);
        command.env("TERM", "xterm-256color");
        command.env("COLORTERM", "truecolor");
        command.env("LANG", "C.UTF-8");
        for (name, value) in variables {
            command.env(name, value);
        }
        let (columns, rows) = nonzero(size);
        let output = Arc::new(Mutex::new(Output {
            parser: Parser::new(rows, columns, 0),
            bytes: 0,
        }));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let sink = Arc::clone(&output);
        std::thread::spawn(move || {
            let mut bytes = [0; 1 << 14];
            // Ends with the pseudo-terminal.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                let mut output = sink.lock().unwrap_or_else(PoisonError::into_inner);
                output.parser.process(&bytes[..count]);
                output.bytes += count as u64;
            }
        });
        let started = Instant::now();
        let child = pair.slave.spawn_command(command).unwrap();
        Self {
            child,
            writer: pair.master.take_writer().unwrap(),
            master: pair.master,
            _slave: pair.slave,
            output,
            started,
            before,
        }
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// Time since the program was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Bytes that the program has written.
    pub fn written(&self) -> u64 {
        self.look(|output| output.bytes)
    }

    fn look<T>(&self, of: impl FnOnce(&Output) -> T) -> T {
        of(&self.output.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The screen now.
    pub fn screen(&self) -> Screen {
        self.look(|output| output.parser.screen().clone())
    }

    /// The screen's characters, a line for each row.
    pub fn text(&self) -> String {
        self.screen().contents()
    }

    /// Waits until the screen is as wanted.
    pub fn until(&self, what: &str, wanted: impl Fn(&Screen) -> bool) -> Screen {
        let began = Instant::now();
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "no {what} on the screen:\n{}",
                screen.contents()
            );
            std::thread::sleep(LOOK);
        }
    }

    /// Waits for a text on the screen.
    pub fn sees(&self, text: &str) -> Screen {
        self.until(text, |screen| screen.contents().contains(text))
    }

    /// Waits until a text is not on the screen any more.
    pub fn loses(&self, text: &str) -> Screen {
        let what = format!("screen without {text}");
        self.until(&what, |screen| !screen.contents().contains(text))
    }

    /// Types.
    pub fn press(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    /// Gives the terminal another size, columns and rows.
    pub fn resize(&mut self, size: (u16, u16)) {
        let (columns, rows) = nonzero(size);
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.parser.set_size(rows, columns);
        drop(output);
        self.master.resize(pty_size(size)).unwrap();
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = std::process::Command::new("kill")
            .args([format!("-{name}"), self.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the end.
    pub fn ended(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "the program does not end:\n{}",
                self.text()
            );
            std::thread::sleep(LOOK);
        }
    }

    /// The terminal is as it was before the program began.
    pub fn is_as_before(&self) -> bool {
        let screen = self.screen();
        settings(&*self.master) == self.before
            && !screen.alternate_screen()
            && !screen.hide_cursor()
            && !screen.bracketed_paste()
    }

    /// Waits until the terminal is as it was before: the last bytes may still be on their way.
    pub fn is_given_back(&self) {
        self.until("terminal as before", |_| self.is_as_before());
    }
}

/// Input and output modes of the terminal, readable.
fn settings(master: &dyn MasterPty) -> String {
    format!("{:?}", master.get_termios())
}

fn pty_size((cols, rows): (u16, u16)) -> PtySize {
    PtySize {
        rows,
        cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}

fn nonzero((columns, rows): (u16, u16)) -> (NonZeroU16, NonZeroU16) {
    (
        NonZeroU16::new(columns).unwrap(),
        NonZeroU16::new(rows).unwrap(),
    )
}

/// A feature pane's mark under an anomalous row is on the screen.
pub fn has_mark(screen: &Screen) -> bool {
    screen.contents().contains('▲')
}
