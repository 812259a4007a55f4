//! Arguments to configuration to command to exit code; the only place that ends the process.

fn main() {}
