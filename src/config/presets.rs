//! The configuration files that are built into the program.

/// The annotated sample: every key with its default.
pub const SAMPLE: &str = include_str!("../../config/pulsewatch.toml");
/// Linux hosts with node_exporter. Its queries also stand in when a server is given without queries.
pub const NODE_EXPORTER: &str = include_str!("../../config/node_exporter.toml");
/// Windows hosts with windows_exporter.
pub const WINDOWS_EXPORTER: &str = include_str!("../../config/windows_exporter.toml");
/// GPU hosts: dcgm-exporter beside node_exporter.
pub const GPU: &str = include_str!("../../config/gpu.toml");
/// The settings of the older Keras program.
pub const SEED_KERAS: &str = include_str!("../../config/seed-keras.toml");
/// The settings of the older PulseWatch in Python.
pub const SEED_PULSEWATCH: &str = include_str!("../../config/seed-pulsewatch.toml");
