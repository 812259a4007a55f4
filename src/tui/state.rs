//! Everything the dashboard remembers between two frames.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{ThemeName, UiConfig};
use crate::domain::{
    Command, ControlError, Entity, EntityView, FeatureView, Freshness, HistoryAnswer, Incident,
    Level, PipelineId, PipelineView, Snapshot, Time,
};

use super::action::Intent;
use super::keymap::Keymap;
use super::orders::{EntityOrder, LogOrder, Reversed};
use super::zone::Zone;

pub use super::orders::ErrorOrder;

pub use self::typed::{Filters, Prompt, PromptKind, has};

mod typed;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// By name.
    #[default]
    Name,
    /// Largest part in the score first.
    Score,
    /// Those of the latest incidents first.
    LastIncident,
}

/// What lies over the dashboard, or in place of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panel {
    /// Keys, over the dashboard.
    Help,
    /// The explanation of a moment or incident, over the dashboard.
    Why,
    /// The anomaly log.
    Log,
    /// The per-feature error table.
    Errors,
    /// All entities.
    Entities,
    /// The training that runs, and how the last one went.
    Training,
    /// The models that are kept.
    Models,
    /// Source, readiness, process.
    Health,
}

/// An open panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Which.
    pub panel: Panel,
    /// First line that is shown, or the selected row, from 0.
    pub line: usize,
}

/// Where keys act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The grid of panes.
    Panes,
    /// The log beside or under it.
    Log,
    /// One feature over the whole body.
    Detail,
    /// An open panel.
    Panel(Panel),
}

/// Something costly or lasting that waits for a yes.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The question.
    pub text: String,
    /// What to know before the answer.
    pub detail: Vec<String>,
    /// What is sent on a yes.
    pub command: Command,
    /// What is told then.
    pub said: String,
    /// The preview that `detail` waits for.
    pub ticket: Option<u64>,
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

/// Which incident is selected: whose, and since when. Its number will not do, since the journal gives it one later.
pub type IncidentKey = (Entity, Time);

/// The [`IncidentKey`] of an incident.
#[must_use]
pub fn key_of(incident: &Incident) -> IncidentKey {
    (incident.entity.clone(), incident.start)
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

/// Rows since a feature last carried an anomaly; the largest number when it did not.
fn last_marked(feature: &FeatureView) -> usize {
    let marks = &feature.anomalous;
    let newest = (0_usize..)
        .zip(marks.iter())
        .filter(|(_, mark)| *mark > 0.5);
    newest
        .last()
        .map_or(usize::MAX, |(row, _)| marks.len() - row)
}

/// What a history question was about; a new question is asked when this changes.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryTopic {
    /// Whose.
    pub entity: Entity,
    /// How far back; `None`: all.
    pub range: Option<Duration>,
    /// Up to when, coarsely; `None`: the newest row.
    pub until: Option<Time>,
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
    /// Whose history begins when, once an answer has told it.
    pub oldest: Option<(Entity, Time)>,
    /// Why the last question got none.
    pub error: Option<ControlError>,
}

impl History {
    /// When an entity's history begins; `None` as long as no answer has told it.
    #[must_use]
    pub fn oldest_of(&self, entity: &Entity) -> Option<Time> {
        let oldest = self.oldest.as_ref().filter(|(of, _)| of == entity);
        oldest.map(|(_, time)| *time)
    }
}

