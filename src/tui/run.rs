//! The dashboard's loop: terminal events, snapshots, answers, signals and the clock in; frames and commands out.

use std::io::{self, BufWriter, Stdout};
use std::sync::Arc;
use std::time::Duration;

use crossterm::clipboard::CopyToClipboard;
use crossterm::event::EventStream;
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use crossterm::{execute, queue};
use futures::StreamExt;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Position, Rect};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use crate::domain::{Control, ControlError, HistoryQuery, Label, Level, Snapshot};

use super::action::{Action, Effect};
use super::guard::Guard;
use super::keymap::Keymap;
use super::memory::Memory;
use super::saver::Saver;
use super::signals::{Signal, Signals};
use super::state::UiState;
use super::theme::Theme;
use super::update::update;
use super::{Options, TuiError, buffer_text, input, render, text, view};

/// Shortest time between two frames.
const FRAME: Duration = Duration::from_millis(100);
/// How long the engine's answer is waited for: to a history question, and to what a label would change.
const PATIENCE: Duration = Duration::from_secs(10);

/// Shows the dashboard and owns the terminal until the user quits, a signal asks to end (SIGTERM, SIGINT, SIGHUP), the
/// snapshots end or say that the engine stops. The terminal is as before when this returns, panics included.
///
/// # Errors
/// [`TuiError::Keys`] before the terminal is touched; [`TuiError::Terminal`] when it can't be used.
pub async fn run(
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    control: Arc<dyn Control>,
    options: Options,
) -> Result<(), TuiError> {
    let keymap = Arc::new(Keymap::new(&options.config.keys)?);
    let mut signals = Signals::listen()?;
    let guard = Guard::enter()?;
    let mut events = EventStream::new();
    let (sender, mut answers) = mpsc::channel(8);
    let shown = Arc::clone(&snapshots.borrow_and_update());
    let mut runner = Runner::new(guard, keymap, control, options, shown, sender)?;
    runner.recall()?;
    runner.apply(Action::Arrived);
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut open = true;
    while !runner.ended {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => {
                    if let Some(action) = input::action(&event) {
                        runner.apply(action);
                    }
                }
                Some(Err(error)) => return Err(error.into()),
                None => break,
            },
            changed = snapshots.changed(), if open => {
                open = changed.is_ok();
                runner.fresh = true;
                runner.ended |= !open || snapshots.borrow().stopping;
            }
            () = sleep_until(runner.taken + runner.refresh), if runner.may_take() => {
                let newest = Arc::clone(&snapshots.borrow_and_update());
                runner.take(newest);
            }
            Some(action) = answers.recv() => runner.apply(action),
            _ = second.tick() => runner.tick(),
            signal = signals.next() => match signal {
                Signal::End => break,
                Signal::Stop => runner.suspend()?,
            },
            () = sleep_until(runner.drawn + FRAME), if runner.dirty => runner.draw()?,
        }
    }
    Ok(())
}

struct Runner {
    /// Held, not used: its end is the terminal's return.
    _guard: Guard,
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    control: Arc<dyn Control>,
    options: Options,
    state: UiState,
    /// The snapshot on the screen.
    shown: Arc<Snapshot>,
    /// When it was taken.
    taken: Instant,
    /// There is a newer one.
    fresh: bool,
    /// Shortest time between two snapshots on the screen.
    refresh: Duration,
    /// The next frame would differ.
    dirty: bool,
    drawn: Instant,
    answers: mpsc::Sender<Action>,
    /// The history question under way.
    asking: Option<JoinHandle<()>>,
    panics: usize,
    /// What the file remembers by now; `None` when nothing is to be remembered.
    remembered: Option<Memory>,
    saver: Saver,
    /// What is remembered is being written.
    saving: Option<JoinHandle<()>>,
    ended: bool,
}

impl Runner {
    fn new(
        guard: Guard,
        keymap: Arc<Keymap>,
        control: Arc<dyn Control>,
        options: Options,
        shown: Arc<Snapshot>,
        answers: mpsc::Sender<Action>,
    ) -> io::Result<Self> {
        let out = BufWriter::with_capacity(1 << 16, io::stdout());
        let terminal = Terminal::new(CrosstermBackend::new(out))?;
        let size = terminal.size()?;
        let mut state = UiState::new(
            options.mode,
            &options.config,
            keymap,
            (size.width, size.height),
            shown.now,
        );
        state.zone = options.zone.clone();
        let now = Instant::now();
        Ok(Self {
            _guard: guard,
            terminal,
            control,
            refresh: options.config.refresh.0,
            saver: Saver::new(options.memory.clone(), options.write),
            saving: None,
            options,
            state,
            shown,
            taken: now,
            fresh: false,
            dirty: true,
            drawn: now.checked_sub(FRAME).unwrap_or(now),
            answers,
            asking: None,
            panics: 0,
            remembered: None,
            ended: false,
        })
    }

