//! `[history]`, `[preprocess]`, `[autoencoder]`, `[forecast]`, `[detect]`, `[retrain]`.

use super::Findings;
use crate::config::{
    AutoencoderConfig, Config, DetectConfig, ForecastConfig, HistoryConfig, Output, Period,
    PreprocessConfig, ScalerKind, Span, Threshold,
};

/// Most rows of history that one grid may have: 320 MB at eight features.
const MOST_ROWS: u128 = 5_000_000;
/// Most units of one layer.
const MOST_UNITS: usize = 4096;
/// Most layers of encoder or decoder.
const MOST_LAYERS: usize = 8;

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    check_history(&config.history, config.source.step, findings);
    check_preprocess(&config.preprocess, findings);
    check_network(&config.autoencoder, findings);
    check_training(&config.autoencoder, findings);
    check_forecast(&config.forecast, config.source.step, findings);
    check_detect(&config.detect, findings);
    let every = config.retrain.every;
    findings.require(
        every == Span::default() || every >= Span::secs(60),
        &["retrain", "every"],
        "a new model can't be trained so often",
        "write \"1m\" or more, or \"0s\" for never",
    );
    findings.within(config.retrain.keep, 1..=1000, &["retrain", "keep"]);
    if config.autoencoder.output == Output::Sigmoid
        && config.preprocess.scaler != ScalerKind::Minmax
    {
        findings.notes.push(
            "autoencoder.output = \"sigmoid\" gives values from 0 to 1 only, which fits preprocess.scaler = \"minmax\""
                .into(),
        );
    }
}

fn check_history(history: &HistoryConfig, step: Span, findings: &mut Findings<'_>) {
    if step > Span::default() {
        findings.require(
            history.period > step,
            &["history", "period"],
            "the history is not longer than one step of the source",
            "write a longer one, such as \"14d\"",
        );
        findings.require(
            history.chunk >= step,
            &["history", "chunk"],
            "a chunk is shorter than one step of the source",
            "write a longer one, such as \"6h\"",
        );
        findings.require(
            history.period.0.as_millis() / step.0.as_millis().max(1) <= MOST_ROWS,
            &["history", "period"],
            "this is over five million rows at source.step",
            "write a shorter period or a longer step",
        );
    }
    findings.require(
        (0.0..=0.25).contains(&history.trim.0),
        &["history", "trim"],
        "this must be 0 to a quarter: what is more common than that is normal",
        "write 0.05 or \"5%\", or 0 to learn from everything",
    );
    check_periods("periods", &history.periods, step, findings);
    check_periods("exclude", &history.exclude, step, findings);
    for (position, pair) in history.periods.windows(2).enumerate() {
        if let [before, after] = pair
            && after.start < before.end
        {
            findings.wrong(
                &["history", "periods", &(position + 1).to_string(), "start"],
                format!(
                    "this lies before the end of the period above it, {}",
                    before.end
                ),
                "list the periods in order of time, without overlap",
            );
        }
    }
}

fn check_periods(key: &str, periods: &[Period], step: Span, findings: &mut Findings<'_>) {
    for (position, period) in periods.iter().enumerate() {
        let place = position.to_string();
        findings.require(
            period.start < period.end,
            &["history", key, &place, "end"],
            "the period ends before it begins",
            "write an end that is later than its start",
        );
        let millis = period
            .end
            .as_millisecond()
            .saturating_sub(period.start.as_millisecond());
        let rows = u128::try_from(millis).unwrap_or(0) / step.0.as_millis().max(1);
        findings.require(
            key == "exclude" || rows <= MOST_ROWS,
            &["history", key, &place, "end"],
            "the period is over five million rows at source.step",
            "write a shorter period or a longer step",
        );
    }
}

fn check_preprocess(preprocess: &PreprocessConfig, findings: &mut Findings<'_>) {
    findings.require(
        jiff::tz::TimeZone::get(&preprocess.timezone).is_ok(),
        &["preprocess", "timezone"],
        "there is no such time zone",
        "write an IANA name such as \"UTC\" or \"Europe/Berlin\"",
    );
    findings.within(
        preprocess.max_gap,
        0..=1_000_000,
        &["preprocess", "max_gap"],
    );
}

