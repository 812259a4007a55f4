//! `[app]`, `[exporter]`, `[api]`, `[ui]`, `[journal]`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Findings;
use super::source::check_secret;
use crate::config::{Config, LOCAL_ZONE, Span, UiConfig};

/// Longest name and mode of an installation, in characters.
const LONGEST_NAME: usize = 64;

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let app = [
        ("name", Some(&config.app.name)),
        ("mode", config.app.mode.as_ref()),
    ];
    for (key, text) in app {
        let fits = |text: &String| {
            let length = text.chars().count();
            (1..=LONGEST_NAME).contains(&length) && !text.chars().any(char::is_control)
        };
        findings.require(
            text.is_none_or(fits),
            &["app", key],
            "this must be one line of 1 to 64 characters",
            "write a short word, such as \"production\"",
        );
    }
    findings.require(
        is_prefix(&config.exporter.prefix),
        &["exporter", "prefix"],
        "metric names can't begin so",
        "use letters, digits, _ and : only, and no digit first, such as \"anomaly_detector_\"",
    );
    findings.within(
        config.exporter.max_series,
        1..=10_000_000,
        &["exporter", "max_series"],
    );
    if let Some(token) = &config.api.token {
        check_secret(token, &["api", "token"], findings);
    }
    check_ui(&config.ui, findings);
    findings.at_least(
        config.journal.retention,
        Span::secs(3600),
        &["journal", "retention"],
    );
}

/// What Prometheus takes as the beginning of a metric's name; nothing at all is fine too.
fn is_prefix(prefix: &str) -> bool {
    !prefix.starts_with(|c: char| c.is_ascii_digit())
        && prefix
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

fn check_ui(ui: &UiConfig, findings: &mut Findings<'_>) {
    findings.at_least(
        ui.refresh,
        Span(Duration::from_millis(100)),
        &["ui", "refresh"],
    );
    // The API's short view is twenty points.
    findings.within(ui.max_points, 20..=100_000, &["ui", "max_points"]);
    findings.require(
        ui.timezone == LOCAL_ZONE || jiff::tz::TimeZone::get(&ui.timezone).is_ok(),
        &["ui", "timezone"],
        "there is no such time zone",
        "write \"local\", or an IANA name such as \"UTC\" or \"Europe/Berlin\"",
    );
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (action, key) in &ui.keys {
        let path = ["ui", "keys", action.as_str()];
        findings.require(
            !action.trim().is_empty() && !key.is_empty(),
            &path,
            "an action needs a name and a key",
            "write retrain = \"R\"",
        );
        if let Some(other) = taken.insert(key, action).filter(|_| !key.is_empty()) {
            findings.wrong(
                &path,
                format!("the same key is given to `{other}`"),
                "choose another key for one of them",
            );
        }
    }
}
