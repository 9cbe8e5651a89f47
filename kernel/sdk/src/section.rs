//! The bytes of the `.dispatch` section: one JSON line about the build, a newline, then `extension.toml`.

const ABI: &str = dispatch_abi::ABI_VERSION;
const SDK: &str = env!("CARGO_PKG_VERSION");
const RUSTC: &str = env!("DISPATCH_RUSTC");

/// Room for the line; it is padded with spaces, which JSON allows.
pub const LINE: usize = 160;

/// The line for a library whose panic strategy is `unwind` or `abort`.
pub const fn line(unwind: bool) -> [u8; LINE] {
    let parts: [&[u8]; 9] = [
        b"{\"abi\":\"",
        ABI.as_bytes(),
        b"\",\"sdk\":\"",
        SDK.as_bytes(),
        b"\",\"rustc\":\"",
        RUSTC.as_bytes(),
        b"\",\"panic\":\"",
        if unwind { b"unwind" } else { b"abort" },
        b"\"}",
    ];
    let mut out = [b' '; LINE];
    let mut at = 0;
    let mut part = 0;
    while part < parts.len() {
        let bytes = parts[part];
        let mut i = 0;
        while i < bytes.len() {
            assert!(at < LINE - 1, "the compiler's version is longer than the line has room for");
            out[at] = bytes[i];
            at += 1;
            i += 1;
        }
        part += 1;
    }
    out[LINE - 1] = b'\n';
    out
}

/// `line` followed by `manifest`; `N` is the sum of their lengths.
pub const fn concat<const N: usize>(line: &[u8], manifest: &[u8]) -> [u8; N] {
    assert!(N == line.len() + manifest.len(), "the section holds the line and the manifest");
    let mut out = [0; N];
    let mut i = 0;
    while i < N {
        out[i] = if i < line.len() { line[i] } else { manifest[i - line.len()] };
        i += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_line_is_json_and_ends_with_a_newline() {
        let line = super::line(true);
        let value: serde_json::Value = serde_json::from_slice(&line).expect("padded JSON");
        assert_eq!(value["abi"], dispatch_abi::ABI_VERSION);
        assert_eq!(value["panic"], "unwind");
        assert_eq!(line[super::LINE - 1], b'\n');
    }
}
