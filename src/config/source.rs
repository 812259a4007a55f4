//! `[source]`, `[queries.<name>]`, `[entities]`: where samples come from and what they mean.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Ratio, Secret, Span};

/// Where samples come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A server that speaks Prometheus' HTTP API.
    Prometheus,
    /// This machine.
    #[default]
    Host,
    /// A recorded file, played back.
    Replay,
}

/// An operating system that expressions may differ by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Os {
    /// Linux.
    Linux,
    /// Windows.
    Windows,
    /// macOS.
    Macos,
}

impl Os {
    /// The one this program runs on; anything unknown counts as Linux.
    #[must_use]
    pub const fn here() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else if cfg!(target_os = "macos") {
            Self::Macos
        } else {
            Self::Linux
        }
    }
}

/// What is kept of the rows of a recorded file that share a time of the grid, column by column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Merge {
    /// The value nearest to that time, and of equally near ones the last in the file.
    #[default]
    Nearest,
    /// The latest value, and of equal times the last in the file.
    Last,
    /// The mean of all values.
    Mean,
    /// The highest value.
    Max,
}

/// `[source]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceConfig {
    /// Which kind of source.
    pub kind: SourceKind,
    /// Base address of the server (a path prefix is kept; a trailing `/api/v1/query_range` is dropped).
    pub url: String,
    /// The watched hosts' system, which picks `expr = { linux = … }`; `None`: this one's.
    pub os: Option<Os>,
    /// Distance of the grid's times.
    pub step: Span,
    /// How long a grid time waits for its samples.
    pub latency_offset: Span,
    /// Until a connection stands.
    pub connect_timeout: Span,
    /// Until a whole answer is there. A look at recent rows repeats no request after this time and ends after twice that.
    pub timeout: Span,
    /// Times a request that can be repeated is repeated.
    pub retries: u32,
    /// Requests under way at once; each may take an equal part of 256 MB. History leaves one of them to looks at recent rows.
    pub concurrency: usize,
    /// Extra headers, such as `X-Scope-OrgID`.
    pub headers: BTreeMap<String, Secret>,
    /// Extra URL parameters, such as `dedup`.
    pub params: BTreeMap<String, String>,
    /// HTTP proxy; `None`: the environment's.
    pub proxy: Option<String>,
    /// `Authorization: Bearer …`.
    pub bearer: Option<Secret>,
    /// `Authorization: Basic …`.
    pub basic: Option<BasicAuth>,
    /// Trust and client certificate.
    pub tls: TlsConfig,
    /// The recorded file of `kind = "replay"`: CSV, CSV.gz or Parquet.
    pub file: Option<PathBuf>,
    /// Zone of times without one in recorded files; `None`: UTC, which is said.
    pub timezone: Option<String>,
    /// What is kept of rows of a recorded file that share a time of the grid.
    pub merge: Merge,
    /// Rows replayed a second; 0 is as fast as it goes.
    pub speed: f64,
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self {
            kind: SourceKind::default(),
            url: "http://127.0.0.1:9090".into(),
            os: None,
            step: Span::secs(60),
            latency_offset: Span::secs(15),
            connect_timeout: Span::secs(5),
            timeout: Span::secs(30),
            retries: 3,
            concurrency: 4,
            headers: BTreeMap::new(),
            params: BTreeMap::new(),
            proxy: None,
            bearer: None,
            basic: None,
            tls: TlsConfig::default(),
            file: None,
            timezone: None,
            merge: Merge::Nearest,
            speed: 10.0,
        }
    }
}

/// `[source.basic]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// `[source.tls]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file of an extra certificate authority.
    pub ca: Option<PathBuf>,
    /// PEM file of the client's certificate chain (with `key`: mutual TLS).
    pub cert: Option<PathBuf>,
    /// PEM file of the client's private key.
    pub key: Option<PathBuf>,
    /// Accept any certificate. For trying only.
    pub insecure_skip_verify: bool,
}

/// A PromQL expression, the same everywhere or one per system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a PromQL string, or a table with `linux`, `windows` and `macos` strings"
)]
pub enum Expr {
    /// The same on every system.
    Everywhere(String),
    /// One per system; a system without one leaves the query out.
    PerOs(OsExpr),
}

