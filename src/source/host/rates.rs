//! From counters to rates.

use std::time::Duration;

use super::probe::{Counters, Reading};
use super::{Row, WIDTH};

/// Readings closer than this give no rate: the counters hardly move.
const SHORTEST: Duration = Duration::from_millis(10);

/// The counters of the reading before.
#[derive(Debug, Default)]
pub(super) struct Rates {
    before: Option<(Duration, Counters, Counters)>,
}

impl Rates {
    /// The values of one reading in the order of [`super::features`], NaN where unknown.
    pub(super) fn row(&mut self, reading: &Reading) -> Row {
        let known = |value: Option<f64>| value.filter(|v| v.is_finite()).unwrap_or(f64::NAN);
        let (mut disks, mut networks) = ((f64::NAN, f64::NAN), (f64::NAN, f64::NAN));
        let mut replace = true;
        if let Some((taken, disks_before, networks_before)) = &self.before {
            let elapsed = reading.taken.saturating_sub(*taken);
            replace = elapsed >= SHORTEST;
            if replace {
                disks = rate(disks_before, &reading.disks, elapsed);
                networks = rate(networks_before, &reading.networks, elapsed);
            }
        }
        if replace {
            let (disks, networks) = (reading.disks.clone(), reading.networks.clone());
            self.before = Some((reading.taken, disks, networks));
        }
        let row: [f64; WIDTH] = [
            known(reading.cpu),
            known(reading.memory),
            known(reading.swap),
            known(reading.load1),
            disks.0,
            disks.1,
            networks.0,
            networks.1,
            known(reading.disk_used),
        ];
        row
    }
}

/// Bytes a second, in and out, of the devices that both readings have; NaN when there are none.
fn rate(before: &Counters, after: &Counters, elapsed: Duration) -> (f64, f64) {
    let mut sum: Option<(u64, u64)> = None;
    for (device, (new_in, new_out)) in after {
        if let Some((old_in, old_out)) = before.get(device) {
            let (ins, outs) = sum.unwrap_or_default();
            sum = Some((
                ins.saturating_add(increase(*old_in, *new_in)),
                outs.saturating_add(increase(*old_out, *new_out)),
            ));
        }
    }
    sum.map_or((f64::NAN, f64::NAN), |(ins, outs)| {
        let seconds = elapsed.as_secs_f64();
        (ins as f64 / seconds, outs as f64 / seconds)
    })
}

/// A counter that fell began again at 0.
fn increase(old: u64, new: u64) -> u64 {
    if new >= old { new - old } else { new }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(seconds: u64, disks: &[(&str, u64, u64)]) -> Reading {
        Reading {
            taken: Duration::from_secs(seconds),
            cpu: Some(10.0),
            disks: disks
                .iter()
                .map(|(name, ins, outs)| ((*name).to_owned(), (*ins, *outs)))
                .collect(),
            ..Reading::default()
        }
    }

    #[test]
    fn rates_need_two_readings_and_survive_resets_and_new_devices() {
        let mut rates = Rates::default();
        let first = rates.row(&reading(0, &[("a", 1000, 50)]));
        assert_eq!(first[0], 10.0);
        assert!(
            first[4..9].iter().all(|v| v.is_nan()),
            "no rates, no disk, no network"
        );
        let second = rates.row(&reading(10, &[("a", 3000, 150), ("b", 9_999_999, 0)]));
        assert_eq!((second[4], second[5]), (200.0, 10.0));
        let reset = rates.row(&reading(20, &[("a", 500, 150), ("b", 9_999_999, 10)]));
        assert_eq!((reset[4], reset[5]), (50.0, 1.0));
        let gone = rates.row(&reading(30, &[("c", 5, 5)]));
        assert!(gone[4].is_nan());
    }

    #[test]
    fn a_reading_at_the_same_moment_changes_nothing() {
        let mut rates = Rates::default();
        rates.row(&reading(0, &[("a", 0, 0)]));
        assert!(rates.row(&reading(0, &[("a", 500, 0)]))[4].is_nan());
        assert_eq!(rates.row(&reading(10, &[("a", 1000, 0)]))[4], 100.0);
    }
}
