//! The keys of a cluster.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

/// A secret that all nodes of a cluster share: 32 random bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 32]);

/// What is no key. It does not say what was read: that may be a secret all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected 32 bytes in base64 (44 characters) or in hexadecimal (64 digits)")]
pub struct NoKey;

impl Key {
    /// A key of these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 32 bytes in base64 (RFC 4648, section 4, padded) or in hexadecimal.
    pub fn parse(text: &str) -> Result<Self, NoKey> {
        let bytes: Vec<u8> = match text.len() {
            44 => BASE64.decode(text.as_bytes()).map_err(|_| NoKey)?,
            64 => HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| NoKey)?,
            _ => return Err(NoKey),
        };
        bytes.try_into().map(Self).map_err(|_| NoKey)
    }

    /// The secret itself.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The secret in base64, to be handed to those who may know it.
    pub fn reveal(&self) -> alloc::string::String {
        BASE64.encode(&self.0)
    }
}

/// Says nothing: a key is a secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The keys of a cluster, in order: the first one seals, and all of them open. Without any,
/// nodes speak in the clear.
#[derive(Clone, Default, Debug)]
pub struct Ring(Arc<[Key]>);

impl Ring {
    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key that seals.
    pub fn first(&self) -> Option<&Key> {
        self.0.first()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<Key> for Ring {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

/// Keys of one ring: what opens with none of them has cost so many attempts.
pub const KEYS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_key_is_read_in_base64_and_in_hexadecimal() {
        let key = Key::new(core::array::from_fn(|at| u8::try_from(at * 7).unwrap()));
        let hex = HEXLOWER_PERMISSIVE.encode(&key.0);
        for text in [key.reveal(), hex.clone(), hex.to_uppercase()] {
            assert_eq!(Key::parse(&text), Ok(key));
        }
        let base64 = key.reveal();
        let short = BASE64.encode(&[1; 31]);
        let long = BASE64.encode(&[1; 33]);
        for wrong in ["", "x", &base64[1..], &hex[1..], &short, &long, &"!".repeat(44)] {
            assert_eq!(Key::parse(wrong), Err(NoKey), "{wrong}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let ring: Ring = [Key::new([0x41; 32])].into_iter().collect();
        assert_eq!(format!("{ring:?}"), "Ring([Key(..)])");
        assert!(!format!("{NoKey}").contains('A'));
    }
}
