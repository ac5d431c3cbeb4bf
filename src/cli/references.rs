//! `doublon references`.

use doublon::api::v1;
use doublon::client::ClientError;

use super::render::{DIM, NAME, one_line, page, paint, times};
use super::{Common, Found, json, pages, say};

/// List which pages point to which articles with which teasers
///
/// Teasers are remembered that were given with --watch and matched an article, at
/// once or when it came. With --output json, this is the graph of links, one edge a
/// line.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 done, 1 if no page points to the article, 2 error.\n\n\
    Examples:\n  \
    doublon references ferry\n  \
    doublon references --output json > edges.jsonl")]
pub(super) struct Args {
    /// Only those to the article of this id [default: to all]
    id: Option<String>,
    /// Stop after this many [default: all]
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    let mut client = common.connect().await?;
    let is_named = args.id.is_some();
    let article_id = args.id.unwrap_or_default();
    if is_named && article_id.is_empty() {
        anyhow::bail!("the id is empty: give one, or none for the references to all articles");
    }
    let page = {
        let article_id = article_id.clone();
        async move |page_size, page_token| {
            let article_id = article_id.clone();
            let request = v1::ListReferencesRequest { article_id, page_size, page_token };
            let page = client.list_references(request).await?;
            Ok((page.references, page.next_page_token))
        }
    };
    let count = match pages::all(args.limit, page, |it| print(it, common)).await {
        Ok(count) => count,
        Err(error) if error.downcast_ref().is_some_and(ClientError::is_not_found) => {
            super::complain(&error.to_string());
            return Ok(Found::No);
        }
        Err(error) => return Err(error),
    };
    if is_named && count == 0 && args.limit != Some(0) {
        super::complain(&format!("no page points to {:?}", one_line(&article_id)));
        return Ok(Found::No);
    }
    Ok(Found::Yes)
}

fn print(it: &v1::Reference, common: &Common) -> anyhow::Result<()> {
    if common.is_json() {
        return say(&json::line(it)?);
    }
    say(&format!(
        "{} <- {}  {}  {}",
        paint(NAME, &one_line(&it.article_id)),
        page(&it.page_url, &it.site, &it.link_url),
        paint(DIM, &times(it.times_seen)),
        one_line(&it.text)
    ))
}
