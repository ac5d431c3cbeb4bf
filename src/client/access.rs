//! What a client shows a server, and how it knows that it is the right one.

use std::fmt;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use tonic::{Request, Status};

/// A token and certificates; none by default.
#[derive(Clone, Default)]
pub struct Access {
    /// The token that calls are made with.
    pub token: Option<String>,
    /// CAs one of which the server's certificate must be of, as PEM; those of the
    /// system if `None`.
    pub ca: Option<Vec<u8>>,
    /// The client's own certificate and its private key, as PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Access {
    /// Whether it speaks of TLS.
    pub fn has_tls(&self) -> bool {
        self.ca.is_some() || self.identity.is_some()
    }

    pub(super) fn tls(&self) -> ClientTlsConfig {
        let mut config = ClientTlsConfig::new();
        config = match &self.ca {
            Some(ca) => config.ca_certificate(Certificate::from_pem(ca)),
            None => config.with_native_roots(),
        };
        match &self.identity {
            Some((cert, key)) => config.identity(Identity::from_pem(cert, key)),
            None => config,
        }
    }

    /// `None` if the token has what no header can have.
    pub(super) fn bearer(&self) -> Option<Bearer> {
        let Some(token) = &self.token else { return Some(Bearer(None)) };
        let mut header: MetadataValue<Ascii> = format!("Bearer {token}").parse().ok()?;
        header.set_sensitive(true);
        Some(Bearer(Some(header)))
    }
}

/// The token is no business of a log.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("has_token", &self.token.is_some())
            .field("has_tls", &self.has_tls())
            .finish_non_exhaustive()
    }
}

/// Sends the token with each call.
#[derive(Debug, Clone)]
pub(super) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.0 {
            request.metadata_mut().insert("authorization", header.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_in_what_is_logged() {
        let access = Access { token: Some("secret".to_owned()), ..Access::default() };
        let bearer = access.bearer().unwrap();
        assert!(!format!("{access:?} {bearer:?}").contains("secret"));
        let broken = Access { token: Some("a\nb".to_owned()), ..Access::default() };
        assert!(broken.bearer().is_none());
    }
}
