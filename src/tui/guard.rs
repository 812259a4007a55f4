//! The terminal while it is ours: raw mode, alternate screen, hidden cursor, bracketed paste; given back on every way out.
//!
//! A panic anywhere in the process must neither scribble over the screen nor get lost. While the screen is ours, the panic
//! hook only keeps the message (and logs it); leaving the screen prints it. A panic of the dashboard itself unwinds
//! through the guard, so the screen is restored first and the message comes after.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::style::ResetColor;
use crossterm::terminal::{
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{execute, queue};

/// The screen is ours.
static OURS: AtomicBool = AtomicBool::new(false);
/// Panics that happened meanwhile; at most [`MOST`] are kept.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());
const MOST: usize = 16;

/// The terminal is ours until this is dropped.
pub struct Guard(());

impl Guard {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When it can't be put into raw mode or written to; it is then as it was before.
    pub fn enter() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(keep_panics);
        let guard = Self(());
        Self::resume()?;
        Ok(guard)
    }

    /// Takes the terminal again after [`Self::pause`].
    ///
    /// # Errors
    /// As [`Self::enter`].
    pub fn resume() -> io::Result<()> {
        OURS.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        // Bracketed, pasted text is told from keys.
        execute!(
            io::stdout(),
            EnterAlternateScreen,
            EnableBracketedPaste,
            Hide
        )
    }

    /// Gives the terminal back for a while.
    pub fn pause() {
        restore();
    }

    /// Takes clicks and the wheel from the terminal, or gives them back. Movement is not asked for: it would send bytes for
    /// every column that the pointer passes.
    ///
    /// # Errors
    /// When the terminal can't be written to.
    pub fn mouse(ours: bool) -> io::Result<()> {
        let (on, off) = ("\x1b[?1000h\x1b[?1006h", "\x1b[?1006l\x1b[?1000l");
        let mut out = io::stdout();
        out.write_all(if ours { on } else { off }.as_bytes())?;
        out.flush()
    }

    /// How many panics happened while the screen was ours, and the last one's message.
    pub fn panics() -> (usize, Option<String>) {
        let kept = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.len(), kept.last().cloned())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
        let kept = std::mem::take(&mut *PANICS.lock().unwrap_or_else(PoisonError::into_inner));
        for message in kept {
            // Standard error may be gone with the terminal; there is nobody left to tell.
            let _ = writeln!(io::stderr(), "{message}");
        }
    }
}

/// Gives the terminal back, once. Errors are passed over: the terminal may be gone, and the rest must still be tried.
fn restore() {
    if !OURS.swap(false, Ordering::SeqCst) {
        return;
    }
    let _ = Guard::mouse(false);
    let mut out = io::stdout();
    let _ = queue!(
        out,
        EndSynchronizedUpdate,
        ResetColor,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        Show
    );
    let _ = out.flush();
    let _ = disable_raw_mode();
}

/// Chains a panic hook that keeps messages while the screen is ours, and leaves them to the hook before it otherwise.
fn keep_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !OURS.load(Ordering::SeqCst) {
            return before(info);
        }
        let trace = std::backtrace::Backtrace::capture();
        let message = match trace.status() {
            std::backtrace::BacktraceStatus::Captured => format!("{info}\n{trace}"),
            _ => info.to_string(),
        };
        tracing::error!(panic = %message, "a part of the program panicked");
        let mut kept = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MOST {
            kept.push(message);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_kept_while_the_screen_is_ours() {
        keep_panics();
        OURS.store(true, Ordering::SeqCst);
        let worker = std::thread::spawn(|| panic!("the worker fell"));
        assert!(worker.join().is_err());
        OURS.store(false, Ordering::SeqCst);
        let kept = std::mem::take(&mut *PANICS.lock().unwrap());
        assert!(kept.iter().any(|m| m.contains("the worker fell")));
    }
}
