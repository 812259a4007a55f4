//! The threshold of the fused score: what recent calm exceeds no more often than the alarm budget allows.
//!
//! Rows are taken together in blocks of a few hours, and of each block the highest score is kept, in excess of the level of
//! the last hours. Maxima of blocks follow an extreme value distribution whatever the scores are distributed like (Fisher &
//! Tippett 1928); from two quantiles of the last weeks' maxima a Gumbel tail says which excess is reached as often as the
//! budget allows (Gumbel 1958). So the threshold follows a drift of level and of spread, with nothing but what was scored
//! before. Each alarm raises it for some hours: a cause that comes back at once is not news, and a wrong threshold limits
//! itself.

use serde::{Deserialize, Serialize};

use crate::domain::Time;

/// A sub-block is so long, or so many rows, whichever is longer.
const SUB: (f64, f64) = (900.0, 3.0);
/// The level is the median of so many sub-blocks' medians.
const LEVEL: usize = 8;
/// Sub-blocks in a block.
const BLOCK: i64 = 12;
/// Maxima that are kept: three weeks of them.
const RING: usize = 168;
/// Of these at most so many are from training.
const RING_TRAINING: usize = 84;
/// The two quantiles of the maxima that the tail is read from.
const QUANTILES: (f64, f64) = (0.7, 0.9);
/// Widening of the tail while there are few maxima: this over the root of their number.
const WIDEN: f64 = 4.0;
/// The spread of the maxima counts as at least this part of the upper quantile.
const LEAST_SPREAD: f64 = 0.4;
/// Blocks that may reach the threshold a day and a row at a budget of [`USUAL_BUDGET`]: where there are incidents, most of
/// them are no alarms that anybody would call false, for the maxima hold the incidents of the past. Noise without any
/// incident raises up to three times the budget.
const ALLOWED: (f64, f64) = (1.4, 0.003_5);
/// The budget that the other constants were chosen at, in alarms a day.
const USUAL_BUDGET: f64 = 0.5;
/// An alarm raises the logarithm of the threshold by this, …
const RAISE: f64 = 0.3;
/// … which melts away at this pace a day, …
const MELT: f64 = 0.9;
/// … and is this at most.
const MOST_RAISED: f64 = 1.0;
/// A threshold is never lower than this.
const LOWEST: f64 = 1e-6;

/// What the threshold depends on that is not learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Seconds of a sub-block.
    sub: f64,
    /// How far out the threshold is, in distances of the two quantiles from the upper one.
    reach: f64,
    /// Logarithm lost a second.
    melt: f64,
    /// Seconds without a candidate that end an alarm.
    rest: f64,
    /// While an alarm is this young (seconds), the level does not follow it.
    frozen: f64,
}

impl Rule {
    /// For rows `step` seconds apart and `per_day` alarms allowed of one entity. An alarm ends after `rest` seconds below the
    /// threshold, or becomes the new normal in the hours after `frozen` seconds.
    #[must_use]
    pub fn new(step: f64, per_day: f64, rest: f64, frozen: f64) -> Self {
        let sub = SUB.0.max(SUB.1 * step);
        let block = sub * BLOCK as f64;
        let generous = (per_day / USUAL_BUDGET).sqrt();
        let part = (ALLOWED.0 * block / 86_400.0).min(ALLOWED.1 * block / step) * generous;
        let upper = gumbel(1.0 - QUANTILES.1);
        let unit = upper - gumbel(1.0 - QUANTILES.0);
        Self {
            sub,
            reach: (gumbel(part.clamp(1e-9, 0.5)) - upper) / unit,
            melt: MELT * generous / 86_400.0,
            rest,
            frozen,
        }
    }
}

/// The standard Gumbel variable that is exceeded with probability `p`.
fn gumbel(p: f64) -> f64 {
    -(-(-p).ln_1p()).ln()
}

