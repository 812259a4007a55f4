//! Keys that change the engine, and why one of them does nothing.

use std::time::Duration;

use crate::domain::{Command, Incident, Label, Level, PipelineId, Snapshot, SourceState};

use super::super::action::{Effect, Intent};
use super::super::state::{Mode, Panel, Question, UiState, key_of};
use super::super::{palette, text, view};
use super::{order, toast};

pub(super) fn press(
    state: &mut UiState,
    intent: Intent,
    snapshot: &Snapshot,
    effects: &mut Vec<Effect>,
) {
    match intent {
        Intent::Slower => interval(state, snapshot, false, effects),
        Intent::Faster => interval(state, snapshot, true, effects),
        Intent::Retrain => retrain(state, snapshot, effects),
        Intent::Cancel => cancel(state, snapshot, effects),
        Intent::Inject => inject(state, snapshot, effects),
        Intent::Acknowledge => acknowledge(state, snapshot, effects),
        Intent::MarkFalse => label(state, snapshot, Label::False, effects),
        Intent::MarkReal => label(state, snapshot, Label::Real, effects),
        _ => {}
    }
}

fn interval(state: &mut UiState, snapshot: &Snapshot, faster: bool, effects: &mut Vec<Effect>) {
    let now = state.interval.unwrap_or(snapshot.interval);
    let mut steps = palette::STEPS.map(Duration::from_secs).into_iter();
    let next = if faster {
        steps.rfind(|step| *step < now)
    } else {
        steps.find(|step| *step > now)
    };
    let Some(next) = next else {
        let end = if faster { "shortest" } else { "longest" };
        return toast(
            state,
            Level::Info,
            format!("{} is the {end} interval", text::span(now)),
        );
    };
    if order(state, Command::SetInterval(next), effects) {
        state.interval = Some(next);
        toast(
            state,
            Level::Info,
            format!("polling every {}", text::span(next)),
        );
    }
}

/// A first model, and one of test mode, cost nothing that is in use; a model that scores is not replaced by a slip of a finger.
fn retrain(state: &mut UiState, snapshot: &Snapshot, effects: &mut Vec<Effect>) {
    if !state.config.retrain_enabled {
        let why = "training from the screen is off: [ui] retrain_enabled is false";
        return toast(state, Level::Warning, why.into());
    }
    let pipeline = state.mode.pipeline();
    let (command, said) = (
        Command::Retrain(pipeline),
        "a new model will be trained".to_owned(),
    );
    let model = snapshot.live.model.as_ref();
    let Some(model) = model.filter(|_| pipeline == PipelineId::Live && !state.config.read_only)
    else {
        if order(state, command, effects) {
            toast(state, Level::Info, said);
        }
        return;
    };
    state.question = Some(Question {
        text: "Train a new model now?".into(),
        detail: vec![format!(
            "The last training took {}. Scoring goes on meanwhile; the new model is used only if it isn't clearly worse.",
            text::span(model.training_took)
        )],
        command,
        said,
        ticket: None,
    });
}

fn cancel(state: &mut UiState, snapshot: &Snapshot, effects: &mut Vec<Effect>) {
    let running = state
        .pipeline(snapshot)
        .is_some_and(|p| p.training.is_some());
    if !running {
        return toast(state, Level::Info, "no training is running".into());
    }
    if order(
        state,
        Command::CancelTraining(state.mode.pipeline()),
        effects,
    ) {
        toast(state, Level::Info, "cancelling the training".into());
    }
}

fn inject(state: &mut UiState, snapshot: &Snapshot, effects: &mut Vec<Effect>) {
    if state.mode != Mode::Test || snapshot.test.is_none() {
        let key = state.keymap.key(Intent::Test);
        let why = format!("spikes go into test data only: {key} shows it");
        return toast(state, Level::Info, why);
    }
    let ended = state
        .pipeline(snapshot)
        .is_some_and(|p| p.source.state == SourceState::Finished);
    if ended {
        let why = "the recording has ended: no row comes that a spike could go into";
        return toast(state, Level::Info, why.into());
    }
    if order(state, Command::InjectSpike, effects) {
        toast(
            state,
            Level::Info,
            "a spike comes with the next rows".into(),
        );
    }
}

/// The incident that is meant, if an operator's word on it can be kept; says why when there is none.
fn target<'a>(state: &mut UiState, snapshot: &'a Snapshot) -> Option<&'a Incident> {
    let why = match meant(state, snapshot) {
        Err(why) => why,
        Ok(_) if state.mode == Mode::Test => "anomalies of test mode are not kept",
        Ok(incident) if incident.id == 0 => {
            "this anomaly is not in the journal yet; try again in a moment"
        }
        Ok(incident) => return Some(incident),
    };
    toast(state, Level::Info, why.into());
    None
}

