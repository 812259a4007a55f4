//! Calibration, gates, incidents: from reconstruction errors to verdicts.