/// The state of the screen. Bounded: at most [`super::update::TOASTS`] toasts, one history answer, and lines of 64
/// characters.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own, not the state of one machine.
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
    /// What moments are shown in.
    pub zone: Zone,
    /// The shown entity; `None` or one that is gone: the first.
    pub entity: Option<Entity>,
    /// Name of the selected feature; `None` or one that is gone: the first in order.
    pub selected: Option<Arc<str>>,
    /// The selected incident; `None` or one that is gone: the first of the log.
    pub incident: Option<IncidentKey>,
    /// Groups of incidents that are unfolded, by their earliest start; at most [`super::update::UNFOLDED`].
    pub unfolded: BTreeSet<Time>,
    /// What the arrows move.
    pub focus: Focus,
    /// Order of the panes.
    pub sort: Sort,
    /// When snapshots stopped being taken.
    pub frozen: Option<Time>,
    /// The selected feature fills the screen.
    pub expanded: bool,
    /// The moment that is pointed at in the large chart; `None`: the newest.
    pub cursor: Option<Time>,
    /// The right edge of the large chart; `None`: the newest row, as it comes.
    pub until: Option<Time>,
    /// Order of the error table.
    pub errors: ErrorOrder,
    /// Order of the anomaly log.
    pub log: LogOrder,
    /// Order of the list of entities.
    pub entity_order: EntityOrder,
    /// Which of these orders are reversed.
    pub reversed: Reversed,
    /// The entity that is pointed at in that list; `None`: the shown one.
    pub pointed: Option<Entity>,
    /// Version of the model that is pointed at in their list; `None` or one that is gone: the newest.
    pub model: Option<String>,
    /// The open panel.
    pub open: Option<Open>,
    /// The panel that the large chart was opened from, and goes back to.
    pub came_from: Option<Open>,
    /// The line that is being typed.
    pub prompt: Option<Prompt>,
    /// What waits for a yes.
    pub question: Option<Question>,
    /// Number of the last preview that was asked for.
    pub previews: u64,
    /// What is shown in each place.
    pub filters: Filters,
    /// Clicks and the wheel are the dashboard's.
    pub mouse: bool,
    /// Time range of live and test mode; `None`: all that the snapshot has.
    pub live_range: Option<Duration>,
    /// Time range of long-term mode; `None`: all that is kept.
    pub long_range: Option<Duration>,
    /// Long-term mode's data.
    pub history: History,
    /// The hint on how this run began that was put away.
    pub dismissed: Option<String>,
    /// Lines that show for some seconds, oldest first.
    pub toasts: Vec<Toast>,
    /// Newest notice that was turned into a toast.
    pub seen_notice: Option<u64>,
    /// The test pipeline was asked for and is not there yet.
    pub test_asked: bool,
    /// The interval that was asked for and is not in force yet: the next key press steps on from it.
    pub interval: Option<Duration>,
}

