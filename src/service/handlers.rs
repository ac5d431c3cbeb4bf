//! One handler an RPC: reads the request, lets the engine work, writes the
//! answer.

use std::sync::Arc;

use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

use crate::api::convert;
use crate::api::status::ApiError;
use crate::api::v1;
use crate::api::v1::doublon_service_server::DoublonService;
use crate::auth::token::Role;
use crate::engine::Engine;
use crate::engine::error::EngineError;
use crate::engine::sign;
use crate::engine::story::StoryId;
use crate::engine::teaser::TeaserRequest;
use crate::service::admission::{Admission, Work};
use crate::service::call::Call;
use crate::service::copy;
use crate::service::listen::{self, Signal};
use crate::service::stream::{self, Answers, Rpc};
use crate::service::together::Together;

/// The RPCs of the contract.
#[derive(Debug)]
pub(super) struct Handlers {
    pub(super) admission: Admission,
    /// Teasers that arrive together.
    pub(super) together: Together,
    /// Milliseconds since the Unix epoch.
    pub(super) started_ms: u64,
    /// What listeners wait for.
    pub(super) signal: Arc<watch::Sender<Signal>>,
}

/// Stream batches of reads that are under way at once: one is read while
/// another is answered.
const READ_BATCHES: usize = 2;

/// Bytes of a teaser that is answered on a thread of the connections, at most.
const SHORT_TEASER_BYTES: usize = 1 << 10;

impl Handlers {
    async fn call<T: Send + 'static>(
        &self,
        work: Work,
        act: impl FnOnce(&Engine) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let result = self.admission.run(work, act).await.and_then(|it| it.map_err(ApiError::from));
        Ok(Response::new(result?))
    }
}

#[tonic::async_trait]
impl DoublonService for Handlers {
    async fn sign(
        &self,
        request: Request<v1::SignRequest>,
    ) -> Result<Response<v1::SignResponse>, Status> {
        let (text, kind) = convert::sign(request.into_inner()).map_err(ApiError::from)?;
        self.call(Work::Read, move |it| Ok(convert::signed(&it.sign(&text, kind)?))).await
    }

    async fn compare(
        &self,
        request: Request<v1::CompareRequest>,
    ) -> Result<Response<v1::CompareResponse>, Status> {
        let (a, b) = convert::compare(request.into_inner());
        self.call(Work::Read, move |_| Ok(convert::compared(&sign::compare(&a, &b)?))).await
    }

    async fn put_article(
        &self,
        request: Request<v1::PutArticleRequest>,
    ) -> Result<Response<v1::PutArticleResponse>, Status> {
        let call = Call::of(&request)?;
        let put = convert::put_article(request.into_inner()).map_err(ApiError::from)?;
        call.writes(put.article.id.as_str());
        self.call(Work::Write, move |engine| Ok(convert::put(stream::only(engine.put(vec![put]))?)))
            .await
    }

    type PutArticlesStream = Answers<v1::PutArticlesResponse>;

    async fn put_articles(
        &self,
        request: Request<Streaming<v1::PutArticlesRequest>>,
    ) -> Result<Response<Self::PutArticlesStream>, Status> {
        let rpc = Rpc {
            work: Work::Write,
            batches_at_once: 1,
            read: |it: v1::PutArticlesRequest| {
                Ok(convert::put_article(it.put.unwrap_or_default())?)
            },
            act: Engine::put,
            reply: |result| v1::PutArticlesResponse {
                outcome: Some(match result {
                    Ok(it) => v1::put_articles_response::Outcome::Result(convert::put(it)),
                    Err(it) => v1::put_articles_response::Outcome::Error(it),
                }),
            },
        };
        let call = Call::of(&request)?;
        let answers = stream::answer(self.admission.clone(), request.into_inner(), rpc);
        Ok(Response::new(call.counts(answers, |it| {
            matches!(it.outcome, Some(v1::put_articles_response::Outcome::Error(_)))
        })))
    }

