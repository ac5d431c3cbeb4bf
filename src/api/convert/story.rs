//! Stories and revisions.

use crate::api::convert::request::{page_size, sites, unknown};
use crate::api::convert::response::{count, field, number, relation, span, time, timestamp};
use crate::api::v1;
use crate::engine::article::{Article, ArticleId};
use crate::engine::error::{Invalid, Problem};
use crate::engine::record::StoredArticle;
use crate::engine::revision::{Change, Revision, RevisionKind};
use crate::engine::rows::Listing;
use crate::engine::story::{StoryMember, StoryOrder, StoryPage, StoryQuestion, StorySummary};
use crate::index::keys;

/// Members that a listed story has, at least.
const MEMBERS_MIN: u64 = 2;

/// What a story is asked for with: id, token and size of a page.
pub fn get_story(request: v1::GetStoryRequest) -> Result<(String, String, usize), Invalid> {
    let v1::GetStoryRequest { story_id, page_size, page_token } = request;
    if story_id.is_empty() {
        return Err(Invalid::new("story_id", Problem::Missing));
    }
    Ok((story_id, page_token, self::page_size(page_size)?))
}

/// A story and a page of its members.
pub fn got(page: StoryPage) -> v1::GetStoryResponse {
    let StoryPage { id, canonical, member_count, members: Listing { items, next } } = page;
    v1::GetStoryResponse {
        story_id: id.to_string(),
        canonical_article_id: canonical.into_string(),
        member_count: count(member_count),
        members: items.into_iter().map(member).collect(),
        next_page_token: next.unwrap_or_default(),
    }
}

fn member(member: StoryMember) -> v1::StoryMember {
    let StoryMember { stored, relation: found, overlap, is_core, joined_by } = member;
    let StoredArticle { article, stored_ms } = stored;
    let Article { id, url, site, title, published, .. } = article;
    v1::StoryMember {
        article_id: id.into_string(),
        relation: found.map_or(v1::Relation::Unrelated, relation).into(),
        jaccard: overlap.jaccard(),
        containment_in_canonical: overlap.left_in_right(),
        containment_of_canonical: overlap.right_in_left(),
        is_core,
        joined_by_article_id: joined_by.map(ArticleId::into_string).unwrap_or_default(),
        site: keys::site_name(&site, &url).to_owned(),
        url,
        title,
        published_time: published.map(time),
        stored_time: Some(timestamp(stored_ms)),
    }
}

/// What a page of stories is asked for with: which ones, token and size.
pub fn list_stories(
    request: v1::ListStoriesRequest,
) -> Result<(StoryQuestion, String, usize), Invalid> {
    let v1::ListStoriesRequest { order, sites, min_members, page_size, page_token } = request;
    let order = match v1::StoryOrder::try_from(order) {
        Ok(v1::StoryOrder::Unspecified | v1::StoryOrder::Recent) => StoryOrder::Recent,
        Ok(v1::StoryOrder::Size) => StoryOrder::Size,
        Err(_) => return Err(unknown("order", "a value of StoryOrder")),
    };
    let members_min = match min_members {
        0 => MEMBERS_MIN,
        1 => return Err(unknown("min_members", "at least 2, or 0 for 2")),
        count => u64::from(count),
    };
    let sites = self::sites("sites", &sites)?;
    let question = StoryQuestion { order, sites, members_min };
    Ok((question, page_token, self::page_size(page_size)?))
}

/// A page of stories.
pub fn listed(page: Listing<StorySummary>) -> v1::ListStoriesResponse {
    let Listing { items, next } = page;
    v1::ListStoriesResponse {
        stories: items.into_iter().map(summary).collect(),
        next_page_token: next.unwrap_or_default(),
    }
}

fn summary(summary: StorySummary) -> v1::StorySummary {
    let StorySummary { id, canonical, title, member_count, site_count, last_joined_ms } = summary;
    v1::StorySummary {
        story_id: id.to_string(),
        canonical_article_id: canonical.into_string(),
        title,
        member_count: count(member_count),
        site_count: number(site_count),
        last_joined_time: Some(timestamp(last_joined_ms)),
    }
}

/// The revisions of an article.
pub fn revisions(revisions: Vec<Revision>) -> v1::ListRevisionsResponse {
    v1::ListRevisionsResponse { revisions: revisions.into_iter().map(revision).collect() }
}

/// A revision.
pub fn revision(revision: Revision) -> v1::Revision {
    let Revision {
        place,
        kind,
        before_stored_ms,
        replaced_ms,
        before_words,
        removed_words,
        added_words,
        changes,
        before_url,
    } = revision;
    let kind = match kind {
        RevisionKind::Correction => v1::RevisionKind::Correction,
        RevisionKind::Update => v1::RevisionKind::Update,
        RevisionKind::Form => v1::RevisionKind::Form,
    };
    v1::Revision {
        revision: place,
        kind: kind.into(),
        before_stored_time: Some(timestamp(before_stored_ms)),
        replaced_time: Some(timestamp(replaced_ms)),
        before_words: number(before_words),
        removed_words: number(removed_words),
        added_words: number(added_words),
        changes: changes.into_iter().map(change).collect(),
        before_url,
    }
}

fn change(change: Change) -> v1::Change {
    let Change { field: of, before, after, before_text, after_text } = change;
    v1::Change {
        field: field(of).into(),
        before_span: before.map(span),
        after_span: after.map(span),
        before_text,
        after_text,
    }
}