/// `expr = { linux, windows, macos }`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OsExpr {
    /// For Linux hosts.
    pub linux: Option<String>,
    /// For Windows hosts.
    pub windows: Option<String>,
    /// For macOS hosts.
    pub macos: Option<String>,
}

impl Expr {
    /// The expression for hosts of system `os`, if there is one.
    #[must_use]
    pub fn on(&self, os: Os) -> Option<&str> {
        match self {
            Self::Everywhere(expr) => Some(expr),
            Self::PerOs(variants) => match os {
                Os::Linux => variants.linux.as_deref(),
                Os::Windows => variants.windows.as_deref(),
                Os::Macos => variants.macos.as_deref(),
            },
        }
    }
}

/// Smallest deviation that counts; in the file a table, or `0` for none. Without either part nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MinDeviation {
    /// In the query's unit.
    pub absolute: Option<f64>,
    /// As a part of the expected value.
    pub relative: Option<Ratio>,
}

impl MinDeviation {
    /// Every deviation counts, and that is said: what `0` in the file is.
    pub const NONE: Self = Self {
        absolute: Some(0.0),
        relative: None,
    };

    /// Whether it says anything.
    #[must_use]
    pub const fn is_said(&self) -> bool {
        self.absolute.is_some() || self.relative.is_some()
    }

    /// Whether some deviation is too small for it.
    #[must_use]
    pub fn excuses(&self) -> bool {
        self.absolute.is_some_and(|least| least > 0.0)
            || self.relative.is_some_and(|least| least.0 > 0.0)
    }
}

impl<'de> Deserialize<'de> for MinDeviation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MinDeviationVisitor)
    }
}

/// Says what a minimum looks like, and keeps the keys of a table in the path of an error.
struct MinDeviationVisitor;

impl<'de> Visitor<'de> for MinDeviationVisitor {
    type Value = MinDeviation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table such as { absolute = 5.0, relative = \"5%\" }, or 0 for none")
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<MinDeviation, E> {
        if number == 0.0 {
            return Ok(MinDeviation::NONE);
        }
        Err(E::custom(format!(
            "{number} alone does not say of what; write {{ absolute = {number:?} }} in the query's unit, {{ relative = \"3%\" }}, or 0 for none"
        )))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<MinDeviation, E> {
        self.visit_f64(number as f64)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<MinDeviation, E> {
        self.visit_f64(number as f64)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MinDeviation, A::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Table {
            absolute: Option<f64>,
            relative: Option<Ratio>,
        }
        let table = Table::deserialize(MapAccessDeserializer::new(map))?;
        Ok(MinDeviation {
            absolute: table.absolute,
            relative: table.relative,
        })
    }
}

/// `[queries.<name>]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryConfig {
    /// What to ask.
    pub expr: Expr,
    /// What the values count.
    #[serde(default)]
    pub unit: crate::domain::Unit,
    /// Which deviations matter.
    #[serde(default)]
    pub direction: crate::domain::Direction,
    /// Deviations below this never count.
    #[serde(default)]
    pub min_deviation: MinDeviation,
    /// Where the metric hits its ceiling, in its unit.
    #[serde(default)]
    pub limit: Option<f64>,
    /// The values are a raw counter: take its rate per second, resets allowed for.
    #[serde(default)]
    pub counter: bool,
    /// Score it, but let it raise no anomaly alone.
    #[serde(default)]
    pub mute: bool,
}

/// Whether entities share one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weights {
    /// One model for all.
    #[default]
    Shared,
    /// One model each.
    Own,
}

/// `[entities]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EntitiesConfig {
    /// Labels whose values name an entity.
    pub group_by: Vec<String>,
    /// Labels that never make a feature of their own (pod hashes, versions).
    pub ignore_labels: Vec<String>,
    /// Most entities that are watched.
    pub max: usize,
    /// Most features an entity may have.
    pub max_features: usize,
    /// One model for all entities, or one each.
    pub weights: Weights,
}

impl Default for EntitiesConfig {
    fn default() -> Self {
        Self {
            group_by: Vec::new(),
            ignore_labels: Vec::new(),
            max: 1000,
            max_features: 64,
            weights: Weights::default(),
        }
    }
}
