//! What is kept of rows that came near the threshold.

use super::{Entity, Time};

/// A row whose score came near the threshold or went over it: enough to judge it again under another threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptScore {
    /// Whose.
    pub entity: Entity,
    /// Grid time.
    pub time: Time,
    /// Score against the calibrated threshold, before labels raised it (≥ 0).
    pub score: f64,
    /// No gate that looks at the row alone stopped it.
    pub passed: bool,
}

/// How many times the calibrated threshold labels raise it to, at most.
pub const MOST_RAISE: f64 = 3.0;

/// What other labels would change, over the rows that are kept.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct LabelEffect {
    /// How many times the calibrated threshold is in force (1 and over) as labels stand, …
    pub raise_before: f64,
    /// … and would be.
    pub raise_after: f64,
    /// Incidents that the kept rows make as labels stand.
    pub replayed: usize,
    /// Starts and entities of those that would not have been, but for those labelled real.
    pub removed: Vec<(Entity, Time)>,
    /// Starts and entities of those labelled real that would not have been.
    pub lost: Vec<(Entity, Time)>,
    /// Starts and entities of those that would have been, and were not.
    pub returned: Vec<(Entity, Time)>,
    /// The label calls an incident false that is farther over the threshold than labels may raise it: it stays one.
    pub out_of_reach: bool,
    /// The label calls an incident false of which neither rows nor the height of its alarm are kept: it moves no threshold.
    pub height_unknown: bool,
}

impl LabelEffect {
    /// The effect in a few sentences.
    #[must_use]
    pub fn told(&self) -> String {
        let Self {
            raise_before,
            raise_after,
            replayed,
            ..
        } = self;
        let back = match self.returned.len() {
            0 => String::new(),
            returned => format!(", {returned} would come back"),
        };
        let lost = match self.lost.len() {
            1 => "1 real one".to_owned(),
            lost => format!("{lost} real ones"),
        };
        let threshold = if (raise_after - raise_before).abs() < 0.005 {
            format!("Threshold unchanged at {raise_before:.2}× the calibrated one.")
        } else {
            format!("Threshold {raise_before:.2}× → {raise_after:.2}× the calibrated one.")
        };
        let reach = if self.out_of_reach {
            format!(
                " An incident this large would still alert: labels raise the threshold at most {MOST_RAISE:.0}×."
            )
        } else if self.height_unknown {
            " The height of its alarm is not stored, so this label moves no threshold.".to_owned()
        } else {
            String::new()
        };
        format!(
            "Replaying stored data: {} of {replayed} incidents would go, {lost} lost{back}. {threshold}{reach}",
            self.removed.len(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_reads_as_sentences() {
        let incident = (Entity::sole(), Time::from_secs(0));
        let effect = LabelEffect {
            raise_before: 1.0,
            raise_after: 2.674,
            replayed: 1,
            removed: vec![incident.clone()],
            out_of_reach: true,
            ..LabelEffect::default()
        };
        assert_eq!(
            effect.told(),
            "Replaying stored data: 1 of 1 incidents would go, 0 real ones lost. \
             Threshold 1.00× → 2.67× the calibrated one. \
             An incident this large would still alert: labels raise the threshold at most 3×."
        );
        let cleared = LabelEffect {
            raise_before: 1.5,
            raise_after: 1.5,
            replayed: 4,
            returned: vec![incident],
            height_unknown: true,
            ..LabelEffect::default()
        };
        assert_eq!(
            cleared.told(),
            "Replaying stored data: 0 of 4 incidents would go, 0 real ones lost, 1 would come back. \
             Threshold unchanged at 1.50× the calibrated one. \
             The height of its alarm is not stored, so this label moves no threshold."
        );
    }
}
