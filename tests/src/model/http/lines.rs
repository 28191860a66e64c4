//! Lines, and what may stand in them.

use super::{Field, Flaws};
use pico_core::{Limits, Reason};

/// Lines up to an empty one, or as many as there are.
#[derive(Debug)]
pub(super) struct Lines {
    /// The lines, without their ends and without the empty one.
    pub(super) all: Vec<Vec<u8>>,
    /// Bytes of all of it, ends and empty line too; of all the text, if it does not end.
    pub(super) len: usize,
    /// Whether the empty line is there.
    pub(super) ends: bool,
    /// Whether a line ended in a bare LF.
    pub(super) bare: bool,
}

impl Lines {
    /// The lines with which `text` begins.
    pub(super) fn read(text: &[u8]) -> Self {
        let mut read = Self { all: Vec::new(), len: text.len(), ends: false, bare: false };
        let mut from = 0;
        for (at, byte) in text.iter().enumerate() {
            if *byte != b'\n' {
                continue;
            }
            let line = &text[from..at];
            from = at + 1;
            read.bare |= !line.ends_with(b"\r");
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                (read.ends, read.len) = (true, from);
                return read;
            }
            read.all.push(line.to_vec());
        }
        read
    }

    /// The fields that the lines hold, but for the first few.
    pub(super) fn fields(
        &self,
        skip: usize,
        limits: &Limits,
        flaws: &mut Flaws,
        malformed: Reason,
    ) -> Vec<Field> {
        let lines = self.all.get(skip..).unwrap_or_default();
        if lines.len() > limits.head_fields {
            flaws.insert(Reason::HeadTooLarge);
        }
        if self.all.len() < skip {
            flaws.insert(malformed);
        }
        let fields: Vec<_> = lines.iter().map(|line| field(line)).collect();
        if fields.iter().any(Option::is_none) {
            flaws.insert(malformed);
        }
        fields.into_iter().flatten().collect()
    }
}

/// A name, a colon, and a value with blanks around it.
fn field(line: &[u8]) -> Option<Field> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, mut value) = (&line[..colon], &line[colon + 1..]);
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    (is_token(name) && value.iter().copied().all(is_text)).then(|| (name.to_vec(), value.to_vec()))
}

/// The size that a line, with its end, gives to the chunk behind it.
pub(super) fn chunk_size(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\r\n")?;
    let count = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extension) = line.split_at(count);
    let blanks = extension.iter().take_while(|byte| b" \t".contains(byte)).count();
    let extended = extension.get(blanks) == Some(&b';') && extension.iter().copied().all(is_text);
    if !(1..=15).contains(&count) || !(extension.is_empty() || extended) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// A byte of a field's value, or of a phrase.
pub(super) fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is_tchar(*byte))
}

pub(super) fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
