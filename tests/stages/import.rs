//! `config import`: the files that the two older programs document, and files that they would not take.

use super::shell::Shell;

/// As the Keras program documents it, every key there is.
const KERAS: &str = r#"
# URL of the Prometheus server
prometheus_url: "http://prometheus.example:9090"
artifacts_dir: "artifacts"
queries:
  threads: 'windows_system_threads{job="Windows Exporter"}'
  network-received: 'rate(windows_net_bytes_received_total{job="Windows Exporter"}[1m])'
  gpu_ratio: nvidia_smi_utilization_gpu_ratio{uuid="3714"}
data_settings:
  collection_period_hours: 168
  # start_time_iso: "2026-05-31T10:00:00"
  step: "1m"
  cache_chunk_hours: 2
  output_filename: "prometheus_metrics_data.parquet"
preprocessing_settings:
  nan_fill_strategy: "drop_rows"
  scaler_type: "StandardScaler"
  processed_output_filename: "processed_metrics_data.parquet"
training_settings:
  train_on_filtered_sequences: false
  sequence_length: 24
  train_split_ratio: 0.75
  epochs: 40
  batch_size: 32
  learning_rate: 0.002
  early_stopping_patience: 7
  lstm_units_encoder1: 48
  lstm_units_encoder2_latent: 16
  lstm_units_decoder2: 40
data_filtering_settings:
  normal_sequences_output_filename: "normal_sequences.npy"
real_time_anomaly_detection:
  query_interval_seconds: 10
  anomaly_threshold_mse: 0.004
  exporter_port: 8902
  metrics_prefix: "host_"
  data_step_duration: "1m"
"#;

/// As the second program documents it, with a query by system as its code takes it too.
const PULSEWATCH: &str = r#"
app:
  name: "PulseWatch"
  version: "1.0.0"
  mode: "production"
prometheus:
  url: "http://prometheus.example:9090/api/v1/query_range"
  step: "15s"
  window: "2h"
metrics:
  cpu: "100 - (avg by (instance) (rate(node_cpu_seconds_total{mode='idle'}[1m])) * 100)"
  memory: "(1 - (node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)) * 100"
  latency:
    query:
      Linux: "rate(node_network_transmit_errs_total[1m])"
      Windows: "rate(windows_net_packets_outbound_errors_total[1m])"
lstm_model:
  enabled: true
  sequence_length: 50
  hidden_size: 32
  epochs: 12
  retrain_interval: 24
  reconstruction_error_limit: 0.025
  save_path: "models/lstm_model.pt"
prophet_model:
  enabled: true
  forecast_horizon: 90
  retrain_interval: 6
  changepoint_prior_scale: 0.2
  seasonality_mode: "multiplicative"
dashboard:
  refresh_interval: 5
  show_predictions: false
  max_points: 400
  retrain_button_enabled: false
"#;

/// Imports `text` and gives back what was said and what `config show` makes of the result, once `check` took it.
fn imported(name: &str, text: &str) -> (String, serde_json::Value) {
    let shell = Shell::new();
    shell.write(name, text);
    let said = shell.ok(&["config", "import", name, "--output", "new.toml"]);
    shell.ok(&["check", "--offline", "--config", "new.toml"]);
    let shown = shell.json(&["config", "show", "--json", "--config", "new.toml"]);
    (said, shown)
}

