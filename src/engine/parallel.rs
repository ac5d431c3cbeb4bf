//! Batches on all processors. A batch of one part stays on its thread: handing
//! it over would cost more than it saves.

use rayon::prelude::*;

use crate::engine::error::EngineError;

/// Items of a batch that are worked on together, and share what they read, at most.
const PART: usize = 64;
/// The same, at least.
const PART_MIN: usize = 8;
/// Items that are asked of a cluster together, at most.
const FAR_PART: usize = 256;

/// Does the work for each item; results in the order of the items.
pub(super) fn each<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Send + Sync) -> Vec<R> {
    if items.len() <= PART {
        return items.into_iter().map(work).collect();
    }
    items.into_par_iter().map(work).collect()
}

/// Does the work for each part of the items; results in the order of the items.
pub(super) fn parts<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&[T]) -> Result<Vec<R>, EngineError> + Send + Sync,
) -> Result<Vec<R>, EngineError> {
    let part = (items.len() / (2 * rayon::current_num_threads())).clamp(PART_MIN, PART);
    parts_of(items, part, work)
}

/// The same for questions; where they go to other machines, in few parts.
pub(super) fn questions<T: Sync, R: Send>(
    items: &[T],
    is_far: bool,
    work: impl Fn(&[T]) -> Result<Vec<R>, EngineError> + Send + Sync,
) -> Result<Vec<R>, EngineError> {
    if is_far { parts_of(items, FAR_PART, work) } else { parts(items, work) }
}

fn parts_of<T: Sync, R: Send>(
    items: &[T],
    part: usize,
    work: impl Fn(&[T]) -> Result<Vec<R>, EngineError> + Send + Sync,
) -> Result<Vec<R>, EngineError> {
    if items.len() <= part {
        return work(items);
    }
    let done: Result<Vec<Vec<R>>, EngineError> = items.par_chunks(part).map(work).collect();
    Ok(done?.into_iter().flatten().collect())
}
