//! How many windows a training needs, by the network and by how they are split, and how long a history has them.

use super::{Config, SourceKind, Span, Threshold, Weights};

/// Held-back windows that a threshold from an alarm budget needs: it follows from their largest errors.
const HELD_BACK_FOR_BUDGET: f64 = 24.0;

/// Held-back windows for any other threshold: a mean and a deviation, or no more than when to stop.
const HELD_BACK: f64 = 12.0;

/// Windows to train on that are enough for a network however long its windows are.
const TRAINED_AT_MOST: usize = 96;

/// Fewest windows of any training.
const FEWEST: usize = 10;

impl Config {
    /// Whether anything is detected: by the autoencoder with the forecast and other views beside it, or by the forecast alone
    /// where `[autoencoder] enabled = false`.
    #[must_use]
    pub const fn detects(&self) -> bool {
        self.autoencoder.enabled || self.forecast.enabled
    }

    /// Windows without which a network is not trained. Enough are trained on that the first and the last of them share no
    /// row (96 for long windows), and enough are held back that the threshold can be derived from their errors.
    #[must_use]
    pub fn windows_needed(&self) -> usize {
        let split = self.autoencoder.train_split.0.clamp(0.01, 0.99);
        let trained = (2 * self.autoencoder.window).min(TRAINED_AT_MOST) as f64;
        let held_back = match self.detect.threshold {
            Threshold::Auto => HELD_BACK_FOR_BUDGET,
            Threshold::Fixed(_) | Threshold::Sigma(_) => HELD_BACK,
        };
        // 24 / (1 − 0.8) is a little over 120 in binary.
        let windows = (trained / split).max(held_back / (1.0 - split)) - 1e-6;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 10 to 9600.
        let windows = windows.ceil() as usize;
        windows.max(FEWEST)
    }

    /// Why `[history]` can never hold enough windows for a training, with so many entities in it: the key, the problem and the
    /// remedy. `None` when it can, when nothing is trained, and for a recording, which is learned from as a whole.
    #[must_use]
    pub fn history_too_short(&self, entities: usize) -> Option<(&'static str, String, String)> {
        let step = self.source.step.0;
        if !self.detects() || self.source.kind == SourceKind::Replay || step.as_millis() == 0 {
            return None;
        }
        let rows = |millis: u128| usize::try_from(millis / step.as_millis() + 1).unwrap_or(0);
        let window = self.autoencoder.window.max(1);
        let windows = |rows: usize| (rows + 1).saturating_sub(window);
        let periods = &self.history.periods;
        let (key, rows, have) = if periods.is_empty() {
            let rows = rows(self.history.period.0.as_millis());
            ("period", rows, windows(rows))
        } else {
            let of = |p: &super::Period| {
                let millis = p.end.as_millisecond() - p.start.as_millisecond();
                rows(u128::try_from(millis).unwrap_or(0))
            };
            let all = periods.iter().map(of);
            let have = all.clone().map(windows).sum();
            ("periods", all.sum(), have)
        };
        let sharing = match self.entities.weights {
            Weights::Shared => entities.max(1),
            Weights::Own => 1,
        };
        let need = self.windows_needed().div_ceil(sharing);
        if have >= need {
            return None;
        }
        let steps = u32::try_from(need + window).unwrap_or(u32::MAX);
        let period = Span(step.saturating_mul(steps));
        let each = if sharing > 1 { " of each entity" } else { "" };
        let problem = format!(
            "a training needs {need} windows of {window} rows{each}, and {rows} rows every {} make {have}: it would wait for ever",
            self.source.step
        );
        let remedy = if key == "period" {
            format!(
                "write \"{period}\" or more, or a shorter [source] step or [autoencoder] window"
            )
        } else {
            format!(
                "list periods of {period} or more, or take a shorter [source] step or [autoencoder] window"
            )
        };
        Some((key, problem, remedy))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Period, Ratio};
    use super::*;

    #[test]
    fn windows_needed_follow_from_network_split_and_threshold() {
        let mut config = Config::default();
        let mut need = |window, split, threshold| {
            config.autoencoder.window = window;
            config.autoencoder.train_split = Ratio(split);
            config.detect.threshold = threshold;
            config.windows_needed()
        };
        assert_eq!(need(20, 0.8, Threshold::Auto), 120);
        assert_eq!(need(1100, 0.8, Threshold::Auto), 120);
        assert_eq!(need(20, 0.9, Threshold::Auto), 240);
        assert_eq!(need(1100, 0.5, Threshold::Auto), 192);
        assert_eq!(need(30, 0.8, Threshold::Sigma(2.5)), 75);
        assert_eq!(need(20, 0.8, Threshold::Fixed(0.0025)), 60);
        assert_eq!(need(2, 0.1, Threshold::Fixed(0.0025)), 40);
    }

    #[test]
    fn a_history_that_can_never_train_is_told_with_one_that_can() {
        let mut config = Config::default();
        config.source.step = Span::secs(30);
        config.history.period = Span::secs(3600);
        let (key, problem, remedy) = config.history_too_short(1).unwrap();
        assert_eq!(key, "period");
        assert!(
            problem.contains("120 windows") && problem.contains("make 102"),
            "{problem}"
        );
        assert!(remedy.starts_with("write \"1h10m\" or more"), "{remedy}");
        config.history.period = Span::parse("1h10m").unwrap();
        assert_eq!(config.history_too_short(1), None);
        // Two hosts share a network; each with its own needs all of its windows from one.
        config.history.period = Span::secs(3600);
        assert_eq!(config.history_too_short(2), None);
        config.entities.weights = Weights::Own;
        assert!(config.history_too_short(2).is_some());
        // The forecast alone is learned too.
        config.autoencoder.enabled = false;
        assert!(config.history_too_short(2).is_some());
        config.forecast.enabled = false;
        assert_eq!(config.history_too_short(2), None);
        config.autoencoder.enabled = true;
        config.history.period = Span::secs(14 * 86_400);
        let period = |from: &str, to: &str| Period {
            start: from.parse().unwrap(),
            end: to.parse().unwrap(),
        };
        // No window reaches from one period into the next.
        config.history.periods = vec![
            period("2026-11-01T00:00:00Z", "2026-11-01T00:30:00Z"),
            period("2026-11-02T00:00:00Z", "2026-11-02T00:40:00Z"),
        ];
        let (key, problem, _) = config.history_too_short(1).unwrap();
        assert_eq!(key, "periods");
        assert!(
            problem.contains("142 rows") && problem.contains("make 104"),
            "{problem}"
        );
    }
}