/// One entity's threshold as the rows go by. Memory: 168 floats, and the scores of one sub-block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Adaptive {
    /// Median of the training rows' scores.
    usual: f64,
    /// Medians of the last sub-blocks, oldest first.
    medians: Vec<f64>,
    /// Scores of the sub-block under way; a checkpoint does without.
    #[serde(skip)]
    scores: Vec<f64>,
    /// Number of the sub-block under way, in sub-blocks since the epoch.
    sub: Option<i64>,
    /// Largest excess of the block under way.
    top: Option<f64>,
    /// Largest excesses of past blocks, oldest first; after a checkpoint, those of the training.
    #[serde(skip)]
    maxima: Vec<f64>,
    /// What the maxima ask for; `None` until training has ended.
    fitted: Option<f64>,
    /// Logarithm by which alarms have raised it.
    raised: f64,
    /// The alarm under way.
    alarm: Option<Alarm>,
    /// The row before.
    before: Option<Time>,
}

/// An alarm under way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Alarm {
    /// Its first row.
    since: Time,
    /// Its last row over the threshold.
    last: Time,
    /// What the level took off the score when it began.
    lift: f64,
    /// Logarithm by which earlier alarms had raised the threshold.
    raised: f64,
}

/// The threshold's word on a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ruling {
    /// The score's excess over the level of the last hours, 0 and up.
    pub excess: f64,
    /// What it is compared with, above 0.
    pub threshold: f64,
}

impl Ruling {
    /// How many times the threshold the excess is: an alarm is more than 1.
    #[must_use]
    pub fn alarm(&self) -> f64 {
        self.excess / self.threshold
    }
}

impl Adaptive {
    /// One that has seen nothing; `usual` is the median score of the training rows.
    #[must_use]
    pub fn new(usual: f64) -> Self {
        Self {
            usual,
            ..Self::default()
        }
    }

    /// One that starts from the largest scores of the training rows' blocks, oldest first.
    #[must_use]
    pub fn resume(usual: f64, maxima: &[f64]) -> Self {
        Self {
            maxima: maxima.to_vec(),
            ..Self::new(usual)
        }
    }

    /// Takes the training's maxima where a checkpoint left none.
    pub fn recall(&mut self, maxima: &[f64]) {
        if self.maxima.is_empty() {
            self.maxima.extend_from_slice(maxima);
        }
    }

    /// The largest scores of past blocks, oldest first; of the block under way where there is no other.
    #[must_use]
    pub fn maxima(&self) -> Vec<f64> {
        if self.maxima.is_empty() {
            self.top.into_iter().collect()
        } else {
            self.maxima.clone()
        }
    }

    /// Takes a training row: it counts among the maxima and is not ruled on.
    pub fn learn(&mut self, rule: &Rule, time: Time, score: f64) {
        self.enter(rule, time, score);
    }

    /// Training has ended: from now on rows are ruled on.
    pub fn begin(&mut self, rule: &Rule) {
        let extra = self.maxima.len().saturating_sub(RING_TRAINING);
        self.maxima.drain(..extra);
        self.refit(rule);
    }

    /// Takes the next row's score; a row not later than the one before is ruled on but not remembered.
    pub fn rule(&mut self, rule: &Rule, time: Time, score: f64) -> Ruling {
        let since = self.before.map_or(0.0, |before| {
            time.since(before)
                .as_secs_f64()
                .min(rule.sub * BLOCK as f64)
        });
        let lift = self.enter(rule, time, score);
        if self.fitted.is_none() {
            self.refit(rule);
        }
        if self.alarm.is_none() {
            self.raised = (self.raised - rule.melt * since).max(0.0);
        }
        let frozen = self
            .alarm
            .filter(|alarm| time.since(alarm.since).as_secs_f64() <= rule.frozen);
        let lift = frozen.map_or(lift, |alarm| alarm.lift.min(lift));
        // An alarm raises the threshold for the next one, not for itself.
        let raised = self.alarm.map_or(self.raised, |alarm| alarm.raised);
        let ruling = Ruling {
            excess: (score - lift).max(0.0),
            threshold: self.fitted.unwrap_or(LOWEST).max(LOWEST) * raised.exp(),
        };
        self.follow(rule, time, lift, ruling.excess > ruling.threshold);
        ruling
    }

