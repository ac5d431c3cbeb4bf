//! The file of tokens: one line a token, its hash and not itself.
//!
//! ```text
//! # role  SHA-256 of the token, hexadecimal                                options
//! write   ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad name=crawler-1 rate=500
//! ```
//!
//! Words are separated by blanks; `#` begins a comment; empty lines are let go.
//! `name` is what the audit log calls the token, `rate` how many requests it may
//! make a second. A token is taken away by deleting its line.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq as _;

use crate::auth::token::{Role, TokenHash};

/// Bytes of the file, at most.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// Tokens of the file, at most: each call is compared with all of them.
pub const TOKENS_MAX: usize = 1024;
/// Bytes of a name, at most.
pub const NAME_BYTES_MAX: usize = 64;
/// Requests a second that a limit may be, at most.
pub const RATE_MAX: u32 = 1_000_000;
/// Digits of the hash that are the name where none is given.
const SHORT_HASH_DIGITS: usize = 8;
/// Lines that are told to be wrong, at most.
const MISTAKES_MAX: usize = 10;

const HEAD: &str = "# Tokens of doublon: role, SHA-256 of the token, and name=NAME, rate=REQUESTS A SECOND.\n\
                    # `doublon token new` adds one. Delete a line to take its token away.\n";

/// What a line of the file says.
#[derive(Debug, Clone)]
pub struct Grant {
    /// What the token allows.
    pub role: Role,
    /// The hash of the token.
    pub hash: TokenHash,
    /// What the audit log calls it: letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Requests a second, at most.
    pub rate_per_s: Option<u32>,
}

/// Why a file of tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("the file of tokens {file:?} cannot be read: {problem}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        problem: io::Error,
    },
    /// It cannot be written.
    #[error("the file of tokens {file:?} cannot be written: {problem}")]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        problem: io::Error,
    },
    /// Lines of it are wrong.
    #[error("the file of tokens {file:?} is wrong: {}", mistakes.join("; "))]
    Wrong {
        /// The file.
        file: PathBuf,
        /// What is wrong in which line.
        mistakes: Vec<String>,
    },
}

/// Reads a file.
pub fn read(path: &Path) -> Result<Vec<Grant>, FileError> {
    parse(path, &text_of(path)?)
}

/// Whether a name can be one of a token.
pub fn is_name(name: &str) -> bool {
    let fits = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(fits)
}

/// The name of a token where none is given.
pub fn default_name(hash: TokenHash) -> String {
    hash.to_hex().chars().take(SHORT_HASH_DIGITS).collect()
}

/// Adds a line, and makes the file where it is not there, readable by its owner
/// only. Takes the place of the file in one step, one process at a time.
pub fn add(path: &Path, grant: &Grant) -> Result<(), FileError> {
    let unwritable = |problem| FileError::Unwritable { file: path.to_owned(), problem };
    // A link stays one: what it leads to is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = match target.parent() {
        Some(it) if !it.as_os_str().is_empty() => it,
        _ => Path::new("."),
    };
    let lock = File::open(folder).map_err(unwritable)?;
    lock.lock().map_err(unwritable)?;
    let mut text = if target.exists() { text_of(path)? } else { HEAD.to_owned() };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&line(grant));
    parse(path, &text)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(unwritable)?;
    file.write_all(text.as_bytes()).map_err(unwritable)?;
    file.as_file().sync_all().map_err(unwritable)?;
    file.persist(&target).map_err(|it| unwritable(it.error))?;
    lock.sync_all().map_err(unwritable)
}

fn text_of(path: &Path) -> Result<String, FileError> {
    let unreadable = |problem| FileError::Unreadable { file: path.to_owned(), problem };
    if fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        let problem = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(unreadable(io::Error::other(problem)));
    }
    fs::read_to_string(path).map_err(unreadable)
}

fn line(grant: &Grant) -> String {
    let Grant { role, hash, name, rate_per_s } = grant;
    let rate = rate_per_s.map(|it| format!(" rate={it}")).unwrap_or_default();
    format!("{role} {} name={name}{rate}\n", hash.to_hex())
}

fn parse(path: &Path, text: &str) -> Result<Vec<Grant>, FileError> {
    let mut grants: Vec<Grant> = Vec::new();
    let mut mistakes = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        match grant(line).and_then(|it| distinct(it, &grants)) {
            Ok(grant) => grants.push(grant),
            Err(problem) => mistakes.push(format!("line {}: {problem}", at + 1)),
        }
    }
    if grants.len() > TOKENS_MAX {
        mistakes.push(format!("it has {} tokens, the limit is {TOKENS_MAX}", grants.len()));
    }
    if mistakes.is_empty() {
        return Ok(grants);
    }
    mistakes.truncate(MISTAKES_MAX);
    Err(FileError::Wrong { file: path.to_owned(), mistakes })
}

