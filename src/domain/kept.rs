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
    /// The effect in one line.
    #[must_use]
    pub fn told(&self) -> String {
        let plural = |count: usize| if count == 1 { "alert" } else { "alerts" };
        let (removed, lost, returned) = (self.removed.len(), self.lost.len(), self.returned.len());
        let back = if returned > 0 {
            format!(", and brought back {returned}")
        } else {
            String::new()
        };
        let reach = if self.out_of_reach {
            "; one so high stays an alarm, as labels raise the threshold only so far"
        } else if self.height_unknown {
            "; how high its alarm was is not kept, so this label moves no threshold"
        } else {
            ""
        };
        format!(
            "would have removed {removed} {} and lost {lost}{back} (of {} that were replayed); threshold {:.2} times the calibrated one, so far {:.2} times{reach}",
            plural(removed),
            self.replayed,
            self.raise_after,
            self.raise_before
        )
    }
}
