//! From the configuration to sources.

use std::path::Path;
use std::sync::Arc;

use super::EngineError;
use crate::config::{Config, QueryConfig, SourceKind};
use crate::domain::{Feature, Time};
use crate::source::SourceError;
use crate::source::any::Source;
use crate::source::host::HostSource;
use crate::source::prometheus::PrometheusSource;
use crate::source::recording::{self, Reading};
use crate::source::replay::{PlayFrom, ReplaySource};
use crate::store::DataDir;

/// Part of a replayed file that is learned from; the rest is played.
const LEARNED: f64 = 0.6;

/// A source with the configuration that fits it.
pub struct Opened {
    /// The source.
    pub source: Source,
    /// The configuration; a recording brings its own step.
    pub config: Arc<Config>,
    /// What the readers should know.
    pub notices: Vec<String>,
}

/// Opens the configured source. A server that does not answer is no error here.
///
/// # Errors
/// [`EngineError::Source`] when the source can't be set up: a bad certificate, a missing file or secret.
pub fn open(config: &Arc<Config>, data_dir: &Path, now: Time) -> Result<Opened, EngineError> {
    let opened = |source| {
        Ok(Opened {
            source,
            config: Arc::clone(config),
            notices: Vec::new(),
        })
    };
    match config.source.kind {
        SourceKind::Prometheus => {
            let cache = config.history.cache.then(|| DataDir::at(data_dir).cache());
            let source = PrometheusSource::new(
                &config.source,
                &config.queries,
                &config.entities,
                &config.history,
                cache,
            )?;
            opened(Source::Prometheus(Box::new(source)))
        }
        SourceKind::Host => {
            let history = DataDir::at(data_dir).history();
            let (source, notices) = HostSource::new(config.source.step.0, Some(history), now)?;
            Ok(Opened {
                notices,
                ..opened(Source::Host(Box::new(source)))?
            })
        }
        SourceKind::Replay => {
            let file = config.source.file.as_deref();
            let file = file.ok_or_else(|| {
                SourceError::Setup("source.kind is \"replay\", but source.file is not set".into())
            })?;
            let reading = Reading::new(config.source.timezone.as_deref(), now)?;
            let recorded = recording::read(file, &reading)?;
            let name = format!("replay of {}", file.display());
            let source = ReplaySource::merged(
                &recorded.recording,
                config.source.merge,
                name,
                PlayFrom::Fraction(LEARNED),
                config.source.speed,
                now,
            )?
            .paused()
            .with_features(&features(config));
            let notices = recorded.notices.into_iter();
            let notices = notices.map(|notice| format!("{}: {notice}", file.display()));
            let config = Arc::new(for_recording(config, &source));
            Ok(Opened {
                source: Source::Replay(Box::new(source)),
                config,
                notices: notices.collect(),
            })
        }
    }
}

/// What the configured queries say of their columns.
fn features(config: &Config) -> Vec<Feature> {
    let of = |(name, query): (&String, &QueryConfig)| {
        Feature::of(name, query.unit.clone(), query.direction, query.limit)
    };
    config.queries.iter().map(of).collect()
}

/// The configuration for a recording's pipeline: its own step, all of its rows, no queries.
pub fn for_recording(config: &Config, source: &ReplaySource) -> Config {
    let mut config = config.clone();
    config.source.step.0 = source.step();
    config.history.periods.clear();
    config.history.period = crate::config::Span::secs(10 * 365 * 86_400);
    config.queries.clear();
    config.detect.mute.clear();
    config.entities.group_by.clear();
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Direction, Unit};

    #[test]
    fn a_replay_has_the_units_and_limits_of_the_queries_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("host.csv");
        let row = |i: i64| format!("{},{i},7,3\n", 1_700_000_000 + i * 60);
        let rows = (0..30).map(row).collect::<Vec<_>>().concat();
        std::fs::write(&file, format!("timestamp,cpu,free,other\n{rows}")).unwrap();
        let text = format!(
            "[source]\nkind = \"replay\"\nfile = {file:?}\n\
             [queries.cpu]\nexpr = \"cpu\"\nunit = \"percent\"\nlimit = 90\n\
             [queries.free]\nexpr = \"free\"\nunit = \"bytes\"\ndirection = \"below\"\n\
             [queries.absent]\nexpr = \"absent\"\nunit = \"s\"\n"
        );
        let config: Config = toml::from_str(&text).unwrap();
        let opened = open(
            &Arc::new(config),
            dir.path(),
            Time::from_secs(1_800_000_000),
        )
        .unwrap();
        let Source::Replay(source) = &opened.source else {
            panic!("no replay");
        };
        let told: Vec<_> = source
            .schema()
            .iter()
            .map(|f| (&*f.name, f.unit.clone(), f.direction, f.limit))
            .collect();
        assert_eq!(
            told,
            [
                ("cpu", Unit::Percent, Direction::Both, Some(90.0)),
                ("free", Unit::Bytes, Direction::Below, None),
                ("other", Unit::None, Direction::Both, None),
            ]
        );
        assert!(
            opened.config.queries.is_empty(),
            "nothing is asked of a file"
        );
    }
}
