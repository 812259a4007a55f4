//! The model registry: bundles by version, and which one scores.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::datasets::{load_json, save_json};
use super::json::null_is_nan;
use crate::disk::{DiskError, set_aside, write_atomic};
use crate::domain::{Decision, Time};

const BUNDLE: &str = "bundle.safetensors";
const META: &str = "meta.json";
const CURRENT: &str = "current";
const HELD_BACK: &str = "held_back.f32";

/// What is known of a model version; `meta.json` beside its bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelMeta {
    /// `<end of the training data>-<checksum of the bundle>`, such as `20261101T120000Z-1c291ca3`; set by the registry.
    #[serde(default)]
    pub version: String,
    /// When it was trained; says which of two versions is the newer one.
    pub trained_at: Time,
    /// How long that took, milliseconds.
    pub training_took_ms: u64,
    /// First and last time of the data it learned from.
    pub trained_on: (Time, Time),
    /// Windows it learned from.
    pub windows: usize,
    /// Passes over them.
    pub epochs: usize,
    /// Best validation loss (scaled units squared); NaN (null in the file) when unknown.
    #[serde(deserialize_with = "null_is_nan")]
    pub val_loss: f64,
    /// Calibrated threshold (scaled units squared); NaN (null in the file) when unknown.
    #[serde(deserialize_with = "null_is_nan")]
    pub threshold_mse: f64,
    /// How the threshold came about: `auto`, `fixed` or `sigma`.
    pub threshold_rule: String,
    /// Feature names in order.
    pub features: Vec<String>,
    /// Entities it learned from.
    pub entities: usize,
    /// Whether it was given the place of the model before it, and why; `None` of one that an older release trained.
    #[serde(default)]
    pub decision: Option<Decision>,
}

impl ModelMeta {
    /// It was trained and found worse than the model that scored then.
    #[must_use]
    pub fn was_refused(&self) -> bool {
        self.decision
            .as_ref()
            .is_some_and(|decision| !decision.promoted)
    }
}

/// A version in the list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ListedModel {
    /// Its figures.
    #[serde(flatten)]
    pub meta: ModelMeta,
    /// It is the one that scores.
    pub current: bool,
}

/// Why the registry could not do it.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A file.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A version is there but can't be used. [`Registry::set_aside`] helps.
    #[error("model {version}: {reason}")]
    Damaged {
        /// Which one, as `models/current` names it.
        version: String,
        /// What is wrong.
        reason: String,
    },
    /// No such version.
    #[error(
        "{models}: there is no model {version}; `pulsewatch models list` shows those there are"
    )]
    NotFound {
        /// The registry's folder.
        models: PathBuf,
        /// The version asked for.
        version: String,
    },
    /// Nothing before the current version.
    #[error("{models}: there is no model older than the current one to go back to")]
    NoneBefore {
        /// The registry's folder.
        models: PathBuf,
    },
}

/// The folder `models/`. One process writes (the owner of the data directory); others may read.
#[derive(Clone, Debug)]
pub struct Registry {
    dir: PathBuf,
}

impl Registry {
    /// The registry in folder `models_dir`, which is made with the first version.
    #[must_use]
    pub fn open(models_dir: &Path) -> Self {
        Self {
            dir: models_dir.to_path_buf(),
        }
    }

    /// Stores a bundle, makes it the current one unless it was refused, and removes the oldest versions over `keep`, counted
    /// apart for those that scored and those that were refused (at least 1 of each is kept). `held_back` are the errors that
    /// its threshold was calibrated on, in the order of time. Returns its version. The same bytes with the same training range have the same version: storing them again is fine.
    ///
    /// # Errors
    /// The path and the system's reason; the current version is then what it was.
    pub fn add(
        &self,
        bytes: &[u8],
        meta: &ModelMeta,
        held_back: &[f64],
        keep: usize,
    ) -> Result<String, RegistryError> {
        let version = version_of(bytes, meta.trained_on.1);
        let meta = ModelMeta {
            version: version.clone(),
            ..meta.clone()
        };
        let folder = self.dir.join(&version);
        write_atomic(&folder.join(BUNDLE), bytes)?;
        #[allow(clippy::cast_possible_truncation)]
        // Errors of a network that computes in this precision.
        let errors: Vec<u8> = held_back
            .iter()
            .flat_map(|error| (*error as f32).to_le_bytes())
            .collect();
        write_atomic(&folder.join(HELD_BACK), &errors)?;
        save_json(&folder.join(META), &meta)?;
        if !meta.was_refused() {
            self.point_at(&version)?;
        }
        self.prune(keep);
        self.remove_unfinished();
        Ok(version)
    }