    async fn get_article(
        &self,
        request: Request<v1::GetArticleRequest>,
    ) -> Result<Response<v1::GetArticleResponse>, Status> {
        let v1::GetArticleRequest { article_id } = request.into_inner();
        let id = convert::article_id(article_id).map_err(ApiError::from)?;
        self.call(Work::Read, move |engine| {
            let (stored, signature) = engine.article(&id)?;
            Ok(convert::got(stored, &signature))
        })
        .await
    }

    async fn delete_article(
        &self,
        request: Request<v1::DeleteArticleRequest>,
    ) -> Result<Response<v1::DeleteArticleResponse>, Status> {
        let call = Call::of(&request)?;
        let v1::DeleteArticleRequest { article_id } = request.into_inner();
        let id = convert::article_id(article_id).map_err(ApiError::from)?;
        call.writes(id.as_str());
        self.call(Work::Write, move |engine| engine.delete(&id).map(|()| convert::deleted())).await
    }

    async fn list_articles(
        &self,
        request: Request<v1::ListArticlesRequest>,
    ) -> Result<Response<v1::ListArticlesResponse>, Status> {
        let (token, size, filter, include_text) =
            convert::list_articles(request.into_inner()).map_err(ApiError::from)?;
        self.call(Work::Read, move |engine| {
            Ok(convert::listed(engine.list(&token, size, &filter)?, include_text))
        })
        .await
    }

    async fn find_duplicates(
        &self,
        request: Request<v1::FindDuplicatesRequest>,
    ) -> Result<Response<v1::FindDuplicatesResponse>, Status> {
        let find = convert::find_duplicates(request.into_inner()).map_err(ApiError::from)?;
        self.call(Work::Read, move |engine| {
            Ok(convert::found(&stream::only(engine.find_duplicates(&[find]))?))
        })
        .await
    }

    type FindDuplicatesStreamStream = Answers<v1::FindDuplicatesStreamResponse>;

    async fn find_duplicates_stream(
        &self,
        request: Request<Streaming<v1::FindDuplicatesStreamRequest>>,
    ) -> Result<Response<Self::FindDuplicatesStreamStream>, Status> {
        let rpc = Rpc {
            work: Work::Read,
            batches_at_once: READ_BATCHES,
            read: |it: v1::FindDuplicatesStreamRequest| {
                Ok(convert::find_duplicates(it.find.unwrap_or_default())?)
            },
            act: |engine, items| engine.find_duplicates(&items),
            reply: |result| v1::FindDuplicatesStreamResponse {
                outcome: Some(match result {
                    Ok(it) => {
                        v1::find_duplicates_stream_response::Outcome::Result(convert::found(&it))
                    }
                    Err(it) => v1::find_duplicates_stream_response::Outcome::Error(it),
                }),
            },
        };
        Ok(Response::new(stream::answer(self.admission.clone(), request.into_inner(), rpc)))
    }

    async fn match_teaser(
        &self,
        request: Request<v1::MatchTeaserRequest>,
    ) -> Result<Response<v1::MatchTeaserResponse>, Status> {
        let call = Call::of(&request)?;
        let teaser = convert::match_teaser(request.into_inner()).map_err(ApiError::from)?;
        let work = watching(&call, teaser.watch.is_some())?;
        let is_short = teaser.text.len() <= SHORT_TEASER_BYTES;
        if work == Work::Read && is_short && !self.admission.is_far() {
            let found = self.together.match_teaser(&self.admission, teaser).await?;
            return Ok(Response::new(convert::matched(&found)));
        }
        self.call(work, move |it| {
            Ok(convert::matched(&stream::only(it.match_teasers(vec![teaser]))?))
        })
        .await
    }

    type MatchTeasersStream = Answers<v1::MatchTeasersResponse>;

