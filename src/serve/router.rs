//! The routes and the bounds that hold for all of them.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Request, State};
use axum::http::header::{CACHE_CONTROL, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use prometheus::Registry;
use tokio::sync::{Semaphore, watch};
use tower_http::catch_panic::CatchPanicLayer;

use super::guard::Guard;
use super::{Problem, routes};
use crate::domain::{Control, Snapshot};

/// Requests answered at once; more are told to come back.
const REQUESTS: usize = 64;
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
    room: Semaphore,
}

impl App {
    pub(super) fn new(
        snapshots: watch::Receiver<Arc<Snapshot>>,
        control: Arc<dyn Control>,
        registry: Registry,
        guard: Guard,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                snapshots,
                control,
                registry,
                guard,
                room: Semaphore::new(REQUESTS),
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

/// All routes. `/livez` is outside the bound on requests: a busy server is alive.
pub(super) fn router(app: App) -> Router {
    Router::new()
        .route("/", get(routes::index))
        .route("/metrics", get(routes::metrics))
        .route("/metrics/live-short", get(routes::live_short))
        .route("/metrics/live-long", get(routes::live_long))
        .route("/metrics/test", get(routes::test))
        .route("/train", post(routes::train))
        .route("/readyz", get(routes::readyz))
        .layer(from_fn_with_state(app.clone(), bounded))
        .route("/livez", get(routes::livez))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(plain_answers))
        .with_state(app)
}

/// Holds a request to [`REQUESTS`] and [`ANSWER_TIMEOUT`].
async fn bounded(State(app): State<App>, request: Request, next: Next) -> Response {
    let Ok(_place) = app.inner.room.try_acquire() else {
        return Problem::unavailable(
            format!("{REQUESTS} requests are being answered already; try again in a moment"),
            1,
        )
        .into_response();
    };
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
