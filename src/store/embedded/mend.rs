//! What happens after a failure. redb refuses everything after an error of the system,
//! reads that are not in its cache with it, until it is opened again; so that is done at
//! once. Whether a change whose commit failed is stored all the same is seen then: each
//! change counts itself.

use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use redb::Database;

use crate::store::StoreError;
use crate::store::embedded::tables::{Snapshot, Tables};
use crate::store::embedded::{EmbeddedStore, failed};

/// After a failure nothing is tried for this long, at least.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// The same as a multiple of what it took to open the store again, which checks all of
/// it: a large one on a full disk shall not be busy with that alone.
const PAUSE_FACTOR: u32 = 4;

/// The database, and what is known of its last failure.
#[derive(Debug)]
pub(super) struct Held {
    /// `None` while it cannot be opened.
    database: Option<Database>,
    /// What is read meanwhile, where the disk can be read.
    view: Option<Database>,
    /// The number of the last change that is stored.
    sequence: u64,
    /// The number of a change that may be stored or not.
    doubt: Option<u64>,
    /// What became of it.
    settled: Option<bool>,
    failure: Option<Failure>,
}

#[derive(Debug)]
struct Failure {
    problem: String,
    /// Nothing is tried before.
    until: Duration,
}

impl Held {
    pub(super) fn new(database: Database, sequence: u64) -> Self {
        let (view, doubt, settled, failure) = (None, None, None, None);
        Self { database: Some(database), view, sequence, doubt, settled, failure }
    }
}

impl EmbeddedStore {
    /// Reads; once more where the database had to be opened again. `act` goes on where it
    /// was.
    pub(super) fn look<T>(
        &self,
        mut act: impl FnMut(&Snapshot) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let snapshot = self.snapshot();
        match act(&snapshot) {
            Err(error) if error.needs_reopening() => {
                self.reopen_after(&snapshot, &error)?;
                act(&self.snapshot())
            }
            done => done,
        }
    }

