//! Standing teasers and references.

use crate::api::convert::request::{page_size, sites, unknown};
use crate::api::convert::response::{count, teaser_match, timestamp};
use crate::api::v1;
use crate::engine::article::ArticleId;
use crate::engine::error::{Invalid, Problem};
use crate::engine::reference::Reference;
use crate::engine::rows::Listing;
use crate::engine::watch::Since;
use crate::engine::watch::record::{Resolution, Sighting, StandingTeaser, TeaserId};

/// What a page of the list of teasers is asked for with: token, size and sites.
pub fn list_teasers(request: v1::ListTeasersRequest) -> Result<(String, usize, Vec<u32>), Invalid> {
    let v1::ListTeasersRequest { page_size, page_token, sites } = request;
    Ok((page_token, self::page_size(page_size)?, self::sites("sites", &sites)?))
}

/// A page of the list of teasers.
pub fn listed(page: Listing<StandingTeaser>) -> v1::ListTeasersResponse {
    let Listing { items, next } = page;
    v1::ListTeasersResponse {
        teasers: items.into_iter().map(standing).collect(),
        next_page_token: next.unwrap_or_default(),
    }
}

/// The id of a teaser.
pub fn delete_teaser(request: v1::DeleteTeaserRequest) -> Result<TeaserId, Invalid> {
    let v1::DeleteTeaserRequest { teaser_id } = request;
    if teaser_id.is_empty() {
        return Err(Invalid::new("teaser_id", Problem::Missing));
    }
    TeaserId::parse(&teaser_id).ok_or_else(|| unknown("teaser_id", "32 hexadecimal digits"))
}

/// From where on a listener is told.
pub fn watch_teasers(request: v1::WatchTeasersRequest) -> Result<Since, Invalid> {
    let v1::WatchTeasersRequest { cursor, new_only } = request;
    if cursor.is_empty() {
        return Ok(if new_only { Since::Now } else { Since::Oldest });
    }
    if new_only {
        return Err(unknown("new_only", "false where a cursor is given"));
    }
    let sequence = cursor.strip_prefix('r').and_then(|it| it.parse().ok());
    sequence.map(Since::Cursor).ok_or_else(|| unknown("cursor", "one that `WatchTeasers` gave"))
}

/// What a listener is told first.
pub fn begun(cursor: u64) -> v1::WatchTeasersResponse {
    v1::WatchTeasersResponse { resolved: None, cursor: self::cursor(cursor), resolved_time: None }
}

/// What a listener is told.
pub fn told(resolution: Resolution) -> v1::WatchTeasersResponse {
    v1::WatchTeasersResponse {
        cursor: cursor(resolution.sequence + 1),
        resolved_time: Some(timestamp(resolution.resolved_ms)),
        resolved: Some(resolved(resolution)),
    }
}

/// A teaser that waited, and its article.
pub fn resolved(resolution: Resolution) -> v1::ResolvedTeaser {
    let Resolution { sequence: _, teaser, matched, resolved_ms: _ } = resolution;
    let v1::StandingTeaser {
        teaser_id,
        text,
        times_seen,
        first_seen_time,
        last_seen_time,
        sightings,
    } = standing(teaser);
    v1::ResolvedTeaser {
        teaser_id,
        text,
        times_seen,
        first_seen_time,
        last_seen_time,
        sightings,
        r#match: Some(teaser_match(&matched)),
    }
}

/// What a page of references is asked for with: article, token and size.
pub fn list_references(
    request: v1::ListReferencesRequest,
) -> Result<(Option<ArticleId>, String, usize), Invalid> {
    let v1::ListReferencesRequest { article_id, page_size, page_token } = request;
    let id = if article_id.is_empty() { None } else { Some(ArticleId::new(article_id)?) };
    Ok((id, page_token, self::page_size(page_size)?))
}

/// A page of references.
pub fn references(page: Listing<Reference>) -> v1::ListReferencesResponse {
    let Listing { items, next } = page;
    v1::ListReferencesResponse {
        references: items.into_iter().map(reference).collect(),
        next_page_token: next.unwrap_or_default(),
    }
}

fn reference(reference: Reference) -> v1::Reference {
    let Reference {
        article,
        teaser,
        text,
        page_url,
        site,
        link_url,
        times_seen,
        first_seen_ms,
        last_seen_ms,
    } = reference;
    v1::Reference {
        article_id: article.into_string(),
        page_url,
        site,
        link_url,
        teaser_id: teaser.to_string(),
        text,
        times_seen: count(times_seen),
        first_seen_time: Some(timestamp(first_seen_ms)),
        last_seen_time: Some(timestamp(last_seen_ms)),
    }
}

fn standing(teaser: StandingTeaser) -> v1::StandingTeaser {
    let StandingTeaser {
        id,
        text,
        times_seen,
        first_seen_ms,
        last_seen_ms,
        noted_ms: _,
        sightings,
    } = teaser;
    v1::StandingTeaser {
        teaser_id: id.to_string(),
        text,
        times_seen: count(times_seen),
        first_seen_time: Some(timestamp(first_seen_ms)),
        last_seen_time: Some(timestamp(last_seen_ms)),
        sightings: sightings.into_iter().map(sighting).collect(),
    }
}

fn sighting(sighting: Sighting) -> v1::Sighting {
    let Sighting { page_url, link_url, site, times_seen, first_seen_ms, last_seen_ms } = sighting;
    v1::Sighting {
        page_url,
        link_url,
        site,
        last_seen_time: Some(timestamp(last_seen_ms)),
        times_seen: u32::try_from(times_seen).unwrap_or(u32::MAX),
        first_seen_time: Some(timestamp(first_seen_ms)),
    }
}

fn cursor(sequence: u64) -> String {
    format!("r{sequence}")
}
