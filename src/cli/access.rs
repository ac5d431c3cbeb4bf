//! What a command shows the server, and how it knows that it is the right one.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use doublon::client::access::Access;

const TOKEN_VARIABLE: &str = "DOUBLON_TOKEN";
const CA_VARIABLE: &str = "DOUBLON_TLS_CA";
/// Not `DOUBLON_TLS_CERT`, which is the server's own.
const CERT_VARIABLE: &str = "DOUBLON_CLIENT_CERT";
const KEY_VARIABLE: &str = "DOUBLON_CLIENT_KEY";

/// Options of every command.
#[derive(Clone, clap::Args)]
#[expect(clippy::doc_markdown, reason = "variables, as a terminal shows them")]
pub(super) struct Args {
    /// The token that calls are made with; others on this machine can see a command
    /// line, so that the environment is the better place
    #[arg(long, global = true, env = TOKEN_VARIABLE, hide_env_values = true)]
    token: Option<String>,
    /// Speak TLS, with a server whose certificate is of a CA of this PEM file; those
    /// of the system hold for https:// without it
    #[arg(long, global = true, env = CA_VARIABLE, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// A client's own certificate as PEM, where the server asks for one [env:
    /// DOUBLON_CLIENT_CERT]
    #[arg(long, global = true, value_name = "FILE")]
    tls_cert: Option<String>,
    /// Its private key as PEM [env: DOUBLON_CLIENT_KEY]
    #[arg(long, global = true, value_name = "FILE")]
    tls_key: Option<String>,
}

/// The token is no business of a log.
impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Args(..)")
    }
}

impl Args {
    /// A server that takes a client's option without a word would be less closed
    /// than who started it thinks. Their variables may be set for clients.
    pub(super) fn refuse_in_server(&self) -> anyhow::Result<()> {
        let is_flag = |value: Option<&OsStr>, variable: &str| {
            value.is_some_and(|it| env::var_os(variable).as_deref() != Some(it))
        };
        if is_flag(self.token.as_deref().map(OsStr::new), TOKEN_VARIABLE) {
            bail!("--token is a client's: give the server --tokens FILE");
        }
        if is_flag(self.tls_ca.as_deref().map(Path::as_os_str), CA_VARIABLE) {
            bail!("--tls-ca is a client's: give the server --tls-client-ca FILE");
        }
        Ok(())
    }

    pub(super) fn read(&self) -> anyhow::Result<Access> {
        let file = |path: &PathBuf| {
            std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
        };
        let named = |flag: &Option<String>, variable: &str| {
            flag.clone().map(PathBuf::from).or_else(|| env::var_os(variable).map(PathBuf::from))
        };
        let identity =
            match (named(&self.tls_cert, CERT_VARIABLE), named(&self.tls_key, KEY_VARIABLE)) {
                (Some(cert), Some(key)) => Some((file(&cert)?, file(&key)?)),
                (None, None) => None,
                _ => bail!("--tls-cert and --tls-key belong together: give both"),
            };
        let ca = self.tls_ca.as_ref().map(file).transpose()?;
        Ok(Access { token: self.token.clone(), ca, identity })
    }
}
