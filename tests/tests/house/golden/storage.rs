//! Samples of `storage.v1`.
//!
//! They must not know an engine.

use dispatch_contracts::Empty;
use dispatch_contracts::storage::*;
use serde_json::json;

use super::sample::{Golden, golden, raw};

const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn entry() -> Entry {
    Entry { key: "c/1".to_owned(), value: raw(&json!({"title": "first"})), version: 7 }
}

fn golden_blobs() -> [Golden; 3] {
    [
        golden::<BlobPut>(
            vec![BlobPutParams {
                upload_id: "upload-1".to_owned(),
                offset: 0,
                data: "dGVzdA==".to_owned(),
                last: true,
            }],
            vec![BlobPutReply { hash: Some(HASH.to_owned()) }, BlobPutReply { hash: None }],
            vec![],
        ),
        golden::<BlobGet>(
            vec![BlobGetParams { hash: HASH.to_owned() }],
            vec![BlobGetReply { bytes: 4 }],
            vec![BlobPart { data: "dGVzdA==".to_owned() }],
        ),
        golden::<BlobDelete>(
            vec![BlobDeleteParams { hash: HASH.to_owned() }],
            vec![BlobDeleteReply { deleted: true }],
            vec![],
        ),
    ]
}

pub(super) fn samples() -> Vec<Golden> {
    let commit = CommitParams {
        require: vec![
            Require { key: "c/1".to_owned(), version: Some(7) },
            Require { key: "c/2".to_owned(), version: None },
        ],
        put: vec![Put { key: "c/2".to_owned(), value: raw(&json!([1, "two", null])) }],
        delete: vec!["c/1".to_owned()],
    };
    let mut all = vec![
        golden::<Get>(
            vec![GetParams { key: "c/1".to_owned() }],
            vec![GetReply { entry: Some(entry()) }, GetReply { entry: None }],
            vec![],
        ),
        golden::<Scan>(
            vec![
                ScanParams {
                    start: "c/".to_owned(),
                    end: "c0".to_owned(),
                    limit: 100,
                    reverse: true,
                    ..ScanParams::default()
                },
                ScanParams::default(),
                ScanParams { bytes_max: 262_144, keys_only: true, ..ScanParams::default() },
            ],
            vec![
                ScanReply { entries: vec![entry()], more: true },
                ScanReply { entries: vec![], more: false },
            ],
            vec![],
        ),
        golden::<Commit>(
            vec![commit, CommitParams::default()],
            vec![CommitReply { versions: vec![8], durable: true }],
            vec![],
        ),
        golden::<DeleteRange>(
            vec![
                DeleteRangeParams {
                    start: "c/".to_owned(),
                    end: "c0".to_owned(),
                    require: vec![Require { key: "c/1".to_owned(), version: Some(7) }],
                    limit: 100,
                },
                DeleteRangeParams::default(),
            ],
            vec![DeleteRangeReply { n_deleted: 100, more: true, durable: true }],
            vec![],
        ),
        golden::<Watch>(vec![Empty {}], vec![Empty {}], vec![WatchTick {}]),
        golden::<Info>(
            vec![Empty {}],
            vec![InfoReply { durable: true, engine: "sqlite".to_owned() }],
            vec![],
        ),
    ];
    all.extend(golden_blobs());
    all
}
