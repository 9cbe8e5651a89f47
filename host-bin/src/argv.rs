//! The command line: the host's own options wherever they stand before `--`, and the word that says what to do.

use crate::commands::own_commands;
pub(crate) use crate::environment::Environment;
use crate::exit::Refusal;
use clap::ArgMatches;
use clap::error::ErrorKind;
use dispatch_compose::GraphFormat;
use std::ffi::OsString;
use std::path::PathBuf;

/// Options that the host takes out of every command line.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct HostOptions {
    /// `--build FILE|NAME`.
    pub(crate) build: Option<String>,
    /// `--ext-dir DIR`, several times.
    pub(crate) ext_dirs: Vec<PathBuf>,
    /// `--ext FILE`, several times.
    pub(crate) ext: Vec<PathBuf>,
    /// `--set INSTANCE.KEY=VALUE`, several times.
    pub(crate) set: Vec<String>,
    /// `--allow write,exec`.
    pub(crate) allow: Vec<String>,
    /// `--debuggable`.
    pub(crate) debuggable: bool,
    /// `--log-format text|json`.
    pub(crate) log_format: Option<String>,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Help,
    ExtList { json: bool },
    ExtGraph(GraphFormat),
    BuildCheck(PathBuf),
    BuildShow(String),
    Serve(ServeOrder),
    ConfigExplain { key: Option<String>, json: bool },
    ConfigKeys { instance: Option<String>, json: bool },
    Trust(TrustOrder),
    Backup(BackupOrder),
    Doctor { json: bool },
    Completions { shell: String },
    Init(InitOrder),
    Man,
    Command { name: String, argv: Vec<String> },
}

/// `serve`, as the command line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServeOrder {
    /// `--listen`, several times; empty = as configured.
    pub(crate) listen: Vec<String>,
    /// How long running work may take to end.
    pub(crate) drain_ms: u64,
    /// One JSON line instead of text.
    pub(crate) json: bool,
}

/// `init`, as the command line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InitOrder {
    /// `--instance`; without it the only one there is.
    pub(crate) instance: Option<String>,
    /// `--base-url`; without it a person is asked, as for the other two.
    pub(crate) base_url: Option<String>,
    /// `--model`.
    pub(crate) model: Option<String>,
    /// `--key-env`: the variable that holds the key.
    pub(crate) key_env: Option<String>,
    /// Not `--no-try`.
    pub(crate) tried: bool,
}

/// `trust`, as the command line says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TrustOrder {
    Trust { dir: PathBuf, force: bool },
    Revoke(PathBuf),
    List { json: bool },
}

/// `backup`, as the command line says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BackupOrder {
    Create { file: PathBuf, instance: Option<String>, force: bool },
    Restore { file: PathBuf, instance: Option<String> },
}

/// A command line that was understood.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) options: HostOptions,
    pub(crate) environment: Environment,
    pub(crate) request: Request,
}

/// Understands the command line.
pub(crate) fn parse(args: &[OsString]) -> Result<Invocation, Refusal> {
    let words = args.iter().map(|word| word.to_str().map(str::to_owned));
    let words: Option<Vec<String>> = words.collect();
    let words = words.ok_or_else(|| Refusal::usage("an argument is not UTF-8"))?;
    let (options, rest) = take_host_options(words)?;
    let request = request(rest)?;
    Ok(Invocation { options, environment: Environment::read(), request })
}

/// Whether whoever reads the output is a program.
pub(crate) fn wants_json(args: &[OsString]) -> bool {
    args.iter().take_while(|word| *word != "--").any(|word| word == "--json")
}