/// No message repeats what stands in the file: somebody may have put a token
/// itself there.
fn grant(line: &str) -> Result<Grant, String> {
    let mut words = line.split_whitespace();
    let role = words.next().unwrap_or_default().parse::<Role>();
    let role = role.map_err(|_| "it must begin with read, write or admin".to_owned())?;
    let hash = words.next().and_then(TokenHash::from_hex);
    let hash = hash.ok_or("the second word must be a SHA-256 of 64 digits 0-9a-f")?;
    let mut grant = Grant { role, hash, name: default_name(hash), rate_per_s: None };
    for word in words {
        match word.split_once('=') {
            Some(("name", name)) if is_name(name) => name.clone_into(&mut grant.name),
            Some(("rate", rate)) => {
                let rate = rate.parse().ok().filter(|it| (1..=RATE_MAX).contains(it));
                let allowed = || format!("rate must be 1 to {RATE_MAX} requests a second");
                grant.rate_per_s = Some(rate.ok_or_else(allowed)?);
            }
            Some(("name", _)) => {
                return Err(format!(
                    "name must have 1 to {NAME_BYTES_MAX} letters, digits, '.', '_' or '-'"
                ));
            }
            _ => return Err("what follows the hash must be name=NAME or rate=RATE".to_owned()),
        }
    }
    Ok(grant)
}

fn distinct(grant: Grant, others: &[Grant]) -> Result<Grant, String> {
    if others.iter().any(|it| bool::from(it.hash.ct_eq(&grant.hash))) {
        return Err("another line has the same token".to_owned());
    }
    if others.iter().any(|it| it.name == grant.name) {
        return Err(format!("another line has the name {}", grant.name));
    }
    Ok(grant)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::auth::token::Token;

    fn some(name: &str, rate_per_s: Option<u32>) -> (Token, Grant) {
        let token = Token::random().unwrap();
        let grant =
            Grant { role: Role::Write, hash: token.hash(), name: name.to_owned(), rate_per_s };
        (token, grant)
    }

    #[test]
    fn what_is_added_is_read_and_the_token_is_not_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let (token, first) = some("one", Some(7));
        add(&path, &first).unwrap();
        add(&path, &some("two", None).1).unwrap();
        let read = read(&path).unwrap();
        let facts: Vec<_> = read.iter().map(|it| (it.role, &*it.name, it.rate_per_s)).collect();
        assert_eq!(facts, [(Role::Write, "one", Some(7)), (Role::Write, "two", None)]);
        assert!(bool::from(read[0].hash.ct_eq(&token.hash())));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(HEAD) && !text.contains(token.reveal()), "{text}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_added_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        add(&path, &some("one", None).1).unwrap();
        let before = fs::read_to_string(&path).unwrap();
        add(&path, &some("one", None).1).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
        fs::write(&path, "lost\n").unwrap();
        add(&path, &some("two", None).1).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "lost\n");
        assert!(add(&folder.path().join("no/tokens"), &some("a", None).1).is_err());
    }

    #[test]
    fn wrong_lines_are_told_without_what_they_say() {
        let hash = TokenHash::of(b"a").to_hex();
        let other = TokenHash::of(b"b").to_hex();
        let text = format!(
            "# a comment\n\nread {hash} # its owner\nroot {other}\nread doublon_secret\n\
             write {hash}\nread {other} name=a/b\nread {other} rate=0\nread {other} burst=2\n\
             admin {other}\tname=a  rate=1000000\nread {} name=a\n",
            TokenHash::of(b"c").to_hex()
        );
        let FileError::Wrong { mistakes, .. } = parse(Path::new("f"), &text).unwrap_err() else {
            panic!("not about its lines")
        };
        let lines: Vec<&str> = mistakes.iter().map(|it| it.split(':').next().unwrap()).collect();
        let wrong = ["line 4", "line 5", "line 6", "line 7", "line 8", "line 9", "line 11"];
        assert_eq!(lines, wrong, "{mistakes:?}");
        assert!(!mistakes.join(" ").contains("secret"), "{mistakes:?}");
        let unnamed = parse(Path::new("f"), &format!("read {hash}")).unwrap();
        assert_eq!(unnamed[0].name, &hash[..8]);
    }

    #[test]
    fn one_token_too_many_is_refused() {
        let lines = |count: usize| -> String {
            let line = |it: usize| format!("read {}", TokenHash::of(&it.to_le_bytes()).to_hex());
            (0..count).map(line).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(parse(Path::new("f"), &lines(TOKENS_MAX)).unwrap().len(), TOKENS_MAX);
        assert!(parse(Path::new("f"), &lines(TOKENS_MAX + 1)).is_err());
    }
}