    async fn match_teasers(
        &self,
        request: Request<Streaming<v1::MatchTeasersRequest>>,
    ) -> Result<Response<Self::MatchTeasersStream>, Status> {
        let may_write = Call::of(&request)?.require(Role::Write).is_ok();
        let rpc = Rpc {
            work: Work::Read,
            batches_at_once: READ_BATCHES,
            read: if may_write { read_teaser } else { read_unwatched },
            act: Engine::match_teasers,
            reply: |result| v1::MatchTeasersResponse {
                outcome: Some(match result {
                    Ok(it) => v1::match_teasers_response::Outcome::Result(convert::matched(&it)),
                    Err(it) => v1::match_teasers_response::Outcome::Error(it),
                }),
            },
        };
        Ok(Response::new(stream::answer(self.admission.clone(), request.into_inner(), rpc)))
    }

    async fn analyze_page(
        &self,
        request: Request<v1::AnalyzePageRequest>,
    ) -> Result<Response<v1::AnalyzePageResponse>, Status> {
        let call = Call::of(&request)?;
        let page = convert::analyze_page(request.into_inner()).map_err(ApiError::from)?;
        let work = watching(&call, page.watch.is_some())?;
        self.call(work, move |engine| Ok(convert::page(&engine.analyze_page(&page)?, &page.text)))
            .await
    }

    async fn list_teasers(
        &self,
        request: Request<v1::ListTeasersRequest>,
    ) -> Result<Response<v1::ListTeasersResponse>, Status> {
        let (token, size, sites) =
            convert::watch::list_teasers(request.into_inner()).map_err(ApiError::from)?;
        self.call(Work::Read, move |engine| {
            Ok(convert::watch::listed(engine.list_teasers(&token, size, &sites)?))
        })
        .await
    }

    async fn delete_teaser(
        &self,
        request: Request<v1::DeleteTeaserRequest>,
    ) -> Result<Response<v1::DeleteTeaserResponse>, Status> {
        let id = convert::watch::delete_teaser(request.into_inner()).map_err(ApiError::from)?;
        self.call(Work::Write, move |engine| {
            engine.delete_teaser(id).map(|()| v1::DeleteTeaserResponse {})
        })
        .await
    }

    type WatchTeasersStream = Answers<v1::WatchTeasersResponse>;

    async fn watch_teasers(
        &self,
        request: Request<v1::WatchTeasersRequest>,
    ) -> Result<Response<Self::WatchTeasersStream>, Status> {
        let since = convert::watch::watch_teasers(request.into_inner()).map_err(ApiError::from)?;
        let cursor = self.call(Work::Read, move |engine| engine.cursor(since)).await?.into_inner();
        let signal = self.signal.subscribe();
        Ok(Response::new(listen::listen(self.admission.clone(), signal, cursor)))
    }

    async fn list_references(
        &self,
        request: Request<v1::ListReferencesRequest>,
    ) -> Result<Response<v1::ListReferencesResponse>, Status> {
        let (id, token, size) =
            convert::watch::list_references(request.into_inner()).map_err(ApiError::from)?;
        self.call(Work::Read, move |engine| {
            Ok(convert::watch::references(engine.list_references(id.as_ref(), &token, size)?))
        })
        .await
    }

    async fn get_story(
        &self,
        request: Request<v1::GetStoryRequest>,
    ) -> Result<Response<v1::GetStoryResponse>, Status> {
        let (id, token, size) =
            convert::story::get_story(request.into_inner()).map_err(ApiError::from)?;
        self.call(Work::Read, move |engine| {
            let id = StoryId::parse(&id).ok_or(EngineError::StoryNotFound(id))?;
            Ok(convert::story::got(engine.story(id, &token, size)?))
        })
        .await
    }

    async fn list_stories(
        &self,
        request: Request<v1::ListStoriesRequest>,
    ) -> Result<Response<v1::ListStoriesResponse>, Status> {
        let (question, token, size) =
            convert::story::list_stories(request.into_inner()).map_err(ApiError::from)?;
        self.call(Work::Read, move |engine| {
            Ok(convert::story::listed(engine.list_stories(&question, &token, size)?))
        })
        .await
    }

