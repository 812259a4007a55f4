//! The configuration: built-in files, the contract's example, lookup, environment, and errors of every kind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use pulsewatch::config::{self, Config, ConfigErrors, Place, SourceKind, Threshold, presets};

/// File, and for each error its line, key and words of the remedy (or of the problem).
type Expected = (&'static str, &'static [(usize, &'static str, &'static str)]);

const INVALID: &[Expected] = &[
    (
        "unknown_key",
        &[(2, "detect.intervall", "did you mean `interval`")],
    ),
    (
        "unknown_section",
        &[(1, "sources", "did you mean `source`")],
    ),
    (
        "key_without_section",
        &[(1, "interval", "belongs into [detect]")],
    ),
    (
        "key_of_an_older_program",
        &[(
            2,
            "autoencoder.sequence_length",
            "here it is autoencoder.window",
        )],
    ),
    (
        "length_without_unit",
        &[
            (2, "source.step", "write a length of time in quotes"),
            (5, "detect.interval", "such as \"30s\""),
        ],
    ),
    (
        "wrong_types",
        &[
            (2, "autoencoder.window", "a whole number"),
            (3, "autoencoder.epochs", "a whole number"),
            (4, "autoencoder.enabled", "true or false"),
            (5, "autoencoder.encoder", "a list in [brackets]"),
            (6, "autoencoder.learning_rate", "write a number"),
        ],
    ),
    (
        "unknown_choice",
        &[
            (2, "source.kind", "did you mean \"prometheus\""),
            (
                5,
                "preprocess.scaler",
                "\"minmax\", \"standard\" or \"robust\"",
            ),
        ],
    ),
    ("missing_expr", &[(4, "queries.cpu.expr", "PromQL")]),
    ("syntax", &[(2, "", "not TOML"), (4, "", "not TOML")]),
    ("duplicate_key", &[(3, "", "duplicate")]),
    (
        "not_in_this_version",
        &[
            (2, "source.kind", "not in this version yet"),
            (9, "retrain.promote_if_better", "retrain.promote"),
            (11, "alerts", "not in this version yet"),
            (14, "remote_write", "not in this version yet"),
            (17, "shard", "not in this version yet"),
        ],
    ),
    (
        "bad_promql",
        &[
            (5, "queries.cpu.expr", "expected type matrix"),
            (8, "queries.memory.expr.linux", "unclosed left parenthesis"),
            (12, "queries.empty.expr", "write PromQL"),
        ],
    ),
    (
        "bad_url",
        &[
            (3, "source.url", "http://127.0.0.1:9090"),
            (4, "source.proxy", "http://proxy:3128"),
        ],
    ),
    (
        "bad_aliases",
        &[
            (4, "queries.day_of_week", "choose another"),
            (7, "queries.\"cpu load\"", "letters, digits and _ only"),
        ],
    ),
    (
        "bad_network",
        &[
            (2, "autoencoder.window", "from 2 to 4096"),
            (3, "autoencoder.latent", "from 1 to 4096"),
            (4, "autoencoder.encoder[1]", "from 1 to 4096"),
            (5, "autoencoder.decoder", "such as [64]"),
            (6, "autoencoder.epochs", "from 1"),
            (7, "autoencoder.batch", "from 1"),
            (8, "autoencoder.learning_rate", "write 0.001"),
            (9, "autoencoder.train_split", "write 0.8"),
        ],
    ),
    (
        "bad_detection",
        &[
            (2, "detect.interval", "write \"1s\" or more"),
            (3, "detect.threshold", "write \"auto\" or 0.0025"),
            (4, "detect.false_alarms_per_day", "write 0.5"),
            (5, "detect.exit", "write 0.9"),
            (6, "detect.min_observed", "write 0.5"),
            (7, "detect.min_deviation", "write { absolute = 3.0 }"),
            (8, "detect.max_incident", "write \"6h\""),
        ],
    ),
    (
        "bad_maintenance",
        &[
            (10, "detect.maintenance[0].days[1]", "\"sat\""),
            (11, "detect.maintenance[0].end", "the window is over"),
            (12, "detect.maintenance[0].timezone", "Europe/Berlin"),
            (
                13,
                "detect.maintenance[0].queries[1]",
                "did you mean \"cpu\"",
            ),
            (17, "detect.maintenance[1].end", "both as \"02:00\""),
            (20, "detect.maintenance[2].days", "there once"),
            (22, "detect.maintenance[2].end", "later than its start"),
            (
                23,
                "detect.maintenance[2].timezone",
                "take the timezone out",
            ),
            (26, "detect.maintenance[3].start", "\"02:00\" for every day"),
            (
                30,
                "detect.min_deviation.relativ",
                "did you mean `relative`",
            ),
        ],
    ),
    ("bad_threshold_word", &[(2, "detect.threshold", "\"auto\"")]),
    (
        "periods_out_of_order",
        &[
            (6, "history.periods[1].start", "in order of time"),
            (7, "history.periods[1].end", "later than its start"),
        ],
    ),
    (
        "broken_period_before_another",
        &[
            (2, "history.periods[0].start", "2026-11-01T00:00:00Z"),
            (7, "history.periods[1].end", "later than its start"),
        ],
    ),
    (
        "bad_timezone",
        &[
            (2, "preprocess.timezone", "IANA"),
            (4, "ui.timezone", "\"local\""),
        ],
    ),
    (
        "tls_without_key",
        &[
            (6, "source.tls.cert", "key = "),
            (8, "source.basic", "take out source.bearer"),
        ],
    ),
    (
        "replay_without_file",
        &[
            (1, "source.file", "write file = "),
            (3, "source.speed", "write 10"),
        ],
    ),
    (
        "mute_of_nothing",
        &[(8, "detect.mute[1]", "did you mean \"memory\"")],
    ),
    (
        "bad_serving",
        &[
            (2, "exporter.listen", "\"127.0.0.1:8901\""),
            (3, "exporter.prefix", "anomaly_detector_"),
            (4, "exporter.max_series", "from 1"),
            (7, "api.token", "{ env = \"NAME\" }"),
            (10, "ui.refresh", "\"100ms\" or more"),
            (11, "ui.max_points", "from 20"),
            (14, "ui.keys.retrain", "retrain = \"R\""),
            (16, "ui.keys.freeze", "another key"),
            (19, "journal.retention", "\"1h\" or more"),
        ],
    ),
    (
        "bad_entities",
        &[
            (2, "entities.group_by[1]", "letters, digits and _"),
            (3, "entities.ignore_labels[0]", "take it out"),
            (4, "entities.max", "from 1"),
        ],
    ),
    ("nothing_for_this_system", &[(5, "queries", "source.os")]),
    (
        "bad_forecast",
        &[
            (2, "forecast.interval", "write 0.9"),
            (3, "forecast.seasonalities[1]", "short to long"),
            (3, "forecast.seasonalities[2]", "source.step"),
            (4, "forecast.horizon", "\"1m\" or more"),
            (5, "forecast.changepoint_prior_scale", "write 0.05"),
            (6, "forecast.breach_horizon", "\"1m\" or more"),
            (8, "forecast.holidays[0]", "2026-12-25"),
        ],
    ),
    (
        "bad_holidays",
        &[
            (2, "forecast.mode", "\"multiplicative\""),
            (3, "forecast.holidays[0]", "2026-12-25"),
        ],
    ),
    (
        "masked_secret",
        &[
            (2, "api.token", "{ file = \"PATH\" }"),
            (3, "api.tokn", "did you mean `token`"),
        ],
    ),
    (
        "many",
        &[
            (4, "source.url", "http://127.0.0.1:9090"),
            (5, "source.stepp", "did you mean `step`"),
            (8, "queries.cpu.expr", "unclosed"),
            (
                9,
                "queries.cpu.direction",
                "\"both\", \"above\" or \"below\"",
            ),
            (12, "autoencoder.window", "from 2"),
            (15, "detect.interval", "length of time"),
        ],
    ),
    ("huge_number", &[(2, "autoencoder.seed", "too large")]),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invalid_configs")
}

