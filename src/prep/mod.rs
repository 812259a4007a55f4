//! Gaps, counters, scaling, calendar features, windows: pure functions over ndarray.
