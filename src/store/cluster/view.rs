//! What is stored, while nothing changes: a view has the turn, so that writers wait.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;

use crate::cluster::Asker;
use crate::hash;
use crate::store::cluster::recover::Pending;
use crate::store::cluster::{ClusterStore, turn};
use crate::store::damage::Damage;
use crate::store::{ArticleNumber, Part, Row, Space, State, Store as _, StoreError, View};

/// The turn is made longer after this share of it.
const RENEWED_SHARE: u32 = 3;

/// A turn that is kept until the view is dropped.
#[derive(Debug)]
pub(super) struct ClusterView {
    store: ClusterStore,
    /// Whether others write, because the turn could not be kept.
    is_lost: Arc<AtomicBool>,
    /// Ends the thread that keeps the turn.
    _until: Sender<()>,
}

impl ClusterView {
    pub(super) fn begin(store: ClusterStore) -> Result<Self, StoreError> {
        let store = ClusterStore { asker: Asker::Primary, ..store };
        let holder = format!("{}-view-{:08x}", store.shared.holder, hash::random_64());
        let asking = store.asking(&holder, (0, 0), hash::random_64() >> 1);
        let mut held = store.take_turn(&asking, true)?.ok_or(StoreError::TurnLost)?;
        let redone = store.recover(&holder, &mut held, Pending::Finish)?;
        let (until, dropped) = channel::<()>();
        let kept = store.clone();
        let is_lost = Arc::new(AtomicBool::new(false));
        let lost = Arc::clone(&is_lost);
        let keep = move || {
            let cluster = &kept.shared.cluster;
            let own = (holder.as_str(), held.fence);
            let pause = turn::lease(cluster) / RENEWED_SHARE;
            while dropped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                match turn::keep(cluster, own) {
                    Ok(()) => {}
                    Err(StoreError::TurnLost) => lost.store(true, Ordering::Release),
                    Err(error) => {
                        tracing::warn!(%error, "the turn that a copy is made in cannot be kept");
                    }
                }
            }
            if let Err(error) = kept.end_recovered(own, held.seq, &redone) {
                tracing::warn!(%error, "the turn that a copy was made in ends by itself");
            }
        };
        let thread = thread::Builder::new().name("view".to_owned()).spawn(keep);
        thread.map_err(|_| StoreError::Damaged("no thread can be started"))?;
        Ok(Self { store, is_lost, _until: until })
    }

    /// The store, if nobody has written since.
    fn store(&self) -> Result<&ClusterStore, StoreError> {
        if self.is_lost.load(Ordering::Acquire) {
            Err(StoreError::TurnLost)
        } else {
            Ok(&self.store)
        }
    }
}

impl View for ClusterView {
    fn read(
        &self,
        part: Part,
        numbers: &[ArticleNumber],
        visit: &mut dyn FnMut(ArticleNumber, &[u8]),
    ) -> Result<(), StoreError> {
        self.store()?.read(part, numbers, visit)
    }

    fn scan(
        &self,
        part: Part,
        after: Option<ArticleNumber>,
        count_max: usize,
    ) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError> {
        self.store()?.scan(part, after, count_max)
    }

    fn row(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store()?.row(space, key)
    }

    fn rows(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        count_max: usize,
        _: &mut dyn FnMut(Damage),
    ) -> Result<Vec<Row>, StoreError> {
        self.store()?.rows(space, keys, count_max)
    }

    fn numbers(&self) -> Result<Vec<ArticleNumber>, StoreError> {
        self.store()?.all_numbers()
    }

    fn state(&self) -> Result<State, StoreError> {
        self.store()?.state()
    }
}
