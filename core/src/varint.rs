//! Numbers on the wire: the variable-length integers of QUIC (RFC 9000, section 16), in their
//! shortest form only.

use crate::reason::Reason;
use bytes::BufMut;

/// One more than the largest number that can be written.
pub(crate) const END: u64 = 1 << 62;

/// Bytes of the longest number.
pub(crate) const SIZE_MAX: usize = 8;

/// Appends `value`, which is below [`END`].
pub(crate) fn put(out: &mut impl BufMut, value: u64) {
    if let Ok(short) = u8::try_from(value)
        && short < 0x40
    {
        out.put_u8(short);
    } else if let Ok(short) = u16::try_from(value)
        && short < 0x4000
    {
        out.put_u16(0x4000 | short);
    } else if let Ok(short) = u32::try_from(value)
        && short < 0x4000_0000
    {
        out.put_u32(0x8000_0000 | short);
    } else {
        debug_assert!(value < END, "{value} is too large for the wire");
        out.put_u64(0xc000_0000_0000_0000 | value);
    }
}

/// The number at the front of `bytes` and how many bytes it took; `None` if more bytes are
/// needed to tell.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<(u64, usize)>, Reason> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    if first < 0x40 {
        return Ok(Some((u64::from(first), 1)));
    }
    let size = 1_usize << (first >> 6);
    let Some(raw) = bytes.get(..size) else { return Ok(None) };
    let value = raw.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte));
    let value = value & ((1 << (size * 8 - 2)) - 1);
    let shorter_holds = value < 1 << (size * 4 - 2);
    if shorter_holds { Err(Reason::BadFrame) } else { Ok(Some((value, size))) }
}

/// Reads a complete payload from front to back. Whatever is missing is a bad frame.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Reason> {
        let (first, rest) = self.0.split_first().ok_or(Reason::BadFrame)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Reason> {
        let (value, size) = read(self.0)?.ok_or(Reason::BadFrame)?;
        self.0 = self.0.get(size..).ok_or(Reason::BadFrame)?;
        Ok(value)
    }

    /// A length, then so many bytes.
    pub(crate) fn text(&mut self) -> Result<&'a [u8], Reason> {
        let size = usize::try_from(self.number()?).map_err(|_| Reason::BadFrame)?;
        let (text, rest) = self.0.split_at_checked(size).ok_or(Reason::BadFrame)?;
        self.0 = rest;
        Ok(text)
    }

    /// Nothing may be left over.
    pub(crate) fn finish(self) -> Result<(), Reason> {
        if self.is_empty() { Ok(()) } else { Err(Reason::BadFrame) }
    }
}

/// A length or count for the wire.
pub(crate) fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// A number from the wire as a count; what does not fit is as good as without limit.
pub(crate) fn narrow(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    #[test]
    fn a_number_comes_back_as_it_was_written() {
        for shift in 0..62 {
            for value in [(1 << shift) - 1, 1 << shift, (1 << shift) + 1] {
                let mut out = BytesMut::new();
                put(&mut out, value);
                assert_eq!(read(&out), Ok(Some((value, out.len()))), "{value}");
                for cut in 0..out.len() {
                    assert_eq!(read(&out[..cut]), Ok(None), "{value} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn a_number_in_a_longer_form_than_needed_is_refused() {
        let longer: [&[u8]; 4] = [
            &[0x40, 0x3f],
            &[0x80, 0, 0x3f, 0xff],
            &[0x80, 0, 0, 0],
            &[0xc0, 0, 0, 0, 0x3f, 0xff, 0xff, 0xff],
        ];
        for bytes in longer {
            assert_eq!(read(bytes), Err(Reason::BadFrame), "{bytes:?}");
        }
    }
}