/// What is explained, where something is; else what is selected in the log. One that was selected and is listed no more is
/// never replaced by another without a word.
fn meant<'a>(state: &mut UiState, snapshot: &'a Snapshot) -> Result<&'a Incident, &'static str> {
    let pipeline = snapshot.pipeline(state.mode.pipeline());
    let pipeline = pipeline.ok_or("there is no anomaly to speak of")?;
    if state.line(Panel::Why).is_some() {
        let explained = view::explained(state, snapshot);
        return explained.ok_or("what is explained here is part of no anomaly");
    }
    let listed = state.incidents(pipeline);
    let wanted = state.incident.as_ref();
    let found = match wanted {
        None => listed.first(),
        Some(wanted) => listed.iter().find(|incident| key_of(incident) == *wanted),
    };
    match found {
        Some(incident) => Ok(incident),
        None if pipeline.incidents.is_empty() => Err("there is no anomaly to speak of"),
        None if listed.is_empty() => Err("no anomaly matches the filter of the log"),
        None => {
            state.incident = None;
            Err("the selected anomaly is no longer in the log; its first one is selected now")
        }
    }
}

/// Most incidents that one key acknowledges: half of what the engine's queue of orders holds.
const AT_ONCE: usize = 32;

/// The incidents that a line of the log stands for: those of a folded group, else the one.
fn folded<'a>(
    state: &UiState,
    snapshot: &'a Snapshot,
    incident: &'a Incident,
) -> Vec<&'a Incident> {
    let explained = state.line(Panel::Why).is_some();
    let pipeline = state.pipeline(snapshot).filter(|_| !explained);
    match pipeline.and_then(|pipeline| state.group_of(pipeline, incident)) {
        Some((group, true)) => group.members,
        _ => vec![incident],
    }
}

fn acknowledge(state: &mut UiState, snapshot: &Snapshot, effects: &mut Vec<Effect>) {
    let Some(incident) = target(state, snapshot) else {
        return;
    };
    let all: Vec<u64> = folded(state, snapshot, incident)
        .into_iter()
        .filter(|incident| !incident.acknowledged && incident.id != 0)
        .map(|incident| incident.id)
        .collect();
    let rest = all.len().saturating_sub(AT_ONCE);
    let said = match (all.as_slice(), rest) {
        ([], _) => return toast(state, Level::Info, "already acknowledged".into()),
        ([id], _) => format!("anomaly {id} acknowledged"),
        (many, 0) => format!("{} anomalies acknowledged", many.len()),
        (_, rest) => format!("{AT_ONCE} anomalies acknowledged; again for the other {rest}"),
    };
    let ordered = all
        .into_iter()
        .take(AT_ONCE)
        .all(|id| order(state, Command::Acknowledge(id), effects));
    if ordered {
        toast(state, Level::Info, said);
    }
}

fn label(state: &mut UiState, snapshot: &Snapshot, label: Label, effects: &mut Vec<Effect>) {
    let Some(incident) = target(state, snapshot) else {
        return;
    };
    let id = incident.id;
    let (label, text, said) = match (incident.label == Some(label), label) {
        (true, _) => (
            None,
            format!("Take the label of anomaly {id} back?"),
            format!("anomaly {id}: label taken back"),
        ),
        (false, Label::Real) => (
            Some(label),
            format!("Mark anomaly {id} as real?"),
            format!("anomaly {id} marked as real"),
        ),
        (false, Label::False) => (
            Some(label),
            format!("Mark anomaly {id} as a false alarm?"),
            format!("anomaly {id} marked as a false alarm"),
        ),
    };
    let command = Command::Label(id, label);
    let pipeline = state.pipeline(snapshot);
    let step = pipeline.map(|p| p.step).unwrap_or_default();
    let entity = pipeline
        .and_then(|p| p.entity(&incident.entity))
        .map(AsRef::as_ref);
    let mut detail = view::about(incident, entity, step, &state.zone);
    let others = folded(state, snapshot, incident).len() - 1;
    if others > 0 {
        detail.push(format!(
            "It is one of a group: the {others} others keep their labels."
        ));
    }
    detail.push("Replaying stored data …".into());
    if state.config.read_only {
        order(state, command, effects);
        return;
    }
    state.previews += 1;
    state.question = Some(Question {
        text,
        detail,
        command,
        said,
        ticket: Some(state.previews),
    });
    effects.push(Effect::Preview {
        ticket: state.previews,
        incident: id,
        label,
    });
}

/// Test mode is shown and its pipeline does not run: start it, once.
pub(super) fn wake_test(state: &mut UiState, snapshot: &Snapshot, effects: &mut Vec<Effect>) {
    if snapshot.test.is_some() {
        state.test_asked = false;
    } else if state.mode == Mode::Test && !state.test_asked {
        state.test_asked = true;
        order(state, Command::StartTest, effects);
    } else if state.mode != Mode::Test {
        state.test_asked = false;
    }
}