fn take_host_options(words: Vec<String>) -> Result<(HostOptions, Vec<String>), Refusal> {
    let mut options = HostOptions::default();
    let mut rest = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--" {
            rest.push(word);
            rest.extend(words);
            break;
        }
        if word == "--debuggable" {
            options.debuggable = true;
            continue;
        }
        let (name, inline) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
            _ => (word.clone(), None),
        };
        if !matches!(name.as_str(), "--build" | "--ext-dir" | "--ext" | "--set" | "--allow" | "--log-format")
        {
            rest.push(word);
            continue;
        }
        let value = inline.or_else(|| words.next());
        let value = value.filter(|value| !value.is_empty());
        let Some(value) = value else { return Err(Refusal::usage(format!("`{name}` needs a value"))) };
        match name.as_str() {
            "--build" => options.build = Some(value),
            "--ext-dir" => options.ext_dirs.push(PathBuf::from(value)),
            "--ext" => options.ext.push(PathBuf::from(value)),
            "--log-format" => options.log_format = Some(value),
            "--set" => options.set.push(value),
            _ => options.allow.extend(value.split(',').map(str::to_owned)),
        }
    }
    Ok((options, rest))
}

fn request(rest: Vec<String>) -> Result<Request, Refusal> {
    let first = rest.first().map(String::as_str);
    match first {
        None => return Err(Refusal::usage("no command; `dispatch --help` lists them")),
        Some("help") if rest.len() > 1 => {
            // `help run` is `run --help`.
            return request(rest[1..].iter().cloned().chain(["--help".to_owned()]).collect());
        }
        Some("--help" | "-h" | "help") => return Ok(Request::Help),
        Some("--") => {
            return Err(Refusal::usage("`--` stands before the command; write `dispatch run -- …`"));
        }
        Some("--version" | "-V") => {}
        Some(option) if option.starts_with('-') => {
            return Err(Refusal::usage(format!(
                "`{option}` is no option of the host; `dispatch --help` lists them"
            )));
        }
        Some(name) if own_commands().find_subcommand(name).is_some() => {}
        Some(name) => {
            let argv = rest[1..].to_vec();
            return Ok(Request::Command { name: name.to_owned(), argv });
        }
    }
    let words = std::iter::once("dispatch".to_owned()).chain(rest);
    let matches = own_commands().try_get_matches_from(words).map_err(from_clap)?;
    match matches.subcommand() {
        Some(("serve", m)) => Ok(Request::Serve(ServeOrder {
            listen: m.get_many::<String>("listen").into_iter().flatten().cloned().collect(),
            drain_ms: m.get_one::<u64>("drain-ms").copied().expect("it has a default"),
            json: m.get_flag("json"),
        })),
        Some(("ext", m)) => match m.subcommand() {
            Some(("graph", m)) => Ok(Request::ExtGraph(match word(m, "format").as_str() {
                "dot" => GraphFormat::Dot,
                "mermaid" => GraphFormat::Mermaid,
                _ => GraphFormat::Text,
            })),
            Some((_, m)) => Ok(Request::ExtList { json: m.get_flag("json") }),
            None => Err(Refusal::usage("`dispatch ext` needs `list` or `graph`")),
        },
        Some(("build", m)) => match m.subcommand() {
            Some(("show", m)) => Ok(Request::BuildShow(word(m, "name"))),
            Some((_, m)) => Ok(Request::BuildCheck(PathBuf::from(word(m, "file")))),
            None => Err(Refusal::usage("`dispatch build` needs `check` or `show`")),
        },
        Some(("config", m)) => match m.subcommand() {
            Some(("keys", m)) => Ok(Request::ConfigKeys {
                instance: m.get_one::<String>("instance").cloned(),
                json: m.get_flag("json"),
            }),
            Some((_, m)) => Ok(Request::ConfigExplain {
                key: m.get_one::<String>("key").cloned(),
                json: m.get_flag("json"),
            }),
            None => Err(Refusal::usage("`dispatch config` needs `explain` or `keys`")),
        },
        Some(("trust", m)) => trust(m).map(Request::Trust),
        Some(("backup", m)) => backup(m).map(Request::Backup),
        Some(("doctor", m)) => Ok(Request::Doctor { json: m.get_flag("json") }),
        Some(("completions", m)) => Ok(Request::Completions { shell: word(m, "shell") }),
        Some(("init", m)) => {
            let text = |name: &str| m.get_one::<String>(name).cloned().filter(|text| !text.is_empty());
            Ok(Request::Init(InitOrder {
                instance: text("instance"),
                base_url: text("base-url"),
                model: text("model"),
                key_env: text("key-env"),
                tried: !m.get_flag("no-try"),
            }))
        }
        Some(("man", _)) => Ok(Request::Man),
        _ => Err(Refusal::usage("no command; `dispatch --help` lists them")),
    }
}

