//! A token, what it allows, and the hash that is kept of it.

use std::fmt;
use std::str::FromStr;

use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use subtle::{Choice, ConstantTimeEq};

/// What tokens begin with, so that scanners for secrets can know them.
pub const PREFIX: &str = "doublon_";
/// Random bytes of a token.
pub const RANDOM_BYTES: usize = 32;
/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;

/// What a token allows; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Questions.
    Read,
    /// Changes of articles too.
    Write,
    /// Everything.
    Admin,
}

/// A token as its holder sends it. Never logged: its `Debug` tells nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// The SHA-256 of a token. A token has 256 random bits, so that a fast hash
/// cannot be reversed by trying.
#[derive(Debug, Clone, Copy)]
pub struct TokenHash([u8; HASH_BYTES]);

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random bytes")]
pub struct NoRandomness;

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// As the file of tokens and the command line have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let role = Self::ALL.into_iter().find(|it| it.name() == name);
        role.ok_or_else(|| format!("{name:?} is not a role: give read, write or admin"))
    }
}

impl Token {
    /// A new one, that nobody has.
    pub fn random() -> Result<Self, NoRandomness> {
        let mut bytes = [0; RANDOM_BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(format!("{PREFIX}{}", hex(&bytes))))
    }

    /// To be shown once to its holder.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.0.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl TokenHash {
    /// Of what a caller sent.
    pub fn of(sent: &[u8]) -> Self {
        let mut bytes = [0; HASH_BYTES];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, sent).as_ref());
        Self(bytes)
    }

    /// From lower-case hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 2 * HASH_BYTES || digits.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        let mut bytes = [0; HASH_BYTES];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        // `from_str_radix` takes a sign.
        (!text.contains('+')).then_some(Self(bytes))
    }

    /// As lower-case hexadecimal digits.
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }
}

impl ConstantTimeEq for TokenHash {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(digit), 16));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_tell_nothing_in_a_log() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.reveal().len(), PREFIX.len() + 2 * RANDOM_BYTES);
        assert_eq!(format!("{one:?}"), "Token(..)");
    }

    #[test]
    fn a_hash_is_sha_256_and_its_digits_read_back() {
        // From FIPS 180-4, of "abc".
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let hash = TokenHash::of(b"abc");
        assert_eq!(hash.to_hex(), known);
        assert!(bool::from(TokenHash::from_hex(known).unwrap().ct_eq(&hash)));
        assert!(!bool::from(TokenHash::of(b"abd").ct_eq(&hash)));
        let signed = format!("+{}", &known[1..]);
        for wrong in ["", &known[1..], &known.to_uppercase(), &known.replace('b', "g"), &signed] {
            assert!(TokenHash::from_hex(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn roles_include_those_below() {
        assert!(Role::Read < Role::Write && Role::Write < Role::Admin);
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().is_err());
    }
}