impl UiState {
    /// The state at the start, on a terminal of `size` (columns, rows); moments are in UTC.
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
            zone: Zone::UTC,
            entity: None,
            selected: None,
            incident: None,
            unfolded: BTreeSet::new(),
            focus: Focus::default(),
            sort: Sort::default(),
            frozen: None,
            expanded: false,
            cursor: None,
            until: None,
            errors: ErrorOrder::default(),
            log: LogOrder::default(),
            entity_order: EntityOrder::default(),
            reversed: Reversed::default(),
            pointed: None,
            model: None,
            open: None,
            came_from: None,
            prompt: None,
            question: None,
            previews: 0,
            filters: Filters::default(),
            mouse: config.mouse,
            live_range: None,
            long_range: None,
            history: History::default(),
            dismissed: None,
            toasts: Vec::new(),
            seen_notice: None,
            test_asked: false,
            interval: None,
        }
    }

    /// Where keys act.
    #[must_use]
    pub fn place(&self) -> Place {
        match (self.open, self.expanded, self.focus) {
            (Some(open), _, _) => Place::Panel(open.panel),
            (None, true, _) => Place::Detail,
            (None, false, Focus::Log) => Place::Log,
            (None, false, Focus::Panes) => Place::Panes,
        }
    }

    /// Whether the screen may do what is asked for, as it is set up and where it stands: what it may not, it does not offer.
    #[must_use]
    pub fn may(&self, intent: Intent) -> bool {
        let orders = !self.config.read_only;
        match intent {
            Intent::Retrain => orders && self.config.retrain_enabled,
            Intent::Slower | Intent::Faster | Intent::Cancel | Intent::Inject => orders,
            // Anomalies of test mode are not kept, and so is no word on them.
            Intent::Acknowledge | Intent::MarkFalse | Intent::MarkReal => {
                orders && self.mode != Mode::Test
            }
            // There it lets another model score.
            Intent::Expand if self.place() == Place::Panel(Panel::Models) => orders,
            _ => true,
        }
    }

    /// Shows another entity. The moment that is pointed at stays: what the other one did then is what one looks for.
    pub(super) fn show_entity(&mut self, entity: Entity) {
        self.entity = Some(entity);
        self.pointed = None;
    }

    /// From the large chart to the grid; the moment that was pointed at is let go.
    pub(super) fn leave_detail(&mut self) {
        self.expanded = false;
        (self.cursor, self.until) = (None, None);
    }

    /// How this run began and how to go on, until it was put away.
    #[must_use]
    pub fn banner<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a str> {
        let banner = snapshot.banner.as_deref();
        banner.filter(|text| self.dismissed.as_deref() != Some(*text))
    }

    /// Line of an open panel; `None` when it is not open.
    #[must_use]
    pub fn line(&self, panel: Panel) -> Option<usize> {
        let open = self.open.filter(|open| open.panel == panel);
        open.map(|open| open.line)
    }

    /// The pipeline that the mode looks at, if it runs.
    #[must_use]
    pub fn pipeline<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a PipelineView> {
        snapshot.pipeline(self.mode.pipeline()).map(Arc::as_ref)
    }

    /// Whether what a pipeline shows can be relied on now; a frozen picture stays as it was.
    #[must_use]
    pub fn freshness<'a>(&self, snapshot: &Snapshot, pipeline: &'a PipelineView) -> Freshness<'a> {
        let now = match self.frozen {
            Some(_) => snapshot.now,
            None => self.now.max(snapshot.now),
        };
        pipeline.freshness(now, snapshot.interval)
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

    /// Columns of the entity's features that the filter lets through, in the order of the panes.
    #[must_use]
    pub fn order(&self, entity: &EntityView) -> Vec<usize> {
        let wanted = |i: &usize| {
            let feature = entity.features.get(*i);
            feature.is_some_and(|f| has(&f.feature.name, &self.filters.panes))
        };
        let mut order: Vec<usize> = (0..entity.features.len()).filter(wanted).collect();
        let name = |i: &usize| entity.features.get(*i).map(|f| &*f.feature.name);
        let share = |i: &usize| entity.features.get(*i).and_then(|f| f.share);
        match self.sort {
            Sort::Name => order.sort_by(|a, b| name(a).cmp(&name(b))),
            Sort::Score => order.sort_by(|a, b| {
                let (a, b) = (share(a).unwrap_or(-1.0), share(b).unwrap_or(-1.0));
                b.total_cmp(&a)
            }),
            Sort::LastIncident => {
                let age = |i: &usize| entity.features.get(*i).map_or(usize::MAX, last_marked);
                // Each feature's marks are looked through once, not at each comparison.
                order.sort_by_cached_key(|i| (age(i), name(i)));
            }
        }
        // Stable: each part stays in its order.
        order.sort_by_cached_key(|i| !self.has_data(entity, *i));
        order
    }

    /// Whether a feature has a value among what the mode has at hand.
    #[must_use]
    pub fn has_data(&self, entity: &EntityView, column: usize) -> bool {
        let Some(feature) = entity.features.get(column) else {
            return false;
        };
        let history = self.history.answer.iter();
        let mut kept = history
            .filter(|_| {
                self.mode == Mode::LongTerm && self.history.of.as_ref() == Some(&entity.entity)
            })
            .flat_map(|answer| &answer.series)
            .filter(|series| series.name == feature.feature.name);
        feature.values.iter().any(f64::is_finite)
            || kept.any(|series| series.values.iter().any(|v| v.is_finite()))
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

    /// Column of the selected feature, the first in the order of the panes or of the error table when none was selected.
    #[must_use]
    pub fn selected_column(&self, entity: &EntityView) -> Option<usize> {
        let order = match self.place() {
            Place::Panel(Panel::Errors) => self.error_order(entity),
            _ => self.order(entity),
        };
        order.get(self.selected_index(entity, &order)).copied()
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