fn trust(m: &ArgMatches) -> Result<TrustOrder, Refusal> {
    if m.get_flag("list") {
        return Ok(TrustOrder::List { json: m.get_flag("json") });
    }
    // `requires` says it too, but is waived beside what `--list` conflicts with.
    if m.get_flag("json") {
        return Err(Refusal::usage("`--json` goes with `--list`"));
    }
    if let Some(dir) = m.get_one::<String>("revoke") {
        return Ok(TrustOrder::Revoke(PathBuf::from(dir)));
    }
    match m.get_one::<String>("dir") {
        Some(dir) => Ok(TrustOrder::Trust { dir: PathBuf::from(dir), force: m.get_flag("force") }),
        None => Err(Refusal::usage(
            "`dispatch trust` needs a directory, or `--list`, or `--revoke DIR`; `dispatch trust .` trusts this one",
        )),
    }
}

fn backup(m: &ArgMatches) -> Result<BackupOrder, Refusal> {
    let file = |m| PathBuf::from(word(m, "file"));
    let instance = |m: &ArgMatches| m.get_one::<String>("instance").cloned();
    match m.subcommand() {
        Some(("create", m)) => {
            Ok(BackupOrder::Create { file: file(m), instance: instance(m), force: m.get_flag("force") })
        }
        Some((_, m)) => Ok(BackupOrder::Restore { file: file(m), instance: instance(m) }),
        None => Err(Refusal::usage("`dispatch backup` needs `create` or `restore`")),
    }
}

fn word(m: &ArgMatches, name: &str) -> String {
    m.get_one::<String>(name).cloned().unwrap_or_default()
}

