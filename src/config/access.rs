//! The keys that say who may call: tokens, certificates, and whether an address
//! that others can reach may be listened on without them.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::auth::file;
use crate::config::{Key, Resolver};
use crate::service::Security;
use crate::service::tls::{self, TlsFiles};

pub(super) const TOKENS: Key = Key { name: "tokens", default: "" };
pub(super) const TLS_CERT: Key = Key { name: "tls_cert", default: "" };
pub(super) const TLS_KEY: Key = Key { name: "tls_key", default: "" };
pub(super) const TLS_CLIENT_CA: Key = Key { name: "tls_client_ca", default: "" };
pub(super) const INSECURE: Key = Key { name: "insecure", default: "false" };

impl Resolver<'_> {
    /// Reads the files once, so that what is wrong with them is told with the
    /// other mistakes.
    pub(super) fn security(&mut self, addresses: &[SocketAddr]) -> Security {
        let tokens = self.file(TOKENS);
        let tls = self.tls_files();
        let is_insecure = self.value(INSECURE, "true or false", |it| it.parse::<bool>().ok());
        if let Some(error) = tokens.as_ref().and_then(|it| file::read(it).err()) {
            self.mistakes.push(error.to_string());
        }
        if let Some(error) = tls.as_ref().and_then(|it| tls::load(it).err()) {
            self.mistakes.push(error.to_string());
        }
        let reachable = addresses.iter().find(|it| !it.ip().to_canonical().is_loopback());
        if let Some(address) = reachable
            && (tokens.is_none() || tls.is_none())
            && is_insecure == Some(false)
        {
            self.mistakes.push(format!(
                "listen is {address}, which other machines can reach: give tls_cert, tls_key and \
                 tokens, or insecure where the network keeps others out"
            ));
        }
        Security { tokens, tls }
    }

    fn tls_files(&mut self) -> Option<TlsFiles> {
        let (cert, key) = (self.file(TLS_CERT), self.file(TLS_KEY));
        let client_ca = self.file(TLS_CLIENT_CA);
        if cert.is_some() != key.is_some() {
            self.mistakes.push("tls_cert and tls_key belong together: give both".to_owned());
        } else if client_ca.is_some() && cert.is_none() {
            self.mistakes.push("tls_client_ca needs tls_cert and tls_key: give them".to_owned());
        }
        Some(TlsFiles { cert: cert?, key: key?, client_ca })
    }

    /// A file that need not be named. An empty name is a mistake: it may have been
    /// meant to be one.
    pub(super) fn file(&mut self, key: Key) -> Option<PathBuf> {
        let mut entries = self.sources.iter().flat_map(|it| &it.entries);
        let entry = entries.find(|it| it.key == key.name)?;
        if entry.value.trim().is_empty() {
            self.mistakes.push(format!("{} is empty, it must be a file", entry.origin));
            return None;
        }
        Some(PathBuf::from(&entry.value))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::config::{ConfigError, Resolved, Typed, resolve};

    fn with(toml: &str) -> Result<Resolved, ConfigError> {
        resolve(&[Typed::from_toml("f", toml)])
    }

    #[test]
    fn other_machines_are_let_in_with_tls_and_tokens_or_insecure_only() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = folder.path().join("tokens");
        fs::write(&tokens, "").unwrap();
        for listen in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[::ffff:192.0.2.1]:1"] {
            let listen = format!("listen = {listen:?}\n");
            let error = with(&listen).unwrap_err().to_string();
            assert!(error.contains("other machines can reach"), "{error}");
            let tokens = format!("{listen}tokens = {tokens:?}\n");
            with(&tokens).unwrap_err();
            with(&format!("{listen}insecure = true")).unwrap();
        }
        for listen in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            with(&format!("listen = {listen:?}")).unwrap();
        }
    }

    #[test]
    fn what_is_wrong_with_the_files_is_told() {
        for (toml, part) in [
            ("tls_cert = 'c'", "tls_cert and tls_key belong together"),
            ("tls_client_ca = 'c'", "tls_client_ca needs tls_cert"),
            ("tokens = ''", "tokens in f is empty"),
            ("tokens = '/no/tokens'", "\"/no/tokens\" cannot be read"),
            ("tls_cert = '/no/cert'\ntls_key = '/no/key'", "\"/no/key\" has no private key"),
        ] {
            let error = with(toml).unwrap_err().to_string();
            assert!(error.contains(part), "{part} not in {error}");
        }
    }
}
