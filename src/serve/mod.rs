//! The exporter and the HTTP routes, reading snapshots.
