//! `doublon list`.

use doublon::api::v1;

use super::filter::FilterArgs;
use super::render::{DIM, NAME, day, one_line, paint};
use super::{Common, Found, json, pages, say};

/// List the stored articles, in the order in which they were stored
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    /// Stop after this many [default: all]
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Give the texts too (JSON only)
    #[arg(long)]
    text: bool,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    let mut client = common.connect().await?;
    let (filter, include_text) = (args.filter.filter(), args.text && common.is_json());
    let page = async move |page_size, page_token| {
        let filter = filter.clone();
        let request = v1::ListArticlesRequest { page_size, page_token, filter, include_text };
        let page = client.list_articles(request).await?;
        Ok((page.articles, page.next_page_token))
    };
    pages::all(args.limit, page, |it| print(it, common)).await?;
    Ok(Found::Yes)
}

fn print(article: &v1::Article, common: &Common) -> anyhow::Result<()> {
    if common.is_json() {
        return say(&json::line(article)?);
    }
    let day = day(article.published_time);
    let title = one_line(&article.title);
    say(&format!("{}  {}  {title}", paint(NAME, &one_line(&article.article_id)), paint(DIM, &day)))
}
