//! Questions whose answers are known: each is made from the seed, asked, and its
//! answer is checked. Knows no time and no loops.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::api::v1;
use crate::client::{Client, ClientError};
use crate::hash;
use crate::load::articles::Corpus;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `PutArticle`: a new article must be created.
    Put,
    /// `MatchTeaser`: the article that the teaser was cut from must come first.
    Teaser,
    /// `FindDuplicates`: of an edited article, the article must come first.
    Duplicates,
    /// `AnalyzePage`: the article of the page must come first.
    Page,
    /// What the echo server gives for a teaser: anything.
    Echo,
}

/// How often each kind is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix(Vec<Kind>);

impl Mix {
    /// Each kind as often as its weight says, of which one at least is not 0.
    pub fn new(weights: &[(Kind, usize)]) -> Self {
        Self(weights.iter().flat_map(|(kind, weight)| vec![*kind; *weight]).collect())
    }

    /// One kind only.
    pub fn only(kind: Kind) -> Self {
        Self(vec![kind])
    }

    fn draw(&self, random: u64) -> Kind {
        let at = random % (self.0.len() as u64).max(1);
        let kind = usize::try_from(at).ok().and_then(|it| self.0.get(it));
        kind.copied().unwrap_or(Kind::Teaser)
    }
}

/// Questions about the articles of a corpus.
#[derive(Debug)]
pub struct Questions {
    /// The articles.
    pub corpus: Corpus,
    /// How many are stored before the first question.
    pub articles: u64,
    /// The number of the next article to put.
    next: AtomicU64,
    answered: AtomicU64,
    salt: AtomicU64,
}

impl Questions {
    /// Questions about the first `articles` of a corpus.
    pub fn new(corpus: Corpus, articles: u64) -> Self {
        Self {
            corpus,
            articles,
            next: AtomicU64::new(articles),
            answered: AtomicU64::new(0),
            salt: AtomicU64::new(0),
        }
    }

    /// Articles that were put, or tried to be: the numbers below it.
    pub fn articles_put(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Answers so far, of all kinds: for those who watch.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(super) fn note_answer(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// The start of a row of random numbers that no other caller has.
    pub(super) fn randoms(&self) -> u64 {
        hash::mix(self.salt.fetch_add(1, Ordering::Relaxed) << 32)
    }

    /// Asks one question of a mix: whether the answer is right.
    pub(super) async fn ask(
        &self,
        client: &mut Client,
        mix: &Mix,
        random: u64,
    ) -> Result<bool, ClientError> {
        self.ask_one(client, mix.draw(random), hash::mix(random)).await
    }

    /// What [`Questions::ask`] asks for a random number.
    pub(super) fn kind(mix: &Mix, random: u64) -> Kind {
        mix.draw(random)
    }

    async fn ask_one(
        &self,
        client: &mut Client,
        kind: Kind,
        random: u64,
    ) -> Result<bool, ClientError> {
        let number = self.corpus.distinct(random, self.articles);
        match kind {
            Kind::Teaser => {
                let answer = client.match_teaser(self.teaser(number, random)).await?;
                Ok(self.is_teaser_of(&answer, number))
            }
            Kind::Echo => {
                client.match_teaser(self.teaser(number, random)).await?;
                Ok(true)
            }
            Kind::Duplicates => {
                let text = self.corpus.variant(number, random);
                let subject = Some(v1::find_duplicates_request::Subject::Text(text));
                let find = v1::FindDuplicatesRequest { subject, ..Default::default() };
                let answer = client.find_duplicates(find).await?;
                Ok(self.is_first(&answer.duplicates, number))
            }
            Kind::Page => {
                let text = self.corpus.page(number, random, self.articles);
                let page = v1::AnalyzePageRequest { text, ..Default::default() };
                let answer = client.analyze_page(page).await?;
                Ok(self.is_first(&answer.body_duplicates, number))
            }
            Kind::Put => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                let answer = client.put_article(self.put(number)).await?;
                Ok(is_created(&answer))
            }
        }
    }

    pub(super) fn put(&self, number: u64) -> v1::PutArticleRequest {
        v1::PutArticleRequest { article: Some(self.corpus.article(number)), ..Default::default() }
    }

    pub(super) fn teaser(&self, number: u64, random: u64) -> v1::MatchTeaserRequest {
        let text = self.corpus.teaser(number, random);
        v1::MatchTeaserRequest { text, ..Default::default() }
    }

    pub(super) fn is_teaser_of(&self, answer: &v1::MatchTeaserResponse, number: u64) -> bool {
        answer.verdict() == v1::TeaserVerdict::Match
            && answer.matches.first().is_some_and(|it| self.corpus.is_id(&it.article_id, number))
    }

    fn is_first(&self, found: &[v1::Duplicate], number: u64) -> bool {
        found.first().is_some_and(|it| self.corpus.is_id(&it.article_id, number))
    }
}

pub(super) fn is_created(answer: &v1::PutArticleResponse) -> bool {
    answer.outcome() == v1::PutOutcome::Created
}
