//! API keys: their text, which is shown once, and their hash, which is all that is kept.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::caller::{KeyId, User};
use crate::config::Secret;
use crate::store::{KeyRow, ids};

/// Longest key, in bytes.
const LONGEST: usize = 1_024;

/// Where a user or a key was set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// In the configuration, which alone can change it.
    Config,
    /// While running.
    Store,
}

/// The SHA-256 of a key's text. Enough without salt or stretching: our keys have 128 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct KeyHash(pub(super) [u8; 32]);

impl KeyHash {
    pub(super) fn of(text: &[u8]) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Equality that takes the same time wherever the difference is.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// A key that is known.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) id: KeyId,
    pub(super) hash: KeyHash,
    pub(super) owner: Arc<User>,
    pub(super) source: Source,
}

/// A key that was just made: the only moment at which its text is known.
#[derive(Debug)]
pub struct NewKey {
    /// Names it from now on.
    pub id: KeyId,
    /// Whose key it is.
    pub user_id: String,
    /// The key itself, `sk-` and 32 hexadecimal digits.
    pub text: Secret,
}

impl NewKey {
    /// A key for a user, which nobody has ever had.
    pub(super) fn generate(user_id: &str) -> Self {
        Self {
            id: KeyId::new(&ids::uuid_v4()),
            user_id: user_id.to_owned(),
            text: Secret::new(format!("sk-{}", ids::hex(&ids::random_bytes::<16>()))),
        }
    }

    /// What is kept of it.
    pub(super) fn row(&self) -> KeyRow {
        KeyRow {
            id: self.id.as_str().to_owned(),
            user_id: self.user_id.clone(),
            hash: KeyHash::of(self.text.reveal().as_bytes()).0,
            created_at: ids::unix_seconds(),
        }
    }
}

/// Whether a text can be a key at all. Keys of the configuration may have any shape, but not any
/// length, and no spaces or control characters. What cannot be a key is not even hashed.
pub(super) fn is_well_formed(text: &[u8]) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_keys_have_open_webuis_shape() {
        let key = NewKey::generate("a");
        let (prefix, digits) = key.text.reveal().split_at(3);
        assert_eq!((prefix, digits.len()), ("sk-", 32));
        assert!(
            digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        );
        assert!(!format!("{key:?}").contains(digits));
    }

    #[test]
    fn malformed_keys_are_told() {
        assert!(is_well_formed(b"sk-0123"));
        assert!(is_well_formed(b"any'thing\"--;"));
        assert!(is_well_formed(&[b'a'; LONGEST]));
        for text in ["", "a b", "a\0b", "a\tb", "schlüssel", "' OR 1=1 --"] {
            assert!(!is_well_formed(text.as_bytes()), "{text:?}");
        }
        assert!(!is_well_formed(&[b'a'; LONGEST + 1]));
        assert!(!is_well_formed(&[b'a'; 65_536]));
    }

    #[test]
    fn hash_is_sha_256() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(ids::hex(&KeyHash::of(b"abc").0), expected);
    }
}