fn lines(errors: &ConfigErrors) -> String {
    let texts: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
    texts.join("\n")
}

#[test]
fn every_bad_file_names_line_key_and_remedy() {
    let mut failures: Vec<String> = Vec::new();
    for (name, expected) in INVALID {
        let file = format!("{name}.toml");
        let text = std::fs::read_to_string(folder().join(&file)).unwrap();
        let Err(errors) = config::parse(&text, &file) else {
            panic!("{file} was accepted");
        };
        let mut fits = errors.0.len() == expected.len();
        for (error, (line, key, words)) in errors.0.iter().zip(*expected) {
            let place = Place::File {
                name: file.as_str().into(),
                line: Some(*line),
            };
            fits &= error.place == place
                && error.key == *key
                && error.to_string().contains(words)
                && !error.to_string().contains("s3cr3t");
        }
        if !fits {
            failures.push(format!(
                "{file}, {} expected:\n{}\n",
                expected.len(),
                lines(&errors)
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_fixture_is_used() {
    let used: BTreeSet<String> = INVALID
        .iter()
        .map(|(name, _)| format!("{name}.toml"))
        .collect();
    let there: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(used, there);
}

#[test]
fn an_error_reads_as_one_line_and_many_as_a_list() {
    let one = config::parse("[detect]\ninterval = \"30\"\n", "a.toml").unwrap_err();
    assert_eq!(
        one.to_string(),
        "the configuration can't be used: a.toml:2: detect.interval = \"30\": `30` is not a length of time; \
         write a number with a unit, such as \"30s\", \"5m\", \"12h\" or \"14d\""
    );
    let two = config::parse("[detect]\nexit = 2.0\ninterval = \"30\"\n", "a.toml").unwrap_err();
    let text = two.to_string();
    assert!(
        text.contains("2 things are wrong:\n  a.toml:2: detect.exit = 2.0: "),
        "{text}"
    );
}

#[test]
fn passwords_in_addresses_and_long_values_are_not_shown() {
    let long = "x".repeat(1000);
    let text = format!(
        "[source]\nkind = \"prometheus\"\nurl = \"ftp://me:s3cr3t@host\"\n[preprocess]\ntimezone = \"{long}\"\n[secrets]\na = \"s3cr3t\"\n"
    );
    let errors = config::parse(&text, "a.toml").unwrap_err();
    let text = lines(&errors);
    assert_eq!(errors.0.len(), 3, "{text}");
    assert!(
        !text.contains("s3cr3t") && text.contains("ftp://********@host"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() < 300),
        "{text}"
    );
}

#[test]
fn the_sample_is_exactly_the_defaults_and_has_every_key() {
    // An address that is written is one that was asked for.
    let mut expected = Config::default();
    expected.exporter.listen_is_explicit = true;
    assert_eq!(
        config::parse(presets::SAMPLE, "pulsewatch.toml").unwrap(),
        expected
    );
    let sample: toml::Table = presets::SAMPLE.parse().unwrap();
    let defaults = toml::Table::try_from(Config::default()).unwrap();
    let mut missing = Vec::new();
    compare(&defaults, &sample, "", &mut missing);
    assert!(missing.is_empty(), "the sample lacks {missing:?}");
}

fn compare(wanted: &toml::Table, have: &toml::Table, path: &str, missing: &mut Vec<String>) {
    for (key, value) in wanted {
        let path = format!("{path}.{key}");
        match (value, have.get(key)) {
            (_, None) => missing.push(path),
            (toml::Value::Table(wanted), Some(toml::Value::Table(have))) => {
                compare(wanted, have, &path, missing);
            }
            _ => {}
        }
    }
}

#[test]
fn what_the_sample_has_commented_out_can_be_used() {
    let text: String = presets::SAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with([' ', '-']) => format!("{setting}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let config: Config = toml::from_str(&text).unwrap();
    assert!(config.source.os.is_some() && config.source.proxy.is_some());
    assert!(config.source.bearer.is_some() && config.source.basic.is_some());
    assert!(config.source.file.is_some() && config.source.tls.ca.is_some());
    assert!(config.source.tls.cert.is_some() && config.source.tls.key.is_some());
    assert!(config.api.token.is_some());
    assert_eq!(config.source.headers.len(), 1);
    assert_eq!(config.source.params.len(), 1);
    assert_eq!(config.ui.keys.len(), 1);
    assert_eq!(config.detect.maintenance.len(), 2);
    let query = &config.queries["memory"];
    assert!(query.limit.is_some() && query.min_deviation.absolute.is_some());
    // Only what can't stand together is wrong with it.
    let errors = config::parse(&text, "all").unwrap_err();
    assert_eq!(errors.0.len(), 1, "{errors}");
    assert_eq!(errors.0[0].key, "source.basic");
}

#[test]
fn every_preset_reads_and_checks() {
    for (text, name, queries) in [
        (presets::NODE_EXPORTER, "node_exporter", 12),
        (presets::WINDOWS_EXPORTER, "windows_exporter", 11),
        (presets::GPU, "gpu", 11),
        (presets::SEED_KERAS, "seed-keras", 17),
        (presets::SEED_PULSEWATCH, "seed-pulsewatch", 3),
    ] {
        let config = config::parse(text, name).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(config.source.kind, SourceKind::Prometheus, "{name}");
        assert_eq!(config.queries.len(), queries, "{name}");
    }
}

#[test]
fn the_older_programs_settings_are_kept() {
    let keras = config::parse(presets::SEED_KERAS, "seed-keras").unwrap();
    assert_eq!(keras.detect.threshold, Threshold::Fixed(0.0025));
    assert_eq!(keras.source.step, config::Span::secs(120));
    assert_eq!(keras.autoencoder.activation, config::Activation::Relu);
    assert_eq!(keras.autoencoder.output, config::Output::Sigmoid);
    let pulsewatch = config::parse(presets::SEED_PULSEWATCH, "seed-pulsewatch").unwrap();
    assert_eq!(pulsewatch.detect.threshold, Threshold::Sigma(2.5));
    assert_eq!(pulsewatch.autoencoder.encoder, [256, 256, 256]);
    assert_eq!(pulsewatch.autoencoder.latent, 128);
    assert_eq!(pulsewatch.forecast.horizon, config::Span::secs(3600));
}

const CONTRACT: &str = r#"
[source]
kind = "prometheus"
url = "http://127.0.0.1:9090"
step = "1m"
latency_offset = "15s"

[queries.cpu]
expr = '100 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m])) * 100'
unit = "percent"
direction = "above"
limit = 90

[queries.memory]
expr = { linux = "node_memory_MemAvailable_bytes", windows = "windows_memory_available_bytes" }
unit = "bytes"

[entities]
group_by = ["instance"]

[history]
period = "14d"                      # or:
# [[history.periods]]
# start = "2026-11-01T00:00:00Z"
# end = "2026-11-08T00:00:00Z"

[detect]
interval = "30s"
threshold = "auto"                  # or a number
false_alarms_per_day = 0.5

[exporter]
listen = "127.0.0.1:8901"
prefix = "anomaly_detector_"

[api]
token = { env = "PULSEWATCH_TOKEN" }   # or { file = "…" }, or a string
"#;

#[test]
fn the_contracts_configuration_works_as_it_stands() {
    let config = config::parse(CONTRACT, "contract.toml").unwrap();
    assert_eq!(config.queries["cpu"].limit, Some(90.0));
    assert_eq!(config.entities.group_by, ["instance"]);
    assert!(config.api.token.is_some());
    let text = CONTRACT
        .replace("# [[h", "[[h")
        .replace("# start", "start")
        .replace("# end", "end");
    assert_eq!(
        config::parse(&text, "contract.toml")
            .unwrap()
            .history
            .periods
            .len(),
        1
    );
    let text = text.replace("\"2026-11-01T00:00:00Z\"", "2026-11-01T00:00:00Z");
    assert!(config::parse(&text, "unquoted.toml").is_ok());
}

#[test]
fn addresses_are_trimmed_and_a_url_alone_means_prometheus() {
    for url in [
        "http://h:9090/prom",
        "http://h:9090/prom/",
        "http://h:9090/prom/api/v1/query",
        "http://h:9090/prom/api/v1/query_range/",
    ] {
        let config = config::parse(&format!("source.url = \"{url}\""), "a").unwrap();
        assert_eq!(config.source.url, "http://h:9090/prom");
        assert_eq!(config.source.kind, SourceKind::Prometheus);
        assert_eq!(config.queries.len(), 12);
        assert_eq!(config.entities.group_by, ["instance"]);
    }
    let config = config::parse("source.url = \"http://h\"\nsource.kind = \"host\"", "a").unwrap();
    assert_eq!(config.source.kind, SourceKind::Host);
    assert!(config.queries.is_empty());
}

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

/// An explicit file with nothing in it, so that the user's own configuration has no say.
fn with_env(pairs: &[(&str, &str)]) -> Result<config::Loaded, ConfigErrors> {
    let file = tempfile::NamedTempFile::new().unwrap();
    config::load(Some(file.path()), &env(pairs))
}

#[test]
fn variables_override_nested_keys_of_every_type() {
    let loaded = with_env(&[
        ("PULSEWATCH__SOURCE__TLS__CA", "/tmp/ca.pem"),
        ("PULSEWATCH__DETECT__INTERVAL", "10s"),
        ("PULSEWATCH__DETECT__THRESHOLD", "{ sigma = 3.0 }"),
        ("PULSEWATCH__AUTOENCODER__ENCODER", "[8, 4]"),
        ("PULSEWATCH__AUTOENCODER__ENABLED", "false"),
        ("PULSEWATCH__EXPORTER__LISTEN", "127.0.0.1:0"),
        ("PULSEWATCH__API__TOKEN", "12345"),
        ("PULSEWATCH__QUERIES__CPU__EXPR", "up"),
        ("PULSEWATCH__QUERIES__CPU__LIMIT", "3"),
        (
            "PULSEWATCH__HISTORY__PERIODS",
            "[{ start = 2026-11-01T00:00:00Z, end = 2026-11-02T00:00:00Z }]",
        ),
        ("PULSEWATCH__UI__KEYS", "{ retrain = \"R\" }"),
        ("UNRELATED", "x"),
    ])
    .unwrap();
    let config = &loaded.config;
    assert_eq!(
        config.source.tls.ca.as_deref(),
        Some(Path::new("/tmp/ca.pem"))
    );
    assert_eq!(config.detect.interval, config::Span::secs(10));
    assert_eq!(config.detect.threshold, Threshold::Sigma(3.0));
    assert_eq!(config.autoencoder.encoder, [8, 4]);
    assert!(!config.autoencoder.enabled);
    assert_eq!(config.exporter.listen.port(), 0);
    assert_eq!(config.queries["cpu"].limit, Some(3.0));
    assert_eq!(config.history.periods.len(), 1);
    assert_eq!(config.ui.keys["retrain"], "R");
    let token = config.api.token.as_ref().unwrap().resolve().unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(&token), "12345");
    assert!(!loaded.embedded);
    assert!(!config.to_toml().unwrap().contains("12345"));
}

#[test]
fn variables_win_over_the_file_and_match_names_in_any_case() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "[source]\nurl = \"http://file\"\n[queries.CpuLoad]\nexpr = \"up\"\n",
    )
    .unwrap();
    let pairs = [
        ("PULSEWATCH__QUERIES__CPULOAD__EXPR", "down"),
        ("PROMETHEUS_URL", "http://variable/api/v1/query_range"),
    ];
    let loaded = config::load(Some(file.path()), &env(&pairs)).unwrap();
    assert_eq!(loaded.path.as_deref(), Some(file.path()));
    assert_eq!(loaded.config.source.url, "http://variable");
    assert_eq!(loaded.config.queries.len(), 1);
    assert_eq!(
        loaded.config.queries["CpuLoad"].expr,
        config::Expr::Everywhere("down".into())
    );
    let pairs = [
        ("PULSEWATCH__SOURCE__URL", "http://ours"),
        ("PROMETHEUS_URL", "http://theirs"),
    ];
    let loaded = config::load(Some(file.path()), &env(&pairs)).unwrap();
    assert_eq!(loaded.config.source.url, "http://ours");
}

#[test]
fn prometheus_url_alone_is_enough() {
    let loaded = with_env(&[("PROMETHEUS_URL", "http://127.0.0.1:9090")]).unwrap();
    assert_eq!(loaded.config.source.kind, SourceKind::Prometheus);
    assert_eq!(loaded.config.queries.len(), 12);
    assert!(
        loaded.notes[0].contains("node_exporter"),
        "{:?}",
        loaded.notes
    );
    let loaded = with_env(&[
        ("PROMETHEUS_URL", "http://h"),
        ("PULSEWATCH__SOURCE__KIND", "host"),
    ]);
    assert_eq!(loaded.unwrap().config.source.kind, SourceKind::Host);
    let loaded = with_env(&[("PROMETHEUS_URL", " ")]).unwrap();
    assert_eq!(loaded.config, Config::default());
}

#[test]
fn errors_of_variables_name_the_variable() {
    let errors = with_env(&[
        ("PULSEWATCH__DETECT__INTERVAL", "10"),
        ("PULSEWATCH__DETECT__INTERVALL", "10s"),
        ("PULSEWATCH__AUTOENCODER__WINDOW", "1"),
        ("PULSEWATCH__AUTOENCODER__WINDOW__SIZE", "1"),
        ("PULSEWATCH__", "1"),
        ("PULSEWATCH__SOURCE__KIND", "scrape"),
        ("PROMETHEUS_URL", "localhost:9090"),
    ])
    .unwrap_err();
    let text = lines(&errors);
    for words in [
        "environment variable PULSEWATCH__DETECT__INTERVAL: detect.interval = 10: ",
        "environment variable PULSEWATCH__DETECT__INTERVALL: detect.intervall = \"10s\": there is no such key; did you mean `interval`?",
        "environment variable PULSEWATCH__AUTOENCODER__WINDOW__SIZE: autoencoder.window: ",
        "environment variable PULSEWATCH__: this names no key",
        "environment variable PULSEWATCH__SOURCE__KIND: source.kind = \"scrape\": this is not in this version yet",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    let errors = with_env(&[("PROMETHEUS_URL", "localhost:9090")]).unwrap_err();
    assert!(
        errors
            .to_string()
            .contains("environment variable PROMETHEUS_URL: source.url"),
        "{errors}"
    );
}

#[test]
fn files_that_can_not_be_read_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.toml");
    let errors = config::load(Some(&missing), &env(&[])).unwrap_err();
    assert!(
        errors
            .to_string()
            .contains("none.toml: there is no such file"),
        "{errors}"
    );
    let named = [("PULSEWATCH_CONFIG", missing.to_str().unwrap())];
    let errors = config::load(None, &env(&named)).unwrap_err();
    assert!(
        errors.to_string().contains("there is no such file"),
        "{errors}"
    );
    let errors = config::load(Some(folder.path()), &env(&[])).unwrap_err();
    assert!(errors.to_string().contains("can't be read"), "{errors}");
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, b"[source]\nstep = \"\xff\"\n").unwrap();
    let errors = config::load(Some(&binary), &env(&[])).unwrap_err();
    assert!(
        errors
            .to_string()
            .contains("binary.toml:2: this line is not UTF-8"),
        "{errors}"
    );
    let huge = folder.path().join("huge.toml");
    std::fs::write(&huge, "#".repeat(5 << 20)).unwrap();
    let errors = config::load(Some(&huge), &env(&[])).unwrap_err();
    assert!(errors.to_string().contains("over 4 MiB"), "{errors}");
}

#[test]
fn queries_for_other_systems_are_left_out_with_a_note() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "source.url = \"http://h\"\nsource.os = \"macos\"\nqueries.up.expr = \"up\"\nqueries.memory.expr = { linux = \"x\" }\n";
    std::fs::write(file.path(), text).unwrap();
    let loaded = config::load(Some(file.path()), &env(&[])).unwrap();
    assert_eq!(loaded.config.queries.keys().collect::<Vec<_>>(), ["up"]);
    assert_eq!(
        loaded.notes,
        ["left out, without an expression for macos: memory"]
    );
}

#[test]
fn the_effective_configuration_reads_back_as_itself() {
    let config = config::parse(CONTRACT, "contract.toml").unwrap();
    let text = config.to_toml().unwrap();
    assert_eq!(
        config::parse(&text, "shown.toml").unwrap(),
        config,
        "{text}"
    );
}

#[test]
fn nonsense_never_panics() {
    let deep = format!(
        "source.url = \"http://h\"\nqueries.a.expr = \"{}\"",
        "-".repeat(8000) + "x"
    );
    let _ = config::parse(&deep, "deep");
    for text in [
        format!("[{}a]", "a.".repeat(100_000)),
        format!("{}a = 1", "a.".repeat(100_000)),
        format!("a = {}", "{ a = ".repeat(100_000)),
        format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000)),
        (0..5000)
            .map(|i| format!("a{i} = 1\n"))
            .collect::<Vec<_>>()
            .concat(),
    ] {
        assert!(config::parse(&text, "x").unwrap_err().0.len() <= 101);
    }
    let variable = format!("PULSEWATCH__{}A", "A__".repeat(30_000));
    assert!(with_env(&[(&variable, "1")]).is_err());
    for text in [
        "=",
        "[",
        "[[",
        "[]",
        "a.b",
        "\u{0}",
        "source = 1",
        "queries = []",
        "history.periods = 3",
        "[queries.a.b.c]",
    ] {
        assert!(config::parse(text, "x").is_err(), "{text:?}");
    }
}

