//! `doublon teasers`.

use doublon::api::v1;

use super::render::{DIM, NAME, day, one_line, paint, times};
use super::{Common, Found, json, known, pages, say};

/// List the teasers that wait for their articles, most often seen first
///
/// They are what `match-teaser --watch` and `analyze-page --watch` found no article
/// for. Those that many pages show are worth a fetch: where one links to is shown
/// behind it. A teaser leaves the list when its article is put.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 done, 1 if no teaser has the id to delete, 2 error.\n\n\
    Examples:\n  \
    doublon teasers --limit 20\n  \
    doublon teasers --site valley.example --output json\n  \
    doublon teasers --delete 0f1e2d3c4b5a69788796a5b4c3d2e1f0")]
pub(super) struct Args {
    /// Only teasers that were seen on this site; may be repeated
    #[arg(long, value_name = "SITE")]
    site: Vec<String>,
    /// Stop after this many [default: all]
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Wait no longer for the article of this teaser, instead of listing
    #[arg(long, value_name = "ID", conflicts_with_all = ["site", "limit"])]
    delete: Option<String>,
}

pub(super) async fn run(args: Args, common: &Common) -> anyhow::Result<Found> {
    if let Some(id) = &args.delete {
        return delete(id, common).await;
    }
    let mut client = common.connect().await?;
    let sites = args.site;
    let page = async move |page_size, page_token| {
        let request = v1::ListTeasersRequest { page_size, page_token, sites: sites.clone() };
        let page = client.list_teasers(request).await?;
        Ok((page.teasers, page.next_page_token))
    };
    pages::all(args.limit, page, |it| print(it, common)).await?;
    Ok(Found::Yes)
}

fn print(teaser: &v1::StandingTeaser, common: &Common) -> anyhow::Result<()> {
    if common.is_json() {
        return say(&json::line(teaser)?);
    }
    let links = teaser.sightings.iter().map(|it| it.link_url.as_str());
    let link = links.filter(|it| !it.is_empty()).map(|it| format!(" -> {}", one_line(it))).next();
    let seen = format!("{}, last {}", times(teaser.times_seen), day(teaser.last_seen_time));
    say(&format!(
        "{}  {}  {}{}",
        paint(NAME, &one_line(&teaser.teaser_id)),
        paint(DIM, &seen),
        one_line(&teaser.text),
        paint(DIM, &link.unwrap_or_default())
    ))
}

async fn delete(id: &str, common: &Common) -> anyhow::Result<Found> {
    let answer = common.connect().await?.delete_teaser(id).await;
    let Some(answer) = known(answer)? else { return Ok(Found::No) };
    if common.is_json() {
        say(&json::line(&answer)?)?;
    } else {
        say(&format!("deleted {}", one_line(id)))?;
    }
    Ok(Found::Yes)
}
