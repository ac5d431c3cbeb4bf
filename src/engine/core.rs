//! What the readers and the writer share: the store, the index,
//! the clock and the cues.

use std::sync::{Arc, OnceLock};

use crate::clock::Clock;
use crate::engine::error::EngineError;
use crate::engine::record::{Dictionary, Features, StoredArticle};
use crate::engine::rows::Counter;
use crate::engine::watch::Listener;
use crate::hash::HashMap;
use crate::index::Index;
use crate::index::standing::StandingIndex;
use crate::store::damage::Damage;
use crate::store::{ArticleNumber, Part, Store};
use crate::text::cues::Cues;

#[derive(Debug, Clone)]
pub(super) struct Core {
    pub(super) store: Arc<dyn Store>,
    pub(super) index: Arc<dyn Index>,
    pub(super) clock: Clock,
    pub(super) cues: Arc<Cues>,
    /// What records are read by, once it is learnt.
    pub(super) dictionary: Arc<OnceLock<Dictionary>>,
    /// Whether the texts of articles are stored.
    pub(super) keeps_text: bool,
    /// What teasers that wait are found by.
    pub(super) standing: Arc<StandingIndex>,
    /// What is called after teasers were resolved.
    pub(super) listener: Arc<OnceLock<Listener>>,
}

impl Core {
    /// Whether what is asked is asked of other machines.
    pub(super) fn is_far(&self) -> bool {
        self.index.is_shared()
    }

    /// The same for the writer.
    pub(super) fn for_writer(&self) -> Self {
        let store = self.store.for_writer().unwrap_or_else(|| Arc::clone(&self.store));
        let index = self.index.for_writer().unwrap_or_else(|| Arc::clone(&self.index));
        Self { store, index, ..self.clone() }
    }

    /// What records are read by, also where another node has learnt it.
    pub(super) fn words(&self) -> Result<Option<&Dictionary>, EngineError> {
        if self.dictionary.get().is_none()
            && self.store.is_shared()
            && let Some(bytes) = self.store.kept()?
        {
            drop(self.dictionary.set(Dictionary::from_bytes(&bytes)));
        }
        Ok(self.dictionary.get())
    }

    /// Says that teasers were resolved.
    pub(super) fn notify(&self) {
        if let Some(Listener(listener)) = self.listener.get() {
            listener();
        }
    }

    /// The first resolution that is remembered, and the next one.
    pub(super) fn remembered(&self) -> Result<(u64, u64), EngineError> {
        let store = self.store.as_ref();
        Ok((Counter::ResolutionFirst.stored(store)?, Counter::ResolutionNext.stored(store)?))
    }

    /// The features of all these articles in one read; those that are gone are
    /// left out, and so are those that are damaged, which is noted.
    pub(super) fn features(
        &self,
        numbers: impl IntoIterator<Item = ArticleNumber>,
    ) -> Result<HashMap<ArticleNumber, Features>, EngineError> {
        self.features_where(numbers, |_, _| true)
    }

    /// The same for those of which `is_wanted` says so by number and bytes.
    pub(super) fn features_where(
        &self,
        numbers: impl IntoIterator<Item = ArticleNumber>,
        is_wanted: impl Fn(ArticleNumber, &[u8]) -> bool,
    ) -> Result<HashMap<ArticleNumber, Features>, EngineError> {
        self.read(Part::Features, numbers, |number, bytes| {
            is_wanted(number, bytes).then(|| self.decode(number, bytes)).transpose()
        })
    }

    /// From the bytes of [`Part::Features`].
    pub(super) fn decode(
        &self,
        number: ArticleNumber,
        bytes: &[u8],
    ) -> Result<Features, EngineError> {
        let known = self.dictionary.get();
        match Features::decode(number, bytes, known) {
            // By words that another node has learnt.
            Err(_) if known.is_none() && self.store.is_shared() => {
                Features::decode(number, bytes, self.words()?)
            }
            decoded => decoded,
        }
    }

