//! One file per subcommand: each reads like a recipe and holds no algorithm.

pub mod completions;
pub mod config;
