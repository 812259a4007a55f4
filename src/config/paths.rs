//! Where the configuration and the data are kept when nobody says where.

use std::path::PathBuf;

use directories::ProjectDirs;

fn project() -> Option<ProjectDirs> {
    ProjectDirs::from("", "", "pulsewatch")
}

/// The user's configuration file: `pulsewatch.toml` in the XDG configuration directory (`~/.config/pulsewatch` on Linux),
/// whether or not it is there; `None` for a user without a home.
#[must_use]
pub fn config_file() -> Option<PathBuf> {
    project().map(|dirs| dirs.config_dir().join("pulsewatch.toml"))
}

/// The user's data directory: XDG's (`~/.local/share/pulsewatch` on Linux), or `pulsewatch-data` in the working directory
/// for a user without a home.
#[must_use]
pub fn data_dir() -> PathBuf {
    project().map_or_else(
        || PathBuf::from("pulsewatch-data"),
        |dirs| dirs.data_dir().to_path_buf(),
    )
}