    /// The version that scores: its name, bundle and figures; `None` when none was chosen yet.
    ///
    /// # Errors
    /// [`RegistryError::Damaged`] when it is incomplete or its bytes are not those that were stored.
    pub fn current(&self) -> Result<Option<(String, Vec<u8>, ModelMeta)>, RegistryError> {
        let Some(version) = self.current_version()? else {
            return Ok(None);
        };
        let (bytes, meta) = self.read(&version)?;
        Ok(Some((version, bytes, meta)))
    }

    /// A version's bundle and figures.
    ///
    /// # Errors
    /// [`RegistryError::Damaged`] when it is incomplete or its bytes are not those that were stored.
    pub fn read(&self, version: &str) -> Result<(Vec<u8>, ModelMeta), RegistryError> {
        let damaged = |reason: String| RegistryError::Damaged {
            version: version.to_owned(),
            reason,
        };
        let folder = self.folder(version).ok_or_else(|| {
            damaged(format!(
                "{} does not hold a version's name",
                self.dir.join(CURRENT).display()
            ))
        })?;
        let meta: ModelMeta = load_json(&folder.join(META)).map_err(|e| damaged(e.to_string()))?;
        let path = folder.join(BUNDLE);
        let bytes = fs::read(&path)
            .map_err(|e| damaged(format!("{} can't be read: {e}", path.display())))?;
        if !version.ends_with(&checksum(&bytes)) {
            return Err(damaged(format!(
                "{} was damaged after it was written ({} bytes, checksum {})",
                path.display(),
                bytes.len(),
                checksum(&bytes)
            )));
        }
        Ok((bytes, meta))
    }

    /// The errors on held-back windows that came with a version, in the order of time; none of one that an older release
    /// trained, or when they can't be read.
    #[must_use]
    pub fn held_back(&self, version: &str) -> Vec<f64> {
        let bytes = self
            .folder(version)
            .and_then(|folder| fs::read(folder.join(HELD_BACK)).ok())
            .unwrap_or_default();
        let (numbers, _) = bytes.as_chunks::<4>();
        numbers
            .iter()
            .map(|bytes| f64::from(f32::from_le_bytes(*bytes)))
            .collect()
    }

    /// Takes a damaged version out of the list (its folder is renamed to `<version>.damaged-<n>`). If it was the current
    /// one, the newest that is left becomes current (one that was not refused, if there is any). Returns what is current then.
    ///
    /// # Errors
    /// The path and the system's reason.
    pub fn set_aside(&self, version: &str) -> Result<Option<String>, RegistryError> {
        if let Some(folder) = self.folder(version).filter(|f| f.exists()) {
            set_aside(&folder)?;
        }
        let current = self.current_version()?;
        if current.as_deref() != Some(version) {
            return Ok(current);
        }
        let left = self.newest_first()?;
        let scored = left.iter().find(|meta| !meta.was_refused());
        let next = scored.or(left.first()).cloned();
        if let Some(meta) = &next {
            self.point_at(&meta.version)?;
        } else {
            let path = self.dir.join(CURRENT);
            fs::remove_file(&path).map_err(|e| DiskError::io(&path, "remove the file", e))?;
        }
        Ok(next.map(|meta| meta.version))
    }

    /// All versions whose figures can be read, newest first.
    ///
    /// # Errors
    /// The path and the system's reason.
    pub fn list(&self) -> Result<Vec<ListedModel>, RegistryError> {
        let current = self.current_version()?;
        let versions = self.newest_first()?;
        Ok(versions
            .into_iter()
            .map(|meta| ListedModel {
                current: current.as_ref() == Some(&meta.version),
                meta,
            })
            .collect())
    }

    /// The figures of a version in the list.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] when it is not in the list; else the path and the system's reason.
    pub fn find(&self, version: &str) -> Result<ModelMeta, RegistryError> {
        let mut listed = self.newest_first()?.into_iter();
        let found = listed.find(|meta| meta.version == version);
        found.ok_or_else(|| RegistryError::NotFound {
            models: self.dir.clone(),
            version: version.to_owned(),
        })
    }

    /// Makes a version the current one.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] when it is not in the list; else the path and the system's reason.
    pub fn use_version(&self, version: &str) -> Result<(), RegistryError> {
        self.find(version)?;
        self.point_at(version)
    }

