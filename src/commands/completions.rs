//! `pulsewatch completions SHELL` and `pulsewatch man`.

use std::io::Write;

use clap::{Arg, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::cli::{Cli, CompletionsArgs};

/// Writes the completions for a shell to `out`.
///
/// # Errors
/// `out` can't be written.
pub fn run(args: &CompletionsArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "pulsewatch", &mut script);
    out.write_all(&script)?;
    Ok(())
}

/// Writes the manual page, one for all commands, to `out`.
///
/// # Errors
/// `out` can't be written.
pub fn man(out: &mut dyn Write) -> anyhow::Result<()> {
    let mut program = Cli::command();
    program.build();
    let page = Man::new(program.clone());
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    add_commands(&mut roff, &program, "pulsewatch");
    add_rest(&mut roff);
    roff.to_writer(out)?;
    Ok(())
}

/// A subsection for each command that does something itself.
fn add_commands(roff: &mut Roff, parent: &Command, path: &str) {
    for command in parent.get_subcommands() {
        if command.get_name() == "help" {
            continue;
        }
        let path = format!("{path} {}", command.get_name());
        if command
            .get_subcommands()
            .any(|below| below.get_name() != "help")
        {
            add_commands(roff, command, &path);
            continue;
        }
        roff.control("SS", [path.as_str()]);
        if let Some(about) = command.get_about() {
            roff.text([roman(format!("{about}."))]);
        }
        let own = |arg: &&Arg| !arg.is_global_set() && arg.get_id() != "help";
        for arg in command.get_arguments().filter(own) {
            roff.control("TP", []);
            roff.text(usage(arg));
            roff.text([roman(
                arg.get_help().map(ToString::to_string).unwrap_or_default(),
            )]);
        }
    }
}

/// `--size WxH`, or `ID` for an argument without a name.
fn usage(arg: &Arg) -> Vec<Inline> {
    let mut parts = Vec::new();
    if let Some(long) = arg.get_long() {
        parts.push(bold(format!("--{long}")));
    }
    let takes_value = arg.get_action().takes_values();
    for value in arg
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .filter(|_| takes_value)
    {
        if !parts.is_empty() {
            parts.push(roman(" "));
        }
        parts.push(italic(value.as_str()));
    }
    parts
}

fn add_rest(roff: &mut Roff) {
    const SECTIONS: [(&str, &[(&str, &str)]); 3] = [
        (
            "ENVIRONMENT",
            &[
                ("PULSEWATCH_CONFIG", "The configuration file."),
                (
                    "PULSEWATCH__SECTION__KEY",
                    "Overrides one setting, such as PULSEWATCH__DETECT__INTERVAL=10s.",
                ),
                (
                    "PROMETHEUS_URL",
                    "Sets source.url, and source.kind to prometheus unless that is set.",
                ),
                (
                    "RUST_LOG",
                    "What is logged, such as pulsewatch=debug; -v and -q are stronger.",
                ),
                ("NO_COLOR", "No colours, unless --color always."),
            ],
        ),
        (
            "FILES",
            &[
                (
                    "~/.config/pulsewatch/pulsewatch.toml",
                    "The configuration (XDG_CONFIG_HOME is honoured).",
                ),
                (
                    "~/.local/share/pulsewatch/",
                    "The data directory (XDG_DATA_HOME is honoured): data, models, journal, log.",
                ),
            ],
        ),
        (
            "EXIT STATUS",
            &[
                ("0", "Done."),
                ("1", "The work failed."),
                ("2", "Bad usage or a bad configuration."),
            ],
        ),
    ];
    for (title, entries) in SECTIONS {
        roff.control("SH", [title]);
        for (name, text) in entries {
            roff.control("TP", []);
            roff.text([bold(*name)]);
            roff.text([roman(*text)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_completions_for_every_command() {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let args = CompletionsArgs {
                shell: shell.parse().unwrap(),
            };
            let mut script = Vec::new();
            run(&args, &mut script).unwrap();
            let script = String::from_utf8(script).unwrap();
            for word in ["backtest", "incidents", "rollback", "train-until"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn the_manual_page_has_every_command_and_option() {
        let mut page = Vec::new();
        man(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap().replace("\\-", "-");
        for words in [
            ".SH SYNOPSIS",
            ".SS \"pulsewatch backtest\"",
            ".SS \"pulsewatch config init\"",
            "--train-until",
            "PULSEWATCH__SECTION__KEY",
            "EXIT STATUS",
        ] {
            assert!(page.contains(words), "{words}\n{page}");
        }
        assert!(!page.contains("pulsewatch help"));
    }
}
