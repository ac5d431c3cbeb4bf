//! One handler an RPC: reads the request, lets the engine work, writes the
//! answer.

use tonic::{Request, Response, Status, Streaming};

use crate::api::convert;
use crate::api::status::ApiError;
use crate::api::v1;
use crate::api::v1::doublon_service_server::DoublonService;
use crate::engine::Engine;
use crate::engine::error::EngineError;
use crate::engine::sign;
use crate::service::admission::{Admission, Work};
use crate::service::call::Call;
use crate::service::stream::{self, Answers, Rpc};

/// The RPCs of the contract.
#[derive(Debug)]
pub(super) struct Handlers {
    pub(super) admission: Admission,
    /// Milliseconds since the Unix epoch.
    pub(super) started_ms: u64,
}

/// Stream batches of reads that are under way at once: one is read while
/// another is answered.
const READ_BATCHES: usize = 2;

/// Bytes of a teaser that is answered on the thread that it arrives at, at most.
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
        self.call(Work::Write, move |engine| Ok(convert::put(only(engine.put(vec![put]))?))).await
    }

    type PutArticlesStream = Answers<v1::PutArticlesResponse>;

    async fn put_articles(
        &self,
        request: Request<Streaming<v1::PutArticlesRequest>>,
    ) -> Result<Response<Self::PutArticlesStream>, Status> {
        let rpc = Rpc {
            work: Work::Write,
            batches_at_once: 1,
            read: |it: v1::PutArticlesRequest| convert::put_article(it.put.unwrap_or_default()),
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
            Ok(convert::found(&only(engine.find_duplicates(&[find]))?))
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
                convert::find_duplicates(it.find.unwrap_or_default())
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
        let teaser = convert::match_teaser(request.into_inner()).map_err(ApiError::from)?;
        if teaser.text.len() <= SHORT_TEASER_BYTES {
            let found = self.admission.run_here(|it| only(it.match_teasers(&[teaser])));
            let found = found.and_then(|it| it.map_err(ApiError::from))?;
            return Ok(Response::new(convert::matched(&found)));
        }
        self.call(Work::Read, move |engine| {
            Ok(convert::matched(&only(engine.match_teasers(&[teaser]))?))
        })
        .await
    }

    type MatchTeasersStream = Answers<v1::MatchTeasersResponse>;

    async fn match_teasers(
        &self,
        request: Request<Streaming<v1::MatchTeasersRequest>>,
    ) -> Result<Response<Self::MatchTeasersStream>, Status> {
        let rpc = Rpc {
            work: Work::Read,
            batches_at_once: READ_BATCHES,
            read: |it: v1::MatchTeasersRequest| {
                convert::match_teaser(it.r#match.unwrap_or_default())
            },
            act: |engine, items| engine.match_teasers(&items),
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
        let page = convert::analyze_page(request.into_inner()).map_err(ApiError::from)?;
        self.call(Work::Read, move |engine| {
            Ok(convert::page(&engine.analyze_page(&page)?, &page.text))
        })
        .await
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
            })
        })
        .await
    }
}

/// The answer to a batch of one.
fn only<T>(answers: Vec<Result<T, EngineError>>) -> Result<T, EngineError> {
    answers.into_iter().next().unwrap_or(Err(EngineError::Stopped))
}
