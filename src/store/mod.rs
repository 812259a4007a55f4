//! Meaning on top of disk: journal, data sets, model registry.
