//! `[app]`, `[exporter]`, `[api]`, `[ui]`: how others see the engine.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Config, Secret, Span};
use crate::domain::AppView;

/// `[app]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppConfig {
    /// What this installation is called.
    pub name: String,
    /// What it is for, in one word such as "production".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

impl Default for AppConfig {
    fn default() -> Self {
        Self {
            name: "PulseWatch".into(),
            mode: None,
        }
    }
}

impl Config {
    /// What readers see of it.
    #[must_use]
    pub fn app_view(&self) -> AppView {
        AppView {
            name: self.app.name.clone(),
            mode: self.app.mode.clone(),
            max_points: self.ui.max_points,
            trains: self.detects(),
        }
    }
}

/// `[exporter]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExporterConfig {
    /// Serve at all.
    pub enabled: bool,
    /// Where to listen.
    pub listen: SocketAddr,
    /// The address was written, be it the default one: then it must be had.
    #[serde(skip)]
    pub listen_is_explicit: bool,
    /// What every metric's name begins with.
    pub prefix: String,
    /// Most series exported; what is over is counted, not exported.
    pub max_series: usize,
}

impl Default for ExporterConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from(([127, 0, 0, 1], 8901)),
            listen_is_explicit: false,
            prefix: "anomaly_detector_".into(),
            max_series: 10_000,
        }
    }
}

/// `[api]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// Needed by routes that change something, whenever it is set or the listener is not loopback.
    pub token: Option<Secret>,
    /// Routes that change something do nothing, token or not.
    pub read_only: bool,
}

/// Colours of the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThemeName {
    /// Light on dark.
    #[default]
    Dark,
    /// Dark on light.
    Light,
    /// White on black, few and strong colours.
    HighContrast,
    /// Colours that stay apart for eyes that mix up red and green.
    ColorBlind,
    /// No colours, only bold and reverse.
    Mono,
}

/// The word for the zone of `TZ` or of the system in `[ui] timezone`.
pub const LOCAL_ZONE: &str = "local";

/// `[ui]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)] // Each is a switch of its own in the file.
pub struct UiConfig {
    /// How often the screen takes a new snapshot, at most.
    pub refresh: Span,
    /// Colours.
    pub theme: ThemeName,
    /// Other keys for actions: `retrain = "R"`.
    pub keys: BTreeMap<String, String>,
    /// Points kept per series for screen and API.
    pub max_points: usize,
    /// The zone that the screen shows moments in: an IANA name, or `local` for that of `TZ` or of the system. Files, routes and
    /// logs have UTC.
    pub timezone: String,
    /// Draw forecasts.
    pub show_forecast: bool,
    /// The retrain key works.
    pub retrain_enabled: bool,
    /// Keys that change the engine do nothing.
    pub read_only: bool,
    /// Clicks and the wheel are the dashboard's; the terminal's own selection then needs Shift.
    pub mouse: bool,
    /// Colours, orders, time ranges and the mouse are as they were left at the last run, in `ui.toml` of the data directory;
    /// what is changed here since then counts instead.
    pub remember: bool,
}

impl Default for UiConfig {
    fn default() -> Self {
        Self {
            refresh: Span::secs(1),
            theme: ThemeName::default(),
            keys: BTreeMap::new(),
            max_points: 500,
            timezone: LOCAL_ZONE.into(),
            show_forecast: true,
            retrain_enabled: true,
            read_only: false,
            mouse: false,
            remember: true,
        }
    }
}