fn check_network(network: &AutoencoderConfig, findings: &mut Findings<'_>) {
    findings.within(network.window, 2..=4096, &["autoencoder", "window"]);
    findings.within(network.latent, 1..=MOST_UNITS, &["autoencoder", "latent"]);
    for (key, layers) in [("encoder", &network.encoder), ("decoder", &network.decoder)] {
        findings.require(
            (1..=MOST_LAYERS).contains(&layers.len()),
            &["autoencoder", key],
            "there must be one to eight layers",
            "write the units of each, such as [64]",
        );
        for (position, units) in layers.iter().enumerate() {
            findings.within(
                *units,
                1..=MOST_UNITS,
                &["autoencoder", key, &position.to_string()],
            );
        }
    }
}

fn check_training(network: &AutoencoderConfig, findings: &mut Findings<'_>) {
    findings.within(network.epochs, 1..=100_000, &["autoencoder", "epochs"]);
    findings.within(network.batch, 1..=65_536, &["autoencoder", "batch"]);
    findings.within(network.patience, 1..=100_000, &["autoencoder", "patience"]);
    findings.within(
        network.max_windows,
        10..=10_000_000,
        &["autoencoder", "max_windows"],
    );
    findings.positive(
        network.learning_rate,
        &["autoencoder", "learning_rate"],
        "0.001",
    );
    findings.require(
        network.clip_norm.is_finite() && network.clip_norm >= 0.0,
        &["autoencoder", "clip_norm"],
        "this must be a number, 0 or more",
        "write 1.0, or 0 for no clipping",
    );
    findings.require(
        network.train_split.0 > 0.0 && network.train_split.0 < 1.0,
        &["autoencoder", "train_split"],
        "this must lie between 0 and 1: some windows must be left to validate and calibrate",
        "write 0.8 or \"80%\"",
    );
}

fn check_forecast(forecast: &ForecastConfig, step: Span, findings: &mut Findings<'_>) {
    findings.at_least(forecast.horizon, step, &["forecast", "horizon"]);
    findings.at_least(
        forecast.breach_horizon,
        step,
        &["forecast", "breach_horizon"],
    );
    findings.at_least(
        forecast.retrain_every,
        Span::secs(60),
        &["forecast", "retrain_every"],
    );
    findings.within(
        forecast.max_points,
        10..=1_000_000,
        &["forecast", "max_points"],
    );
    findings.require(
        forecast.interval.0 > 0.0 && forecast.interval.0 < 1.0,
        &["forecast", "interval"],
        "this must lie between 0 and 1",
        "write 0.9 or \"90%\"",
    );
    findings.positive(
        forecast.changepoint_prior_scale,
        &["forecast", "changepoint_prior_scale"],
        "0.05",
    );
    for (position, holiday) in forecast.holidays.iter().enumerate() {
        let place = position.to_string();
        let path = ["forecast", "holidays", place.as_str()];
        findings.require(
            !holiday.dates.is_empty(),
            &path,
            "a holiday needs a date",
            "add dates = [\"2026-12-25\"]",
        );
        findings.require(
            holiday.prior_scale.is_finite() && holiday.prior_scale > 0.0,
            &path,
            "its prior_scale must be a number over 0",
            "write prior_scale = 10.0",
        );
    }
    let mut longest = Span::default();
    for (position, season) in forecast.seasonalities.iter().enumerate() {
        let place = position.to_string();
        let path = ["forecast", "seasonalities", place.as_str()];
        if season.0 < step.0.saturating_mul(2) {
            findings.wrong(
                &path,
                "a season must span at least two steps of the source",
                "take it out, or make source.step shorter",
            );
        } else if *season <= longest {
            findings.wrong(
                &path,
                "this season is not longer than the one before it",
                "list them from short to long, each once",
            );
        }
        longest = longest.max(*season);
    }
}

fn check_detect(detect: &DetectConfig, findings: &mut Findings<'_>) {
    findings.at_least(detect.interval, Span::secs(1), &["detect", "interval"]);
    match detect.threshold {
        Threshold::Auto => {}
        Threshold::Fixed(error) => {
            findings.positive(error, &["detect", "threshold"], "\"auto\" or 0.0025");
        }
        Threshold::Sigma(sigma) => {
            findings.positive(sigma, &["detect", "threshold"], "{ sigma = 2.5 }");
        }
    }
    findings.positive(
        detect.false_alarms_per_day,
        &["detect", "false_alarms_per_day"],
        "0.5",
    );
    findings.require(
        detect.exit > 0.0 && detect.exit <= 1.0,
        &["detect", "exit"],
        "a score enters at 1, so it can leave only below that and over 0",
        "write 0.9",
    );
    findings.require(
        detect.min_observed.0 > 0.0 && detect.min_observed.0 <= 1.0,
        &["detect", "min_observed"],
        "this must be over 0 and at most 1",
        "write 0.5 or \"50%\"",
    );
}
