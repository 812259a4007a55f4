//! What the operating system says, as it says it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sysinfo::{
    CpuRefreshKind, DiskRefreshKind, Disks, MINIMUM_CPU_UPDATE_INTERVAL, MemoryRefreshKind,
    Networks, System,
};

/// Bytes in and out since the device came up, by device.
pub type Counters = BTreeMap<String, (u64, u64)>;

/// One look at the machine. `None` is "can't tell here".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// When, on a clock that never steps: time since the probe was made.
    pub taken: Duration,
    /// Percent of all cores since the reading before.
    pub cpu: Option<f64>,
    /// Percent of the memory that is not available.
    pub memory: Option<f64>,
    /// Percent of the swap in use.
    pub swap: Option<f64>,
    /// Load average of one minute.
    pub load1: Option<f64>,
    /// Percent in use of the fullest file system.
    pub disk_used: Option<f64>,
    /// Bytes read and written.
    pub disks: Counters,
    /// Bytes received and transmitted.
    pub networks: Counters,
}

/// Something that can be read like a machine. May block.
pub trait Probe: Send + 'static {
    /// One look.
    fn read(&mut self) -> Reading;
}

/// The machine this program runs on, through sysinfo.
pub struct SystemProbe {
    system: System,
    disks: Disks,
    networks: Networks,
    started: Instant,
    /// When the CPU counters were first seen; usage is a difference.
    cpu_base: Option<Instant>,
}

impl std::fmt::Debug for SystemProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SystemProbe").finish_non_exhaustive()
    }
}

impl SystemProbe {
    /// Reads nothing yet.
    ///
    /// # Errors
    /// When sysinfo does not know this system.
    pub fn new() -> Result<Self, sysinfo::Error> {
        Ok(Self {
            system: System::new()?,
            disks: Disks::new()?,
            networks: Networks::new()?,
            started: Instant::now(),
            cpu_base: None,
        })
    }

    /// Usage needs two looks some time apart.
    fn cpu(&mut self) -> Option<f64> {
        let usage = CpuRefreshKind::nothing().with_usage();
        self.system.refresh_cpu_specifics(usage);
        let base = *self.cpu_base.get_or_insert_with(Instant::now);
        let known = base.elapsed() >= MINIMUM_CPU_UPDATE_INTERVAL && !self.system.cpus().is_empty();
        known.then(|| f64::from(self.system.global_cpu_usage()))
    }

    fn disks(&self) -> (Counters, Option<f64>) {
        let mut counters = Counters::new();
        let mut fullest: Option<f64> = None;
        for disk in &self.disks {
            let usage = disk.usage();
            let moved = (usage.total_read_bytes, usage.total_written_bytes);
            // A device without statistics says 0 and 0; one that is mounted was read from.
            if moved != (0, 0) {
                counters.insert(disk.name().to_string_lossy().into_owned(), moved);
            }
            if !disk.is_read_only() && !disk.is_removable() {
                let total = disk.total_space();
                let used = total.saturating_sub(disk.available_space());
                if let Some(used) = percent(used, total) {
                    fullest = Some(fullest.map_or(used, |most| most.max(used)));
                }
            }
        }
        (counters, fullest)
    }
}

impl Probe for SystemProbe {
    fn read(&mut self) -> Reading {
        let cpu = self.cpu();
        let memory = MemoryRefreshKind::nothing().with_ram().with_swap();
        self.system.refresh_memory_specifics(memory);
        let disks = DiskRefreshKind::nothing().with_storage().with_io_usage();
        self.disks.refresh_specifics(true, disks);
        self.networks.refresh(true);
        let (disks, disk_used) = self.disks();
        let total = self.system.total_memory();
        let taken = total.saturating_sub(self.system.available_memory());
        Reading {
            taken: self.started.elapsed(),
            cpu,
            memory: percent(taken, total),
            swap: percent(self.system.used_swap(), self.system.total_swap()),
            load1: load1(),
            disk_used,
            disks,
            networks: self
                .networks
                .iter()
                .map(|(name, data)| (name.to_string_lossy().into_owned(), data))
                .filter(|(name, _)| is_real_interface(name))
                .map(|(name, data)| (name, (data.total_received(), data.total_transmitted())))
                .collect(),
        }
    }
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64 * 100.0)
}

/// Windows has no load average.
fn load1() -> Option<f64> {
    if cfg!(windows) {
        return None;
    }
    System::load_average().ok().map(|load| load.one)
}

/// Not loopback, nor an interface whose traffic is counted on a real one as well: those of containers and virtual
/// machines, bridges, bonds, tunnels and VLANs (`eth0.100`).
fn is_real_interface(name: &str) -> bool {
    const VIRTUAL: [&str; 26] = [
        "docker",
        "veth",
        "br-",
        "bridge",
        "virbr",
        "vnet",
        "vmnet",
        "cni",
        "flannel",
        "cali",
        "cilium",
        "lxc",
        "lxd",
        "podman",
        "kube",
        "nodelocaldns",
        "tun",
        "tap",
        "utun",
        "wg",
        "bond",
        "team",
        "dummy",
        "ifb",
        "vxlan",
        "gif",
    ];
    let numbered = |word: &str| {
        name.strip_prefix(word)
            .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()))
    };
    !(numbered("lo")
        || numbered("br")
        || name.contains('.')
        || name.contains("Loopback")
        || VIRTUAL.iter().any(|word| name.starts_with(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_interfaces_are_left_out() {
        for real in [
            "eth0", "enp3s0", "wlan0", "en0", "Ethernet", "br5x", "lora0",
        ] {
            assert!(is_real_interface(real), "{real}");
        }
        for not in [
            "lo", "lo0", "docker0", "veth12ab", "br0", "br-1234", "eth0.100", "wg0", "utun3",
        ] {
            assert!(!is_real_interface(not), "{not}");
        }
    }

    #[test]
    fn this_machine_is_read_plausibly() {
        let mut probe = SystemProbe::new().unwrap();
        let first = probe.read();
        assert_eq!(first.cpu, None, "usage is a difference");
        let within = |value: Option<f64>| value.is_none_or(|v| (0.0..=100.0).contains(&v));
        assert!(first.memory.is_some());
        assert!(within(first.memory) && within(first.swap) && within(first.disk_used));
        std::thread::sleep(MINIMUM_CPU_UPDATE_INTERVAL * 2);
        let second = probe.read();
        assert!(second.cpu.is_some() && within(second.cpu));
        assert!(second.taken > first.taken);
    }
}
