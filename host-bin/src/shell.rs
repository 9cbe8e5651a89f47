//! `dispatch completions` and `dispatch man`: the host's own commands, and those that the build's extensions bring.
//!
//! It must not know any of these: an extension tells its commands and their options when it is started.

use crate::argv::Invocation;
use crate::boot;
use crate::commands::{HOST_OPTIONS, VARIABLES, leaves, own_commands};
use crate::compose::{Composed, compose_to_boot, resolve_build};
use crate::exit::{EXIT_CODES, Refusal};
use crate::output::out;
use crate::policy::{self, Unsaid};
use crate::{dirs, known_keys};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use dispatch_contracts::command::{CommandSpec, OptionSpec};
use dispatch_contracts::plain::plain;
use std::io::Write as _;

/// Prints a completion script for `shell`.
pub(crate) fn completions(invocation: &Invocation, shell: &str) -> Result<u8, Refusal> {
    let shell: Shell =
        shell.parse().map_err(|e| Refusal::usage(format!("there are no completions for `{shell}`: {e}")))?;
    out(&script(with_values(whole(&specs(invocation)?), invocation), shell))
}

fn script(mut all: Command, shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut all, "dispatch", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Prints the manual page, in roff.
pub(crate) fn man(invocation: &Invocation) -> Result<u8, Refusal> {
    let page = page(whole(&specs(invocation)?))
        .map_err(|e| Refusal::failed(format!("cannot write the manual page: {e}")))?;
    out(&String::from_utf8_lossy(&page))
}

/// What the build's extensions bring; nothing, with a note for a person, when the build does not hold.
fn specs(invocation: &Invocation) -> Result<Vec<CommandSpec>, Refusal> {
    let found = compose_to_boot(invocation).and_then(|composed| boot::block_on(booted(invocation, composed)));
    match found {
        Ok(specs) => Ok(specs),
        Err(refusal) if refusal.code == crate::exit::USAGE || refusal.is_by_signal() => Err(refusal),
        Err(refusal) => {
            let note = format!(
                "note: the commands of the build's extensions are left out, because it does not hold: {}",
                refusal.message
            );
            // Nobody may be left to read it.
            let _ = writeln!(std::io::stderr(), "{}", plain(&note));
            Ok(Vec::new())
        }
    }
}

async fn booted(invocation: &Invocation, composed: Composed) -> Result<Vec<CommandSpec>, Refusal> {
    let policy = policy::of(composed.plan.policy, &invocation.options.allow, Unsaid::IsDenied)?;
    boot::with_kernel(composed, policy, async |kernel| Ok(kernel.commands())).await
}

/// The same, with the words that a build knows: keys after `--set` and `config explain`, instances after `config keys`.
fn with_values(all: Command, invocation: &Invocation) -> Command {
    let resolved = dirs::make(&invocation.environment).and_then(|dirs| resolve_build(invocation, dirs, None));
    // A build that does not hold was told of already.
    let Ok(plan) = resolved.map(|resolved| resolved.plan) else { return all };
    let names = known_keys::names(&plan);
    let assigned: Vec<String> = names.iter().map(|name| format!("{name}=")).collect();
    let instances: Vec<String> = plan.instances.iter().map(|instance| instance.id.clone()).collect();
    all.mut_arg("set", |arg| arg.value_parser(PossibleValuesParser::new(assigned))).mut_subcommand(
        "config",
        |config| {
            let explain = |command: Command| {
                command.mut_arg("key", |arg| arg.value_parser(PossibleValuesParser::new(names)))
            };
            let keys = |command: Command| {
                command.mut_arg("instance", |arg| arg.value_parser(PossibleValuesParser::new(instances)))
            };
            config.mut_subcommand("explain", explain).mut_subcommand("keys", keys)
        },
    )
}

/// The host's commands and options, and `specs` beside them.
fn whole(specs: &[CommandSpec]) -> Command {
    let mut all = own_commands();
    for (name, value, help) in HOST_OPTIONS {
        let arg = Arg::new(name).long(name).help(help).global(true);
        all = all.arg(match value {
            "" => arg.action(ArgAction::SetTrue),
            "DIR" => arg.value_name(value).value_hint(ValueHint::DirPath),
            value if value.starts_with("FILE") => arg.value_name(value).value_hint(ValueHint::FilePath),
            "text|json" => arg.value_name(value).value_parser(["text", "json"]),
            value => arg.value_name(value),
        });
    }
    for spec in specs {
        // The host's own word never reaches an extension.
        if is_plain(&spec.name) && all.find_subcommand(&spec.name).is_none() {
            all = all.subcommand(command_of(spec));
        }
    }
    all
}

fn command_of(spec: &CommandSpec) -> Command {
    let mut command = Command::new(spec.name.clone()).about(one_line(&spec.summary));
    for option in &spec.options {
        let Some(arg) = arg_of(option) else { continue };
        if command.get_arguments().all(|known| known.get_id() != arg.get_id()) {
            command = command.arg(arg);
        }
    }
    command
}

/// None for what no command line could hold, and for what the host takes out of it.
fn arg_of(option: &OptionSpec) -> Option<Arg> {
    let help = one_line(&option.summary);
    let Some(long) = option.name.strip_prefix("--") else {
        let name = option.name.to_lowercase();
        // Apart from options of the same name.
        let arg = Arg::new(format!("{name} ")).value_name(option.name.clone()).help(help);
        return is_plain(&name).then_some(arg);
    };
    if !is_plain(long) || long == "help" || HOST_OPTIONS.iter().any(|(name, ..)| *name == long) {
        return None;
    }
    let arg = Arg::new(long.to_owned()).long(long.to_owned()).help(help);
    Some(match option.value.as_str() {
        "" => arg.action(ArgAction::SetTrue),
        value => arg.value_name(one_line(value)),
    })
}

/// Whether a name is safe in every shell's script.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(plain)
}

