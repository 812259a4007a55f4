//! Threshold-free measures: how well scores rank anomalous rows over normal ones.

/// Thresholds of the precision-recall surface.
const THRESHOLDS: usize = 250;

/// First and last row of each run of `true`.
#[must_use]
pub fn runs(rows: &[bool]) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    let mut start = 0;
    for run in rows.chunk_by(|a, b| a == b) {
        if run.first() == Some(&true) {
            out.push((start, start + run.len() - 1));
        }
        start += run.len();
    }
    out
}

/// Average precision: precision at every distinct score, weighted by the recall that it adds. Needs an anomalous row and
/// finite scores.
pub(super) fn average_precision(labels: &[bool], scores: &[f64]) -> f64 {
    let mut rows: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let anomalous = labels.iter().filter(|l| **l).count() as f64;
    let (mut hits, mut seen, mut area) = (0_usize, 0_usize, 0.0);
    // In falling order, equal is not greater.
    for equal in rows.chunk_by(|a, b| a.0 <= b.0) {
        let new = equal.iter().filter(|(_, anomalous)| *anomalous).count();
        hits += new;
        seen += equal.len();
        area += new as f64 / anomalous * (hits as f64 / seen as f64);
    }
    area
}

/// Volume under the precision-recall surface (Paparrizos et al. 2022), in the form of TSB-AD's `RangeAUC_volume_opt`: the
/// mean, over buffers of 0 to `widest` rows around the events, of the area under a precision-recall curve on which rows
/// near an event count in part, and recall is scaled by the part of the events that was touched. Needs an anomalous row
/// and finite scores. Takes `widest` times (rows in or near events + 250) steps.
pub(super) fn vus_pr(labels: &[bool], scores: &[f64], widest: usize) -> f64 {
    let surface = Surface::new(labels, scores);
    let areas = (0..=widest).map(|buffer| surface.area(buffer));
    areas.sum::<f64>() / (widest + 1) as f64
}

/// What does not depend on the buffer.
struct Surface<'a> {
    labels: &'a [bool],
    events: Vec<(usize, usize)>,
    /// The first of the 250 thresholds, highest first, that flags a row; 250 is never.
    first: Vec<usize>,
    anomalous: f64,
    /// Rows flagged at each threshold.
    flagged: Vec<f64>,
    /// Anomalous rows flagged at each threshold.
    hits: Vec<f64>,
}

impl<'a> Surface<'a> {
    fn new(labels: &'a [bool], scores: &[f64]) -> Self {
        let thresholds = thresholds(scores);
        let first: Vec<usize> = scores
            .iter()
            .map(|score| thresholds.partition_point(|threshold| threshold > score))
            .collect();
        let each = first.iter().map(|first| (*first, 1.0));
        let flagged = cumulated(each.clone());
        let hit = each.zip(labels).filter(|(_, label)| **label);
        let hits = cumulated(hit.map(|(row, _)| row));
        Self {
            labels,
            events: runs(labels),
            anomalous: labels.iter().filter(|l| **l).count() as f64,
            first,
            flagged,
            hits,
        }
    }

    /// Area under the curve for one buffer.
    fn area(&self, buffer: usize) -> f64 {
        let near = self.near(buffer);
        let weights = near.iter().map(|(row, weight)| {
            let first = self.first.get(*row).copied().unwrap_or(THRESHOLDS);
            (first, *weight)
        });
        let extra = cumulated(weights);
        let touched = self.touched(buffer / 2);
        let (mut area, mut before) = (0.0, 0.0);
        let curve = self
            .hits
            .iter()
            .zip(&extra)
            .zip(&self.flagged)
            .zip(&touched);
        for (((hits, extra), flagged), touched) in curve {
            let true_rows = hits + extra;
            let of = f64::midpoint(self.anomalous, self.anomalous + extra);
            let recall = (true_rows / of).min(1.0) * touched;
            area += (recall - before) * (true_rows / flagged);
            before = recall;
        }
        area
    }

    /// Normal rows within half a buffer of an event, with the part that they count for: less with the distance, at most 1
    /// where two events are near.
    fn near(&self, buffer: usize) -> Vec<(usize, f64)> {
        let half = buffer / 2;
        let weight = |distance: usize| (1.0 - distance as f64 / buffer as f64).sqrt();
        let mut rows: Vec<(usize, f64)> = Vec::new();
        for (first, last) in &self.events {
            let after = last + 1..(last + half + 1).min(self.labels.len());
            rows.extend(after.map(|row| (row, weight(row - last))));
            let before = first.saturating_sub(half)..*first;
            rows.extend(before.map(|row| (row, weight(first - row))));
        }
        rows.retain(|(row, _)| self.labels.get(*row) == Some(&false));
        rows.sort_by_key(|(row, _)| *row);
        rows.chunk_by(|a, b| a.0 == b.0)
            .filter_map(|same| {
                let sum: f64 = same.iter().map(|(_, weight)| weight).sum();
                same.first().map(|(row, _)| (*row, sum.min(1.0)))
            })
            .collect()
    }

    /// At each threshold, the part of the events, widened by `half` rows and joined where they overlap, with a flag in it.
    fn touched(&self, half: usize) -> Vec<f64> {
        let mut widened: Vec<(usize, usize)> = Vec::with_capacity(self.events.len());
        for (first, last) in &self.events {
            match widened.last_mut() {
                Some(before) if before.1 + half + half >= *first => before.1 = *last,
                _ => widened.push((*first, *last)),
            }
        }
        let last_row = self.labels.len().saturating_sub(1);
        let firsts = widened.iter().map(|(first, last)| {
            let rows = first.saturating_sub(half)..=(last + half).min(last_row);
            let earliest = self.first.get(rows).unwrap_or_default().iter().min();
            (earliest.copied().unwrap_or(THRESHOLDS), 1.0)
        });
        let mut touched = cumulated(firsts);
        for part in &mut touched {
            *part /= widened.len() as f64;
        }
        touched
    }
}

/// 250 scores, highest first, evenly spread over the ranks.
fn thresholds(scores: &[f64]) -> Vec<f64> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let last = sorted.len().saturating_sub(1);
    let stride = last as f64 / (THRESHOLDS - 1) as f64;
    (0..THRESHOLDS)
        .map(|k| {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let rank = if k + 1 == THRESHOLDS {
                last
            } else {
                (k as f64 * stride) as usize
            };
            sorted.get(rank).copied().unwrap_or(f64::NEG_INFINITY)
        })
        .collect()
}

/// Sums of the weights at or before each threshold.
fn cumulated(weights: impl Iterator<Item = (usize, f64)>) -> Vec<f64> {
    let mut sums = vec![0.0; THRESHOLDS];
    for (threshold, weight) in weights {
        if let Some(sum) = sums.get_mut(threshold) {
            *sum += weight;
        }
    }
    let mut total = 0.0;
    for sum in &mut sums {
        total += *sum;
        *sum = total;
    }
    sums
}
