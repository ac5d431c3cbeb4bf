//! `doublon story`.

use doublon::api::v1;
use doublon::client::{Client, ClientError};

use super::render::{DIM, DOUBT, GOOD, NAME, counted, day, one_line, paint, plain};
use super::{Common, Found, json, known, pages, say};

/// Print a story: its canonical article, and all its members
///
/// The canonical article is the one published first. Each member says how its text
/// relates to that one's as they are now.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 found, 1 if no story has the id, 2 error.\n\n\
    Examples (a put, `find-duplicates` and `stories` give ids of stories):\n  \
    doublon story 7c0e\n  \
    doublon --output json story 7c0e")]
pub(super) struct Args {
    /// The story's id
    id: String,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    let mut client = common.connect().await?;
    let Some(story) = known(read(&mut client, args.id).await)? else { return Ok(Found::No) };
    if common.is_json() {
        say(&json::line(&story)?)?;
        return Ok(Found::Yes);
    }
    say(&format!(
        "story {}  {}",
        paint(NAME, &one_line(&story.story_id)),
        paint(DIM, &counted(story.member_count, "article"))
    ))?;
    for member in &story.members {
        print(member, member.article_id == story.canonical_article_id)?;
    }
    Ok(Found::Yes)
}

/// The story with the members of all its pages.
async fn read(client: &mut Client, story_id: String) -> Result<v1::GetStoryResponse, ClientError> {
    let mut request = v1::GetStoryRequest {
        story_id,
        page_size: pages::PAGE_SIZE_MAX,
        page_token: String::new(),
    };
    let mut members = Vec::new();
    loop {
        let page = client.get_story(request.clone()).await?;
        members.extend(page.members);
        if page.next_page_token.is_empty() {
            return Ok(v1::GetStoryResponse { members, ..page });
        }
        request.page_token = page.next_page_token;
    }
}

fn print(member: &v1::StoryMember, is_canonical: bool) -> anyhow::Result<()> {
    let relation = plain(member.relation().as_str_name(), "RELATION_");
    let (style, role) = match member.relation() {
        _ if is_canonical => (GOOD, "canonical"),
        v1::Relation::Duplicate => (GOOD, relation.as_str()),
        v1::Relation::Unspecified
        | v1::Relation::Contains
        | v1::Relation::ContainedIn
        | v1::Relation::Overlaps
        | v1::Relation::Unrelated => (DOUBT, relation.as_str()),
    };
    let numbers =
        if is_canonical { String::new() } else { format!(", Jaccard {:.3}", member.jaccard) };
    let time = match member.published_time {
        Some(it) => format!("published {}", day(Some(it))),
        None => format!("stored {}", day(member.stored_time)),
    };
    let site = if member.site.is_empty() { String::new() } else { format!(", {}", member.site) };
    say(&format!(
        "  {} {}  {}  {}",
        paint(style, &format!("{role:<12}")),
        paint(NAME, &one_line(&member.article_id)),
        paint(DIM, &one_line(&format!("{time}{site}{numbers}"))),
        one_line(&member.title)
    ))
}