    /// Changes the tables, durably; readers see it when it returns.
    pub(super) fn change(
        &self,
        act: impl FnOnce(&mut Tables<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut held = self.held();
        self.pause_or_open(&mut held)?;
        if held.settled.is_some() {
            // Whoever asked for it must know first.
            let problem = "a change was in doubt".to_owned();
            return Err(StoreError::Failing { problem });
        }
        let sequence = held.sequence + 1;
        let changed =
            catch_unwind(AssertUnwindSafe(|| change(held.database.as_ref(), sequence, act)));
        // redb may hold locks that are poisoned now.
        let panicked = |_| Err(failed(redb::StorageError::LockPoisoned(Location::caller())));
        match changed.unwrap_or_else(panicked) {
            Ok(snapshot) => {
                if held.failure.take().is_some() {
                    tracing::info!("the store takes writes again");
                }
                held.sequence = sequence;
                self.show(snapshot);
                Ok(())
            }
            Err(error) if error.needs_reopening() => {
                held.doubt = Some(sequence);
                let opened = self.reopen(&mut held, &error);
                match (opened, error) {
                    (Ok(()), _) if held.settled.take() == Some(true) => Ok(()),
                    (Err(_), StoreError::Database(problem)) => Err(StoreError::InDoubt(problem)),
                    (_, error) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the database if it is not open, and says what became of what was in doubt.
    pub(super) fn settle(&self) -> Result<Option<bool>, StoreError> {
        let mut held = self.held();
        if held.database.is_none() {
            self.pause_or_open(&mut held)?;
        }
        Ok(held.settled.take())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, snapshot: Snapshot) {
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }

    /// After a reader has failed with this snapshot.
    fn reopen_after(&self, failed: &Arc<Snapshot>, error: &StoreError) -> Result<(), StoreError> {
        let mut held = self.held();
        let is_new = !Arc::ptr_eq(&self.snapshot(), failed);
        if is_new && (held.database.is_some() || held.view.is_some()) {
            return Ok(());
        }
        self.pause(&held)?;
        self.reopen(&mut held, error)
    }

    fn pause(&self, held: &Held) -> Result<(), StoreError> {
        match &held.failure {
            Some(it) if self.clock.elapsed() < it.until => {
                Err(StoreError::Failing { problem: it.problem.clone() })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn pause_or_open(&self, held: &mut Held) -> Result<(), StoreError> {
        self.pause(held)?;
        if held.database.is_some() {
            return Ok(());
        }
        let problem = held.failure.as_ref().map(|it| it.problem.clone()).unwrap_or_default();
        self.reopen(held, &StoreError::Failing { problem })?;
        if let Some(failure) = &mut held.failure {
            failure.until = Duration::ZERO;
        }
        Ok(())
    }

    /// Closes the database and opens it again.
    fn reopen(&self, held: &mut Held, error: &StoreError) -> Result<(), StoreError> {
        let begun = self.clock.elapsed();
        // Its file is locked until then.
        let closed = (held.database.take(), held.view.take());
        if let Err(error) = caught(|| {
            drop(closed);
            Ok(())
        }) {
            tracing::error!(%error, "the store was not closed in good order");
        }
        let opened = caught(|| {
            let database = self.place.open()?;
            let snapshot = Snapshot::of(&database)?;
            Ok((database, snapshot.sequence()?, snapshot))
        });
        let now = self.clock.elapsed();
        let pause = PAUSE_MIN.max(now.saturating_sub(begun) * PAUSE_FACTOR);
        let problem = if let StoreError::Failing { problem } = error {
            problem.clone()
        } else if let StoreError::Database(it) = error {
            it.to_string()
        } else {
            error.to_string()
        };
        let is_first = held.failure.is_none();
        held.failure = Some(Failure { problem, until: now + pause });
        let (database, sequence, snapshot) = match opened {
            Ok(it) => it,
            Err(again) => {
                tracing::error!(%again, ?pause, "the store cannot be opened for writes yet");
                self.read_on(held);
                return Err(again);
            }
        };
        held.database = Some(database);
        held.sequence = sequence;
        if let Some(doubt) = held.doubt.take() {
            held.settled = Some(sequence >= doubt);
        }
        self.show(snapshot);
        if is_first {
            tracing::warn!(%error, "the store was opened again after a failure, reads go on");
        }
        Ok(())
    }

    /// Reads the disk as it is.
    fn read_on(&self, held: &mut Held) {
        let opened = caught(|| {
            let view = self.place.view()?;
            Ok((Snapshot::of(&view)?, view))
        });
        match opened {
            Ok((snapshot, view)) => {
                held.view = Some(view);
                self.show(snapshot);
            }
            Err(error) => tracing::error!(%error, "nor for reads"),
        }
    }
}

/// After a panic, redb may hold locks that are poisoned: that is a failure as others are.
fn caught<T>(act: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(act))
        .unwrap_or_else(|_| Err(failed(redb::StorageError::LockPoisoned(Location::caller()))))
}

fn change(
    database: Option<&Database>,
    sequence: u64,
    act: impl FnOnce(&mut Tables<'_>) -> Result<(), StoreError>,
) -> Result<Snapshot, StoreError> {
    let database = database.ok_or_else(|| failed(redb::StorageError::PreviousIo))?;
    let transaction = database.begin_write().map_err(failed)?;
    {
        let mut tables = Tables::open(&transaction)?;
        act(&mut tables)?;
        tables.count_change(sequence)?;
        tables.finish()?;
    }
    transaction.commit().map_err(failed)?;
    Snapshot::of(database)
}

impl StoreError {
    /// Whether the database refuses everything from then on.
    fn needs_reopening(&self) -> bool {
        let Self::Database(error) = self else { return false };
        matches!(
            **error,
            redb::Error::Io(_)
                | redb::Error::PreviousIo
                | redb::Error::DatabaseClosed
                // After a panic.
                | redb::Error::LockPoisoned(_)
        )
    }
}
