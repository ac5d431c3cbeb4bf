//! Export: all that is stored as lines, as one commit left it.

use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::article::ArticleId;
use crate::engine::core::Core;
use crate::engine::error::{EngineError, Invalid, Problem};
use crate::engine::record::StoredArticle;
use crate::engine::reference::Reference;
use crate::engine::revision::Revision;
use crate::engine::rows::{
    Counter, KEYS_END, PREFIX_BYTES, article_prefix, key, prefix_end, u32_at,
};
use crate::engine::story::StoryId;
use crate::engine::story::record::{Member, Story};
use crate::engine::transfer::line::{
    ArticleLine, Damaged, End, FORMAT, Head, Kept, Line, MemberLine, RevisionLine, StoryLine,
};
use crate::engine::watch::record::{Resolution, StandingTeaser};
use crate::hash::{self, HashMap};
use crate::store::damage::Damage;
use crate::store::{ArticleNumber, Part, Row, Space, View};

/// Bytes of lines that are given together, but for a line that has more.
const PART_BYTES: usize = 256 << 10;
/// Articles read at a time.
const ARTICLES_BATCH: usize = 64;
/// Numbers that one line says of which of them are still there.
const KEPT_NUMBERS: u32 = 1 << 14;
/// Rows read at a time.
const ROWS_BATCH: usize = 1000;

/// Where an export that was cut off goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// The `store` of its first line.
    pub store: String,
    /// The number of its last article.
    pub after: u32,
}

impl Engine {
    /// Gives all that is stored as lines, part by part, each of whole lines. Stops when a
    /// part is not taken.
    pub fn export(
        &self,
        resumed: Option<&Resumed>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), EngineError> {
        let view = self.core.store.view()?;
        let sink = Sink { bytes: Vec::with_capacity(2 * PART_BYTES), take, is_open: true };
        let mut exporter = Exporter { core: &self.core, view, sink };
        match exporter.run(resumed) {
            // Nobody waits for it.
            Err(_) if !exporter.sink.is_open => Ok(()),
            done => done,
        }
    }
}

struct Exporter<'a> {
    core: &'a Core,
    view: Arc<dyn View>,
    sink: Sink<'a>,
}

/// Where lines go.
struct Sink<'a> {
    bytes: Vec<u8>,
    take: &'a mut dyn FnMut(Vec<u8>) -> bool,
    is_open: bool,
}

impl Sink<'_> {
    fn line(&mut self, line: &Line) -> Result<(), EngineError> {
        // Nothing of a line fails to be written to memory.
        serde_json::to_writer(&mut self.bytes, line).map_err(|_| EngineError::Stopped)?;
        self.bytes.push(b'\n');
        if self.bytes.len() >= PART_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), EngineError> {
        let part = std::mem::replace(&mut self.bytes, Vec::with_capacity(2 * PART_BYTES));
        self.is_open = (self.take)(part);
        if self.is_open { Ok(()) } else { Err(EngineError::Stopped) }
    }

    fn damaged(&mut self, number: Option<u32>, problem: String) -> Result<(), EngineError> {
        self.line(&Line::Damaged(Damaged { number, problem }))
    }
}