    /// The same for the articles themselves.
    pub(super) fn articles(
        &self,
        numbers: impl IntoIterator<Item = ArticleNumber>,
    ) -> Result<HashMap<ArticleNumber, StoredArticle>, EngineError> {
        self.read(Part::Article, numbers, |number, bytes| {
            StoredArticle::decode(number, bytes).map(Some)
        })
    }

    /// The number of the article with this id.
    pub(super) fn number(&self, id: &str) -> Result<ArticleNumber, EngineError> {
        let found = self.store.numbers(&[id])?.into_iter().next().flatten();
        found.ok_or_else(|| EngineError::ArticleNotFound(id.to_owned()))
    }

    /// The features of the article with this id.
    pub(super) fn named(&self, id: &str) -> Result<(ArticleNumber, Features), EngineError> {
        self.settled(id, |number| Ok(self.features_of(id, number)?.map(|it| (number, it))))
    }

    /// The article with this id, and its features.
    pub(super) fn named_article(&self, id: &str) -> Result<(StoredArticle, Features), EngineError> {
        self.settled(id, |number| {
            let decode = |bytes: &[u8]| StoredArticle::decode(number, bytes);
            let Some(stored) = self.one(Part::Article, number, decode)? else { return Ok(None) };
            self.same_id(Part::Article, number, stored.article.id.as_str() == id)?;
            Ok(self.features_of(id, number)?.map(|it| (stored, it)))
        })
    }

    /// What is read of the content that an id names. If it was replaced between the two
    /// looks, it is read again.
    fn settled<T>(
        &self,
        id: &str,
        read: impl Fn(ArticleNumber) -> Result<Option<T>, EngineError>,
    ) -> Result<T, EngineError> {
        let gone = || EngineError::ArticleNotFound(id.to_owned());
        let mut number = self.number(id)?;
        loop {
            if let Some(found) = read(number)? {
                return Ok(found);
            }
            let now = self.number(id)?;
            if now == number {
                return Err(gone());
            }
            number = now;
        }
    }

    fn features_of(
        &self,
        id: &str,
        number: ArticleNumber,
    ) -> Result<Option<Features>, EngineError> {
        let found = self.one(Part::Features, number, |bytes| self.decode(number, bytes))?;
        let Some(features) = found else { return Ok(None) };
        self.same_id(Part::Features, number, features.id.as_str() == id)?;
        Ok(Some(features))
    }

    fn one<T>(
        &self,
        part: Part,
        number: ArticleNumber,
        decode: impl Fn(&[u8]) -> Result<T, EngineError>,
    ) -> Result<Option<T>, EngineError> {
        let mut found = None;
        self.store.read(part, &[number], &mut |_, bytes| found = Some(decode(bytes)))?;
        found.transpose().inspect_err(|error| self.note(part, number, error))
    }

    fn same_id(&self, part: Part, number: ArticleNumber, is_same: bool) -> Result<(), EngineError> {
        if is_same {
            return Ok(());
        }
        let problem = "it has another id".to_owned();
        let error = EngineError::Damaged { number: number.0, problem };
        self.note(part, number, &error);
        Err(error)
    }

    /// Names a record that cannot be read, once.
    pub(super) fn note(&self, part: Part, number: ArticleNumber, error: &EngineError) {
        let problem = if let EngineError::Damaged { problem, .. } = error {
            problem.clone()
        } else {
            error.to_string()
        };
        self.store.damage().note(Damage::of_record(part, number, problem));
    }

    fn read<T>(
        &self,
        part: Part,
        numbers: impl IntoIterator<Item = ArticleNumber>,
        decode: impl Fn(ArticleNumber, &[u8]) -> Result<Option<T>, EngineError>,
    ) -> Result<HashMap<ArticleNumber, T>, EngineError> {
        let mut numbers: Vec<ArticleNumber> = numbers.into_iter().collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut found =
            HashMap::with_capacity_and_hasher(numbers.len(), ahash::RandomState::default());
        self.store.read(part, &numbers, &mut |number, bytes| match decode(number, bytes) {
            Ok(read) => drop(read.map(|it| found.insert(number, it))),
            Err(error) => self.note(part, number, &error),
        })?;
        Ok(found)
    }
}
