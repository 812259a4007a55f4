//! The program that a bench looks at, started as a newcomer starts it.

#[path = "../../tests/common/terminal.rs"]
pub mod terminal;

use std::path::PathBuf;

use tempfile::TempDir;
use terminal::Terminal;

/// The program with `args` and environment variables on a terminal of `size` (columns, rows). Its home directory, empty at
/// first, goes when it is dropped.
pub fn start(args: &[&str], variables: &[(&str, &str)], size: (u16, u16)) -> (TempDir, Terminal) {
    let home = TempDir::new().unwrap();
    let terminal = Terminal::start(&path(), args, home.path(), variables, size);
    (home, terminal)
}

/// The first argument that is no option, `PULSEWATCH_BIN`, or the program that was built with the bench.
pub fn path() -> PathBuf {
    let path = std::env::args_os()
        .skip(1)
        .find(|arg| !arg.to_string_lossy().starts_with('-'))
        .or_else(|| std::env::var_os("PULSEWATCH_BIN"))
        .map_or_else(|| env!("CARGO_BIN_EXE_pulsewatch").into(), PathBuf::from);
    // It is started in another directory.
    path.canonicalize()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
