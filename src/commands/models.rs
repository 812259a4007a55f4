//! `pulsewatch models`: the registry from the shell.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::incidents::{ago, print_json, span};
use crate::disk::DirLock;
use crate::domain::{Decision, Time};
use crate::report::table::{Align, Table};
use crate::store::{DataDir, ListedModel, Registry};

/// Lists model versions with their figures, newest first; a star marks the one that scores.
///
/// # Errors
/// When the registry can't be read or `out` not written.
pub fn list(data_dir: &Path, json: bool, now: Time, out: &mut dyn Write) -> anyhow::Result<()> {
    let models = registry(data_dir).list()?;
    if json {
        return print_json(&models, out);
    }
    if models.is_empty() {
        let words = "no models yet; `pulsewatch run` or `pulsewatch train` makes the first";
        return Ok(writeln!(out, "{words}")?);
    }
    Ok(out.write_all(table(&models, now).as_bytes())?)
}

/// Makes a version the one that scores, from the next start on.
///
/// # Errors
/// When there is no such version, a running engine owns the data directory, or `out` can't be written.
pub fn use_version(
    data_dir: &Path,
    version: &str,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let _lock = DirLock::take(data_dir)?;
    registry(data_dir).use_version(version)?;
    chosen(version, json, out)
}

/// Makes the version before the current one the one that scores, from the next start on.
///
/// # Errors
/// When there is none before it, a running engine owns the data directory, or `out` can't be written.
pub fn rollback(data_dir: &Path, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let _lock = DirLock::take(data_dir)?;
    let version = registry(data_dir).rollback()?;
    chosen(&version, json, out)
}

fn registry(data_dir: &Path) -> Registry {
    Registry::open(&DataDir::at(data_dir).models())
}

fn chosen(version: &str, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    if json {
        return print_json(&json!({ "current": version }), out);
    }
    Ok(writeln!(
        out,
        "model {version} scores from the next start on"
    )?)
}

fn table(models: &[ListedModel], now: Time) -> String {
    let mut table = Table::new(&[
        ("", Align::Left),
        ("VERSION", Align::Left),
        ("AGE", Align::Right),
        ("TOOK", Align::Right),
        ("DATA FROM", Align::Left),
        ("TO", Align::Left),
        ("WINDOWS", Align::Right),
        ("EPOCHS", Align::Right),
        ("LOSS", Align::Right),
        ("THRESHOLD", Align::Left),
        ("FEATURES", Align::Right),
        ("ENTITIES", Align::Right),
        ("DECISION", Align::Left),
    ]);
    for ListedModel { meta, current } in models {
        let (from, to) = meta.trained_on;
        let decision = meta.decision.as_ref().map(Decision::told);
        table.row([
            if *current { "*" } else { "" }.into(),
            meta.version.clone(),
            ago(now, meta.trained_at),
            span(Duration::from_millis(meta.training_took_ms)),
            from.to_string(),
            to.to_string(),
            meta.windows.to_string(),
            meta.epochs.to_string(),
            figure(meta.val_loss),
            format!("{} ({})", figure(meta.threshold_mse), meta.threshold_rule),
            meta.features.len().to_string(),
            meta.entities.to_string(),
            decision.unwrap_or_else(|| "–".into()),
        ]);
    }
    table.to_string()
}

/// A mean squared error in three significant digits.
fn figure(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    if value != 0.0 && value.abs() < 1e-4 {
        return format!("{value:.2e}");
    }
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ModelMeta;

    fn meta(trained_at: i64) -> ModelMeta {
        ModelMeta {
            version: String::new(),
            trained_at: Time::from_secs(trained_at),
            training_took_ms: 8500,
            trained_on: (Time::from_secs(0), Time::from_secs(1_700_000_000)),
            windows: 1600,
            epochs: 21,
            val_loss: f64::NAN,
            threshold_mse: 0.0025,
            threshold_rule: "auto".into(),
            features: vec!["cpu".into(), "memory".into()],
            entities: 1,
            decision: None,
        }
    }

    fn said(work: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> String {
        let mut out = Vec::new();
        work(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn versions_are_listed_chosen_and_gone_back_to() {
        let dir = tempfile::tempdir().unwrap();
        let models = registry(dir.path());
        let first = models.add(b"one", &meta(1_700_000_100), &[], 5).unwrap();
        let second = models.add(b"two", &meta(1_700_000_200), &[], 5).unwrap();
        let now = Time::from_secs(1_700_003_800);
        let text = said(|out| list(dir.path(), false, now, out));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("   VERSION "), "{text}");
        assert!(
            lines[1].starts_with(&format!("*  {second}    1h    8s  1970-01-01T00:00:00Z")),
            "{text}"
        );
        assert!(
            lines[1].ends_with("1600      21     –  0.0025 (auto)         2         1  –"),
            "{text}"
        );
        assert!(lines[2].starts_with(&format!("   {first} ")), "{text}");

        let text = said(|out| rollback(dir.path(), false, out));
        assert_eq!(
            text,
            format!("model {first} scores from the next start on\n")
        );
        assert!(rollback(dir.path(), false, &mut Vec::new()).is_err());
        let text = said(|out| use_version(dir.path(), &second, true, out));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["current"], second);
        let json: serde_json::Value =
            serde_json::from_str(&said(|out| list(dir.path(), true, now, out))).unwrap();
        assert_eq!(
            (&json[0]["version"], &json[0]["current"]),
            (&second.into(), &true.into())
        );
        assert!(json[0]["val_loss"].is_null());
    }

    #[test]
    fn nothing_yet_and_wrong_versions_are_said() {
        let dir = tempfile::tempdir().unwrap();
        let text = said(|out| list(dir.path(), false, Time::default(), out));
        assert!(text.starts_with("no models yet"), "{text}");
        assert_eq!(
            said(|out| list(dir.path(), true, Time::default(), out)),
            "[]\n"
        );
        let error = use_version(dir.path(), "3", false, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("no model 3"), "{error}");
    }

    #[test]
    fn a_running_engine_keeps_its_models() {
        let dir = tempfile::tempdir().unwrap();
        let version = registry(dir.path()).add(b"one", &meta(1), &[], 5).unwrap();
        let _engine = DirLock::take(dir.path()).unwrap();
        let error = use_version(dir.path(), &version, false, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("in use"), "{error}");
    }

    #[test]
    fn figures_are_short() {
        for (value, text) in [
            (0.0025, "0.0025"),
            (0.0, "0"),
            (f64::NAN, "–"),
            (0.000_012_34, "1.23e-5"),
            (12.0, "12"),
        ] {
            assert_eq!(figure(value), text);
        }
    }
}
