//! Finding, reading and finishing the configuration.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::Node;
use super::environment::{FILE, overlay};
use super::errors::{ConfigError, ConfigErrors, Place};
use super::validate::validate;
use super::written::Written;
use super::{Config, Os, SourceKind, later, paths, presets, reader};

/// Largest configuration file, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

/// A configuration that can be used, and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration itself, ready to use: address trimmed, queries that are not for the watched system left out.
    pub config: Config,
    /// The file it was read from; `None`: no file.
    pub path: Option<PathBuf>,
    /// Nothing at all was configured, neither by a file nor by the environment: the built-in default.
    pub embedded: bool,
    /// What a person should know of it, readable; a handful of sentences.
    pub notes: Vec<String>,
    /// Where each setting was written.
    pub written: Written,
}

/// Looks for the configuration and reads it: `explicit`, else the file that `PULSEWATCH_CONFIG` names, else the user's
/// ([`super::config_file`]) if it is there, else the built-in defaults; over it the `PULSEWATCH__SECTION__KEY` variables
/// and `PROMETHEUS_URL` of `env` (see [`super::environment`]).
///
/// # Errors
/// Everything that is wrong, at once, each with file and line or variable, key, value and what would be right.
pub fn load(
    explicit: Option<&Path>,
    env: &BTreeMap<String, String>,
) -> Result<Loaded, ConfigErrors> {
    load_from(explicit, env, paths::config_file().as_deref())
}

/// [`load`] with the user's file given.
pub(super) fn load_from(
    explicit: Option<&Path>,
    env: &BTreeMap<String, String>,
    users: Option<&Path>,
) -> Result<Loaded, ConfigErrors> {
    let named = env.get(FILE).filter(|path| !path.is_empty());
    let path = match (explicit, named, users) {
        (Some(path), _, _) => Some(path),
        (None, Some(path), _) => Some(Path::new(path)),
        (None, None, Some(path)) if path.exists() => Some(path),
        _ => None,
    };
    let (text, name) = match path {
        Some(path) => (read_text(path)?, path.display().to_string()),
        None => (String::new(), "the built-in default".to_owned()),
    };
    let built = build(&text, &name, env)?;
    Ok(Loaded {
        config: built.config,
        path: path.map(Path::to_path_buf),
        embedded: path.is_none() && !built.overlaid,
        notes: built.notes,
        written: Written(built.root),
    })
}

/// Reads a configuration from `text`, called `name` in errors, without the environment.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn parse(text: &str, name: &str) -> Result<Config, ConfigErrors> {
    build(text, name, &BTreeMap::new()).map(|built| built.config)
}

/// A configuration that was read.
struct Built {
    config: Config,
    notes: Vec<String>,
    /// The environment said something.
    overlaid: bool,
    root: Node,
}

fn build(text: &str, name: &str, env: &BTreeMap<String, String>) -> Result<Built, ConfigErrors> {
    let name: Arc<str> = name.into();
    let mut root = match Node::parse(text, &name) {
        Ok(root) => root,
        Err(errors) => {
            ConfigErrors::check(errors)?;
            Node::empty(&name)
        }
    };
    let mut errors = Vec::new();
    let overlaid = overlay(&mut root, env, &mut errors);
    later::refuse(&mut root, &mut errors);
    let written = root.clone();
    let mut config = reader::read(&mut root, &mut errors);
    let mut notes = Vec::new();
    finish(&mut config, &written, &mut notes);
    let (found, more) = validate(&config, &root, &errors);
    errors.extend(found);
    notes.extend(more);
    ConfigErrors::check(errors)?;
    notes.extend(drop_other_systems(&mut config));
    Ok(Built {
        config,
        notes,
        overlaid,
        root,
    })
}

/// Fills in what follows from what was written.
fn finish(config: &mut Config, written: &Node, notes: &mut Vec<String>) {
    let has = |path: &[&str]| written.get(path).is_some();
    if has(&["source", "url"]) && !has(&["source", "kind"]) {
        config.source.kind = SourceKind::Prometheus;
    }
    config.source.url = trim_address(&config.source.url);
    config.exporter.listen_is_explicit = has(&["exporter", "listen"]);
    if config.source.kind != SourceKind::Prometheus || !written.names(&["queries"]).is_empty() {
        return;
    }
    // The preset is built in and tested, so it always reads.
    let Ok(preset) = toml::from_str::<Config>(presets::NODE_EXPORTER) else {
        return;
    };
    config.queries = preset.queries;
    let mut note = String::from("no queries are configured: those for node_exporter are used");
    if !has(&["entities", "group_by"]) {
        config.entities.group_by = preset.entities.group_by;
        note.push_str(", one entity per instance");
    }
    notes.push(note);
}

