//! A client that writes, and remembers what was acknowledged and what was under way.

use std::collections::BTreeMap;

use doublon::api::v1;
use doublon::client::{Client, ClientError};

use crate::support::put_request;

/// Articles of one client, at most, before it deletes more than it puts.
const ARTICLES_MAX: usize = 60;
/// Items of a stream.
const STREAM_ITEMS: u64 = 8;
/// Words of an article, and those of its teaser.
const WORDS: u32 = 60;
const TEASER_WORDS: std::ops::Range<u32> = 10..35;

/// SplitMix64.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Something that has one value after each acknowledged change; a change that was under
/// way may have been done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known<T> {
    pub(crate) acknowledged: T,
    pub(crate) maybe: Option<T>,
}

impl<T: PartialEq + Clone> Known<T> {
    fn of(value: T) -> Self {
        Self { acknowledged: value, maybe: None }
    }

    pub(crate) fn allows(&self, value: &T) -> bool {
        self.acknowledged == *value || self.maybe.as_ref() == Some(value)
    }

    /// What was seen after a start holds from then on.
    pub(crate) fn settle(&mut self, value: T) {
        *self = Self::of(value);
    }
}

/// One client's articles: numbers and revisions, `None` for what was deleted.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    pub(crate) name: u32,
    pub(crate) articles: BTreeMap<u32, Known<Option<u32>>>,
    /// Whether the teaser of an article waits; those that are not named were never given.
    pub(crate) teasers: BTreeMap<u32, Known<bool>>,
    next: u32,
    pub(crate) acknowledged: u64,
    random: Random,
}

pub(crate) fn id(writer: u32, number: u32) -> String {
    format!("article-{writer}-{number}")
}

fn words(writer: u32, number: u32, revision: u32, range: std::ops::Range<u32>) -> String {
    let word = |it: u32| format!("w{writer}x{number}x{revision}x{it}");
    range.map(word).collect::<Vec<_>>().join(" ")
}

/// Words that no other article and no other revision has, and an end that all have.
pub(crate) fn text(writer: u32, number: u32, revision: u32) -> String {
    words(writer, number, revision, 0..WORDS) + " and the same end of all"
}

pub(crate) fn teaser(writer: u32, number: u32, revision: u32) -> String {
    words(writer, number, revision, TEASER_WORDS)
}

impl Writer {
    pub(crate) fn new(name: u32) -> Self {
        let random = Random(u64::from(name));
        let (articles, teasers) = (BTreeMap::new(), BTreeMap::new());
        Self { name, articles, teasers, next: 0, acknowledged: 0, random }
    }

    /// Writes until the server goes away.
    pub(crate) async fn write(&mut self, client: &mut Client) {
        while self.step(client).await.is_ok() {}
    }

    /// One change, or a stream of some.
    async fn step(&mut self, client: &mut Client) -> Result<(), ClientError> {
        let live: Vec<u32> = self.live().collect();
        let deletes = if live.len() > ARTICLES_MAX { 50 } else { 10 };
        let any = |random: &mut Random| live[random.below(live.len() as u64) as usize];
        match self.random.below(100) {
            it if it < deletes && !live.is_empty() => {
                let number = any(&mut self.random);
                self.delete(client, number).await
            }
            it if it < deletes + 15 && !live.is_empty() => {
                let number = any(&mut self.random);
                let revision = self.articles[&number].acknowledged.unwrap() + 1;
                self.put(client, number, revision).await
            }
            it if it < deletes + 30 => self.watch(client).await,
            it if it < deletes + 35 => self.put_stream(client).await,
            _ => {
                let number = self.fresh();
                self.put(client, number, 0).await
            }
        }
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = u32> {
        self.articles.iter().filter(|it| it.1.acknowledged.is_some()).map(|it| *it.0)
    }

    /// A number that is new, or one of which only a teaser is there.
    fn fresh(&mut self) -> u32 {
        let awaited = |it: &(&u32, &Known<bool>)| it.1.acknowledged;
        let waiting: Vec<u32> = self.teasers.iter().filter(awaited).map(|it| *it.0).collect();
        if !waiting.is_empty() && self.random.below(2) == 0 {
            return waiting[self.random.below(waiting.len() as u64) as usize];
        }
        self.next += 1;
        self.next
    }

    /// What may be there once this put has been sent.
    fn expect(&mut self, number: u32, revision: u32) {
        let known = self.articles.entry(number).or_insert_with(|| Known::of(None));
        known.maybe = Some(Some(revision));
        if let Some(teaser) = self.teasers.get_mut(&number) {
            teaser.maybe = Some(false);
        }
    }

    fn put_is_done(&mut self, number: u32, revision: u32) {
        self.articles.insert(number, Known::of(Some(revision)));
        if let Some(teaser) = self.teasers.get_mut(&number) {
            teaser.settle(false);
        }
        self.acknowledged += 1;
    }

    async fn put(&mut self, client: &mut Client, number: u32, rev: u32) -> Result<(), ClientError> {
        self.expect(number, rev);
        let request = put_request(&id(self.name, number), &text(self.name, number, rev));
        let answer = client.put_article(request).await?;
        let is_awaited = self.teasers.get(&number).is_some_and(|it| it.acknowledged);
        assert_eq!(answer.resolved_teasers.len(), usize::from(is_awaited), "{number} {rev}");
        self.put_is_done(number, rev);
        Ok(())
    }

    async fn put_stream(&mut self, client: &mut Client) -> Result<(), ClientError> {
        let mut numbers: Vec<u32> = (0..STREAM_ITEMS).map(|_| self.fresh()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut items = Vec::new();
        for number in &numbers {
            self.expect(*number, 0);
            let put = put_request(&id(self.name, *number), &text(self.name, *number, 0));
            items.push(v1::PutArticlesRequest { put: Some(put) });
        }
        let mut answers = client.put_articles(tokio_stream::iter(items)).await?;
        for number in numbers {
            let Some(answer) = answers.message().await? else { break };
            let outcome = answer.outcome.unwrap();
            if let v1::put_articles_response::Outcome::Error(error) = &outcome {
                return Err(ClientError::from(error));
            }
            self.put_is_done(number, 0);
        }
        Ok(())
    }

    async fn delete(&mut self, client: &mut Client, number: u32) -> Result<(), ClientError> {
        self.articles.get_mut(&number).unwrap().maybe = Some(None);
        client.delete_article(id(self.name, number)).await?;
        self.articles.get_mut(&number).unwrap().settle(None);
        self.acknowledged += 1;
        Ok(())
    }

    /// Announces an article that is not there yet.
    async fn watch(&mut self, client: &mut Client) -> Result<(), ClientError> {
        self.next += 1;
        let number = self.next;
        self.teasers.insert(number, Known { acknowledged: false, maybe: Some(true) });
        let page_url = format!("https://{}.example/{number}", self.name);
        let request = v1::MatchTeaserRequest {
            text: teaser(self.name, number, 0),
            watch: Some(v1::Watch { page_url, ..v1::Watch::default() }),
            ..v1::MatchTeaserRequest::default()
        };
        let answer = client.match_teaser(request).await?;
        assert!(!answer.teaser_id.is_empty(), "{answer:?}");
        self.teasers.get_mut(&number).unwrap().settle(true);
        self.acknowledged += 1;
        Ok(())
    }
}
