//! The commands that the host owns, as the command line, the help, the completions and the man page know them.
//!
//! It must not know what a command does.

use clap::{Arg, ArgAction, Command};
use clap_complete::Shell;

/// The commands that the host owns. Everything else is looked for among the extensions' commands.
pub(crate) fn own_commands() -> Command {
    Command::new("dispatch")
        .version(dispatch_kernel::KERNEL_VERSION)
        .about("An agent host: a small kernel, and extensions loaded at run time.")
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .allow_external_subcommands(true)
        .subcommand(init())
        .subcommand(serve())
        .subcommand(ext())
        .subcommand(build())
        .subcommand(config())
        .subcommand(trust())
        .subcommand(
            Command::new("doctor")
                .about("Checks the host, the build and each of its instances, and says what to do; 1 if anything fails")
                .arg(json("One JSON document")),
        )
        .subcommand(
            Command::new("completions")
                .about("Prints a completion script; it knows the commands of the build's extensions")
                .arg(
                    Arg::new("shell")
                        .required(true)
                        .value_parser([
                            Shell::Bash.to_string(),
                            Shell::Zsh.to_string(),
                            Shell::Fish.to_string(),
                        ])
                        .help("For which shell"),
                ),
        )
        .subcommand(
            Command::new("man")
                .about("Prints the manual page; it knows the commands of the build's extensions"),
        )
}

/// Options of the host, which stand anywhere before `--`; the help, the completions and the man page show them.
/// Name, value (empty = none) and meaning.
pub(crate) const HOST_OPTIONS: [(&str, &str, &str); 7] = [
    ("build", "FILE|NAME", "The build list; without it `default`"),
    ("ext-dir", "DIR", "Look for extensions here too; may be repeated"),
    ("ext", "FILE", "Add this library to the build, for this run; may be repeated"),
    ("set", "INSTANCE.KEY=VALUE", "Configure an instance; may be repeated"),
    ("allow", "write,exec", "Let tools of these effects run without asking"),
    ("log-format", "text|json", "How the log is written; before DISPATCH_LOG_FORMAT"),
    ("debuggable", "", "Let a debugger, and whoever else runs as this user, read this process' memory"),
];

/// Variables that the host reads; the help and the man page show them.
pub(crate) const VARIABLES: [(&str, &str); 7] = [
    ("DISPATCH_HOME", "Keep everything in this directory's config, data, state, cache and run"),
    ("DISPATCH_SET__INSTANCE__KEY", "Configure an instance; --set comes after it"),
    ("NO_COLOR, CLICOLOR_FORCE", "No colours at all; colours also where standard error is no terminal"),
    ("DISPATCH_LOG", "What is logged: error, warn, info, debug, trace, or by target"),
    ("DISPATCH_LOG_FORMAT", "text, or json: one document a line"),
    (
        "XDG_CONFIG_HOME, …",
        "Where things lie without DISPATCH_HOME; a service manager's STATE_DIRECTORY, … first",
    ),
    ("NOTIFY_SOCKET, WATCHDOG_USEC", "`serve`: whom to tell how it goes, and how often"),
];

/// Every command that does something itself, with its path: `config explain`.
pub(crate) fn leaves(parent: &Command) -> Vec<(String, &Command)> {
    let mut leaves = Vec::new();
    for command in parent.get_subcommands() {
        let name = command.get_name().to_owned();
        if command.has_subcommands() {
            let below = self::leaves(command).into_iter();
            leaves.extend(below.map(|(path, leaf)| (format!("{name} {path}"), leaf)));
        } else if name != "help" {
            leaves.push((name, command));
        }
    }
    leaves
}

fn init() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("init")
        .about("Sets up a provider: asks for endpoint, model and key, tries them, and writes config.toml")
        .arg(text("base-url", "URL", "The endpoint; without it a person is asked"))
        .arg(text("model", "NAME", "The model; without it a person is asked"))
        .arg(text("key-env", "VARIABLE", "The variable that holds the key; its name is written, not the key"))
        .arg(text("instance", "ID", "Which provider of the build, where several take a key"))
        .arg(
            Arg::new("no-try")
                .long("no-try")
                .action(ArgAction::SetTrue)
                .help("Write it without asking the endpoint for a word"),
        )
}

