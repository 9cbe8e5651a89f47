//! Bytes in the store, by the name of their content: what is too large for a value, and the images of messages.
//!
//! A blob is whole before anything names it. It must not know what is in one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::contracts::conversations::{BlobParams, BlobReply, KeepBlobParams, KeepBlobReply};
use dispatch_sdk::contracts::message::IMAGE_BYTES_MAX;
use dispatch_sdk::contracts::storage::{BlobGet, BlobGetParams, BlobPut, BlobPutParams};
use dispatch_sdk::{Fault, Host, Item, fault};

/// Most bytes of one part of a blob on its way to the store.
const PART_BYTES: usize = 768 * 1024;

/// `conversations.v1/keep_blob`.
pub(crate) async fn keep(host: &Host, params: &KeepBlobParams) -> Result<KeepBlobReply, Fault> {
    let too_large = |bytes: usize| {
        Fault::new(
            fault::TOO_LARGE,
            format!("an image of {bytes} bytes is too large; at most {IMAGE_BYTES_MAX}"),
        )
    };
    // Before it is decoded: what is refused shall cost nothing.
    if params.data.len() / 4 > IMAGE_BYTES_MAX / 3 + 1 {
        return Err(too_large(params.data.len() / 4 * 3));
    }
    let bytes = STANDARD
        .decode(&params.data)
        .map_err(|why| Fault::new(fault::INVALID, format!("`data` is no base64 with padding: {why}")))?;
    match bytes.len() {
        0 => Err(Fault::new(fault::INVALID, "`data` is empty")),
        1..=IMAGE_BYTES_MAX => Ok(KeepBlobReply { hash: upload(host, &bytes).await? }),
        bytes => Err(too_large(bytes)),
    }
}

/// `conversations.v1/blob`.
pub(crate) async fn read(host: &Host, params: &BlobParams) -> Result<BlobReply, Fault> {
    let bytes = download(host, &params.hash, IMAGE_BYTES_MAX).await?;
    Ok(BlobReply { data: STANDARD.encode(bytes) })
}

/// Puts bytes, at least one, and answers their name.
pub(crate) async fn upload(host: &Host, bytes: &[u8]) -> Result<String, Fault> {
    let upload_id = host.new_id();
    let n_parts = bytes.len().div_ceil(PART_BYTES);
    let mut hash = None;
    for (idx, part) in bytes.chunks(PART_BYTES).enumerate() {
        let params = BlobPutParams {
            upload_id: upload_id.clone(),
            offset: (idx * PART_BYTES) as u64,
            data: STANDARD.encode(part),
            last: idx + 1 == n_parts,
        };
        hash = host.call(BlobPut, &params).await?.hash;
    }
    hash.ok_or_else(|| {
        Fault::new(fault::BROKEN, "the store took a whole blob and did not name it; it breaks `storage.v1`")
    })
}

/// The bytes of that name. Errors: `not_found`; `too_large` above `bytes_max`; `broken` when the store sends no base64.
pub(crate) async fn download(host: &Host, hash: &str, bytes_max: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let mut stream = host.stream(BlobGet, &BlobGetParams { hash: hash.to_owned() });
    loop {
        match stream.next().await? {
            Item::Frame(part) => {
                let part = STANDARD.decode(&part.data).map_err(|_| {
                    Fault::new(fault::BROKEN, format!("the blob `{hash}` comes in parts that are no base64"))
                })?;
                bytes.extend(part);
                if bytes.len() > bytes_max {
                    let message = format!("the blob `{hash}` has more than {bytes_max} bytes");
                    return Err(Fault::new(fault::TOO_LARGE, message));
                }
            }
            Item::End(_) => return Ok(bytes),
        }
    }
}
