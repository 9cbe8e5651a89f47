//! The command line, wrong ones first.

use super::{RunArgs, Unrun, parse, spec};

fn parsed(line: &[&str]) -> Result<RunArgs, Unrun> {
    parse(&line.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
}

#[test]
fn an_unknown_option_is_named_with_the_nearest_one() {
    for (wrong, named) in [
        (&["--provder", "x"][..], ["--provder", "--provider"]),
        (&["--jsn", "hi"], ["--jsn", "--json"]),
        (&["--model"], ["--model", "a value is required"]),
        (&["--cwd", "a", "--cwd", "b"], ["--cwd", "multiple times"]),
        (&["--json=yes"], ["--json", "unexpected value"]),
    ] {
        let Err(Unrun::Usage(text)) = parsed(wrong) else { panic!("{wrong:?} is no command line") };
        for part in named {
            assert!(text.contains(part), "{wrong:?}: {text}");
        }
    }
}

#[test]
fn options_stand_anywhere_before_two_dashes() {
    let expected = |words: &[&str]| RunArgs {
        conversation_id: Some("c".into()),
        provider: Some("p".into()),
        model: Some("m".into()),
        engine: Some("e".into()),
        cwd: Some("d".into()),
        json: true,
        words: words.iter().map(|word| (*word).to_owned()).collect(),
    };
    let line = [
        "fix",
        "--conversation",
        "c",
        "--provider=p",
        "--model",
        "m",
        "--engine",
        "e",
        "it",
        "--cwd",
        "d",
        "--json",
    ];
    assert_eq!(parsed(&line), Ok(expected(&["fix", "it"])));
    let line = [
        "--json",
        "--cwd=d",
        "--model=m",
        "--engine=e",
        "--provider",
        "p",
        "--conversation=c",
        "--",
        "--json",
        "-x",
    ];
    assert_eq!(parsed(&line), Ok(expected(&["--json", "-x"])));
}

#[test]
fn a_single_dash_is_a_word() {
    assert_eq!(parsed(&["-"]).map(|args| args.words), Ok(vec!["-".to_owned()]));
    assert_eq!(parsed(&[]), Ok(RunArgs::default()));
}

#[test]
fn help_names_every_option_and_so_does_the_contribution() {
    let Err(Unrun::Help(text)) = parsed(&["--help"]) else { panic!("help was asked for") };
    let options = spec().options;
    assert_eq!(options.len(), 7);
    for option in options {
        assert!(text.contains(&option.name), "{} is not in the help:\n{text}", option.name);
    }
}
