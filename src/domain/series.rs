//! The recent past of one number, cheap to share.

use std::collections::VecDeque;
use std::sync::Arc;

/// Points in one chunk: what is copied, at most, when a shared series grows.
const CHUNK: usize = 64;

/// Some consecutive points.
#[derive(Clone, Debug)]
enum Chunk {
    /// The same value so many times: what a flag that is hardly ever raised looks like.
    Same(f64, usize),
    Mixed(Arc<Vec<f64>>),
}

impl Chunk {
    fn len(&self) -> usize {
        match self {
            Self::Same(_, count) => *count,
            Self::Mixed(points) => points.len(),
        }
    }

    fn get(&self, index: usize) -> Option<f64> {
        match self {
            Self::Same(value, count) => (index < *count).then_some(*value),
            Self::Mixed(points) => points.get(index).copied(),
        }
    }

    /// Changes the points; what is shared is copied first.
    fn change(&mut self, change: impl FnOnce(&mut Vec<f64>)) {
        if let Self::Same(value, count) = self {
            let mut points = Vec::with_capacity(CHUNK);
            points.resize(*count, *value);
            *self = Self::Mixed(Arc::new(points));
        }
        if let Self::Mixed(points) = self {
            if Arc::get_mut(points).is_none() {
                // Not `make_mut`: its copy would have no room for the next point.
                let mut copy = Vec::with_capacity(CHUNK);
                copy.extend_from_slice(points);
                *points = Arc::new(copy);
            }
            change(Arc::make_mut(points));
        }
    }

    fn push(&mut self, point: f64) {
        match self {
            Self::Same(value, count) if value.to_bits() == point.to_bits() => *count += 1,
            _ => self.change(|points| points.push(point)),
        }
    }
}

/// The newest points of one series, oldest first; NaN is "unknown". Holds at most `capacity` points rounded up to whole
/// chunks of 64. Cloning copies chunk pointers, not points, so a [`super::Snapshot`] can carry thousands of them.
#[derive(Clone, Debug)]
pub struct Series {
    chunks: VecDeque<Chunk>,
    capacity: usize,
}

impl Series {
    /// An empty series that keeps the newest `capacity` points.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            chunks: VecDeque::new(),
            capacity: capacity.max(1),
        }
    }

    /// All of `points` (then it keeps that many).
    #[must_use]
    pub fn of(points: &[f64]) -> Self {
        let mut series = Self::with_capacity(points.len());
        for point in points {
            series.push(*point);
        }
        series
    }

    /// Appends the newest point; the oldest chunk is let go once it is no longer needed.
    pub fn push(&mut self, point: f64) {
        match self.chunks.back_mut() {
            Some(last) if last.len() < CHUNK => last.push(point),
            _ => self.chunks.push_back(Chunk::Same(point, 1)),
        }
        let oldest = self.chunks.front().map_or(0, Chunk::len);
        if self.stored() - oldest >= self.capacity {
            self.chunks.pop_front();
        }
    }

    /// Replaces the point `age` rows before the newest (0 is the newest); a point that is not kept is left alone.
    pub fn amend(&mut self, age: usize, point: f64) {
        let Some(mut index) = self.stored().checked_sub(age + 1) else {
            return;
        };
        for chunk in &mut self.chunks {
            if index < chunk.len() {
                chunk.change(|points| {
                    if let Some(slot) = points.get_mut(index) {
                        *slot = point;
                    }
                });
                return;
            }
            index -= chunk.len();
        }
    }

    fn stored(&self) -> usize {
        self.chunks.iter().map(Chunk::len).sum()
    }

    /// How many points can be read: at most the capacity.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stored().min(self.capacity)
    }

    /// Nothing was pushed yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The newest point.
    #[must_use]
    pub fn last(&self) -> Option<f64> {
        let last = self.chunks.back()?;
        last.get(last.len().checked_sub(1)?)
    }

    /// The points, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = f64> + '_ {
        let surplus = self.stored() - self.len();
        self.chunks
            .iter()
            .flat_map(|chunk| (0..chunk.len()).filter_map(|index| chunk.get(index)))
            .skip(surplus)
    }

    /// The newest `count` points (fewer when there are fewer), oldest first.
    #[must_use]
    pub fn tail(&self, count: usize) -> Vec<f64> {
        let skip = self.len().saturating_sub(count);
        self.iter().skip(skip).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::float_cmp, clippy::cast_precision_loss)]
    fn keeps_the_newest_and_clones_are_independent() {
        let mut series = Series::with_capacity(100);
        for i in 0..1000 {
            series.push(f64::from(i));
        }
        assert_eq!(series.len(), 100);
        assert_eq!(series.tail(3), [997.0, 998.0, 999.0]);
        assert_eq!(series.iter().next(), Some(900.0));
        let shared = series.clone();
        series.amend(0, -1.0);
        series.push(5.0);
        assert_eq!(
            (shared.last(), series.tail(2)),
            (Some(999.0), vec![-1.0, 5.0])
        );
        assert!(series.chunks.len() <= 100 / CHUNK + 2);
    }

    #[test]
    #[allow(clippy::float_cmp)]
    fn what_never_changes_takes_no_room() {
        let mut flags = Series::with_capacity(200);
        for _ in 0..500 {
            flags.push(0.0);
        }
        assert!(
            flags
                .chunks
                .iter()
                .all(|c| matches!(c, Chunk::Same(0.0, 1..=CHUNK)))
        );
        flags.amend(70, 1.0);
        flags.push(f64::NAN);
        assert_eq!(flags.iter().filter(|flag| *flag == 1.0).count(), 1);
        assert_eq!(flags.tail(72)[0], 1.0);
        assert!(flags.last().unwrap().is_nan());
        assert_eq!(flags.len(), 200);
    }
}
