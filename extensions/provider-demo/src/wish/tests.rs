//! What is recognised in a request, as a table.

use super::{WISHES_MAX, Wish, read, read_all};

fn file(path: &str) -> Wish {
    Wish::Read { path: path.into() }
}

fn list(path: &str) -> Wish {
    Wish::List { path: path.into() }
}

fn run(command: &str) -> Wish {
    Wish::Run { command: command.into() }
}

#[test]
fn plain_words_are_understood() {
    let cases = [
        ("read Cargo.toml", file("Cargo.toml")),
        ("read README.md and tell me its first line", file("README.md")),
        ("Please read the file `my notes.txt`.", file("my notes.txt")),
        ("show me \"a b/c\"", file("a b/c")),
        ("what's in src/lib.rs?", file("src/lib.rs")),
        ("What does README.md say?", file("README.md")),
        ("cat Makefile", file("Makefile")),
        ("show me the file LICENSE, please", file("LICENSE")),
        ("open .gitignore", file(".gitignore")),
        ("show the contents of /etc/hostname.", file("/etc/hostname")),
        ("read 'it.txt'", file("it.txt")),
        ("list the files", list(".")),
        ("list the files in src", list("src")),
        ("ls ./a/b", list("./a/b")),
        ("show me the directory `x y`", list("x y")),
        ("what files are here?", list(".")),
        ("run `echo hi && ls`", run("echo hi && ls")),
        ("Run ls -la.", run("ls -la")),
        ("execute: cargo test", run("cargo test")),
        ("please run the command date", run("date")),
        ("run cat a.txt", run("cat a.txt")),
        ("what did I ask before?", Wish::Recall),
        ("Do you remember my name? I said it.", Wish::Recall),
        ("what's my name", Wish::Recall),
        ("run the tests", Wish::Unclear { missing: "command" }),
        ("run", Wish::Unclear { missing: "command" }),
        ("show me", Wish::Unclear { missing: "file" }),
        ("read it", Wish::Unclear { missing: "file" }),
        ("hello", Wish::Other),
        ("my name is Ada", Wish::Other),
        ("I like node.js", Wish::Other),
        ("", Wish::Other),
        ("`", Wish::Other),
        ("''\"\"``", Wish::Other),
    ];
    for (text, wish) in cases {
        assert_eq!(read(text), wish, "{text}");
    }
}

#[test]
fn what_is_joined_by_then_is_done_one_after_another() {
    let change = Wish::Change { path: "a b.txt".into(), old: "x then y".into(), new: String::new() };
    let text = "read `a b.txt`, then change `x then y` to `` in `a b.txt` then run `cat 'a b.txt'`";
    assert_eq!(read_all(text), [file("a b.txt"), change, run("cat 'a b.txt'")]);
    assert_eq!(
        read_all("first read it then tell me a joke"),
        [Wish::Other].map(|_| read("first read it then tell me a joke"))
    );
    assert_eq!(read_all("hello"), [Wish::Other]);
    let many = ["run `ls`"; WISHES_MAX + 3].join(" then ");
    assert_eq!(read_all(&many).len(), WISHES_MAX);
}