#[test]
fn the_keras_programs_file_becomes_a_configuration() {
    let (said, shown) = imported("config.yaml", KERAS);
    for (pointer, value) in [
        ("/source/url", "\"http://prometheus.example:9090\""),
        ("/source/step", "\"1m\""),
        ("/history/period", "\"7d\""),
        ("/history/chunk", "\"2h\""),
        ("/preprocess/fill", "\"drop\""),
        ("/preprocess/scaler", "\"standard\""),
        ("/autoencoder/window", "24"),
        ("/autoencoder/train_split", "0.75"),
        ("/autoencoder/epochs", "40"),
        ("/autoencoder/batch", "32"),
        ("/autoencoder/learning_rate", "0.002"),
        ("/autoencoder/patience", "7"),
        ("/autoencoder/encoder", "[48]"),
        ("/autoencoder/latent", "16"),
        ("/autoencoder/decoder", "[32,40]"),
        ("/autoencoder/activation", "\"relu\""),
        ("/detect/interval", "\"10s\""),
        ("/detect/threshold", "0.004"),
        ("/exporter/listen", "\"127.0.0.1:8902\""),
        ("/exporter/prefix", "\"host_\""),
        ("/forecast/enabled", "false"),
        (
            "/queries/gpu_ratio/expr",
            "\"nvidia_smi_utilization_gpu_ratio{uuid=\\\"3714\\\"}\"",
        ),
    ] {
        assert_eq!(
            shown.pointer(pointer).unwrap().to_string(),
            value,
            "{pointer}"
        );
    }
    assert_eq!(shown["queries"].as_object().unwrap().len(), 3);
    assert!(shown["queries"]["network_received"].is_object(), "{shown}");
    for words in [
        "config.yaml:4: artifacts_dir = \"artifacts\": files go to the data directory",
        "config.yaml:7: queries.network-received",
        "config.yaml:14: data_settings.output_filename",
        "training_settings.train_on_filtered_sequences = false: run `pulsewatch filter`",
        "data_filtering_settings.normal_sequences_output_filename",
        "real_time_anomaly_detection.exporter_port = 8902: it listened on all addresses",
        "real_time_anomaly_detection.data_step_duration",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn the_second_programs_file_becomes_a_configuration() {
    let (said, shown) = imported("user_config.yml", PULSEWATCH);
    for (pointer, value) in [
        ("/app/name", "\"PulseWatch\""),
        ("/app/mode", "\"production\""),
        ("/source/url", "\"http://prometheus.example:9090\""),
        ("/source/step", "\"15s\""),
        ("/history/period", "\"2h\""),
        ("/autoencoder/enabled", "true"),
        ("/autoencoder/window", "30"),
        ("/autoencoder/epochs", "12"),
        ("/retrain/every", "\"1d\""),
        ("/detect/threshold", "0.025"),
        ("/forecast/horizon", "\"1h30m\""),
        ("/forecast/retrain_every", "\"6h\""),
        ("/forecast/changepoint_prior_scale", "0.2"),
        ("/forecast/mode", "\"multiplicative\""),
        ("/ui/refresh", "\"5s\""),
        ("/ui/show_forecast", "false"),
        ("/ui/max_points", "400"),
        ("/ui/retrain_enabled", "false"),
        ("/exporter/listen", "\"127.0.0.1:8000\""),
    ] {
        assert_eq!(
            shown.pointer(pointer).unwrap().to_string(),
            value,
            "{pointer}"
        );
    }
    assert_eq!(shown["queries"].as_object().unwrap().len(), 3);
    let latency = &shown["queries"]["latency"]["expr"]["windows"];
    assert!(
        latency.as_str().unwrap().contains("outbound_errors"),
        "{shown}"
    );
    for words in [
        "app.version",
        "lstm_model.sequence_length = 50: its code did not use it",
        "lstm_model.hidden_size = 32",
        "lstm_model.save_path",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn explicit_periods_are_taken_over_in_both_spellings() {
    let periods = "prometheus_url: http://h:9090\ndata_settings:\n  collection_periods_iso:\n    - {start: '2026-05-01T00:00:00', end: '2026-05-03T00:00:00Z'}\n    - start_time_iso: '2026-05-04T02:00:00+02:00'\n      end_time_iso: '2026-05-06T00:00:00'\n";
    let (said, shown) = imported("config.yaml", periods);
    assert_eq!(
        shown["history"]["periods"][0]["start"],
        "2026-05-01T00:00:00Z"
    );
    assert_eq!(
        shown["history"]["periods"][1]["start"],
        "2026-05-04T00:00:00Z"
    );
    assert!(said.contains("it has no queries"), "{said}");
    let pair = "prometheus_url: http://h:9090\ndata_settings:\n  collection_period_hours: 0\n  start_time_iso: '2026-05-01T00:00:00'\n  end_time_iso: '2026-05-08T00:00:00'\n";
    let (_, shown) = imported("config.yaml", pair);
    assert_eq!(
        shown["history"]["periods"][0]["end"],
        "2026-05-08T00:00:00Z"
    );
}

#[test]
fn what_can_not_be_imported_is_refused_with_file_line_and_key_all_at_once() {
    let shell = Shell::new();
    let refused = |text: &str| {
        shell.write("old.yml", text);
        let said = shell.fails(2, &["config", "import", "old.yml", "--output", "new.toml"]);
        assert!(!shell.path("new.toml").exists());
        said
    };
    let said = refused(
        "prometheus_url: 7\ntraining_settings:\n  epochs: many\npreprocessing_settings:\n  scaler_type: Robust\ndata_settings:\n  step: soon\n  collection_period_hours: -3\n",
    );
    for words in [
        "old.yml:1: prometheus_url = 7",
        "old.yml:3: training_settings.epochs = \"many\"",
        "old.yml:5: preprocessing_settings.scaler_type = \"Robust\"",
        "old.yml:7: data_settings.step = \"soon\"",
        "old.yml:8: data_settings.collection_period_hours = -3",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // What only the whole configuration shows is told at the older key.
    let said = refused("prometheus_url: http://h\nqueries:\n  ok: up\n  bad: 'sum(('\n");
    assert!(said.contains("old.yml:4: queries.bad"), "{said}");
    assert!(refused("a: [1\n").contains("old.yml:"));
    assert!(refused("a: 1\n").contains("neither the Keras program's config.yaml"));
    shell.write("old.yml", KERAS);
    shell.write("new.toml", "# mine");
    let said = shell.fails(1, &["config", "import", "old.yml", "--output", "new.toml"]);
    assert!(said.contains("--force"), "{said}");
}
