//! Connections to the nodes: one for each kind of batch, made when it is needed, and made
//! anew after it failed.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline,
    TlsCertificates, Value,
};

use crate::cluster::slots::{Address, named};
use crate::cluster::{ClusterError, ClusterSettings, Lane};
use crate::hash::HashMap;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Connections.
pub(super) struct Links {
    /// How the first seed is reached; the others alike.
    template: ConnectionInfo,
    seeds: Vec<Address>,
    open: Mutex<HashMap<(Address, LinkKind), MultiplexedConnection>>,
}

/// Writes wait for replicas, and would hold up reads behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum LinkKind {
    Read,
    Write,
    Replica,
}

impl LinkKind {
    pub(super) fn of(lane: Lane, is_primary: bool) -> Self {
        match lane {
            Lane::Write => Self::Write,
            Lane::Read => Self::Read,
            Lane::Question if is_primary => Self::Read,
            Lane::Question => Self::Replica,
        }
    }
}

impl Links {
    pub(super) fn new(settings: &ClusterSettings) -> Result<Self, ClusterError> {
        let refused = |it: redis::RedisError| ClusterError::Settings(it.to_string());
        let infos: Vec<ConnectionInfo> = settings
            .seeds
            .iter()
            .map(|it| it.as_str().into_connection_info().map_err(refused))
            .collect::<Result<_, _>>()?;
        let is_tls = |it: &ConnectionInfo| matches!(it.addr(), ConnectionAddr::TcpTls { .. });
        if infos.iter().any(|it| is_tls(it) != infos.first().is_some_and(is_tls)) {
            let mixed = "nodes with redis:// and with rediss:// are mixed: give one of them";
            return Err(ClusterError::Settings(mixed.to_owned()));
        }
        if infos.iter().any(|it| it.redis_settings().db() != 0) {
            let numbered = "a cluster has no numbered databases: leave the number out";
            return Err(ClusterError::Settings(numbered.to_owned()));
        }
        let no_seed = || ClusterError::Settings("no node is named".to_owned());
        let mut template = infos.first().cloned().ok_or_else(no_seed)?;
        if let Some(file) = &settings.tls_ca {
            template = with_ca(template, file)?;
        }
        let mut own = template.redis_settings().clone();
        if let Some(username) = &settings.username {
            own = own.set_username(username);
        }
        if let Some(password) = &settings.password {
            own = own.set_password(password);
        }
        let template = template.set_redis_settings(own);
        let seeds = infos.iter().map(|it| address_of(it.addr())).collect::<Result<_, _>>()?;
        Ok(Self { template, seeds, open: Mutex::default() })
    }

    /// The nodes that were named.
    pub(super) fn seeds(&self) -> &[Address] {
        &self.seeds
    }

    /// The replies of a node to some commands, if it gives all of them in time.
    pub(super) async fn send(
        &self,
        (address, lane): (&Address, LinkKind),
        commands: &Pipeline,
        patience: Duration,
    ) -> Result<Vec<Value>, String> {
        let key = (address.clone(), lane);
        let sent = tokio::time::timeout(patience, async {
            let mut link = self.link(&key).await?;
            link.send_packed_commands(commands, 0, commands.len()).await
        });
        let problem = match sent.await {
            Ok(Ok(replies)) if replies.len() == commands.len() => return Ok(replies),
            Ok(Ok(_)) => "it gave too few replies".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no reply within {patience:?}"),
        };
        self.all().remove(&key);
        Err(format!("{}: {problem}", named(address)))
    }

    async fn link(
        &self,
        key: &(Address, LinkKind),
    ) -> Result<MultiplexedConnection, redis::RedisError> {
        if let Some(link) = self.all().get(key) {
            return Ok(link.clone());
        }
        let client = Client::open(self.info(&key.0))?;
        // How long a reply may take is the sender's to say.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None);
        let mut link = client.get_multiplexed_async_connection_with_config(&config).await?;
        if key.1 == LinkKind::Replica {
            redis::cmd("READONLY").exec_async(&mut link).await?;
        }
        self.all().insert(key.clone(), link.clone());
        Ok(link)
    }

    fn info(&self, (host, port): &Address) -> ConnectionInfo {
        let tls = if let ConnectionAddr::TcpTls { insecure, tls_params, .. } = self.template.addr()
        {
            Some((*insecure, tls_params.clone()))
        } else {
            None
        };
        let (host, port) = (host.clone(), *port);
        let address = match tls {
            Some((insecure, tls_params)) => {
                ConnectionAddr::TcpTls { host, port, insecure, tls_params }
            }
            None => ConnectionAddr::Tcp(host, port),
        };
        self.template.clone().set_addr(address)
    }

    fn all(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<(Address, LinkKind), MultiplexedConnection>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn address_of(address: &ConnectionAddr) -> Result<Address, ClusterError> {
    if let ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } = address {
        return Ok((host.clone(), *port));
    }
    Err(ClusterError::Settings("give nodes as redis://host:port".to_owned()))
}

fn with_ca(info: ConnectionInfo, file: &Path) -> Result<ConnectionInfo, ClusterError> {
    let refused = |it: String| ClusterError::Settings(format!("{}: {it}", file.display()));
    let root_cert = Some(std::fs::read(file).map_err(|it| refused(it.to_string()))?);
    let certificates = TlsCertificates { client_tls: None, root_cert };
    let client =
        Client::build_with_tls(info, certificates).map_err(|it| refused(it.to_string()))?;
    Ok(client.get_connection_info().clone())
}