    /// Opens, holds or ends the alarm.
    fn follow(&mut self, rule: &Rule, time: Time, lift: f64, over: bool) {
        match (&mut self.alarm, over) {
            (Some(alarm), true) => alarm.last = time,
            (Some(alarm), false) if time.since(alarm.last).as_secs_f64() > rule.rest => {
                self.alarm = None;
            }
            (None, true) => {
                self.alarm = Some(Alarm {
                    since: time,
                    last: time,
                    lift,
                    raised: self.raised,
                });
                self.raised = (self.raised + RAISE).min(MOST_RAISED);
            }
            _ => {}
        }
    }

    /// Files a score; gives what the level of the last hours takes off it.
    fn enter(&mut self, rule: &Rule, time: Time, score: f64) -> f64 {
        #[allow(clippy::cast_possible_truncation)] // Quarters of an hour since 1970.
        let sub = (time.millis() as f64 / 1000.0 / rule.sub).floor() as i64;
        if self.sub != Some(sub) {
            self.turn(rule, sub);
        }
        let level = median(&self.medians).unwrap_or(self.usual);
        let lift = (level - self.usual).max(0.0);
        let excess = (score - lift).max(0.0);
        if self.before.is_none_or(|before| time > before) {
            self.scores.push(score);
            // What is an alarm counts as just one, however high: no incident is learned as normal.
            let most = self
                .fitted
                .map_or(f64::INFINITY, |fitted| fitted * self.raised.exp());
            let excess = excess.min(most);
            self.top = Some(self.top.map_or(excess, |top| top.max(excess)));
            self.before = Some(time);
        }
        lift
    }

    /// A new sub-block begins, and perhaps a new block.
    fn turn(&mut self, rule: &Rule, sub: i64) {
        if let Some(middle) = median(&self.scores) {
            push(&mut self.medians, middle, LEVEL);
        }
        self.scores.clear();
        let block = sub.div_euclid(BLOCK);
        if self.sub.is_none_or(|old| old.div_euclid(BLOCK) != block) {
            if let Some(top) = self.top.take() {
                push(&mut self.maxima, top, RING);
            }
            if self.fitted.is_some() && self.alarm.is_none() {
                self.refit(rule);
            }
        }
        self.sub = Some(sub);
    }

    fn refit(&mut self, rule: &Rule) {
        let mut sorted = self.maxima.clone();
        if sorted.is_empty() {
            sorted.extend(self.top);
        }
        sorted.sort_unstable_by(f64::total_cmp);
        let fitted = match (
            quantile(&sorted, QUANTILES.0),
            quantile(&sorted, QUANTILES.1),
        ) {
            (Some(low), Some(high)) => {
                let reach = rule.reach + WIDEN / (sorted.len() as f64).sqrt();
                high + reach * (high - low).max(LEAST_SPREAD * high)
            }
            _ => 2.0 * self.usual,
        };
        self.fitted = Some(fitted.max(LOWEST));
    }
}

/// Appends, and lets the oldest go beyond `most`.
fn push(values: &mut Vec<f64>, value: f64, most: usize) {
    if values.len() >= most {
        values.remove(0);
    }
    values.push(value);
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}

