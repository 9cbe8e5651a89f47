//! Blobs: parts in order, named by their hash, streamed back against credit.

use crate::Opened;
use crate::memory_storage::hash;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_contracts::Fault;
use dispatch_contracts::fault::{CONFLICT, INVALID, NOT_FOUND, TOO_LARGE};
use dispatch_contracts::storage::{
    BLOB_BYTES_MAX, BLOB_PART_BYTES_MAX, BlobDelete, BlobDeleteParams, BlobGet, BlobGetParams, BlobPut,
    BlobPutParams,
};
use dispatch_sdk::Item;

/// More than fits into a stream's first credit, and no multiple of a part.
const BLOB_BYTES: usize = 1_500_001;
const PART_BYTES: usize = 400_000;

pub(super) async fn check(storage: &Opened) {
    check_first(storage).await;
    a_deleted_blob_is_gone_for_its_caller_alone(storage).await;
    a_blob_that_is_deleted_while_it_is_read_is_whole_or_not_found(storage).await;
}

pub(super) async fn check_first(storage: &Opened) {
    a_missing_blob_is_not_found(storage).await;
    a_blob_comes_back_as_it_was_put(storage).await;
    an_empty_blob_is_kept(storage).await;
    a_part_out_of_place_is_refused_and_the_upload_goes_on(storage).await;
    a_part_that_is_no_base64_is_invalid(storage).await;
    uploads_side_by_side_do_not_mix(storage).await;
    the_largest_part_is_kept_and_a_larger_one_is_refused(storage).await;
    a_blob_has_a_bounded_size(storage).await;
    a_reader_that_leaves_early_leaves_the_store_working(storage).await;
}

fn part(upload_id: &str, offset: usize, bytes: &[u8], last: bool) -> BlobPutParams {
    BlobPutParams { upload_id: upload_id.into(), offset: offset as u64, data: STANDARD.encode(bytes), last }
}

async fn put_part(storage: &Opened, params: &BlobPutParams) -> Result<Option<String>, Fault> {
    storage.call(BlobPut, params).await.map(|reply| reply.hash)
}

pub(super) fn sample() -> Vec<u8> {
    (0..BLOB_BYTES).map(|i| (i * 31 + i / 251) as u8).collect()
}

/// Uploads in parts; the hash.
pub(super) async fn put(storage: &Opened, upload_id: &str, blob: &[u8]) -> String {
    let n_parts = blob.len().div_ceil(PART_BYTES);
    for (i, bytes) in blob.chunks(PART_BYTES).enumerate() {
        let last = i + 1 == n_parts;
        let reply =
            put_part(storage, &part(upload_id, i * PART_BYTES, bytes, last)).await.expect("it is in order");
        match reply {
            Some(hash) if last => return hash,
            None if !last => {}
            other => panic!("only the last part is answered with a hash, not part {i} with {other:?}"),
        }
    }
    panic!("the suite uploads no blob without parts here")
}

pub(super) async fn get(storage: &Opened, hash: &str) -> Result<Vec<u8>, Fault> {
    let (frames, reply) = storage.stream(BlobGet, &BlobGetParams { hash: hash.to_owned() }).finish().await;
    let bytes: Vec<u8> =
        frames.iter().flat_map(|frame| STANDARD.decode(&frame.data).expect("frames are base64")).collect();
    assert_eq!(reply?.bytes, bytes.len() as u64, "the reply counts the bytes");
    Ok(bytes)
}

async fn a_missing_blob_is_not_found(storage: &Opened) {
    let fault = get(storage, &hash(b"never put")).await.expect_err("nobody put it");
    assert_eq!(fault.code, NOT_FOUND);
}

async fn a_blob_comes_back_as_it_was_put(storage: &Opened) {
    let blob = sample();
    let name = put(storage, "whole", &blob).await;
    assert_eq!(name, hash(&blob), "a blob is named by its sha256");
    assert!(get(storage, &name).await.expect("it is kept") == blob, "the bytes are the same");
    assert_eq!(put(storage, "again", &blob).await, name, "the same bytes have the same name");
}

async fn an_empty_blob_is_kept(storage: &Opened) {
    let name = put_part(storage, &part("empty", 0, b"", true)).await.expect("nothing is a blob, too");
    assert_eq!(name, Some(hash(b"")));
    assert_eq!(get(storage, &hash(b"")).await.expect("it is kept"), b"");
}

async fn a_part_out_of_place_is_refused_and_the_upload_goes_on(storage: &Opened) {
    let fault = put_part(storage, &part("gap", 1, b"x", false)).await.expect_err("it begins at 0");
    assert!(fault.is(INVALID) || fault.is(CONFLICT), "{fault:?}");
    put_part(storage, &part("gap", 0, b"abc", false)).await.expect("it is in order");
    for offset in [0, 2, 4] {
        let fault = put_part(storage, &part("gap", offset, b"x", true)).await.expect_err("it goes on at 3");
        assert!(fault.is(INVALID) || fault.is(CONFLICT), "{fault:?}");
    }
    let name = put_part(storage, &part("gap", 3, b"def", true)).await.expect("it is in order");
    assert_eq!(name, Some(hash(b"abcdef")));
}