/// The server's base address: without spaces, the API's path and slashes at its end.
fn trim_address(url: &str) -> String {
    let url = url.trim().trim_end_matches('/');
    let url = ["/api/v1/query_range", "/api/v1/query", "/api/v1"]
        .iter()
        .find_map(|tail| url.strip_suffix(tail))
        .unwrap_or(url);
    url.trim_end_matches('/').to_owned()
}

/// Leaves out queries that have no expression for the watched system.
fn drop_other_systems(config: &mut Config) -> Option<String> {
    if config.source.kind != SourceKind::Prometheus {
        return None;
    }
    let os = config.source.os.unwrap_or(Os::here());
    let mut left_out = Vec::new();
    config.queries.retain(|name, query| {
        let stays = query.expr.on(os).is_some();
        if !stays {
            left_out.push(name.clone());
        }
        stays
    });
    (!left_out.is_empty()).then(|| {
        format!(
            "left out, without an expression for {}: {}",
            os_name(os),
            left_out.join(", ")
        )
    })
}

/// The system's name as the configuration writes it.
pub(super) const fn os_name(os: Os) -> &'static str {
    match os {
        Os::Linux => "linux",
        Os::Windows => "windows",
        Os::Macos => "macos",
    }
}

/// The text of a configuration file of at most 4 MiB.
///
/// # Errors
/// When it is not there, can't be read, is too large or is no UTF-8.
pub fn read_text(path: &Path) -> Result<String, ConfigErrors> {
    let name: Arc<str> = path.display().to_string().into();
    let fail = |line: Option<usize>, problem: String, remedy: &str| {
        ConfigErrors(vec![ConfigError {
            place: Place::File {
                name: Arc::clone(&name),
                line,
            },
            key: String::new(),
            value: None,
            problem,
            remedy: remedy.into(),
        }])
    };
    let mut bytes = Vec::new();
    let outcome = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    match outcome {
        Ok(_) if bytes.len() as u64 > LARGEST => {
            return Err(fail(
                None,
                "this file is over 4 MiB".into(),
                "name the configuration file",
            ));
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(fail(
                None,
                "there is no such file".into(),
                "write one with `pulsewatch config init --output FILE`",
            ));
        }
        Err(error) => {
            return Err(fail(
                None,
                format!("the file can't be read: {error}"),
                "make it readable for this user",
            ));
        }
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = error.as_bytes().iter().take(good);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        fail(
            Some(line),
            "this line is not UTF-8".into(),
            "save the file as UTF-8",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, name: &str, interval: u32) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, format!("detect.interval = \"{interval}s\"")).unwrap();
        path
    }

    #[test]
    fn explicit_then_variable_then_users_then_embedded() {
        let folder = tempfile::tempdir().unwrap();
        let explicit = file(folder.path(), "explicit.toml", 11);
        let named = file(folder.path(), "named.toml", 12);
        let users = file(folder.path(), "users.toml", 13);
        let absent = folder.path().join("absent.toml");
        let none = BTreeMap::new();
        let variable = BTreeMap::from([(FILE.to_owned(), named.display().to_string())]);
        let empty = BTreeMap::from([(FILE.to_owned(), String::new())]);
        for (explicit, env, users, path, seconds) in [
            (Some(&explicit), &variable, &users, Some(&explicit), 11),
            (None, &variable, &users, Some(&named), 12),
            (None, &none, &users, Some(&users), 13),
            (None, &empty, &users, Some(&users), 13),
            (None, &none, &absent, None, 30),
        ] {
            let loaded = load_from(explicit.map(PathBuf::as_path), env, Some(users)).unwrap();
            assert_eq!(loaded.path.as_ref(), path);
            assert_eq!(loaded.embedded, path.is_none());
            assert_eq!(loaded.config.detect.interval.0.as_secs(), seconds);
        }
    }

    #[test]
    fn any_setting_of_the_environment_is_a_configuration() {
        for (name, value) in [
            ("PROMETHEUS_URL", "http://h"),
            ("PULSEWATCH__DETECT__INTERVAL", "9s"),
        ] {
            let env = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            assert!(!load_from(None, &env, None).unwrap().embedded, "{name}");
        }
        assert!(load_from(None, &BTreeMap::new(), None).unwrap().embedded);
    }
}
