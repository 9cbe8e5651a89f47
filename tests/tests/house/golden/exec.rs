//! Samples of `exec.v1`.
//!
//! They must not know a computer.

use std::collections::BTreeMap;

use dispatch_contracts::exec::*;
use dispatch_contracts::tool::OutputStream;

use super::sample::{AT, CWD, Golden, golden};

const SHA256_OF_TEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

pub(super) fn samples() -> Vec<Golden> {
    let spawn = SpawnParams {
        argv: ["sh", "-c", "echo hello"].map(str::to_owned).to_vec(),
        cwd: CWD.to_owned(),
        env: BTreeMap::from([("LANG".to_owned(), "C.UTF-8".to_owned())]),
        timeout_ms: 120_000,
        output_bytes_max: 65_536,
        output_file_over_bytes: 0,
    };
    let kept = SpawnParams { output_file_over_bytes: 50_000, ..spawn.clone() };
    let exited = SpawnReply {
        exit_code: Some(0),
        signal: None,
        timed_out: false,
        cancelled: false,
        output_bytes: 6,
        dropped_bytes: 0,
        output_file: None,
        output_file_note: String::new(),
        duration_ms: 12,
    };
    let cut = SpawnReply {
        output_bytes: 3_000_000,
        dropped_bytes: 1_951_424,
        output_file: Some("/srv/cache/exec-local/output/1.log".to_owned()),
        output_file_note: "it holds only the first 67108864 bytes".to_owned(),
        ..exited.clone()
    };
    let killed = SpawnReply { exit_code: None, signal: Some(9), timed_out: true, ..exited.clone() };
    let output = |stream, text: &str| OutputFrame { stream, text: text.to_owned() };
    let stat = |kind| StatReply {
        kind,
        bytes: 12,
        modified_at: AT,
        path: format!("{CWD}/README.md"),
        real_path: String::new(),
    };
    let real = StatReply { real_path: format!("{CWD}/doc/README.md"), ..stat(FileKind::File) };
    let listed = |name: &str, kind| ListEntry { name: name.to_owned(), kind };
    let write = WriteParams {
        path: "README.md".to_owned(),
        cwd: CWD.to_owned(),
        data: "dGVzdA==".to_owned(),
        if_exists: IfExists::Replace,
        expect_sha256: Some(SHA256_OF_TEST.to_owned()),
        make_dirs: false,
    };
    let new =
        WriteParams { if_exists: IfExists::Fail, expect_sha256: None, make_dirs: true, ..write.clone() };
    vec![
        golden::<Spawn>(
            vec![spawn, kept],
            vec![exited, killed, cut],
            vec![output(OutputStream::Stdout, "hello\n"), output(OutputStream::Stderr, "oh\n")],
        ),
        golden::<Stat>(
            vec![StatParams { path: "README.md".to_owned(), cwd: CWD.to_owned() }],
            vec![stat(FileKind::File), stat(FileKind::Directory), stat(FileKind::Other), real],
            vec![],
        ),
        golden::<Read>(
            vec![ReadParams {
                path: "README.md".to_owned(),
                cwd: CWD.to_owned(),
                offset: 4,
                bytes_max: 1024,
            }],
            vec![ReadReply { data: "dGVzdA==".to_owned(), file_bytes: 8, eof: true }],
            vec![],
        ),
        golden::<List>(
            vec![ListParams { path: ".".to_owned(), cwd: CWD.to_owned(), entries_max: 100 }],
            vec![ListReply {
                entries: vec![listed("README.md", FileKind::File), listed("src", FileKind::Directory)],
                truncated: false,
            }],
            vec![],
        ),
        golden::<Write>(
            vec![write, new],
            vec![WriteReply {
                path: format!("{CWD}/README.md"),
                bytes: 4,
                sha256: SHA256_OF_TEST.to_owned(),
                created: false,
            }],
            vec![],
        ),
        searches(),
        golden::<Roots>(
            vec![RootsParams { cwd: CWD.to_owned() }],
            vec![
                RootsReply { roots: Some(vec![CWD.to_owned()]), ..RootsReply::default() },
                RootsReply::default(),
                RootsReply {
                    except: vec!["/srv/a/.config/dispatch".to_owned()],
                    sensitive: vec!["/srv/a/.ssh".to_owned()],
                    except_but: vec!["/srv/a/.ssh/config".to_owned()],
                    ..RootsReply::default()
                },
            ],
            vec![],
        ),
    ]
}

fn searches() -> Golden {
    let names = SearchParams {
        path: ".".to_owned(),
        cwd: CWD.to_owned(),
        lines: None,
        include: vec!["*.md".to_owned()],
        exclude: vec!["target".to_owned()],
        hidden: true,
        ignored: false,
        hits_max: 1_000,
        bytes_max: 65_536,
        time_ms: 20_000,
    };
    let pattern = LinePattern {
        pattern: "hel+o".to_owned(),
        kind: PatternKind::Regex,
        ignore_case: true,
        context: 1,
        files_only: false,
        line_chars_max: 500,
    };
    let lines = SearchParams {
        lines: Some(pattern.clone()),
        include: Vec::new(),
        exclude: Vec::new(),
        ..names.clone()
    };
    let text = LinePattern { kind: PatternKind::Text, files_only: true, ..pattern };
    let files = SearchParams { lines: Some(text), ..lines.clone() };
    let line =
        |number, text: &str, matches| FoundLine { number, text: text.to_owned(), cut_of_bytes: 0, matches };
    let cut = FoundLine { cut_of_bytes: 1_503, ..line(7, "hello …", true) };
    let found = |lines| vec![FoundFile { path: "README.md".to_owned(), lines }];
    let all = SearchReply {
        kind: FileKind::Directory,
        files: found(Vec::new()),
        n_hits: 1,
        more: false,
        stopped: None,
        n_unread: 0,
        n_binary: 0,
        n_too_large: 0,
        ignores_cut: false,
    };
    let some = SearchReply {
        kind: FileKind::File,
        files: found(vec![line(6, "oh", false), cut]),
        more: true,
        n_unread: 1,
        n_binary: 2,
        n_too_large: 3,
        ignores_cut: true,
        ..all.clone()
    };
    let stopped = |stop| SearchReply { stopped: Some(stop), ..all.clone() };
    let (cancelled, late) = (stopped(SearchStop::Cancelled), stopped(SearchStop::OutOfTime));
    golden::<Search>(vec![names, lines, files], vec![all, some, cancelled, late], vec![])
}