    /// Makes the dashboard as it was left. A file that is not understood is left alone, and said so.
    fn recall(&mut self) -> io::Result<()> {
        if self.options.config.remember {
            match Memory::read(&self.options.memory) {
                Ok(found) => {
                    if let Some(memory) = found {
                        memory.restore(&mut self.state);
                    }
                    self.remembered = Some(Memory::of(&self.state));
                }
                Err(why) => {
                    let file = self.options.memory.display();
                    let line = format!(
                        "the layout is not remembered: {file} is not understood and left as it is ({why})"
                    );
                    self.apply(Action::Say(Level::Warning, line));
                }
            }
        }
        if self.state.mouse {
            Guard::mouse(true)?;
        }
        Ok(())
    }

    /// Remembers what has changed, if anything has, in the background; what changes while that is written comes after it.
    fn remember(&mut self) {
        if self.is_saving() {
            return;
        }
        let Some(memory) = self.changed() else { return };
        let save = self.saver.save(memory.text());
        let answers = self.answers.clone();
        self.remembered = Some(memory);
        self.saving = Some(tokio::spawn(async move {
            if let Err(error) = flat(spawn_blocking(save).await) {
                let line = format!("the layout is not remembered: {error}");
                let _ = answers.send(Action::Say(Level::Warning, line)).await;
            }
        }));
    }

    fn is_saving(&self) -> bool {
        let saving = self.saving.as_ref();
        saving.is_some_and(|saving| !saving.is_finished())
    }

    /// What is to be remembered, if the file does not say it yet.
    fn changed(&self) -> Option<Memory> {
        let before = self.remembered.as_ref()?;
        let memory = Memory::of(&self.state);
        (memory != *before).then_some(memory)
    }

    /// A newer snapshot is there and wanted: freezing is not taking it.
    const fn may_take(&self) -> bool {
        self.fresh && self.state.frozen.is_none()
    }

    fn take(&mut self, newest: Arc<Snapshot>) {
        self.shown = newest;
        self.taken = Instant::now();
        self.fresh = false;
        self.apply(Action::Arrived);
    }

    /// Carries the engine's clock on, and tells of panics elsewhere in the process.
    fn tick(&mut self) {
        let now = self.shown.now + self.taken.elapsed();
        self.apply(Action::Tick(now));
        self.remember();
        let (panics, last) = Guard::panics();
        if panics > self.panics {
            self.panics = panics;
            let why = last.unwrap_or_default();
            let line = format!("a part of the program failed: {}", one_line(&why));
            self.apply(Action::Say(Level::Error, line));
        }
    }

    fn apply(&mut self, action: Action) {
        self.dirty = true;
        for effect in update(&mut self.state, action, &self.shown) {
            match effect {
                Effect::Quit => self.ended = true,
                Effect::Screenshot => self.screenshot(),
                Effect::Query { ticket, query } => self.query(ticket, query),
                Effect::Preview {
                    ticket,
                    incident,
                    label,
                } => self.preview(ticket, incident, label),
                Effect::Copy(text) => self.copy(text),
                Effect::Export { name, csv } => self.export(name, csv),
                Effect::Mouse(ours) => self.mouse(ours),
                Effect::Suspend => {
                    if let Err(error) = self.suspend() {
                        self.apply(Action::Say(Level::Error, error.to_string()));
                    }
                }
                Effect::Send(command) => {
                    if let Err(error) = self.control.send(command) {
                        self.apply(Action::Say(Level::Error, error.to_string()));
                    }
                }
            }
        }
    }

    /// Asks in the background; a question still under way is dropped for the new one.
    fn query(&mut self, ticket: u64, query: HistoryQuery) {
        let control = Arc::clone(&self.control);
        let answers = self.answers.clone();
        let asking = tokio::spawn(async move {
            let result = timeout(PATIENCE, control.history(query))
                .await
                .unwrap_or(Err(ControlError::Busy));
            // The dashboard may have ended meanwhile.
            let _ = answers.send(Action::History { ticket, result }).await;
        });
        if let Some(old) = self.asking.replace(asking) {
            old.abort();
        }
    }