    async fn list_revisions(
        &self,
        request: Request<v1::ListRevisionsRequest>,
    ) -> Result<Response<v1::ListRevisionsResponse>, Status> {
        let v1::ListRevisionsRequest { article_id } = request.into_inner();
        let id = convert::article_id(article_id).map_err(ApiError::from)?;
        self.call(Work::Read, move |it| Ok(convert::story::revisions(it.revisions(&id)?))).await
    }

    type BackUpStream = Answers<v1::BackUpResponse>;

    async fn back_up(
        &self,
        _: Request<v1::BackUpRequest>,
    ) -> Result<Response<Self::BackUpStream>, Status> {
        Ok(Response::new(copy::copy(self.admission.clone())))
    }

    type ExportStream = Answers<v1::ExportResponse>;

    async fn export(
        &self,
        request: Request<v1::ExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let resumed = request.into_inner().resume.map(convert::transfer::resumed);
        Ok(Response::new(copy::export(self.admission.clone(), resumed)))
    }

    type ImportStream = Answers<v1::ImportResponse>;

    async fn import(
        &self,
        request: Request<Streaming<v1::ImportRequest>>,
    ) -> Result<Response<Self::ImportStream>, Status> {
        let rpc = Rpc {
            work: Work::Write,
            batches_at_once: 1,
            read: |it: v1::ImportRequest| Ok(convert::transfer::import_part(it)),
            act: Engine::import,
            reply: |result| v1::ImportResponse {
                outcome: Some(match result {
                    Ok(it) => v1::import_response::Outcome::Result(convert::transfer::imported(it)),
                    Err(it) => v1::import_response::Outcome::Error(it),
                }),
            },
        };
        let call = Call::of(&request)?;
        let answers = stream::answer(self.admission.clone(), request.into_inner(), rpc);
        Ok(Response::new(call.counts(answers, |it| {
            matches!(it.outcome, Some(v1::import_response::Outcome::Error(_)))
        })))
    }

    async fn get_stats(
        &self,
        _: Request<v1::GetStatsRequest>,
    ) -> Result<Response<v1::GetStatsResponse>, Status> {
        let start_time = convert::timestamp(self.started_ms);
        self.call(Work::Read, move |engine| {
            let stats = engine.stats()?;
            Ok(v1::GetStatsResponse {
                server_version: env!("CARGO_PKG_VERSION").to_owned(),
                parameters: Some(convert::parameters()),
                article_count: stats.article_count,
                store_bytes: stats.store_bytes,
                anchor_posting_count: stats.index.anchor_postings,
                band_posting_count: stats.index.band_postings,
                term_posting_count: stats.index.term_postings,
                index_bytes: stats.index.bytes,
                start_time: Some(start_time),
                standing_teaser_count: stats.standing_teasers,
                story_count: stats.stories,
                standing_index_bytes: stats.standing_bytes,
                damaged_record_count: stats.damaged,
            })
        })
        .await
    }
}

/// What a question waits for that may be watched, which needs the role of a write.
fn watching(call: &Call, is_watched: bool) -> Result<Work, ApiError> {
    if !is_watched {
        return Ok(Work::Read);
    }
    call.require(Role::Write)?;
    Ok(Work::Write)
}

fn read_teaser(request: v1::MatchTeasersRequest) -> Result<TeaserRequest, ApiError> {
    Ok(convert::match_teaser(request.r#match.unwrap_or_default())?)
}

/// The same for a caller who may not write.
fn read_unwatched(request: v1::MatchTeasersRequest) -> Result<TeaserRequest, ApiError> {
    let teaser = read_teaser(request)?;
    if teaser.watch.is_some() {
        return Err(ApiError::PermissionDenied { role: Role::Read, needed: Role::Write });
    }
    Ok(teaser)
}
