//! The routes and the bounds that hold for all of them.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, FromRequestParts, Request, State};
use axum::http::header::{CACHE_CONTROL, HOST, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use prometheus::Registry;
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;

use super::connections::{Connection, Connections};
use super::guard::Guard;
use super::{Problem, routes};
use crate::domain::{Control, Snapshot};

/// Most bytes of a request's body.
const BODY_BYTES: usize = 64 * 1024;
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What every handler can reach; cloning copies pointers.
#[derive(Clone)]
pub(super) struct App {
    inner: Arc<Inner>,
}

struct Inner {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    control: Arc<dyn Control>,
    registry: Registry,
    guard: Guard,
    connections: Arc<Connections>,
}

impl App {
    pub(super) fn new(
        snapshots: watch::Receiver<Arc<Snapshot>>,
        control: Arc<dyn Control>,
        registry: Registry,
        guard: Guard,
        connections: Arc<Connections>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                snapshots,
                control,
                registry,
                guard,
                connections,
            }),
        }
    }

    /// The newest snapshot.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.inner.snapshots.borrow())
    }

    /// The way to the engine.
    pub(super) fn control(&self) -> &dyn Control {
        &*self.inner.control
    }

    /// The exporter's metrics.
    pub(super) fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// Whether a request may change something.
    pub(super) fn allow(&self, request: &Parts) -> Result<(), Problem> {
        self.inner.guard.check(request)
    }
}

/// Proof that the guard let a request through: handlers of mutating routes take it first.
pub(super) struct Allowed;

impl FromRequestParts<App> for Allowed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        app.allow(parts).map(|()| Self)
    }
}

/// All routes. Health is outside the bound on answers: a busy server is alive, and its answers are small.
pub(super) fn router(app: App) -> Router {
    Router::new()
        .route("/", get(routes::index))
        .route("/metrics", get(routes::metrics))
        .route("/metrics/live-short", get(routes::live_short))
        .route("/metrics/live-long", get(routes::live_long))
        .route("/metrics/test", get(routes::test))
        .route("/train", get(routes::outcome).post(routes::train))
        .layer(from_fn_with_state(app.clone(), bounded))
        .route("/readyz", get(routes::readyz))
        .route("/livez", get(routes::livez))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(from_fn(one_host))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(plain_answers))
        .with_state(app)
}

/// Holds requests to the places there are for answers, and each of them to [`ANSWER_TIMEOUT`]. The place is kept until the
/// answer is written, so that clients that do not read bound no memory but their own.
async fn bounded(
    State(app): State<App>,
    Extension(connection): Extension<Arc<Connection>>,
    request: Request,
    next: Next,
) -> Response {
    if !app.inner.connections.place(&connection) {
        return Problem::unavailable(
            "as many requests as may be are being answered already; try again in a moment",
            1,
        )
        .into_response();
    }
    match tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable(
            format!(
                "there was no answer within {} s; try again, or ask for less",
                ANSWER_TIMEOUT.as_secs()
            ),
            5,
        )
        .into_response(),
    }
}

/// Refuses a request that names several hosts: whoever looks at one of them would decide about another.
async fn one_host(request: Request, next: Next) -> Response {
    if request.headers().get_all(HOST).iter().count() > 1 {
        return Problem::new(
            StatusCode::BAD_REQUEST,
            "the request has more than one Host header; send one",
        )
        .into_response();
    }
    next.run(request).await
}

/// Answers are of this moment, and are what their content type says.
async fn plain_answers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn not_found(uri: Uri) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        format!("there is no route {}; GET / lists them", uri.path()),
    )
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!(
            "{} does not take {method}; GET / lists the routes",
            uri.path()
        ),
    )
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the answer failed on a defect in this program; its log has the details, please report them",
    )
    .into_response()
}
