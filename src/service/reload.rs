//! Files that are read again when they change, while the service runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task;
use tokio::time::sleep;

use crate::auth::stamp;
use crate::auth::tokens::Tokens;
use crate::clock::Clock;
use crate::service::run::ServeError;
use crate::service::tls::Tls;
use crate::service::{AUDIT_TARGET, Security};

/// How often files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What is asked of callers.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) tokens: Option<Arc<Tokens>>,
    pub(super) tls: Option<Arc<Tls>>,
}

impl Access {
    /// Reads the files. Blocks.
    pub(super) fn open(security: &Security, clock: &Clock) -> Result<Self, ServeError> {
        let Security { tokens, tls } = security;
        let key = tls.as_ref().map(|it| it.key.as_path());
        for file in [tokens.as_deref(), key].into_iter().flatten() {
            warn_if_open(file);
        }
        let tokens = tokens.as_ref().map(|it| Tokens::open(it, clock.clone())).transpose()?;
        let tls = tls.as_ref().map(|it| Tls::open(it.clone())).transpose()?;
        match &tokens {
            Some(it) if it.count() == 0 => {
                tracing::warn!("the file of tokens has none: no call is let in until it has");
            }
            Some(it) => tracing::info!(count = it.count(), "calls need a token"),
            None => {}
        }
        Ok(Self { tokens: tokens.map(Arc::new), tls: tls.map(Arc::new) })
    }

    /// Looks at the files for ever.
    pub(super) async fn keep_up(self) {
        if self.tokens.is_none() && self.tls.is_none() {
            return std::future::pending().await;
        }
        loop {
            sleep(LOOK_INTERVAL).await;
            let access = self.clone();
            // The disk may be slow.
            task::spawn_blocking(move || access.reload()).await.ok();
        }
    }

    fn reload(&self) {
        match self.tokens.as_ref().and_then(|it| it.reload()) {
            Some(Ok(count)) => {
                tracing::info!(target: AUDIT_TARGET, count, "tokens were read again");
            }
            Some(Err(error)) => {
                tracing::error!(target: AUDIT_TARGET, %error, "the tokens stay as they were");
            }
            None => {}
        }
        match self.tls.as_ref().and_then(|it| it.reload()) {
            Some(Ok(())) => tracing::info!(target: AUDIT_TARGET, "certificates were read again"),
            Some(Err(error)) => {
                tracing::error!(target: AUDIT_TARGET, %error, "the certificates stay as they were");
            }
            None => {}
        }
    }
}

fn warn_if_open(file: &Path) {
    if stamp::is_open_to_others(file) {
        tracing::warn!(file = %file.display(), "others than its owner can read the file: chmod 600");
    }
}
