//! The listener: bound before anything else starts, bounded while it serves, drained when it ends.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use prometheus::Registry;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::collector::{SnapshotCollector, descs};
use super::connections::{Admitted, Connections, Limits};
use super::guard::Guard;
use super::router::{App, router};
use super::stream::Stream;
use crate::config::{ApiConfig, ExporterConfig};
use crate::domain::{Control, Snapshot};

/// Header lines of one request.
const HEADERS: usize = 64;
/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// Bytes that are held of what a client sends and does not read, besides one answer.
const BUFFER_BYTES: usize = 64 * 1024;
/// How long requests that are being answered may go on after the end was asked for.
const GRACE: Duration = Duration::from_secs(5);
/// Pause after a connection could not be accepted (no file descriptors left, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Why the listener can't work.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Somebody else has the port that was asked for.
    #[error(
        "exporter.listen = \"{address}\": another program listens there; stop it, or set `exporter.listen` to a free address"
    )]
    Taken {
        /// What was asked for.
        address: SocketAddr,
    },
    /// The system refuses the address.
    #[error(
        "exporter.listen = \"{address}\": can't listen there: {cause}; set `exporter.listen` to an address of this host"
    )]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// The system's word.
        cause: std::io::Error,
    },
    /// The prefix can't begin a metric name.
    #[error(
        "exporter.prefix = \"{prefix}\" can't begin a metric name; use letters, digits, `_` and `:`, not a digit first, such as \"anomaly_detector_\""
    )]
    Prefix {
        /// What was asked for.
        prefix: String,
    },
    /// The token can't be had, or is no token.
    #[error("api.token: {0}")]
    Token(String),
    /// The runtime would not take the listener.
    #[error("the listener on {address} could not be started: {cause}")]
    Start {
        /// Where it listens.
        address: SocketAddr,
        /// The system's word.
        cause: std::io::Error,
    },
    /// The metrics can't be registered.
    #[error("the exporter's metrics could not be registered: {0}")]
    Register(#[from] prometheus::Error),
}

/// The exporter and the HTTP routes, not started yet.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Takes the port. `Ok(None)` when the exporter is off, or when its address is the default one (`explicit` is false)
    /// and another program has it: the caller then shows [`Server::port_taken`] and goes on without.
    ///
    /// # Errors
    /// [`ServeError::Taken`] when an explicit address is in use, and whatever else is wrong with the address, the prefix
    /// or the token; the message names the key.
    pub fn bind(
        exporter: &ExporterConfig,
        api: &ApiConfig,
        explicit: bool,
    ) -> Result<Option<Bound>, ServeError> {
        if !exporter.enabled {
            return Ok(None);
        }
        let token = usable(exporter, api)?;
        let address = exporter.listen;
        match TcpListener::bind(address) {
            Ok(listener) => Bound::new(listener, exporter.clone(), token)
                .map(|bound| Some(bound.with_read_only(api.read_only))),
            Err(cause) if cause.kind() == std::io::ErrorKind::AddrInUse => {
                if explicit {
                    Err(ServeError::Taken { address })
                } else {
                    Ok(None)
                }
            }
            Err(cause) => Err(ServeError::Listen { address, cause }),
        }
    }

    /// The warning for [`Server::bind`] having answered `None` although the exporter is on.
    #[must_use]
    pub fn port_taken(exporter: &ExporterConfig) -> String {
        format!(
            "another program listens on {}, so the exporter and the HTTP routes are off in this run; set `exporter.listen` to a free address",
            exporter.listen
        )
    }
}

/// The token, once prefix and token have been found usable.
fn usable(exporter: &ExporterConfig, api: &ApiConfig) -> Result<Option<SecretString>, ServeError> {
    if descs(&exporter.prefix).is_err() {
        return Err(ServeError::Prefix {
            prefix: exporter.prefix.clone(),
        });
    }
    token(api)
}

fn token(api: &ApiConfig) -> Result<Option<SecretString>, ServeError> {
    let Some(secret) = &api.token else {
        return Ok(None);
    };
    let token = secret.resolve().map_err(ServeError::Token)?;
    if token.expose_secret().trim().is_empty() {
        return Err(ServeError::Token(
            "the token is empty; write a long random word, or leave the key out".into(),
        ));
    }
    Ok(Some(token))
}

/// A listener that has its port and answers once [`Bound::serve`] runs; until then connections wait.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    local: SocketAddr,
    exporter: ExporterConfig,
    guard: Guard,
    limits: Limits,
}

impl Bound {
    fn new(
        listener: TcpListener,
        exporter: ExporterConfig,
        token: Option<SecretString>,
    ) -> Result<Self, ServeError> {
        let local = listener
            .set_nonblocking(true)
            .and_then(|()| listener.local_addr())
            .map_err(|cause| ServeError::Listen {
                address: exporter.listen,
                cause,
            })?;
        Ok(Self {
            listener,
            local,
            exporter,
            guard: Guard::new(local, token),
            limits: Limits::default(),
        })
    }

    /// The same, and with `read_only` routes change nothing.
    fn with_read_only(self, read_only: bool) -> Self {
        let guard = self.guard.with_read_only(read_only);
        Self { guard, ..self }
    }

