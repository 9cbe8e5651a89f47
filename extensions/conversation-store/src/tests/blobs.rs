//! Bytes that messages name.

use super::rig::Rig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::contracts::conversations::{Blob, BlobParams, KeepBlob, KeepBlobParams};
use dispatch_sdk::contracts::message::IMAGE_BYTES_MAX;

#[tokio::test]
async fn an_image_is_kept_under_the_name_of_its_bytes_and_read_as_it_was() {
    let rig = Rig::over_memory().await;
    let data = STANDARD.encode(vec![7; IMAGE_BYTES_MAX]);
    let keep = KeepBlobParams { data: data.clone() };
    let kept = rig.store.call(KeepBlob, &keep).await.unwrap();
    assert_eq!(rig.store.call(KeepBlob, &keep).await.unwrap(), kept, "the same bytes are kept once");
    let read = rig.store.call(Blob, &BlobParams { hash: kept.hash }).await.unwrap();
    assert!(read.data == data);
}

#[tokio::test]
async fn what_is_no_image_is_not_kept_and_what_is_not_kept_is_not_found() {
    let rig = Rig::over_memory().await;
    for (data, code) in [
        (STANDARD.encode(vec![7; IMAGE_BYTES_MAX + 1]), "too_large"),
        ("A".repeat(IMAGE_BYTES_MAX * 2), "too_large"),
        ("no base64!".to_owned(), "invalid"),
        (String::new(), "invalid"),
    ] {
        let fault = rig.store.call(KeepBlob, &KeepBlobParams { data }).await.unwrap_err();
        assert_eq!(fault.code, code, "{fault}");
    }
    assert_eq!(rig.host.calls_of("storage.v1/blob_put").len(), 0, "nothing was written");
    let fault = rig.store.call(Blob, &BlobParams { hash: "0f".repeat(32) }).await.unwrap_err();
    assert_eq!(fault.code, "not_found", "{fault}");
}
