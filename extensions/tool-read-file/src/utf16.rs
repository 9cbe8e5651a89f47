//! Text in UTF-16, piece by piece, as UTF-8.
//!
//! It must not know files. What is no character becomes U+FFFD.

/// A decoder that remembers what a piece has cut.
pub(crate) struct Utf16 {
    is_little: bool,
    /// Bytes of a unit, or of a pair of them, that has not ended: at most 3.
    rest: Vec<u8>,
}

impl Utf16 {
    /// For a file that begins with its byte order mark.
    pub(crate) fn of(beginning: &[u8]) -> Option<Self> {
        match beginning {
            [0xff, 0xfe, ..] => Some(Self { is_little: true, rest: Vec::new() }),
            [0xfe, 0xff, ..] => Some(Self { is_little: false, rest: Vec::new() }),
            _ => None,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        if self.is_little { "UTF-16LE" } else { "UTF-16BE" }
    }

    /// The next piece; nothing follows it when it is the `last`.
    pub(crate) fn decode(&mut self, bytes: &[u8], last: bool) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(bytes);
        let (pairs, odd) = all.as_chunks::<2>();
        let unit = |pair: &[u8; 2]| {
            if self.is_little { u16::from_le_bytes(*pair) } else { u16::from_be_bytes(*pair) }
        };
        let mut units: Vec<u16> = pairs.iter().map(unit).collect();
        // The first half of a character waits for the second.
        let is_half = |unit: &u16| (0xd800..0xdc00).contains(unit);
        let kept = if last { 0 } else { usize::from(units.last().is_some_and(is_half)) * 2 + odd.len() };
        self.rest = all[all.len() - kept..].to_vec();
        if kept >= 2 {
            units.pop();
        }
        if last && !odd.is_empty() {
            // Half a unit is none: as one that stands alone.
            units.push(0xdc00);
        }
        let text: String =
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::Utf16;

    #[test]
    fn a_text_is_the_same_wherever_it_is_cut() {
        let text = "\u{feff}a€𝄞\r\nb";
        for is_little in [true, false] {
            let bytes = |unit: u16| if is_little { unit.to_le_bytes() } else { unit.to_be_bytes() };
            let file: Vec<u8> = text.encode_utf16().flat_map(bytes).collect();
            for cut in 2..file.len() {
                let mut utf16 = Utf16::of(&file[..cut]).expect("it has its mark");
                let mut shown = utf16.decode(&file[..cut], false);
                shown.extend(utf16.decode(&file[cut..], true));
                assert_eq!(String::from_utf8(shown).as_deref(), Ok(text), "cut at {cut}");
            }
        }
        assert!(Utf16::of("text".as_bytes()).is_none() && Utf16::of(&[0xff]).is_none());
    }

    #[test]
    fn what_is_no_character_is_shown_as_such() {
        let mut utf16 = Utf16::of(&[0xff, 0xfe]).expect("it has its mark");
        let shown = utf16.decode(&[b'a', 0, 0x00, 0xd8, b'b', 0, b'c'], true);
        assert_eq!(String::from_utf8(shown).as_deref(), Ok("a\u{fffd}b\u{fffd}"));
    }
}