fn one_line(text: &str) -> String {
    plain(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn page(mut all: Command) -> std::io::Result<Vec<u8>> {
    all.build();
    let man = Man::new(all.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["OPTIONS"]);
    roff.text([roman("Options of the host; they stand anywhere before --.")]);
    for (name, value, help) in HOST_OPTIONS {
        item(&mut roff, &format!("--{name}"), value, help);
    }
    roff.control("SH", ["COMMANDS"]);
    for (path, command) in leaves(&all) {
        describe(&mut roff, &path, command);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    for (name, help) in VARIABLES {
        item(&mut roff, name, "", help);
    }
    roff.control("SH", ["EXIT STATUS"]);
    for (code, means) in EXIT_CODES {
        item(&mut roff, &code.to_string(), "", means);
    }
    roff.to_writer(&mut page)?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

fn describe(roff: &mut Roff, path: &str, command: &Command) {
    roff.control("SS", [format!("dispatch {path}").as_str()]);
    let about = command.get_long_about().or_else(|| command.get_about());
    roff.text([roman(about.map(ToString::to_string).unwrap_or_default())]);
    for arg in command.get_arguments().filter(|arg| !arg.is_global_set() && arg.get_id() != "help") {
        let possible: Vec<String> =
            arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        let value = match arg.get_value_names() {
            _ if !arg.get_action().takes_values() => String::new(),
            _ if !possible.is_empty() => possible.join("|"),
            Some(names) => names.join(" "),
            None => arg.get_id().to_string(),
        };
        let name = arg.get_long().map(|long| format!("--{long}")).unwrap_or_default();
        item(roff, &name, &value, &arg.get_help().map(ToString::to_string).unwrap_or_default());
    }
}

fn item(roff: &mut Roff, name: &str, value: &str, help: &str) {
    roff.control("TP", []);
    roff.text(match (name, value) {
        (name, "") => vec![bold(name)],
        ("", value) => vec![italic(value)],
        (name, value) => vec![bold(name), roman(" "), italic(value)],
    });
    roff.text([roman(help)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, options: &[(&str, &str)]) -> CommandSpec {
        let option = |(name, value): &(&str, &str)| OptionSpec {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            summary: "Does 'it' `now` $(at once)\nand more".to_owned(),
        };
        let options = options.iter().map(option).collect();
        CommandSpec { name: name.to_owned(), summary: "Runs it.".to_owned(), options }
    }

    #[test]
    fn an_extensions_command_is_completed_with_its_options_beside_the_hosts() {
        let all = whole(&[spec("go", &[("--fast", ""), ("--to", "PLACE"), ("WHAT", "")])]);
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(all.clone(), shell);
            for word in ["go", "fast", "serve", "drain-ms", "ext-dir", "doctor", "backup", "restore"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
        let page = String::from_utf8(page(all).unwrap()).unwrap();
        for part in
            [".SS \"dispatch go\"", "PLACE", ".SS \"dispatch config explain\"", ".SH \"EXIT STATUS\"", "78"]
        {
            assert!(page.contains(part), "{part}: {page}");
        }
    }

    #[test]
    fn what_an_extension_calls_its_options_cannot_break_a_script_or_take_the_hosts_words() {
        let wrong =
            [("--set", "X"), ("--a b", ""), ("--", ""), ("--$(x)", ""), ("--x", ""), ("--x", ""), ("x", "")];
        let all = whole(&[spec("go", &wrong), spec("serve", &[("--mine", "")]), spec("a;b", &[])]);
        let go: Vec<&str> =
            all.find_subcommand("go").unwrap().get_arguments().map(|a| a.get_id().as_str()).collect();
        assert_eq!(go, ["x", "x "]);
        let script = script(all, Shell::Bash);
        assert!(!script.contains("mine") && !script.contains("a;b"), "{script}");
    }
}