    /// Asks in the background what a label would change.
    fn preview(&self, ticket: u64, incident: u64, label: Option<Label>) {
        let control = Arc::clone(&self.control);
        let answers = self.answers.clone();
        tokio::spawn(async move {
            let result = timeout(PATIENCE, control.preview(incident, label))
                .await
                .unwrap_or(Err(ControlError::Busy));
            let _ = answers.send(Action::Preview { ticket, result }).await;
        });
    }

    /// By OSC 52: the terminal's clipboard, also over SSH.
    fn copy(&mut self, text: String) {
        let said = match text.lines().count() {
            0 | 1 => format!("copied: {}", one_line(&text)),
            lines => format!("copied {lines} lines"),
        };
        let sent = execute!(
            self.terminal.backend_mut(),
            CopyToClipboard::to_clipboard_from(text)
        );
        self.apply(match sent {
            Ok(()) => Action::Say(Level::Info, said),
            Err(error) => Action::Say(Level::Error, format!("not copied: {error}")),
        });
    }

    fn export(&self, name: &'static str, csv: String) {
        let file = format!("pulsewatch-{name}-{}.csv", text::stamp(self.state.now));
        self.save(vec![(file.clone(), csv)], file, "no export");
    }

    fn mouse(&mut self, ours: bool) {
        let said = if ours {
            "mouse on (Shift+drag selects text)"
        } else {
            "mouse off: the terminal selects text"
        };
        self.apply(match Guard::mouse(ours) {
            Ok(()) => Action::Say(Level::Info, said.into()),
            Err(error) => Action::Say(Level::Error, error.to_string()),
        });
    }

    fn theme(&self) -> Theme {
        Theme::new(self.state.theme, self.options.color, self.options.unicode)
    }

    fn screenshot(&self) {
        let buffer = render(&self.state, &self.shown, &self.theme());
        let name = format!("pulsewatch-{}", text::stamp(self.state.now));
        let files = vec![
            (format!("{name}.svg"), (self.options.picture)(&buffer)),
            (format!("{name}.txt"), buffer_text(&buffer)),
        ];
        self.save(files, format!("{name}.svg and .txt"), "no screenshot");
    }

    /// Writes files (name, text) in the background, and tells how that went.
    fn save(&self, files: Vec<(String, String)>, what: String, failed: &'static str) {
        let (folder, write) = (self.options.shots.clone(), self.options.write);
        let answers = self.answers.clone();
        tokio::spawn(async move {
            let target = folder.clone();
            let saved = spawn_blocking(move || {
                files
                    .iter()
                    .try_for_each(|(name, text)| write(&target.join(name), text.as_bytes()))
            });
            let action = match flat(saved.await) {
                Ok(()) => Action::Say(Level::Info, format!("saved {what} in {}", folder.display())),
                Err(error) => Action::Say(
                    Level::Error,
                    format!("{failed} in {}: {error}", folder.display()),
                ),
            };
            let _ = answers.send(action).await;
        });
    }

    /// Stops the process as the shell's Ctrl-Z does, with the terminal given back meanwhile.
    fn suspend(&mut self) -> io::Result<()> {
        Guard::pause();
        let stopped = super::signals::stop();
        Guard::resume()?;
        if self.state.mouse {
            Guard::mouse(true)?;
        }
        // Forgets what was drawn, without asking the terminal where its cursor is: the event stream holds its answers.
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::from((Position::ORIGIN, size)))?;
        self.apply(Action::Resize(size.width, size.height));
        stopped
    }

    fn draw(&mut self) -> io::Result<()> {
        let theme = self.theme();
        let (state, shown) = (&self.state, &self.shown);
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal
            .draw(|frame| view::view(state, shown, &theme, frame.buffer_mut()))?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        self.drawn = Instant::now();
        self.dirty = false;
        Ok(())
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Some(asking) = &self.asking {
            asking.abort();
        }
        // What changed lately, before the process may end, also what a write under way may not live to write; there is nobody
        // left to tell when it fails.
        let unsaved = self.is_saving() || self.changed().is_some();
        if unsaved && !std::thread::panicking() {
            let _ = self.saver.save(Memory::of(&self.state).text())();
        }
    }
}

/// A task that can't be waited for has failed too.
fn flat(ended: Result<io::Result<()>, JoinError>) -> io::Result<()> {
    ended.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