/// The value that a part of `sorted` is below, on the line between the two beside it.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let place = part * sorted.len().checked_sub(1)? as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Within the slice.
    let below = place as usize;
    let low = *sorted.get(below)?;
    let high = sorted.get(below + 1).copied().unwrap_or(low);
    Some(low + (place - below as f64) * (high - low))
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const STEP: i64 = 60;

    fn at(row: i64) -> Time {
        Time::from_secs(1_700_000_000 + row * STEP)
    }

    /// Noise with an exponential tail.
    fn scores(rows: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..rows)
            .map(|_| 0.3 - 0.1 * (1.0 - rng.random::<f64>()).ln())
            .collect()
    }

    fn learned(rule: &Rule) -> (Adaptive, i64) {
        let mut adaptive = Adaptive::new(0.37);
        let training = scores(14 * 1440, 1);
        for (row, score) in (0..).zip(&training) {
            adaptive.learn(rule, at(row), *score);
        }
        adaptive.begin(rule);
        (adaptive, 14 * 1440)
    }

    fn rule() -> Rule {
        Rule::new(STEP as f64, 0.5, 1800.0, 21_600.0)
    }

    /// Rows over the threshold, each first of its kind in half an hour.
    fn alarms(adaptive: &mut Adaptive, from: i64, scores: impl Iterator<Item = f64>) -> Vec<i64> {
        let mut found: Vec<i64> = Vec::new();
        let mut last = from - 1000;
        for (row, score) in (from..).zip(scores) {
            let ruling = adaptive.rule(&rule(), at(row), score);
            if ruling.excess > ruling.threshold {
                if row - last > 30 {
                    found.push(row);
                }
                last = row;
            }
        }
        found
    }

    #[test]
    fn noise_without_any_incident_raises_at_most_three_times_the_budget_and_a_jump_is_one_alarm() {
        let (mut adaptive, from) = learned(&rule());
        let calm = alarms(&mut adaptive, from, scores(20 * 1440, 2).into_iter());
        assert!(calm.len() <= 30, "{} in 20 days", calm.len());
        let mut hit = scores(1440, 3);
        hit[700..720].iter_mut().for_each(|score| *score += 3.0);
        let found = alarms(&mut adaptive, from + 20 * 1440, hit.into_iter());
        let jump = from + 20 * 1440 + 700;
        let near: Vec<i64> = found
            .iter()
            .copied()
            .filter(|row| (row - jump).abs() < 60)
            .collect();
        assert_eq!(near, [jump], "{found:?}");
    }

    #[test]
    fn a_slow_drift_is_no_alarm_and_a_shift_becomes_the_new_normal() {
        let (mut adaptive, from) = learned(&rule());
        let drift = (0..).zip(scores(10 * 1440, 4));
        let drift = drift.map(|(row, score)| score + f64::from(row) / 1440.0 / 5.0);
        assert!(alarms(&mut adaptive, from, drift).len() <= 15);
        let (mut adaptive, from) = learned(&rule());
        let shifted = scores(3 * 1440, 5).into_iter().map(|score| score + 3.0);
        let found = alarms(&mut adaptive, from, shifted);
        assert_eq!(found.first(), Some(&from));
        assert!(found.len() <= 5, "{found:?}");
    }

    #[test]
    fn a_smaller_budget_reaches_further() {
        let generous = Rule::new(60.0, 5.0, 1800.0, 21_600.0);
        let strict = Rule::new(60.0, 0.05, 1800.0, 21_600.0);
        assert!(strict.reach > rule().reach && rule().reach > generous.reach);
    }

    #[test]
    fn state_survives_a_checkpoint_and_equal_times_are_not_counted_twice() {
        let (mut adaptive, from) = learned(&rule());
        let ruled = adaptive.rule(&rule(), at(from), 0.5);
        let kept = adaptive.clone();
        assert_eq!(
            adaptive.rule(&rule(), at(from), 0.5).threshold,
            ruled.threshold
        );
        assert_eq!(adaptive, kept);
        let json = serde_json::to_string(&adaptive).unwrap();
        assert!(json.len() < 800, "{json}");
        let mut back: Adaptive = serde_json::from_str(&json).unwrap();
        back.recall(&adaptive.maxima());
        assert_eq!(
            back.rule(&rule(), at(from + 1), 0.4),
            adaptive.rule(&rule(), at(from + 1), 0.4)
        );
    }

    #[test]
    fn without_training_rows_there_is_a_threshold_above_the_usual() {
        let mut adaptive = Adaptive::new(0.4);
        adaptive.begin(&rule());
        assert_eq!(adaptive.rule(&rule(), at(0), 0.5).threshold, 0.8);
    }
}
