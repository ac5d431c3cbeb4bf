//! `doublon list`.

use doublon::api::v1;

use super::filter::FilterArgs;
use super::render::{DIM, NAME, one_line, paint};
use super::{Common, Found, json, say};

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
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut page_token = String::new();
    while left > 0 {
        let request = v1::ListArticlesRequest {
            page_size: u32::try_from(left.min(1000)).unwrap_or(1000),
            page_token,
            filter: args.filter.filter(),
            include_text: args.text && common.is_json(),
        };
        let page = client.list_articles(request).await?;
        left -= page.articles.len().min(left);
        for article in &page.articles {
            print(article, common)?;
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(Found::Yes)
}

fn print(article: &v1::Article, common: &Common) -> anyhow::Result<()> {
    if common.is_json() {
        return say(&json::line(article)?);
    }
    let published = article.published_time.map(|it| it.to_string()).unwrap_or_default();
    let day = published.get(..10).unwrap_or("          ");
    let title = one_line(&article.title);
    say(&format!("{}  {}  {title}", paint(NAME, &one_line(&article.article_id)), paint(DIM, day)))
}
