//! The tables as one commit left them, for who reads all of them.

use std::ops::Range;

use redb::ReadableTable as _;

use crate::store::damage::Damage;
use crate::store::embedded::failed;
use crate::store::embedded::pages::guarded;
use crate::store::embedded::tables::Snapshot;
use crate::store::{ArticleNumber, Part, Row, Space, State, StoreError, View};

impl View for Snapshot {
    fn read(
        &self,
        part: Part,
        numbers: &[ArticleNumber],
        visit: &mut dyn FnMut(ArticleNumber, &[u8]),
    ) -> Result<(), StoreError> {
        let mut rest = numbers;
        guarded(|| Self::read(self, (part, None), &mut rest, visit))
    }

    fn scan(
        &self,
        part: Part,
        after: Option<ArticleNumber>,
        count_max: usize,
    ) -> Result<Vec<(ArticleNumber, Vec<u8>)>, StoreError> {
        guarded(|| Self::scan(self, part, after, count_max))
    }

    fn row(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        guarded(|| Self::row(self, space, key))
    }

    fn rows(
        &self,
        space: Space,
        keys: Range<&[u8]>,
        count_max: usize,
        found: &mut dyn FnMut(Damage),
    ) -> Result<Vec<Row>, StoreError> {
        guarded(|| Self::rows(self, (space, keys.clone()), count_max, found))
    }

    fn numbers(&self) -> Result<Vec<ArticleNumber>, StoreError> {
        guarded(|| {
            let ids = self.ids.iter().map_err(failed)?;
            let numbers = ids.map(|row| Ok(ArticleNumber(row.map_err(failed)?.1.value())));
            let mut numbers: Vec<ArticleNumber> = numbers.collect::<Result<_, StoreError>>()?;
            numbers.sort_unstable();
            Ok(numbers)
        })
    }

    fn state(&self) -> Result<State, StoreError> {
        guarded(|| Self::state(self))
    }
}
