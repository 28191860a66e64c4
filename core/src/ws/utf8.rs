//! UTF-8 that arrives in pieces (RFC 3629).

/// Checks a text piece by piece: holds the start of a character that was cut.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Utf8 {
    /// The bytes of a character that is not complete.
    begun: [u8; 4],
    len: u8,
}

impl Utf8 {
    /// Takes the next bytes and says how many from the front may stand: all of them, or those
    /// before the first byte with which no text could go on.
    pub(super) fn admit(&mut self, bytes: &[u8]) -> usize {
        let mut good = 0;
        loop {
            let rest = bytes.get(good..).unwrap_or_default();
            if self.len == 0 {
                good += match core::str::from_utf8(rest) {
                    Ok(text) => text.len(),
                    Err(error) => error.valid_up_to(),
                };
            }
            let Some(byte) = bytes.get(good) else { return good };
            if !self.step(*byte) {
                return good;
            }
            good += 1;
        }
    }

    /// Whether the text may end here.
    pub(super) fn is_complete(self) -> bool {
        self.len == 0
    }

    /// Takes one byte of a character; says whether it may stand there.
    fn step(&mut self, byte: u8) -> bool {
        let end = usize::from(self.len);
        *self.begun.get_mut(end).expect("four bytes are a character or none") = byte;
        match core::str::from_utf8(self.begun.get(..=end).unwrap_or_default()) {
            Ok(_) => self.len = 0,
            Err(error) if error.error_len().is_none() => self.len += 1,
            Err(_) => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_do_not_change_what_is_admitted() {
        let texts: [&[u8]; 12] = [
            b"plain",
            "h\u{e9}\u{20ac}\u{1f600}!".as_bytes(),
            b"\xff",
            b"a\xc3",
            b"a\xc3\x28b",
            b"\xe2\x82X",
            b"\xe0\x80\x80",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xf0\x9f\x98",
            b"\xf0\x9f\x98\xff",
            b"\xc0\xaf",
        ];
        for text in texts {
            let mut whole = Utf8::default();
            let good = whole.admit(text);
            assert_eq!(
                good == text.len() && whole.is_complete(),
                core::str::from_utf8(text).is_ok(),
                "{text:x?}"
            );
            let mut single = Utf8::default();
            let admitted = text.iter().take_while(|byte| single.admit(&[**byte]) == 1).count();
            assert_eq!(admitted, good, "{text:x?}");
            for cut in 0..=good {
                let mut parts = Utf8::default();
                assert_eq!(parts.admit(&text[..cut]), cut);
                assert_eq!(cut + parts.admit(&text[cut..]), good, "{text:x?} at {cut}");
            }
        }
    }
}
