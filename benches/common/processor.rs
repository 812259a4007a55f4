//! What a process has used, from Linux' `/proc`.

use std::fs;
use std::process::Command;

/// User and system time so far, in seconds.
pub fn cpu_seconds(id: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // After the name, which may hold blanks; fields are counted from there.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    let clock = Command::new("getconf").arg("CLK_TCK").output().unwrap();
    ticks
        / String::from_utf8(clock.stdout)
            .unwrap()
            .trim()
            .parse::<f64>()
            .unwrap()
}

/// A line of memory (`VmRSS`, `VmHWM`), in MB of 10⁶ bytes.
pub fn resident_mb(id: u32, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|text| text.starts_with(line)).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024.0 / 1e6
}
