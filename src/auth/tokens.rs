//! The tokens that hold: read from their file, and read again when it changes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use crate::auth::bucket::Bucket;
use crate::auth::file::{self, FileError, Grant};
use crate::auth::stamp::Stamp;
use crate::auth::token::{Role, TokenHash};
use crate::clock::Clock;

/// All tokens that are taken.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    clock: Clock,
    stamp: Mutex<Stamp>,
    holders: RwLock<Arc<[Arc<Holder>]>>,
}

/// Who has a token, and what was asked with it.
#[derive(Debug)]
pub struct Holder {
    grant: Grant,
    bucket: Option<Bucket>,
    clock: Clock,
    is_revoked: AtomicBool,
}

impl Tokens {
    /// Reads the file.
    pub fn open(path: &Path, clock: Clock) -> Result<Self, FileError> {
        let stamp = Mutex::new(Stamp::of(path));
        let holders = file::read(path)?.into_iter().map(|it| Holder::new(it, &clock)).collect();
        Ok(Self { path: path.to_owned(), clock, stamp, holders: RwLock::new(holders) })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.holders().len()
    }

    /// Whose token this is. Takes the same time whichever it is, and if it is none.
    pub fn holder_of(&self, sent: &[u8]) -> Option<Arc<Holder>> {
        let hash = TokenHash::of(sent);
        let holders = self.holders();
        // One past the end: none.
        let mut found = u32::try_from(holders.len()).unwrap_or(u32::MAX);
        for (at, holder) in (0..).zip(holders.iter()) {
            found.conditional_assign(&at, holder.grant.hash.ct_eq(&hash));
        }
        holders.get(found as usize).cloned()
    }

    /// Reads the file again if it has changed, and says how many tokens it has.
    /// What cannot be read changes nothing. Blocks.
    pub fn reload(&self) -> Option<Result<usize, FileError>> {
        let stamp = Stamp::of(&self.path);
        let before = std::mem::replace(
            &mut *self.stamp.lock().unwrap_or_else(PoisonError::into_inner),
            stamp,
        );
        (before != stamp).then(|| Ok(self.replace(file::read(&self.path)?)))
    }

    fn replace(&self, grants: Vec<Grant>) -> usize {
        let before = self.holders();
        // A token with the same limit goes on with what it has left.
        let same = |grant: &Grant| before.iter().find(|it| it.is_of(grant)).cloned();
        let after: Arc<[_]> = grants
            .into_iter()
            .map(|it| same(&it).unwrap_or_else(|| Holder::new(it, &self.clock)))
            .collect();
        for holder in before.iter() {
            let is_kept = |it: &Arc<Holder>| it.has_hash_of(holder) && it.role() >= holder.role();
            if !after.iter().any(is_kept) {
                holder.is_revoked.store(true, Ordering::Relaxed);
            }
        }
        let count = after.len();
        *self.holders.write().unwrap_or_else(PoisonError::into_inner) = after;
        count
    }

    fn holders(&self) -> Arc<[Arc<Holder>]> {
        Arc::clone(&self.holders.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Holder {
    fn new(grant: Grant, clock: &Clock) -> Arc<Self> {
        let bucket = grant.rate_per_s.map(|it| Bucket::new(it, clock.elapsed()));
        Arc::new(Self { grant, bucket, clock: clock.clone(), is_revoked: AtomicBool::new(false) })
    }

    /// What the token allows.
    pub fn role(&self) -> Role {
        self.grant.role
    }

    /// What the audit log calls it.
    pub fn name(&self) -> &str {
        &self.grant.name
    }

    /// Requests a second, at most.
    pub fn rate_per_s(&self) -> Option<u32> {
        self.grant.rate_per_s
    }

    /// Whether the token is no longer in the file, or with a lesser role.
    pub fn is_revoked(&self) -> bool {
        self.is_revoked.load(Ordering::Relaxed)
    }

    /// Takes one request, or says how long to wait for it.
    pub fn take(&self) -> Result<(), Duration> {
        self.bucket.as_ref().map_or(Ok(()), |it| it.take(self.clock.elapsed()))
    }

    /// Takes requests that have come. Says how long to wait before the next.
    pub fn charge(&self, count: u32) -> Option<Duration> {
        self.bucket.as_ref().and_then(|it| it.charge(count, self.clock.elapsed()))
    }

    fn is_of(&self, grant: &Grant) -> bool {
        let Grant { role, hash, name, rate_per_s } = grant;
        let mine = &self.grant;
        bool::from(mine.hash.ct_eq(hash))
            && (mine.role, &mine.name, mine.rate_per_s) == (*role, name, *rate_per_s)
    }

    fn has_hash_of(&self, other: &Self) -> bool {
        bool::from(self.grant.hash.ct_eq(&other.grant.hash))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::auth::token::Token;

    fn line(role: Role, token: &Token, options: &str) -> String {
        format!("{role} {} {options}\n", token.hash().to_hex())
    }

    #[test]
    fn a_file_that_changed_is_read_again_and_a_wrong_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let [a, b] = [Token::random().unwrap(), Token::random().unwrap()];
        fs::write(&path, line(Role::Read, &a, "name=a")).unwrap();
        let tokens = Tokens::open(&path, Clock::manual(0)).unwrap();
        let role = |it: &Token| tokens.holder_of(it.reveal().as_bytes()).map(|it| it.role());
        assert_eq!((role(&a), role(&b)), (Some(Role::Read), None));
        assert!(tokens.reload().is_none());
        let before = tokens.holder_of(a.reveal().as_bytes()).unwrap();

        fs::write(&path, line(Role::Read, &a, "name=a") + &line(Role::Admin, &b, "")).unwrap();
        assert_eq!(tokens.reload().unwrap().unwrap(), 2);
        assert_eq!((role(&a), role(&b)), (Some(Role::Read), Some(Role::Admin)));

        fs::write(&path, "nonsense").unwrap();
        assert!(tokens.reload().unwrap().is_err());
        assert!(tokens.reload().is_none(), "told once");
        assert_eq!((role(&a), role(&b)), (Some(Role::Read), Some(Role::Admin)));
        assert!(!before.is_revoked());

        fs::write(&path, line(Role::Write, &b, "")).unwrap();
        assert_eq!(tokens.reload().unwrap().unwrap(), 1);
        assert_eq!((role(&a), role(&b)), (None, Some(Role::Write)));
        assert!(before.is_revoked());
        let writer = tokens.holder_of(b.reveal().as_bytes()).unwrap();
        fs::write(&path, line(Role::Read, &b, "")).unwrap();
        tokens.reload().unwrap().unwrap();
        assert!(writer.is_revoked(), "its streams may no longer write");
    }

    #[test]
    fn a_limit_outlives_a_reload() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let token = Token::random().unwrap();
        fs::write(&path, line(Role::Read, &token, "rate=1")).unwrap();
        let clock = Clock::manual(0);
        let tokens = Tokens::open(&path, clock.clone()).unwrap();
        let take = || tokens.holder_of(token.reveal().as_bytes()).unwrap().take();
        take().unwrap();
        fs::write(&path, line(Role::Read, &token, "rate=1") + "# touched\n").unwrap();
        tokens.reload().unwrap().unwrap();
        assert_eq!(take(), Err(Duration::from_secs(1)));
        clock.advance(Duration::from_secs(1));
        take().unwrap();
    }
}
