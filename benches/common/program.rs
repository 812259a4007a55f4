//! Which program a bench starts.

use std::path::PathBuf;

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