fn pulsewatch_config(
    line: &str,
    env: &BTreeMap<String, String>,
) -> Result<(String, String), String> {
    let (global, command) =
        pulsewatch::cli::Cli::read(format!("pulsewatch config {line}").split_whitespace()).unwrap();
    let pulsewatch::cli::Command::Config(args) = command else {
        panic!("not config");
    };
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    pulsewatch::commands::config::run(&args, &global, env, &mut out, &mut notes)
        .map_err(|error| format!("{error:#}"))?;
    Ok((
        String::from_utf8(out).unwrap(),
        String::from_utf8(notes).unwrap(),
    ))
}

#[test]
fn init_writes_once_and_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new/pulsewatch.toml");
    let shown = file.display();
    let (out, _) = pulsewatch_config(&format!("init --output {shown}"), &env(&[])).unwrap();
    assert!(
        out.contains(&format!("wrote {shown}")) && out.contains("--config"),
        "{out}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), presets::SAMPLE);
    let error =
        pulsewatch_config(&format!("init --preset gpu --output {shown}"), &env(&[])).unwrap_err();
    assert!(
        error.contains("is there already") && error.contains("--force"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), presets::SAMPLE);
    let named = env(&[("PULSEWATCH_CONFIG", file.to_str().unwrap())]);
    let (out, _) = pulsewatch_config("init --preset gpu --force", &named).unwrap();
    assert!(!out.contains("--config"), "{out}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), presets::GPU);
    let error =
        pulsewatch_config(&format!("init --output {shown}/below.toml"), &env(&[])).unwrap_err();
    assert!(error.contains("can't be written"), "{error}");
}

#[test]
fn show_says_where_from_and_masks_secrets() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "[source]\nurl = \"http://me:s3cr3t@h\"\nbearer = \"s3cr3t\"\nproxy = \"http://u:s3cr3t@p:1\"\n\
        [source.headers]\nX-Key = \"s3cr3t\"\n[source.params]\napi_key = \"s3cr3t\"\ndedup = \"yes\"\n";
    std::fs::write(file.path(), text).unwrap();
    let variables = env(&[
        ("PULSEWATCH__DETECT__INTERVAL", "7s"),
        ("PULSEWATCH__API__TOKEN", "s3cr3t"),
    ]);
    let shown = file.path().display();
    let (out, _) = pulsewatch_config(&format!("show --config {shown}"), &variables).unwrap();
    let first = out.lines().next().unwrap();
    assert!(
        first.starts_with(&format!("# from {shown}, then PULSEWATCH__")),
        "{first}"
    );
    assert!(
        out.contains("interval = \"7s\"") && out.contains("dedup = \"yes\""),
        "{out}"
    );
    assert!(out.contains("# no queries are configured"), "{out}");
    assert!(!out.contains("s3cr3t"), "{out}");
    assert!(toml::from_str::<Config>(&out).is_ok(), "{out}");
    let (out, _) = pulsewatch_config(&format!("show --json --config {shown}"), &variables).unwrap();
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["detect"]["interval"], "7s");
    assert!(!out.contains("s3cr3t"), "{out}");
}

#[test]
fn path_prints_one_path_for_shells_and_the_rest_for_people() {
    let (out, notes) =
        pulsewatch_config("path --config /a/b.toml --data-dir /c", &env(&[])).unwrap();
    assert_eq!(out, "/a/b.toml\n");
    assert!(
        notes.contains("not there") && notes.contains("data directory: /c"),
        "{notes}"
    );
    let named = env(&[("PULSEWATCH_CONFIG", "/d/e.toml")]);
    assert_eq!(pulsewatch_config("path", &named).unwrap().0, "/d/e.toml\n");
}