    /// The same with other bounds on what clients may take.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same socket and settings once more, for a listener that is started again.
    ///
    /// # Errors
    /// When the system gives no second handle to the socket (no file descriptors left, say).
    pub fn try_clone(&self) -> std::io::Result<Self> {
        Ok(Self {
            listener: self.listener.try_clone()?,
            local: self.local,
            exporter: self.exporter.clone(),
            guard: self.guard.clone(),
            limits: self.limits,
        })
    }

    /// The same socket under changed settings; [`Bound::was_asked_for`] must hold for their address.
    ///
    /// # Errors
    /// As [`Server::bind`], but for the address.
    pub fn renewed(&self, exporter: &ExporterConfig, api: &ApiConfig) -> Result<Self, ServeError> {
        let token = usable(exporter, api)?;
        let listener = self.listener.try_clone().map_err(|cause| {
            let address = exporter.listen;
            ServeError::Listen { address, cause }
        })?;
        Self::new(listener, exporter.clone(), token)
    }

    /// Whether this is the address that [`Server::bind`] was asked for.
    #[must_use]
    pub fn was_asked_for(&self, address: SocketAddr) -> bool {
        self.exporter.listen == address
    }

    /// Where it listens; the real port when port 0 was asked for.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What the operator should know before it serves: a listener that other hosts reach, without a token, refuses every
    /// route that changes something.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        self.guard.is_shut().then(|| {
            format!(
                "exporter.listen = \"{}\" can be reached from other hosts and `api.token` is not set: routes that change something (POST /train) are refused; set `api.token` to allow them",
                self.local
            )
        })
    }

    /// Answers requests until `shutdown` is ready; requests that are being answered then have 5 s to end, and what is left
    /// is cut off. [`Limits`] bounds what clients take; a new connection is always served, the oldest one gives way to it.
    ///
    /// # Errors
    /// When the listener or the metrics can't be set up; once it serves it does not fail.
    pub async fn serve(
        self,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        control: Arc<dyn Control>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let registry = registry(&snapshots, &self.exporter)?;
        let listener = tokio::net::TcpListener::from_std(self.listener).map_err(|cause| {
            ServeError::Start {
                address: self.local,
                cause,
            }
        })?;
        let connections = Arc::new(Connections::new(self.limits));
        let all = Arc::clone(&connections);
        let app = router(App::new(snapshots, control, registry, self.guard, all));
        let (stop, stopped) = watch::channel(());
        let mut open = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                accepted = accept(&listener) => {
                    if let Some(stream) = accepted {
                        open.spawn(connection(stream, connections.admit(), app.clone(), stopped.clone()));
                    }
                }
                Some(_) = open.join_next() => {}
            }
        }
        drop((listener, stop));
        let drained =
            tokio::time::timeout(GRACE, async { while open.join_next().await.is_some() {} });
        if drained.await.is_err() {
            tracing::warn!(
                left = open.len(),
                "requests were still being answered 5 s after the end was asked for: cut off"
            );
            open.shutdown().await;
        }
        Ok(())
    }
}

fn registry(
    snapshots: &watch::Receiver<Arc<Snapshot>>,
    exporter: &ExporterConfig,
) -> Result<Registry, ServeError> {
    let registry = Registry::new();
    registry.register(Box::new(SnapshotCollector::new(
        snapshots.clone(),
        exporter,
    )?))?;
    #[cfg(target_os = "linux")]
    registry.register(Box::new(
        prometheus::process_collector::ProcessCollector::for_self(),
    ))?;
    Ok(registry)
}

/// The next connection; `None` after a pause when none could be accepted.
async fn accept(listener: &tokio::net::TcpListener) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => Some(stream),
        Err(error) => {
            tracing::debug!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Serves one connection until it closes, until it has taken too long or must give way, or until `stopped` and its current
/// answer is out.
async fn connection(
    stream: TcpStream,
    admitted: Admitted,
    app: axum::Router,
    mut stopped: watch::Receiver<()>,
) {
    // An answer is written whole; waiting to join it with the next only delays it. A socket without the option still works.
    let _ = stream.set_nodelay(true);
    let connection = &admitted.connection;
    let answer = TowerToHyperService::new(app);
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        connection.asked();
        request.extensions_mut().insert(Arc::clone(connection));
        let answer = answer.call(request);
        async move {
            let answer = answer.await;
            connection.answered();
            answer
        }
    });
    let stream = Stream::new(stream, Arc::clone(connection));
    let serving = hyper::server::conn::http1::Builder::new()
        // Ours: hyper's would also run while an answer is written.
        .header_read_timeout(None)
        .max_headers(HEADERS)
        .max_header_size(HEAD_BYTES)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    let mut over = pin!(connection.is_over());
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = serving.as_mut() => {
                if let Err(error) = ended {
                    tracing::trace!(%error, "a connection ended early");
                }
                return;
            }
            why = &mut over => return tracing::debug!(why, "a connection was closed"),
            // Nothing is ever sent: the channel closing is the signal.
            _ = stopped.changed(), if !stopping => {
                stopping = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}
