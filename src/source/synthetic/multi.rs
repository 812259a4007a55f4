//! Two weeks of a web server, six metrics every 5 minutes.

use std::ops::Range;
use std::time::Duration;

use super::{Noise, Planned, Sample, SampleColumn, Wander, incidents, rounded, trouble_at, wave};
use crate::domain::{Direction, Feature, Unit};

const PER_DAY: usize = 288;
const ROWS: usize = 14 * PER_DAY;

/// What goes wrong, and when.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Runaway,
    SlowNetwork,
    Leak,
    DiskSaturation,
    FlashCrowd,
    StuckSensor,
    Outage,
    Overheating,
}

/// All after the first 60 % (row 2419), which stay clean to learn from. The first begins soon after, strong and plain.
const TROUBLES: [Planned<Trouble>; 8] = [
    (
        Trouble::Runaway,
        2455..2479,
        "CPU runaway: a process takes every core, answers slow down, the machine warms up",
    ),
    (
        Trouble::Leak,
        2640..2676,
        "memory leak that ends with a restart",
    ),
    (
        Trouble::SlowNetwork,
        2820..2835,
        "slow answers while network traffic drops by more than half",
    ),
    (
        Trouble::DiskSaturation,
        3052..3072,
        "disk saturated by writes, with I/O wait and slower answers",
    ),
    (
        Trouble::FlashCrowd,
        3282..3292,
        "flash crowd: traffic, CPU and latency far over the hour's usual",
    ),
    (
        Trouble::StuckSensor,
        3372..3408,
        "temperature sensor stuck at one value",
    ),
    (
        Trouble::Outage,
        3584..3589,
        "outage: traffic falls to almost nothing, no latency is measured",
    ),
    (
        Trouble::Overheating,
        3924..3954,
        "fan failure: temperature rises while the load does not",
    ),
];

/// Cells that were not recorded: rows and the columns that miss them. None of these is an anomaly.
const GAPS: [(Range<usize>, &[&str]); 6] = [
    (409..410, &["latency"]),
    (
        700..704,
        &["cpu", "memory", "latency", "network", "disk", "temperature"],
    ),
    (1187..1188, &["network", "disk"]),
    (1500..1512, &["memory"]),
    (2210..2211, &["temperature"]),
    (2980..2984, &["network"]),
];

/// Units, directions and limits of the columns, in their order.
#[must_use]
pub fn features() -> Vec<Feature> {
    let feature = Feature::of;
    vec![
        feature("cpu", Unit::Percent, Direction::Above, Some(90.0)),
        feature("memory", Unit::Percent, Direction::Above, Some(90.0)),
        feature("latency", Unit::Milliseconds, Direction::Above, None),
        feature("network", Unit::BytesPerSecond, Direction::Both, None),
        feature("disk", Unit::BytesPerSecond, Direction::Above, None),
        feature("temperature", Unit::Celsius, Direction::Both, Some(80.0)),
    ]
}

/// The set that `seed` makes: 4,032 rows from a Monday on, with daily and weekly shapes, correlated noise, a slow rise, a
/// nightly backup, a few gaps, and eight labelled incidents in the last 40 %.
#[must_use]
pub fn multi(seed: u64) -> Sample {
    let mut server = Server::new(seed);
    let names = ["cpu", "memory", "latency", "network", "disk", "temperature"];
    let mut columns: Vec<SampleColumn> = names
        .into_iter()
        .zip([1, 2, 1, 0, 0, 1])
        .map(|(name, decimals)| SampleColumn {
            name,
            decimals,
            values: Vec::with_capacity(ROWS),
        })
        .collect();
    for row in 0..ROWS {
        for (column, value) in columns.iter_mut().zip(server.next(row)) {
            let gone = GAPS
                .iter()
                .any(|(rows, names)| rows.contains(&row) && names.contains(&column.name));
            column.values.push(if gone { f64::NAN } else { value });
        }
    }
    Sample {
        step: Duration::from_secs(300),
        columns,
        incidents: incidents(&TROUBLES),
    }
}

/// What has a memory from row to row.
struct Server {
    noise: Noise,
    demand: Wander,
    cpu: Wander,
    memory: Wander,
    latency: Wander,
    network: Wander,
    disk: Wander,
    temperature: Wander,
    /// How much of a weekday's traffic this day has; slides over at the weekend's ends.
    weekly: f64,
    /// Load as memory follows it, CPU as heat follows it.
    slow_load: f64,
    slow_cpu: f64,
    stuck: Option<f64>,
}

impl Server {
    fn new(seed: u64) -> Self {
        Self {
            noise: Noise::new(seed),
            demand: Wander::new(0.96, 0.03),
            cpu: Wander::new(0.6, 1.1),
            memory: Wander::new(0.95, 0.35),
            latency: Wander::new(0.7, 1.5),
            network: Wander::new(0.8, 220_000.0),
            disk: Wander::new(0.5, 160_000.0),
            temperature: Wander::new(0.9, 0.25),
            weekly: 1.0,
            slow_load: 0.35,
            slow_cpu: 25.0,
            stuck: None,
        }
    }

