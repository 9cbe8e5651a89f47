//! Samples of what people and programs see of a host: `command.v1`, `command_host.v1`, `op.v1`.
//!
//! They must not know a projection.

use dispatch_contracts::Empty;
use dispatch_contracts::command::*;
use dispatch_contracts::op::{Intent, List, ListReply, ListedOp, OpExample, OpSpec, SurfaceHints};
use dispatch_contracts::tool::OutputStream;
use serde_json::json;

use super::sample::{CWD, Golden, golden};

pub(super) fn command_spec() -> CommandSpec {
    let option = |name: &str, value: &str| OptionSpec {
        name: name.to_owned(),
        value: value.to_owned(),
        summary: "Which provider.".to_owned(),
    };
    CommandSpec {
        name: "run".to_owned(),
        summary: "Runs one turn.".to_owned(),
        options: vec![option("--provider", "NAME"), option("--json", "")],
    }
}

pub(super) fn op_spec() -> OpSpec {
    OpSpec {
        id: "turns.start".to_owned(),
        summary: "Starts a turn.".to_owned(),
        verb: "turns.v1/start".to_owned(),
        input_schema: json!({"type": "object"}),
        output_schema: json!({"type": "object"}),
        intent: Intent::Write,
        idempotent: false,
        admits_work: true,
        stream: false,
        frame_schema: serde_json::Value::Null,
        examples: vec![OpExample {
            summary: "a new conversation".to_owned(),
            input: json!({"input": "hello"}),
        }],
        error_codes: vec!["turn_in_flight".to_owned()],
        surface: SurfaceHints {
            http_method: "POST".to_owned(),
            http_path: "/v1/conversations/{conversation_id}/turns".to_owned(),
            http_status: 0,
            cli_words: vec!["send".to_owned()],
        },
    }
}

pub(super) fn samples() -> Vec<Golden> {
    let listed = |intent, surface: SurfaceHints| ListedOp {
        instance: "orchestrator".to_owned(),
        schema_hash: "9f86d081884c7d65".to_owned(),
        spec: OpSpec { intent, surface, ..op_spec() },
    };
    let ops = vec![
        listed(Intent::Write, op_spec().surface),
        listed(Intent::Read, SurfaceHints::default()),
        listed(Intent::Destroy, SurfaceHints::default()),
        ListedOp {
            instance: "orchestrator".to_owned(),
            schema_hash: "9f86d081884c7d65".to_owned(),
            spec: OpSpec {
                stream: true,
                frame_schema: json!({"type": "object"}),
                surface: SurfaceHints { http_status: 202, ..op_spec().surface },
                ..op_spec()
            },
        },
    ];
    let out = |stream| OutFrame { stream, text: "hello\n".to_owned() };
    vec![
        golden::<Main>(
            vec![MainParams {
                argv: ["--provider", "demo", "hello"].map(str::to_owned).to_vec(),
                tty: Tty { stdin: false, stdout: true, stderr: true, color: true, rewrites: true },
                cwd: CWD.to_owned(),
            }],
            vec![MainReply { exit_code: 0 }],
            vec![out(OutputStream::Stdout), out(OutputStream::Stderr)],
        ),
        golden::<Read>(
            vec![ReadParams {
                first_within_ms: 3_000,
                bytes_max: 4096,
                line: true,
                question: Some(Question { after_frames: 3, prompt: "allow? ".to_owned() }),
            }],
            vec![ReadReply { text: "yes\n".to_owned(), eof: false, truncated: true }],
            vec![],
        ),
        golden::<List>(vec![Empty {}], vec![ListReply { ops }], vec![]),
    ]
}