async fn a_part_that_is_no_base64_is_invalid(storage: &Opened) {
    let params = BlobPutParams { data: "not base64!".into(), ..part("garbled", 0, b"", true) };
    assert_eq!(put_part(storage, &params).await.expect_err("it is no base64").code, INVALID);
}

async fn uploads_side_by_side_do_not_mix(storage: &Opened) {
    put_part(storage, &part("left", 0, b"l", false)).await.expect("in order");
    put_part(storage, &part("right", 0, b"r", false)).await.expect("in order");
    let other = storage.as_caller("other");
    let theirs = put_part(&other, &part("left", 0, b"theirs", true)).await.expect("another caller's upload");
    let left = put_part(storage, &part("left", 1, b"L", true)).await.expect("in order");
    let right = put_part(storage, &part("right", 1, b"R", true)).await.expect("in order");
    assert_eq!([theirs, left, right], [b"theirs".as_slice(), b"lL", b"rR"].map(|bytes| Some(hash(bytes))));
}

async fn the_largest_part_is_kept_and_a_larger_one_is_refused(storage: &Opened) {
    let blob: Vec<u8> = (0..=BLOB_PART_BYTES_MAX).map(|i| (i * 7 + i / 253) as u8).collect();
    let fault = put_part(storage, &part("largest", 0, &blob, true)).await.expect_err("one byte too many");
    assert!(fault.is(INVALID) || fault.is(TOO_LARGE), "{fault:?}");
    let exact = &blob[..BLOB_PART_BYTES_MAX];
    let name = put_part(storage, &part("largest", 0, exact, true)).await.expect("as much as is allowed");
    assert_eq!(name, Some(hash(exact)), "nothing of the refused part was kept");
    assert!(get(storage, &hash(exact)).await.expect("it is kept") == exact, "the bytes are the same");
}

async fn a_blob_has_a_bounded_size(storage: &Opened) {
    for offset in [BLOB_BYTES_MAX, u64::MAX] {
        let params = BlobPutParams { offset, ..part("endless", 0, b"x", true) };
        let fault = put_part(storage, &params).await.expect_err("it would be too large");
        assert!(fault.is(INVALID) || fault.is(TOO_LARGE), "{fault:?}");
    }
}

async fn a_reader_that_leaves_early_leaves_the_store_working(storage: &Opened) {
    let blob = sample();
    let name = put(storage, "left early", &blob).await;
    let mut stream = storage.stream(BlobGet, &BlobGetParams { hash: name.clone() });
    assert!(matches!(stream.next().await, Ok(Item::Frame(_))), "it begins with a frame");
    drop(stream);
    assert!(get(storage, &name).await.expect("it is kept") == blob, "the next reader gets all of it");
}

async fn delete(storage: &Opened, hash: &str) -> bool {
    storage.call(BlobDelete, &BlobDeleteParams { hash: hash.to_owned() }).await.expect("it answers").deleted
}

async fn a_deleted_blob_is_gone_for_its_caller_alone(storage: &Opened) {
    let other = storage.as_caller("other");
    let blob = &sample()[..3 * PART_BYTES];
    let name = put(storage, "mine", blob).await;
    assert!(!delete(&other, &name).await, "nobody deletes what another caller brought");
    assert_eq!(put(&other, "theirs", blob).await, name);
    assert!(delete(storage, &name).await);
    assert!(!delete(storage, &name).await, "a second time there is nothing");
    assert_eq!(get(storage, &name).await.expect_err("it is deleted").code, NOT_FOUND);
    assert!(get(&other, &name).await.expect("it is kept for the other") == blob);
    assert!(delete(&other, &name).await);
    assert_eq!(get(&other, &name).await.expect_err("it is deleted").code, NOT_FOUND);
    assert_eq!(put(storage, "anew", blob).await, name);
    assert!(get(storage, &name).await.expect("it was brought anew") == blob);
}

async fn a_blob_that_is_deleted_while_it_is_read_is_whole_or_not_found(storage: &Opened) {
    let blob: Vec<u8> = sample().into_iter().rev().collect();
    let name = put(storage, "read", &blob).await;
    let mut stream = storage.stream(BlobGet, &BlobGetParams { hash: name.clone() });
    let Ok(Item::Frame(first)) = stream.next().await else { panic!("it begins with a frame") };
    assert!(delete(storage, &name).await);
    let (rest, reply) = stream.finish().await;
    let parts = [first].into_iter().chain(rest);
    let read: Vec<u8> = parts.flat_map(|frame| STANDARD.decode(&frame.data).expect("base64")).collect();
    match reply {
        Ok(_) => assert!(read == blob, "who is answered has all of it"),
        Err(fault) => assert_eq!(fault.code, NOT_FOUND, "it is not there any more, and that is no damage"),
    }
}
