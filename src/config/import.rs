//! Makes a configuration of a file that one of the two older programs was configured with: `config.yaml` of the Keras
//! program, `user_config.yml` of the PulseWatch in Python.
//!
//! It begins with the preset of that program, so that what its code did without a setting is done too; what the file says
//! replaces the preset's values. What has no counterpart is listed. Where the older program's documentation and its code
//! disagree, the code is followed, as in the presets.

mod draft;
mod keras;
mod older_pulsewatch;
mod yaml;

use std::sync::Arc;

use self::draft::Draft;
use self::yaml::Setting;
use super::errors::{ConfigError, ConfigErrors, Place};
use super::presets;

/// What became of an older program's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The older program, in words.
    pub program: &'static str,
    /// The configuration: TOML that passes `check --offline`.
    pub text: String,
    /// What has no counterpart or means something else here, each on one line with file, line and key, in the file's order.
    pub remarks: Vec<String>,
}

/// Reads an older program's file `text`, called `name` in messages.
///
/// # Errors
/// Everything that is wrong with it, at once: no YAML, neither program's file, values that can't be used.
pub fn import(text: &str, name: &str) -> Result<Imported, ConfigErrors> {
    let name: Arc<str> = name.into();
    let settings = yaml::settings(text, &name)?;
    let has = |keys: &[&str]| {
        settings.iter().any(|setting| {
            let first = setting.path.first();
            first.is_some_and(|first| keys.contains(&first.as_str()))
        })
    };
    let (program, preset, take): (_, _, fn(&mut Draft, &Setting)) = if has(&keras::SECTIONS) {
        (
            "the Keras program's config.yaml",
            presets::SEED_KERAS,
            keras::take,
        )
    } else if has(&older_pulsewatch::SECTIONS) {
        (
            "the older PulseWatch's user_config.yml",
            presets::SEED_PULSEWATCH,
            older_pulsewatch::take,
        )
    } else {
        let problem = "this is neither the Keras program's config.yaml (prometheus_url, data_settings, …) nor the older PulseWatch's user_config.yml (prometheus, lstm_model, …)";
        return Err(ConfigErrors(vec![ConfigError {
            place: Place::File { name, line: None },
            key: String::new(),
            value: None,
            problem: problem.into(),
            remedy: "name one of these files, or begin with `pulsewatch config init`".into(),
        }]));
    };
    let mut draft = Draft::new(&name, preset);
    for setting in &settings {
        take(&mut draft, setting);
    }
    if program.contains("Keras") {
        keras::finish(&mut draft, &settings);
    }
    let (text, remarks) = draft.finish(program)?;
    Ok(Imported {
        program,
        text,
        remarks,
    })
}
