//! All that is stored, read again: whether each pack, row and id is what was written, and
//! whether they fit each other.

use std::collections::BTreeMap;

use redb::ReadableTable;

use crate::store::damage::Damage;
use crate::store::embedded::failed;
use crate::store::embedded::tables::{Snapshot, open_pack};
use crate::store::{ArticleNumber, Part, StoreError};

/// The file, as a damage names it.
const NAME: &str = crate::store::embedded::FILE_NAME;

impl Snapshot {
    /// Tells of everything that is damaged.
    pub(super) fn check(&self, found: &mut dyn FnMut(Damage)) -> Result<(), StoreError> {
        let mut file = |problem: String| found(Damage::File { name: NAME.to_owned(), problem });
        if let Err(error) = self.check_meta() {
            file(error.to_string());
        }
        if let Err(error) = self.kept() {
            file(error.to_string());
        }
        let articles = self.check_packs(Part::Article, found)?;
        let features = self.check_packs(Part::Features, found)?;
        if articles == features {
            self.check_ids(&articles, found)?;
        } else {
            found(Damage::File {
                name: NAME.to_owned(),
                problem: format!(
                    "{} articles, but what is computed from {}",
                    articles.len(),
                    features.len()
                ),
            });
        }
        self.check_rows(found)?;
        if let Err(error) = self.removed() {
            found(Damage::File { name: NAME.to_owned(), problem: error.to_string() });
        }
        Ok(())
    }

    /// The numbers of the records that can be read.
    fn check_packs(
        &self,
        part: Part,
        found: &mut dyn FnMut(Damage),
    ) -> Result<Vec<u32>, StoreError> {
        let mut numbers: Vec<u32> = Vec::new();
        for row in self.table(part).iter().map_err(failed)? {
            let (key, bytes) = row.map_err(failed)?;
            let key = key.value();
            let at = ArticleNumber(key);
            match open_pack(key, bytes.value()) {
                Ok(pack) => {
                    for record in pack.records() {
                        match record {
                            Ok((number, _)) if numbers.last().is_none_or(|it| *it < number) => {
                                numbers.push(number);
                            }
                            Ok(_) => found(Damage::of_record(part, at, "it is out of order")),
                            Err(problem) => found(Damage::of_record(part, at, problem)),
                        }
                    }
                }
                Err(problem) => found(Damage::of_record(part, at, problem)),
            }
        }
        Ok(numbers)
    }

    fn check_ids(&self, numbers: &[u32], found: &mut dyn FnMut(Damage)) -> Result<(), StoreError> {
        let mut file = |problem: String| found(Damage::File { name: NAME.to_owned(), problem });
        let mut named: BTreeMap<u32, String> = BTreeMap::new();
        for row in self.ids.iter().map_err(failed)? {
            let (id, number) = row.map_err(failed)?;
            if let Some(other) = named.insert(number.value(), id.value().to_owned()) {
                file(format!("the ids {other:?} and {:?} name one record", id.value()));
            }
        }
        for number in numbers {
            if named.remove(number).is_none() {
                file(format!("no id names article number {number}"));
            }
        }
        for (number, id) in named {
            file(format!("the id {id:?} names article number {number}, which is not there"));
        }
        let count = self.count()?;
        if count != numbers.len() as u64 {
            file(format!("it has {} articles, and counts {count}", numbers.len()));
        }
        let next = self.state()?.next;
        if numbers.last().is_some_and(|it| *it >= next.0) {
            file(format!("it has a number behind its last, {}", next.0));
        }
        Ok(())
    }
}
