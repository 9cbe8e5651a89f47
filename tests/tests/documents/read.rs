//! A document as its parts: fenced blocks with what stands behind their language, and words between backticks.

use house::workspace_dir;

/// Every document whose commands are run.
pub(crate) const DOCUMENTS: [&str; 8] = [
    "README.md",
    "ORCHESTRATOR.md",
    "extensions/README.md",
    "host-bin/README.md",
    "kernel/README.md",
    "kernel/contracts/README.md",
    "manifests/README.md",
    "tests/benches/README.md",
];

/// A fenced block.
#[derive(Debug, PartialEq)]
pub(crate) struct Block {
    /// Of its first line, from 1.
    pub(crate) line: usize,
    pub(crate) language: String,
    /// What stands behind the language: a file's name, or `no-run` and a reason.
    pub(crate) note: String,
    pub(crate) text: String,
}

/// A text between backticks, outside of blocks.
#[derive(Debug, PartialEq)]
pub(crate) struct Word {
    pub(crate) line: usize,
    pub(crate) text: String,
}

#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) blocks: Vec<Block>,
    pub(crate) words: Vec<Word>,
}

/// Reads a document of the workspace.
pub(crate) fn document(path: &str) -> Document {
    let text = std::fs::read_to_string(workspace_dir().join(path));
    parse(&text.unwrap_or_else(|e| panic!("cannot read `{path}`: {e}")))
}

fn parse(text: &str) -> Document {
    let mut document = Document::default();
    let mut open: Option<Block> = None;
    for (idx, line) in text.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(info)) => {
                let (language, note) = info.split_once(' ').unwrap_or((info, ""));
                let (language, note) = (language.to_owned(), note.trim().to_owned());
                open = Some(Block { line: idx + 2, language, note, text: String::new() });
            }
            (Some(_), Some(_)) => document.blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {
                let words = line.split('`').skip(1).step_by(2);
                document.words.extend(words.map(|text| Word { line: idx + 1, text: text.to_owned() }));
            }
        }
    }
    assert!(open.is_none(), "a block is not closed: {open:?}");
    document
}

#[test]
fn blocks_and_words_are_told_apart() {
    let Document { blocks, words } = parse("a `b c` and `d`\n```sh no-run why\n`e`\n```\n`f`\n");
    let block = |line, note: &str, text: &str| Block {
        line,
        language: "sh".to_owned(),
        note: note.to_owned(),
        text: text.to_owned(),
    };
    assert_eq!(blocks, [block(3, "no-run why", "`e`\n")]);
    let words: Vec<(usize, &str)> = words.iter().map(|word| (word.line, word.text.as_str())).collect();
    assert_eq!(words, [(1, "b c"), (1, "d"), (5, "f")]);
}
