//! Everything the dashboard remembers between two frames.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{ThemeName, UiConfig};
use crate::domain::{
    ControlError, Entity, EntityView, HistoryAnswer, Incident, Level, PipelineId, PipelineView,
    Snapshot, Time,
};

use super::keymap::Keymap;

/// Which data is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The newest data of the live pipeline.
    #[default]
    Live,
    /// All history of the live pipeline, with the forecast.
    LongTerm,
    /// The test pipeline.
    Test,
}

impl Mode {
    /// The three, in the order of the tabs.
    pub const ALL: [Self; 3] = [Self::Live, Self::LongTerm, Self::Test];

    /// The word on its tab.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Live => "Live",
            Self::LongTerm => "Long-term",
            Self::Test => "Test",
        }
    }

    /// The pipeline it looks at.
    #[must_use]
    pub const fn pipeline(self) -> PipelineId {
        match self {
            Self::Live | Self::LongTerm => PipelineId::Live,
            Self::Test => PipelineId::Test,
        }
    }
}

/// Order of the feature panes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// By name.
    #[default]
    Name,
    /// Largest part in the score first.
    Score,
}

/// What the arrow keys move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Focus {
    /// The selected feature pane.
    #[default]
    Panes,
    /// The selected incident.
    Log,
}

/// Which incident is selected: its number alone will not do before the journal gave it one.
pub type IncidentKey = (u64, Entity, Time);

/// The [`IncidentKey`] of an incident.
#[must_use]
pub fn key_of(incident: &Incident) -> IncidentKey {
    (incident.id, incident.entity.clone(), incident.start)
}

/// A line that shows for some seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Toast {
    /// How bad.
    pub level: Level,
    /// The line.
    pub text: String,
    /// When it goes.
    pub until: Time,
}

/// What a history question was about; a new question is asked when this changes.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryTopic {
    /// Whose.
    pub entity: Entity,
    /// How far back; `None`: all.
    pub range: Option<Duration>,
    /// Points per feature.
    pub max_points: usize,
}

/// Long-term mode's question and the last answer.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Number of the last question.
    pub ticket: u64,
    /// What it was about and when it was asked.
    pub asked: Option<(HistoryTopic, Time)>,
    /// No answer yet.
    pub pending: bool,
    /// Whose the answer below is.
    pub of: Option<Entity>,
    /// The last answer.
    pub answer: Option<Arc<HistoryAnswer>>,
    /// Why the last question got none.
    pub error: Option<ControlError>,
}

/// The state of the screen. Bounded: at most [`super::update::TOASTS`] toasts and one history answer.
#[derive(Clone, Debug)]
pub struct UiState {
    /// Which data is shown.
    pub mode: Mode,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// The engine's clock, carried on between snapshots.
    pub now: Time,
    /// Keys.
    pub keymap: Arc<Keymap>,
    /// `[ui]`: whether keys may change the engine, whether forecasts are drawn.
    pub config: UiConfig,
    /// The hint bar is drawn; pictures for others go without.
    pub hints: bool,
    /// Colours.
    pub theme: ThemeName,
    /// The shown entity; `None` or one that is gone: the first.
    pub entity: Option<Entity>,
    /// Name of the selected feature; `None` or one that is gone: the first in order.
    pub selected: Option<Arc<str>>,
    /// The selected incident; `None` or one that is gone: the first of the log.
    pub incident: Option<IncidentKey>,
    /// What the arrows move.
    pub focus: Focus,
    /// Order of the panes.
    pub sort: Sort,
    /// When snapshots stopped being taken.
    pub frozen: Option<Time>,
    /// The selected feature fills the screen.
    pub expanded: bool,
    /// First line of the open help screen.
    pub help: Option<usize>,
    /// Time range of live and test mode; `None`: all that the snapshot has.
    pub live_range: Option<Duration>,
    /// Time range of long-term mode; `None`: all that is kept.
    pub long_range: Option<Duration>,
    /// Long-term mode's data.
    pub history: History,
    /// Lines that show for some seconds, oldest first.
    pub toasts: Vec<Toast>,
    /// Newest notice that was turned into a toast.
    pub seen_notice: Option<u64>,
    /// The test pipeline was asked for and is not there yet.
    pub test_asked: bool,
}

impl UiState {
    /// The state at the start, on a terminal of `size` (columns, rows).
    #[must_use]
    pub fn new(
        mode: Mode,
        config: &UiConfig,
        keymap: Arc<Keymap>,
        size: (u16, u16),
        now: Time,
    ) -> Self {
        Self {
            mode,
            size,
            now,
            keymap,
            config: config.clone(),
            hints: true,
            theme: config.theme,
            entity: None,
            selected: None,
            incident: None,
            focus: Focus::default(),
            sort: Sort::default(),
            frozen: None,
            expanded: false,
            help: None,
            live_range: None,
            long_range: None,
            history: History::default(),
            toasts: Vec::new(),
            seen_notice: None,
            test_asked: false,
        }
    }

    /// The pipeline that the mode looks at, if it runs.
    #[must_use]
    pub fn pipeline<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a PipelineView> {
        snapshot.pipeline(self.mode.pipeline()).map(Arc::as_ref)
    }

    /// Position of the shown entity among the pipeline's.
    #[must_use]
    pub fn entity_index(&self, pipeline: &PipelineView) -> usize {
        let wanted = self.entity.as_ref();
        pipeline
            .entities
            .iter()
            .position(|view| Some(&view.entity) == wanted)
            .unwrap_or(0)
    }

    /// The shown entity.
    #[must_use]
    pub fn shown<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a EntityView> {
        let pipeline = self.pipeline(snapshot)?;
        pipeline
            .entities
            .get(self.entity_index(pipeline))
            .map(Arc::as_ref)
    }

    /// Columns of the entity's features in the order of the panes.
    #[must_use]
    pub fn order(&self, entity: &EntityView) -> Vec<usize> {
        let mut order: Vec<usize> = (0..entity.features.len()).collect();
        let name = |i: &usize| entity.features.get(*i).map(|f| &*f.feature.name);
        let share = |i: &usize| entity.features.get(*i).and_then(|f| f.share);
        match self.sort {
            Sort::Name => order.sort_by(|a, b| name(a).cmp(&name(b))),
            Sort::Score => order.sort_by(|a, b| {
                let (a, b) = (share(a).unwrap_or(-1.0), share(b).unwrap_or(-1.0));
                b.total_cmp(&a)
            }),
        }
        order
    }

    /// Position of the selected feature in `order`.
    #[must_use]
    pub fn selected_index(&self, entity: &EntityView, order: &[usize]) -> usize {
        let wanted = self.selected.as_deref();
        order
            .iter()
            .position(|i| entity.features.get(*i).map(|f| &*f.feature.name) == wanted)
            .unwrap_or(0)
    }

    /// Position of the selected incident in the pipeline's log.
    #[must_use]
    pub fn incident_index(&self, pipeline: &PipelineView) -> usize {
        let wanted = self.incident.as_ref();
        pipeline
            .incidents
            .iter()
            .position(|i| wanted == Some(&key_of(i)))
            .unwrap_or(0)
    }

    /// The time range of the shown mode.
    #[must_use]
    pub const fn range(&self) -> Option<Duration> {
        match self.mode {
            Mode::LongTerm => self.long_range,
            Mode::Live | Mode::Test => self.live_range,
        }
    }
}
