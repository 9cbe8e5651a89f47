//! A part of a blob as a store takes it.
//!
//! It must not know any store.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_contracts::Fault;
use dispatch_contracts::fault::INVALID;
use dispatch_contracts::storage::BlobPutParams;

/// The bytes of a part, within its bounds.
///
/// Errors: `invalid` (no base64, or an upload id out of bounds), `too_large`.
pub fn blob_part(params: &BlobPutParams) -> Result<Vec<u8>, Fault> {
    let bytes = STANDARD.decode(&params.data).map_err(|e| {
        let (offset, upload_id) = (params.offset, &params.upload_id);
        Fault::new(INVALID, format!("the part at {offset} of `{upload_id}` is not base64: {e}"))
    })?;
    params.check(bytes.len())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dispatch_contracts::storage::BLOB_PART_BYTES_MAX;

    fn part(upload_id: &str, data: &str) -> Result<Vec<u8>, Fault> {
        let (upload_id, data) = (upload_id.to_owned(), data.to_owned());
        blob_part(&BlobPutParams { upload_id, offset: 3, data, last: false })
    }

    #[test]
    fn a_part_is_its_bytes_or_says_what_is_wrong_with_it() {
        assert_eq!(part("u", "dGVzdA=="), Ok(b"test".to_vec()));
        let fault = part("u", "no base64").expect_err("it is none");
        assert!(
            fault.is(INVALID) && fault.message.starts_with("the part at 3 of `u` is not base64: "),
            "{fault}"
        );
        assert!(part("", "dGVzdA==").expect_err("it has no id").is(INVALID));
        let large = STANDARD.encode(vec![0; BLOB_PART_BYTES_MAX + 1]);
        assert!(part("u", &large).expect_err("it is too large").is("too_large"));
    }
}
