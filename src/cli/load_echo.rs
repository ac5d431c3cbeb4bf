//! `doublon load-echo`: the measure of `doublon load`, in a process of its own.

use doublon::load::echo;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::Found;

/// Answer MatchTeaser and MatchTeasers at once, whatever is asked
///
/// `doublon load` starts it and measures what gRPC alone takes.
#[derive(Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "the names of calls, as a terminal shows them")]
pub(super) struct Args {
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: String,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Found> {
    let listener = TcpListener::bind(&args.listen).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    // In the words of `doublon serve`, for whoever waits for either.
    super::complain(&format!("listening on {}", listener.local_addr()?));
    echo::serve(listener, async move {
        terminate.recv().await;
    })
    .await?;
    Ok(Found::Yes)
}