impl Exporter<'_> {
    fn run(&mut self, resumed: Option<&Resumed>) -> Result<(), EngineError> {
        let own = format!("{:016x}", self.view.state()?.identity);
        let all = self.view.numbers()?;
        let article_count = all.len() as u64;
        let mut left = all.as_slice();
        if let Some(Resumed { store: known, after }) = resumed {
            if *known != own {
                let allowed = "that of the first line, of an export of this server".to_owned();
                return Err(Invalid::new("store", Problem::OutOfRange { allowed }).into());
            }
            let behind = all.partition_point(|it| it.0 <= *after);
            let (before, behind) = all.split_at(behind);
            left = behind;
            self.kept(before, *after)?;
            self.revisions_of(ArticleNumber(*after))?;
        } else {
            self.sink.line(&Line::Export(Head {
                format: FORMAT,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                id: format!("{:016x}", hash::random_64()),
                store: own,
                article_count,
            }))?;
        }
        self.articles(left)?;
        self.rows(Space::Reference, |key, row| {
            // The shortest keys have counts.
            let is_count = key.len() == PREFIX_BYTES;
            if is_count { Ok(None) } else { Ok(Some(Line::Reference(Reference::decode(row)?))) }
        })?;
        self.rows(Space::Story, |key, row| {
            let (id, story) = (StoryId(number_in(key, 0)?), Story::decode(row)?);
            Ok(Some(Line::Story(StoryLine { id, story })))
        })?;
        self.rows(Space::Member, |key, row| {
            let (story, number) = (StoryId(number_in(key, 0)?), number_in(key, 4)?);
            Ok(Some(Line::Member(MemberLine { story, number, member: Member::decode(row)? })))
        })?;
        self.rows(Space::Teaser, |_, row| Ok(Some(Line::Teaser(StandingTeaser::decode(row)?))))?;
        self.rows(Space::Resolution, |_, row| {
            Ok(Some(Line::Resolution(Resolution::decode(row)?)))
        })?;
        self.sink.line(&Line::End(End {
            article_count,
            next_number: self.view.state()?.next.0,
            resolution_first: Counter::ResolutionFirst.viewed(self.view.as_ref())?,
            resolution_next: Counter::ResolutionNext.viewed(self.view.as_ref())?,
        }))?;
        self.sink.flush()
    }

    /// Which numbers up to and with one are still there: a line for each [`KEPT_NUMBERS`].
    fn kept(&mut self, mut before: &[ArticleNumber], after: u32) -> Result<(), EngineError> {
        for from in (0..=after).step_by(KEPT_NUMBERS as usize) {
            let up_to = from.saturating_add(KEPT_NUMBERS - 1).min(after);
            let here = before.partition_point(|it| it.0 <= up_to);
            let (here, others) = before.split_at(here);
            before = others;
            let in_a_row = here.chunk_by(|a, b| a.0 + 1 == b.0);
            let ranges = in_a_row.filter_map(|it| Some((it.first()?.0, it.last()?.0))).collect();
            self.sink.line(&Line::Kept(Kept { from, up_to, ranges }))?;
        }
        Ok(())
    }

    /// The articles with these numbers. One that cannot be read is named.
    fn articles(&mut self, all: &[ArticleNumber]) -> Result<(), EngineError> {
        let mut damaged = Vec::new();
        let mut note = |it: Damage| damaged.push(it.to_string());
        let first = self.view.rows(Space::Revision, &[][..]..&KEYS_END[..], 1, &mut note)?;
        let has_revisions = !first.is_empty() || !damaged.is_empty();
        for numbers in all.chunks(ARTICLES_BATCH) {
            let mut records = HashMap::default();
            self.view.read(Part::Article, numbers, &mut |number, bytes| {
                records.insert(number, bytes.to_vec());
            })?;
            for number in numbers {
                let record = records.remove(number).unwrap_or_default();
                let stored = match StoredArticle::decode(*number, &record) {
                    Ok(stored) => stored,
                    Err(error) => {
                        self.sink.damaged(Some(number.0), error.to_string())?;
                        continue;
                    }
                };
                let id = stored.article.id.clone();
                if stored.article.text.is_empty() {
                    self.textless(*number, stored)?;
                } else {
                    let line = ArticleLine::of(number.0, stored, None);
                    self.sink.line(&Line::Article(Box::new(line)))?;
                }
                if has_revisions {
                    self.revisions(&id)?;
                }
            }
        }
        Ok(())
    }

    /// An article whose text was not kept has what was computed from it.
    fn textless(
        &mut self,
        number: ArticleNumber,
        stored: StoredArticle,
    ) -> Result<(), EngineError> {
        let mut features = None;
        self.view.read(Part::Features, &[number], &mut |number, bytes| {
            features = Some(self.core.decode(number, bytes));
        })?;
        match features {
            Some(Ok(features)) => {
                let features = features.encode(None);
                let line = ArticleLine::of(number.0, stored, Some(&features));
                self.sink.line(&Line::Article(Box::new(line)))
            }
            Some(Err(error)) => self.sink.damaged(Some(number.0), error.to_string()),
            None => {
                let problem = format!("nothing was computed of article number {}", number.0);
                self.sink.damaged(Some(number.0), problem)
            }
        }
    }

    /// Those of the last article before it was cut off may have been cut off too.
    fn revisions_of(&mut self, number: ArticleNumber) -> Result<(), EngineError> {
        let mut stored = None;
        self.view.read(Part::Article, &[number], &mut |number, bytes| {
            stored = StoredArticle::decode(number, bytes).ok();
        })?;
        stored.map_or(Ok(()), |it| self.revisions(&it.article.id))
    }

    fn revisions(&mut self, id: &ArticleId) -> Result<(), EngineError> {
        let start = article_prefix(id);
        let end = prefix_end(&start);
        self.rows_between(Space::Revision, (&start, &end), |_, row| {
            let revision = Revision::decode(row)?;
            Ok(Some(Line::Revision(RevisionLine { article: id.clone(), revision })))
        })
    }

    fn rows(
        &mut self,
        space: Space,
        read: impl Fn(&[u8], &[u8]) -> Result<Option<Line>, EngineError>,
    ) -> Result<(), EngineError> {
        self.rows_between(space, (&[], &KEYS_END), read)
    }

    fn rows_between(
        &mut self,
        space: Space,
        (start, end): (&[u8], &[u8]),
        read: impl Fn(&[u8], &[u8]) -> Result<Option<Line>, EngineError>,
    ) -> Result<(), EngineError> {
        let mut start = start.to_vec();
        loop {
            let mut damaged = Vec::new();
            let mut note = |it: Damage| damaged.push(it.to_string());
            let rows: Vec<Row> = self.view.rows(space, &start[..]..end, ROWS_BATCH, &mut note)?;
            for problem in damaged {
                self.sink.damaged(None, problem)?;
            }
            for (key, row) in &rows {
                match read(key, row) {
                    Ok(Some(line)) => self.sink.line(&line)?,
                    Ok(None) => {}
                    Err(error) => self.sink.damaged(None, error.to_string())?,
                }
            }
            match rows.last() {
                Some((last, _)) if rows.len() == ROWS_BATCH => start = key([last, &[0]]),
                _ => return Ok(()),
            }
        }
    }
}

fn number_in(key: &[u8], at: usize) -> Result<u32, EngineError> {
    let problem = || "its key is too short".to_owned();
    u32_at(key, at).ok_or_else(|| EngineError::DamagedRow { what: "story", problem: problem() })
}
