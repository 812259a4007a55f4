//! `[detect]`: maintenance windows, and how small and how long is too much.

use super::Findings;
use crate::config::{Config, Maintenance, MinDeviation, Span, WindowEnd};

/// Most windows; each is asked about every candidate.
const MOST: usize = 1000;

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let detect = &config.detect;
    check_deviation(detect.min_deviation, &["detect", "min_deviation"], findings);
    findings.require(
        detect.max_incident == Span::default() || detect.max_incident >= Span::secs(60),
        &["detect", "max_incident"],
        "no incident is over so soon",
        "write \"6h\", or \"0s\" for never",
    );
    findings.require(
        detect.maintenance.len() <= MOST,
        &["detect", "maintenance"],
        "there are more than a thousand windows",
        "make recurring ones of them, or take out those that are past",
    );
    for (position, window) in detect.maintenance.iter().take(MOST).enumerate() {
        check_window(window, &position.to_string(), findings);
    }
}

/// Both parts of a minimum, at `path`.
pub(super) fn check_deviation(least: MinDeviation, path: &[&str], findings: &mut Findings<'_>) {
    let sane = |part: Option<f64>| part.is_none_or(|least| least.is_finite() && least >= 0.0);
    let within = |part| -> Vec<&str> { path.iter().copied().chain([part]).collect() };
    findings.require(
        sane(least.absolute),
        &within("absolute"),
        "this must be a number, 0 or more",
        "write it in the query's unit",
    );
    findings.require(
        sane(least.relative.map(|part| part.0)),
        &within("relative"),
        "this must be a part of the expected value, 0 or more",
        "write \"5%\"",
    );
}

fn check_window(window: &Maintenance, position: &str, findings: &mut Findings<'_>) {
    let path = |key| ["detect", "maintenance", position, key];
    if let Some(zone) = &window.timezone {
        findings.require(
            jiff::tz::TimeZone::get(zone).is_ok(),
            &path("timezone"),
            "there is no such time zone",
            "write an IANA name such as \"UTC\" or \"Europe/Berlin\"",
        );
    }
    match (window.start, window.end) {
        (WindowEnd::Clock(start), WindowEnd::Clock(end)) => {
            findings.require(
                start.seconds() < 86_400,
                &path("start"),
                "24:00 is the end of a day, not a beginning",
                "write \"00:00\"",
            );
            findings.require(
                start != end,
                &path("end"),
                "the window is over when it begins",
                "write a later time; a whole day is \"00:00\" to \"24:00\"",
            );
        }
        (WindowEnd::Moment(start), WindowEnd::Moment(end)) => {
            findings.require(
                start < end,
                &path("end"),
                "the window ends before it begins",
                "write an end that is later than its start",
            );
            findings.require(
                window.days.is_empty(),
                &path("days"),
                "this window is there once",
                "take the days out, or write start and end as \"02:00\"",
            );
            findings.require(
                window.timezone.is_none(),
                &path("timezone"),
                "these moments carry their zone themselves",
                "take the timezone out",
            );
        }
        _ => findings.wrong(
            &path("end"),
            "one end is a time on the clock, the other a moment",
            "write both as \"02:00\", or both as \"2026-11-01T02:00:00Z\"",
        ),
    }
}