fn serve() -> Command {
    Command::new("serve")
        .about("Runs the build until it is told to end: its parts take work from outside")
        .long_about(
            "Runs the build until SIGTERM or Ctrl-C; then what runs may end (--drain-ms), and a second signal ends at \
             once. SIGHUP takes over the configuration that changed. Tools that write or run programs are refused \
             unless the build's `policy` or --allow lets them.",
        )
        .arg(
            Arg::new("listen")
                .long("listen")
                .value_name("ADDR|unix:PATH")
                .action(ArgAction::Append)
                .help("Listen here instead of where the configuration says; may be repeated"),
        )
        .arg(
            Arg::new("drain-ms")
                .long("drain-ms")
                .value_name("N")
                .value_parser(clap::value_parser!(u64).range(..=DRAIN_MS_MAX))
                .default_value("10000")
                .help("How long running work may take to end"),
        )
        .arg(json("Print one JSON line with the addresses on standard output"))
}

/// Longest `--drain-ms`: a day.
const DRAIN_MS_MAX: u64 = 24 * 60 * 60 * 1000;

fn ext() -> Command {
    let format =
        Arg::new("format").long("format").value_parser(["text", "dot", "mermaid"]).default_value("text");
    Command::new("ext")
        .about("Shows the extensions of a build")
        .subcommand_required(true)
        .subcommand(
            Command::new("list")
                .about("Lists every extension that was found, and which of them the build uses")
                .arg(json("One JSON document")),
        )
        .subcommand(
            Command::new("graph")
                .about("Prints the resolved build: who provides, requires and contributes what")
                .arg(format.help("How to print it")),
        )
}

fn build() -> Command {
    Command::new("build")
        .about("Works on build lists")
        .subcommand_required(true)
        .subcommand(
            Command::new("check")
                .about(
                    "Resolves a build list, looks at its libraries, and prints every problem with its place",
                )
                .arg(Arg::new("file").required(true).value_name("FILE|NAME").help("The build list")),
        )
        .subcommand(
            Command::new("show")
                .about("Prints a build list that the binary carries")
                .arg(Arg::new("name").required(true).value_name("NAME").help("Its name, such as `default`")),
        )
}

fn config() -> Command {
    let keys = Command::new("keys")
        .about("Shows every key that can be set: what it takes, its default, what it means")
        .arg(Arg::new("instance").value_name("INSTANCE").help("Of this instance only"))
        .arg(json("One JSON document"));
    let own = Command::new("config").about("Works on the configuration").subcommand_required(true);
    own.subcommand(keys).subcommand(
        Command::new("explain")
            .about("Shows each key that is set, its value, which layer it comes from and which it overrides")
            .arg(
                Arg::new("key")
                    .value_name("INSTANCE[.KEY]")
                    .help("Show this instance, or this key and those below it"),
            )
            .arg(json("One JSON document")),
    )
}

fn trust() -> Command {
    Command::new("trust")
        .about(
            "Trusts a directory: its .dispatch/config.toml and its instruction files are read from then on",
        )
        .arg(Arg::new("dir").value_name("DIR").help("The directory; everything below it is trusted too"))
        .arg(
            Arg::new("force")
                .long("force")
                .action(ArgAction::SetTrue)
                .requires("dir")
                .help("Even a home directory, or one that others may write to"),
        )
        .arg(
            Arg::new("revoke")
                .long("revoke")
                .value_name("DIR")
                .conflicts_with_all(["dir", "list"])
                .help("Trust this directory no longer"),
        )
        .arg(
            Arg::new("list")
                .long("list")
                .action(ArgAction::SetTrue)
                .conflicts_with("dir")
                .help("List what is trusted"),
        )
        .arg(json("With --list: one JSON document").requires("list"))
}

fn json(help: &'static str) -> Arg {
    Arg::new("json").long("json").action(ArgAction::SetTrue).help(help)
}