fn from_clap(error: clap::Error) -> Refusal {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Refusal { code: 0, message: error.to_string() },
        _ => {
            let text = error.to_string();
            Refusal::usage(text.strip_prefix("error: ").unwrap_or(&text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn host_options_are_taken_wherever_they_stand_before_the_dashes() {
        let (options, rest) = take_host_options(words(
            "--build a.toml run --json --set x.y=1 hello --debuggable --allow write,exec -- --set kept --debuggable",
        ))
        .unwrap();
        assert_eq!(options.build.as_deref(), Some("a.toml"));
        assert_eq!(options.set, ["x.y=1"]);
        assert_eq!(options.allow, ["write", "exec"]);
        assert!(options.debuggable);
        assert_eq!(rest, words("run --json hello -- --set kept --debuggable"));
    }

    #[test]
    fn an_option_without_its_value_is_a_usage_error() {
        assert_eq!(take_host_options(words("run --build")).unwrap_err().message, "`--build` needs a value");
        assert_eq!(take_host_options(words("run --set=")).unwrap_err().message, "`--set` needs a value");
    }

    #[test]
    fn a_word_that_the_host_does_not_own_is_an_extensions_command() {
        let expected = Request::Command { name: "run".to_owned(), argv: words("--json hi") };
        assert_eq!(request(words("run --json hi")).unwrap(), expected);
        assert_eq!(request(words("ext graph --format dot")).unwrap(), Request::ExtGraph(GraphFormat::Dot));
        let help = Request::Command { name: "run".to_owned(), argv: words("--help") };
        assert_eq!(request(words("help run")).unwrap(), help);
        let own = request(words("help config explain")).unwrap_err();
        assert!(own.code == 0 && own.message.contains("Usage: dispatch config explain"), "{own:?}");
        assert_eq!(request(words("build show server")).unwrap(), Request::BuildShow("server".to_owned()));
        assert_eq!(request(words("--frob")).unwrap_err().code, crate::exit::USAGE);
        assert_eq!(request(words("ext frob")).unwrap_err().code, crate::exit::USAGE);
    }

    #[test]
    fn serving_has_its_defaults_and_its_bounds() {
        let order = |listen: &[&str], drain_ms, json| {
            let listen = listen.iter().map(|&address| address.to_owned()).collect();
            Request::Serve(ServeOrder { listen, drain_ms, json })
        };
        assert_eq!(request(words("serve")).unwrap(), order(&[], 10_000, false));
        let line = "serve --listen 127.0.0.1:0 --listen unix:/x --drain-ms 5 --json";
        assert_eq!(request(words(line)).unwrap(), order(&["127.0.0.1:0", "unix:/x"], 5, true));
        for wrong in ["serve --drain-ms soon", "serve --drain-ms 999999999999", "serve now"] {
            assert_eq!(request(words(wrong)).unwrap_err().code, crate::exit::USAGE, "{wrong}");
        }
    }

    #[test]
    fn what_the_host_says_of_itself_is_asked_for_in_these_words() {
        let explain = |key: Option<&str>, json| Request::ConfigExplain { key: key.map(str::to_owned), json };
        let completions = |shell: &str| Request::Completions { shell: shell.to_owned() };
        for (line, expected) in [
            ("config explain", explain(None, false)),
            ("config explain a.b --json", explain(Some("a.b"), true)),
            ("config keys", Request::ConfigKeys { instance: None, json: false }),
            ("config keys a --json", Request::ConfigKeys { instance: Some("a".to_owned()), json: true }),
            ("doctor", Request::Doctor { json: false }),
            ("doctor --json", Request::Doctor { json: true }),
            ("completions bash", completions("bash")),
            ("completions zsh", completions("zsh")),
            ("completions fish", completions("fish")),
            ("man", Request::Man),
            (
                "init --model m --key-env K --no-try",
                Request::Init(InitOrder {
                    instance: None,
                    base_url: None,
                    model: Some("m".to_owned()),
                    key_env: Some("K".to_owned()),
                    tried: false,
                }),
            ),
        ] {
            assert_eq!(request(words(line)).unwrap(), expected, "{line}");
        }
        for wrong in
            ["config", "config explain a b", "doctor now", "completions", "completions tcsh", "man page"]
        {
            assert_eq!(request(words(wrong)).unwrap_err().code, crate::exit::USAGE, "{wrong}");
        }
    }

    #[test]
    fn trusting_needs_one_thing_to_do() {
        let trust = TrustOrder::Trust { dir: PathBuf::from("."), force: false };
        assert_eq!(request(words("trust .")).unwrap(), Request::Trust(trust));
        let revoke = Request::Trust(TrustOrder::Revoke(PathBuf::from("x")));
        assert_eq!(request(words("trust --revoke x")).unwrap(), revoke);
        for wrong in ["trust", "trust . --list", "trust . --revoke x", "trust --force", "trust . --json"] {
            assert_eq!(request(words(wrong)).unwrap_err().code, crate::exit::USAGE, "{wrong}");
        }
    }

    #[test]
    fn a_backup_is_created_or_restored() {
        let file = PathBuf::from("x.db");
        let create = BackupOrder::Create { file: file.clone(), instance: None, force: true };
        assert_eq!(request(words("backup create x.db --force")).unwrap(), Request::Backup(create));
        let restore = BackupOrder::Restore { file, instance: Some("a".to_owned()) };
        assert_eq!(request(words("backup restore --instance a x.db")).unwrap(), Request::Backup(restore));
        for wrong in
            ["backup", "backup x.db", "backup create", "backup restore", "backup restore x.db --force"]
        {
            assert_eq!(request(words(wrong)).unwrap_err().code, crate::exit::USAGE, "{wrong}");
        }
    }
}