    /// Goes back to the version trained before the current one (the newest, when none is current), leaving out those that
    /// were refused; returns it.
    ///
    /// # Errors
    /// [`RegistryError::NoneBefore`] when there is none; else the path and the system's reason.
    pub fn rollback(&self) -> Result<String, RegistryError> {
        let versions = self.list()?;
        let at = versions.iter().position(|m| m.current);
        let mut older = versions.iter().skip(at.map_or(0, |index| index + 1));
        let before = older.find(|model| !model.meta.was_refused());
        let Some(before) = before else {
            let models = self.dir.clone();
            return Err(RegistryError::NoneBefore { models });
        };
        self.point_at(&before.meta.version)?;
        Ok(before.meta.version.clone())
    }

    fn point_at(&self, version: &str) -> Result<(), RegistryError> {
        let line = format!("{version}\n");
        Ok(write_atomic(&self.dir.join(CURRENT), line.as_bytes())?)
    }

    /// Which version was chosen to score, `None` when none was yet; whether it can be used, [`Registry::read`] says.
    ///
    /// # Errors
    /// The path and the system's reason.
    pub fn current_version(&self) -> Result<Option<String>, RegistryError> {
        let path = self.dir.join(CURRENT);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(DiskError::io(&path, "read the file", e).into()),
        }
    }

    /// Where a version lives; `None` for what can't be a version's name, a path above all.
    fn folder(&self, version: &str) -> Option<PathBuf> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (!version.is_empty() && version.chars().all(plain)).then(|| self.dir.join(version))
    }

    /// The figures of every complete version. Folders without readable figures are no versions: half-written ones of a
    /// process that was killed, or set aside ones.
    fn newest_first(&self) -> Result<Vec<ModelMeta>, RegistryError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(DiskError::io(&self.dir, "list the folder", e).into()),
        };
        let mut versions: Vec<ModelMeta> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let meta: ModelMeta = load_json(&self.folder(&name)?.join(META)).ok()?;
                (meta.version == name).then_some(meta)
            })
            .collect();
        versions.sort_by(|a, b| (b.trained_at, &b.version).cmp(&(a.trained_at, &a.version)));
        Ok(versions)
    }

    /// Removes what a process left that was killed while it stored a version: the figures are written last. Nobody else stores
    /// one at this time, as the caller owns the data directory.
    fn remove_unfinished(&self) {
        let entries = fs::read_dir(&self.dir).into_iter().flatten();
        for entry in entries.filter_map(Result::ok) {
            let named = entry.file_name().to_str().is_some_and(is_version);
            let folder = entry.path();
            if named
                && !folder.join(META).exists()
                && let Err(error) = fs::remove_dir_all(&folder)
            {
                tracing::warn!(folder = %folder.display(), %error, "an unfinished model can't be removed");
            }
        }
    }

    /// Removes the oldest versions over `keep` of each sort. A model is stored and in use by now, so what can't be removed is left.
    fn prune(&self, keep: usize) {
        let all = self.list().unwrap_or_default();
        let (refused, scored): (Vec<_>, Vec<_>) = all.iter().partition(|m| m.meta.was_refused());
        let old = |sort: Vec<_>| sort.into_iter().skip(keep.max(1));
        for old in old(scored).chain(old(refused)) {
            let old: &ListedModel = old;
            if let (false, Some(folder)) = (old.current, self.folder(&old.meta.version))
                && let Err(error) = fs::remove_dir_all(&folder)
            {
                tracing::warn!(folder = %folder.display(), %error, "an old model can't be removed");
            }
        }
    }
}

/// Whether a folder is named as [`version_of`] does: `20261101T120000Z-1c291ca3`.
fn is_version(name: &str) -> bool {
    name.split_once('-').is_some_and(|(end, sum)| {
        end.len() == 16
            && end.ends_with('Z')
            && sum.len() == 8
            && sum.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// The version that the registry gives a bundle whose training data end then.
#[must_use]
pub fn version_of(bytes: &[u8], end: Time) -> String {
    let stamp = jiff::Timestamp::from_millisecond(end.millis()).unwrap_or_default();
    format!("{}-{}", stamp.strftime("%Y%m%dT%H%M%SZ"), checksum(bytes))
}

fn checksum(bytes: &[u8]) -> String {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    format!("{:08x}", crc.sum())
}
