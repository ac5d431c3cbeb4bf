//! `doublon stories`.

use clap::ValueEnum;
use doublon::api::v1;

use super::render::{DIM, GOOD, NAME, counted, day, one_line, paint};
use super::{Common, Found, json, pages, say};

/// List the stories: articles that are near-duplicates of each other
///
/// An article with no near-duplicate is a story of its own, and is not listed. Each
/// story has the headline of its canonical article, the one published first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    doublon stories --limit 20\n  \
    doublon stories --order size --min-members 5\n  \
    doublon stories --site valley.example --output json")]
pub(super) struct Args {
    /// Which stories come first
    #[arg(long, value_enum, default_value_t = Order::Recent)]
    order: Order,
    /// Only stories with a member of this site; may be repeated
    #[arg(long, value_name = "SITE")]
    site: Vec<String>,
    /// Only stories with so many members, 2 or more
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    min_members: u32,
    /// Stop after this many [default: all]
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    /// Those that an article joined last
    Recent,
    /// Those with most members
    Size,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    let mut client = common.connect().await?;
    let Args { order, site: sites, min_members, limit } = args;
    let order = match order {
        Order::Recent => v1::StoryOrder::Recent,
        Order::Size => v1::StoryOrder::Size,
    };
    let page = async move |page_size, page_token| {
        let request = v1::ListStoriesRequest {
            order: order.into(),
            sites: sites.clone(),
            min_members,
            page_size,
            page_token,
        };
        let page = client.list_stories(request).await?;
        Ok((page.stories, page.next_page_token))
    };
    pages::all(limit, page, |it| print(it, common)).await?;
    Ok(Found::Yes)
}

fn print(story: &v1::StorySummary, common: &Common) -> anyhow::Result<()> {
    if common.is_json() {
        return say(&json::line(story)?);
    }
    let headline = if story.title.is_empty() { &story.canonical_article_id } else { &story.title };
    let sites = counted(story.site_count, "site");
    say(&format!(
        "{}  {}  {}  {}",
        paint(NAME, &one_line(&story.story_id)),
        paint(GOOD, &counted(story.member_count, "article")),
        paint(DIM, &format!("of {sites}, last {}", day(story.last_joined_time))),
        one_line(headline)
    ))
}