    /// Requests relative to the busiest hour's usual.
    fn load(&mut self, row: usize) -> f64 {
        let turn = (row % PER_DAY) as f64 / PER_DAY as f64;
        let weekend = row / PER_DAY % 7 >= 5;
        self.weekly += (if weekend { 0.72 } else { 1.0 } - self.weekly) * 0.02;
        let day = 0.46 + 0.34 * wave(turn - 0.3958) + 0.07 * wave(2.0 * turn - 0.32);
        let rise = 1.0 + 0.05 * row as f64 / ROWS as f64;
        let load = day * self.weekly * rise + self.demand.next(&mut self.noise);
        load.max(0.03)
    }

    /// cpu, memory, latency, network, disk, temperature of the next row.
    fn next(&mut self, row: usize) -> [f64; 6] {
        let (trouble, part) = trouble_at(&TROUBLES, row);
        let is = |other| trouble == Some(other);
        let mut load = self.load(row);
        if is(Trouble::FlashCrowd) {
            load += 0.75 + 0.25 * wave(part / 2.0);
        }
        if is(Trouble::Outage) {
            load = 0.01;
        }
        let cpu = self.cpu(load, trouble);
        let memory = self.memory(row, load, trouble, part);
        let latency = self.latency(load, trouble, part);
        let network = self.network(load, trouble);
        let disk = self.disk(row, load, trouble);
        let temperature = self.temperature(row, cpu, trouble, part);
        [
            rounded(cpu, 0.1),
            rounded(memory, 0.01),
            rounded(latency, 0.1),
            rounded(network, 1000.0),
            rounded(disk, 1000.0),
            rounded(temperature, 0.1),
        ]
    }

    fn cpu(&mut self, load: f64, trouble: Option<Trouble>) -> f64 {
        let extra = match trouble {
            Some(Trouble::Runaway) => 48.0,
            Some(Trouble::DiskSaturation) => 8.0,
            _ => 0.0,
        };
        let own = self.cpu.next(&mut self.noise) + 0.7 * self.noise.draw();
        (8.0 + 52.0 * load + extra + own).clamp(0.6, 99.4)
    }

    fn memory(&mut self, row: usize, load: f64, trouble: Option<Trouble>, part: f64) -> f64 {
        self.slow_load += (load - self.slow_load) * 0.02;
        let drift = 1.8 * row as f64 / ROWS as f64;
        let leak = match trouble {
            Some(Trouble::Leak) if part < 0.94 => 36.0 * part,
            Some(Trouble::Leak) => -14.0,
            _ => 0.0,
        };
        let own = self.memory.next(&mut self.noise) + 0.12 * self.noise.draw();
        (46.0 + 14.0 * self.slow_load + drift + leak + own).clamp(1.0, 99.0)
    }

    fn latency(&mut self, load: f64, trouble: Option<Trouble>, part: f64) -> f64 {
        let extra = match trouble {
            Some(Trouble::Runaway) => 130.0,
            Some(Trouble::SlowNetwork) => 150.0,
            Some(Trouble::DiskSaturation) => 38.0,
            Some(Trouble::Leak) if part >= 0.94 => 90.0,
            _ => 0.0,
        };
        let queue = (load - 0.7).max(0.0);
        let own = self.latency.next(&mut self.noise) + 1.1 * self.noise.draw();
        let rough = if extra > 0.0 {
            0.08 * extra * self.noise.draw()
        } else {
            0.0
        };
        let value = (30.0 + 24.0 * load + 90.0 * queue * queue + extra + own + rough).max(4.0);
        if trouble == Some(Trouble::Outage) {
            f64::NAN
        } else {
            value
        }
    }

    fn network(&mut self, load: f64, trouble: Option<Trouble>) -> f64 {
        let part = if trouble == Some(Trouble::SlowNetwork) {
            0.4
        } else {
            1.0
        };
        let own = self.network.next(&mut self.noise) + 110_000.0 * self.noise.draw();
        let base = if trouble == Some(Trouble::Outage) {
            0.0
        } else {
            1_100_000.0 + own
        };
        ((base + 8_800_000.0 * load) * part).max(20_000.0)
    }

    fn disk(&mut self, row: usize, load: f64, trouble: Option<Trouble>) -> f64 {
        let own = self.disk.next(&mut self.noise) + 90_000.0 * self.noise.draw();
        // The nightly backup, from 02:00 to 02:30.
        let backup = if (24..30).contains(&(row % PER_DAY)) {
            4_500_000.0
        } else {
            0.0
        };
        let extra = match trouble {
            Some(Trouble::DiskSaturation) => 38_000_000.0 + 1_500_000.0 * self.noise.draw(),
            _ => 0.0,
        };
        (900_000.0 + 2_300_000.0 * load + backup + extra + own).max(10_000.0)
    }

    fn temperature(&mut self, row: usize, cpu: f64, trouble: Option<Trouble>, part: f64) -> f64 {
        self.slow_cpu += (cpu - self.slow_cpu) * 0.1;
        let turn = (row % PER_DAY) as f64 / PER_DAY as f64;
        let room = 1.1 * wave(turn - 0.4);
        let extra = if trouble == Some(Trouble::Overheating) {
            19.0 * part
        } else {
            0.0
        };
        let own = self.temperature.next(&mut self.noise) + 0.1 * self.noise.draw();
        let value = 37.0 + 0.24 * self.slow_cpu + room + extra + own;
        if trouble == Some(Trouble::StuckSensor) {
            return *self.stuck.get_or_insert(value);
        }
        self.stuck = None;
        value
    }
}
