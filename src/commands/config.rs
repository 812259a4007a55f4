//! `pulsewatch config init | import | show | path`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::cli::{
    ConfigAction, ConfigArgs, ConfigImportArgs, ConfigInitArgs, ConfigShowArgs, Global, Preset,
};
use crate::config::{self, presets};

/// Runs it. `env` is [`config::environment`]; what was asked for goes to `out` (stdout), explanations to `notes` (stderr).
///
/// # Errors
/// A configuration that can't be used ([`config::ConfigErrors`] inside), or a file that can't be written.
pub fn run(
    args: &ConfigArgs,
    global: &Global,
    env: &BTreeMap<String, String>,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> anyhow::Result<()> {
    match &args.action {
        ConfigAction::Init(args) => init(args, global, env, out),
        ConfigAction::Import(args) => import(args, global, env, out),
        ConfigAction::Show(args) => show(args, global, env, out),
        ConfigAction::Path => path(global, env, out, notes),
    }
}

fn init(
    args: &ConfigInitArgs,
    global: &Global,
    env: &BTreeMap<String, String>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let target = target(args.output.as_ref(), global, env)?;
    write_file(&target, preset_text(args.preset), args.force)?;
    writeln!(out, "wrote {}", target.display())?;
    writeln!(
        out,
        "Next: edit it (source.url first), then `pulsewatch check`, then `pulsewatch`."
    )?;
    say_place(&target, env, out)
}

/// Where a configuration is written: as asked, else where the program looks for it.
fn target(
    output: Option<&PathBuf>,
    global: &Global,
    env: &BTreeMap<String, String>,
) -> anyhow::Result<PathBuf> {
    output.cloned().or_else(|| place(global, env)).context(
        "this user has no home directory; say where to write with --output pulsewatch.toml",
    )
}

/// An older program's file as a configuration; says what of it has no counterpart.
fn import(
    args: &ConfigImportArgs,
    global: &Global,
    env: &BTreeMap<String, String>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let target = target(args.output.as_ref(), global, env)?;
    let shown = args.file.display().to_string();
    let imported = config::import(&config::read_text(&args.file)?, &shown)?;
    write_file(&target, &imported.text, args.force)?;
    writeln!(
        out,
        "wrote {}, made of {}",
        target.display(),
        imported.program
    )?;
    if !imported.remarks.is_empty() {
        writeln!(out, "Not taken over as it stands:")?;
        for remark in &imported.remarks {
            writeln!(out, "  {remark}")?;
        }
    }
    writeln!(out, "Next: `pulsewatch check`, then `pulsewatch`.")?;
    say_place(&target, env, out)
}

/// How to use a file that is not where the program looks by itself.
fn say_place(
    target: &Path,
    env: &BTreeMap<String, String>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if users_place(env).as_deref() != Some(target) {
        let shown = target.display();
        writeln!(
            out,
            "It is not where the program looks by itself: add --config {shown} to each command, or set PULSEWATCH_CONFIG."
        )?;
    }
    Ok(())
}

const fn preset_text(preset: Option<Preset>) -> &'static str {
    match preset {
        None => presets::SAMPLE,
        Some(Preset::NodeExporter) => presets::NODE_EXPORTER,
        Some(Preset::WindowsExporter) => presets::WINDOWS_EXPORTER,
        Some(Preset::Gpu) => presets::GPU,
        Some(Preset::SeedKeras) => presets::SEED_KERAS,
        Some(Preset::SeedPulsewatch) => presets::SEED_PULSEWATCH,
    }
}

/// Writes all or nothing, readable for its owner only (it may come to hold secrets).
fn write_file(target: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let shown = target.display();
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let cannot = || format!("{shown} can't be written; name another file with --output");
    std::fs::create_dir_all(folder).with_context(cannot)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(cannot)?;
    file.write_all(text.as_bytes()).with_context(cannot)?;
    file.as_file().sync_all().with_context(cannot)?;
    if force {
        file.persist(target)
            .map_err(|failed| failed.error)
            .with_context(cannot)?;
        return Ok(());
    }
    match file.persist_noclobber(target) {
        Ok(_) => Ok(()),
        Err(_) if target.exists() => {
            bail!(
                "{shown} is there already; add --force to replace it, or name another file with --output"
            )
        }
        Err(failed) => Err(failed.error).with_context(cannot),
    }
}

fn show(
    args: &ConfigShowArgs,
    global: &Global,
    env: &BTreeMap<String, String>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let loaded = config::load(global.config.as_deref(), env)?;
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &loaded.config.masked())?;
        writeln!(out)?;
        return Ok(());
    }
    let mut from = match &loaded.path {
        Some(path) => path.display().to_string(),
        None => "the built-in defaults".into(),
    };
    let variables: Vec<&str> = env
        .keys()
        .map(String::as_str)
        .filter(|name| *name != "PULSEWATCH_CONFIG")
        .collect();
    if !variables.is_empty() {
        from = format!("{from}, then {}", variables.join(", "));
    }
    writeln!(out, "# from {from}")?;
    for note in &loaded.notes {
        writeln!(out, "# {note}")?;
    }
    writeln!(out, "\n{}", loaded.config.to_toml()?.trim_end())?;
    Ok(())
}

/// The one path on `out`, so that a shell can use it; the rest on `notes`.
fn path(
    global: &Global,
    env: &BTreeMap<String, String>,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> anyhow::Result<()> {
    let place = place(global, env).context(
        "this user has no home directory; name a file with --config or PULSEWATCH_CONFIG",
    )?;
    writeln!(out, "{}", place.display())?;
    let state = if place.exists() {
        "it is there"
    } else {
        "it is not there; write it with `pulsewatch config init`"
    };
    writeln!(notes, "configuration: {state}")?;
    writeln!(
        notes,
        "looked for: --config, then PULSEWATCH_CONFIG, then the user's file, then the built-in defaults"
    )?;
    let data = global.data_dir.clone().unwrap_or_else(config::data_dir);
    writeln!(notes, "data directory: {}", data.display())?;
    Ok(())
}

/// The file that is, or would be, read.
fn place(global: &Global, env: &BTreeMap<String, String>) -> Option<PathBuf> {
    global.config.clone().or_else(|| users_place(env))
}

/// The file that is, or would be, read without `--config`.
fn users_place(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    env.get("PULSEWATCH_CONFIG")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(config::config_file)
}
