//! The async core: owns all state, publishes snapshots.
