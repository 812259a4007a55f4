//! Asks the server, understands what went wrong, asks again where that may help.

use std::io::BufReader;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE};
use serde::de::DeserializeSeed;
use tokio::sync::{Semaphore, mpsc};
use url::Url;
use url::form_urlencoded::Serializer;

use super::address::Address;
use super::answer::{BuildInfo, Reading};
use super::block::Block;
use super::collection::Collection;
use super::failure::{ServerError, http_date, retry_after};
use super::incoming::incoming;
use super::retry::{Backoff, Cure, Retry, Trouble};
use super::series::{Place, Placed};
use super::setup::Connection;
use crate::config::SourceConfig;
use crate::domain::{Grid, Time};
use crate::source::SourceError;

/// What all requests under way may take of memory together, in bytes, and how long their unpacked answers may be together.
/// Each of them has an equal part of it. An answer is read as it comes and never held as a whole.
pub(super) const MEMORY: usize = 256 << 20;

/// As much of an error page as is looked at.
const MAX_ERROR_BODY: usize = 64 << 10;

const FORM: &str = "application/x-www-form-urlencoded";

/// One server.
pub(super) struct Client {
    connection: RwLock<Arc<Connection>>,
    source: SourceConfig,
    address: Address,
    /// Go along in the address, not in the form: some proxies look only there.
    params: Vec<(String, String)>,
    gate: Semaphore,
    /// History passes this one before the other: with more than one request at once allowed it leaves room for a look, and
    /// with one a look waits for a single request of it.
    background: Semaphore,
    get_only: AtomicBool,
    /// Latest `Date` of an answer, in milliseconds; the least there is while none was seen.
    clock: AtomicI64,
    retry: Retry,
}

/// One thing to ask.
struct Call {
    endpoint: &'static str,
    form: Vec<(&'static str, String)>,
    /// Not to be sent as a form.
    get: bool,
}

/// An answer, with what the server wants known about it.
pub(super) struct Told<T> {
    /// The answer.
    pub data: T,
    /// Warnings and hints.
    pub notes: Vec<String>,
    /// Something may be missing that will be there another time.
    pub partial: bool,
}

impl Client {
    /// A client for `[source]`; nothing is asked yet.
    pub fn new(source: &SourceConfig) -> Result<Self, SourceError> {
        let address = Address::parse(&source.url)?;
        let connection = Connection::new(source, &address)?;
        let given = source.params.iter().map(|(k, v)| (k.clone(), v.clone()));
        let params = address.params.iter().cloned().chain(given).collect();
        let concurrency = source.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            connection: RwLock::new(Arc::new(connection)),
            source: source.clone(),
            address,
            params,
            gate: Semaphore::new(concurrency),
            background: Semaphore::new((concurrency - 1).max(1)),
            get_only: AtomicBool::new(false),
            clock: AtomicI64::new(i64::MIN),
            retry: Retry::new(source.retries, u64::from(std::process::id())),
        })
    }

    /// Other waits than the usual ones.
    pub fn set_backoff(&mut self, backoff: Backoff) {
        self.retry.backoff = backoff;
    }

    /// The server's address without anything secret.
    pub fn shown(&self) -> &str {
        self.address.shown()
    }

    /// Parameters that go along with every request, those of the address included.
    pub fn params(&self) -> &[(String, String)] {
        &self.params
    }

    /// The section it was made from.
    pub fn section(&self) -> &SourceConfig {
        &self.source
    }

    /// What one request may take of memory, in bytes.
    pub fn room(&self) -> usize {
        MEMORY / self.source.concurrency.max(1)
    }

    /// `text` as it may be shown.
    pub fn clean(&self, text: &str) -> String {
        self.clean_head(text, 300)
    }

    /// The first `most` characters of `text` as they may be shown.
    pub fn clean_head(&self, text: &str, most: usize) -> String {
        self.connection().redactor.clean(text, most)
    }

    /// The server's own clock when it last answered; `None` for a server that does not tell.
    pub fn clock(&self) -> Option<Time> {
        let millis = self.clock.load(Ordering::Relaxed);
        (millis != i64::MIN).then_some(Time::from_millis(millis))
    }

    fn connection(&self) -> Arc<Connection> {
        Arc::clone(
            &self
                .connection
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Takes new credentials, if there are any; says whether there were.
    fn renew(&self) -> bool {
        let Some(new) = self.connection().renewed(&self.source, &self.address) else {
            return false;
        };
        *self
            .connection
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        true
    }

    /// `expr` at every time of `grid`, in one request.
    pub async fn range(
        &self,
        expr: &str,
        grid: Grid,
        collection: &Collection,
    ) -> Result<Told<Block>, Trouble> {
        let placed = self.range_placed(expr, grid, collection).await?;
        Ok(Told {
            data: placed.data.block,
            notes: placed.notes,
            partial: placed.partial,
        })
    }

    /// As [`Self::range`], with what else is known of the samples.
    pub async fn range_placed(
        &self,
        expr: &str,
        grid: Grid,
        collection: &Collection,
    ) -> Result<Told<Placed>, Trouble> {
        let last = grid.last().unwrap_or(grid.start());
        let call = Call {
            endpoint: "query_range",
            form: vec![
                ("query", expr.to_owned()),
                ("start", seconds(grid.start().millis())),
                ("end", seconds(last.millis())),
                (
                    "step",
                    seconds(i64::try_from(grid.step().as_millis()).unwrap_or(i64::MAX)),
                ),
                self.latency_offset(),
            ],
            get: false,
        };
        let mut told = self.placed(&call, grid, collection).await?;
        if told.data.kind != "matrix" {
            let kind = self.clean(&told.data.kind);
            return Err(Trouble::last(SourceError::Decode(format!(
                "{} answered a range query with a {kind}; is it a Prometheus-compatible server?",
                self.shown()
            ))));
        }
        if told.data.histograms > 0 {
            told.notes.push(format!(
                "{} series carry native histograms, which have no single value and are left out; use histogram_quantile(…), histogram_count(…) or histogram_sum(…)",
                told.data.histograms
            ));
        }
        Ok(told)
    }

    /// The series of `expr` at the server's own now: their labels, without values.
    pub async fn instant(
        &self,
        expr: &str,
        collection: &Collection,
    ) -> Result<Told<Placed>, Trouble> {
        let call = Call {
            endpoint: "query",
            form: vec![("query", expr.to_owned()), self.latency_offset()],
            get: false,
        };
        let nowhere = Grid::new(Time::default(), Duration::from_secs(1), 0);
        self.placed(&call, nowhere, collection).await
    }

    /// How long the newest samples are waited for: VictoriaMetrics answers with the values before them for 30 s otherwise,
    /// and a value that is judged is judged for good. Other servers do not know this parameter and pass over it.
    fn latency_offset(&self) -> (&'static str, String) {
        let millis = self.source.latency_offset.0.as_millis();
        ("latency_offset", format!("{millis}ms"))
    }

    /// The answer to `call`, its samples placed on `grid`.
    async fn placed(
        &self,
        call: &Call,
        grid: Grid,
        collection: &Collection,
    ) -> Result<Told<Placed>, Trouble> {
        let room = self.room();
        let told = self.ask(call, || Place { grid, room }, collection).await?;
        if told.data.over {
            return Err(self.too_long());
        }
        Ok(told)
    }

    /// What the server says of itself, if it says anything.
    pub async fn build_info(&self, collection: &Collection) -> Result<BuildInfo, Trouble> {
        let call = Call {
            endpoint: "status/buildinfo",
            form: Vec::new(),
            get: true,
        };
        let read = || PhantomData::<BuildInfo>;
        self.ask(&call, read, collection)
            .await
            .map(|told| told.data)
    }

    /// Asks until there is an answer, asking again would not help, or the collection is over. `read` makes what reads the
    /// answer's `data`.
    async fn ask<S, T>(
        &self,
        call: &Call,
        read: impl Fn() -> S,
        collection: &Collection,
    ) -> Result<Told<T>, Trouble>
    where
        S: for<'de> DeserializeSeed<'de, Value = T> + Send + 'static,
        T: Send + 'static,
    {
        let asked = self.ask_again(call, read, collection);
        match collection.within(asked).await {
            Ok(outcome) => outcome,
            Err(length) => Err(self.too_late(length)),
        }
    }

    /// One of the configured requests at once.
    async fn ask_again<S, T>(
        &self,
        call: &Call,
        read: impl Fn() -> S,
        collection: &Collection,
    ) -> Result<Told<T>, Trouble>
    where
        S: for<'de> DeserializeSeed<'de, Value = T> + Send + 'static,
        T: Send + 'static,
    {
        let health = collection.health();
        let mut attempt = 0;
        let mut renewed = false;
        loop {
            let outcome = {
                // The gates are never closed; if they were, there would be nothing to wait for.
                let _yielded = if collection.background {
                    self.background.acquire().await.ok()
                } else {
                    None
                };
                let _permit = self.gate.acquire().await.ok();
                if let Some(error) = health.down() {
                    return Err(Trouble::last(error));
                }
                collection.sent();
                self.attempt(call, read()).await
            };
            let trouble = match outcome {
                Ok(told) => {
                    health.answered();
                    return Ok(told);
                }
                Err(trouble) => trouble,
            };
            let is_unreachable = matches!(
                trouble.error,
                SourceError::Connect(_) | SourceError::Timeout(_)
            );
            if !is_unreachable || matches!(trouble.cure, Cure::Slow(_)) {
                health.answered();
            }
            if trouble.cure == Cure::Renew && !renewed && self.renew() {
                renewed = true;
                continue;
            }
            let wait = self.retry.next(attempt, &trouble);
            let Some(wait) = wait.filter(|wait| collection.may_repeat_after(*wait)) else {
                health.gave_up(&trouble.error);
                return Err(trouble);
            };
            tracing::debug!(server = self.shown(), attempt, ?wait, error = %trouble.error, "asking again");
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    async fn attempt<S, T>(&self, call: &Call, seed: S) -> Result<Told<T>, Trouble>
    where
        S: for<'de> DeserializeSeed<'de, Value = T> + Send + 'static,
        T: Send + 'static,
    {
        let response = self.open(call).await?;
        let (parts, incoming) = incoming();
        let reading = tokio::task::spawn_blocking(move || {
            let mut reader = BufReader::new(incoming);
            let mut json = serde_json::Deserializer::from_reader(&mut reader);
            let answer = Reading(seed).deserialize(&mut json);
            let answer = answer.and_then(|answer| json.end().map(|()| answer));
            answer.map_err(|error| (error, reader.into_inner().into_head()))
        });
        let fed = self.feed(response, parts).await;
        let read = reading.await;
        // An answer that broke off can't be understood either, but that is not what is wrong with it.
        fed?;
        let mut answer = match read {
            Ok(Ok(answer)) => answer,
            Ok(Err((error, head))) => return Err(self.not_json(&error, &head)),
            Err(_) => {
                return Err(Trouble::passing(SourceError::Decode(format!(
                    "reading the answer of {} was cut short",
                    self.shown()
                ))));
            }
        };
        let (partial, is_answer) = (answer.is_partial(), answer.is_answer());
        let notes = answer.notes().iter().map(|note| self.clean(note)).collect();
        match answer.data.take() {
            Some(data) if is_answer => Ok(Told {
                data,
                notes,
                partial,
            }),
            _ => {
                let error = ServerError {
                    kind: answer.error_type,
                    text: answer.error.or_else(|| {
                        let status = self.clean(&answer.status);
                        Some(format!(
                            "the status is `{status}`, and there are no data that can be used"
                        ))
                    }),
                };
                Err(self.refusal(200, &error).trouble(None))
            }
        }
    }

    /// A successful answer whose body is still to come.
    async fn open(&self, call: &Call) -> Result<reqwest::Response, Trouble> {
        let mut response = self.send(call).await?;
        // Not allowed or not implemented: some proxies take no POST.
        if matches!(response.status().as_u16(), 405 | 501)
            && !call.get
            && !self.get_only.swap(true, Ordering::Relaxed)
        {
            response = self.send(call).await?;
        }
        let date = response.headers().get(DATE).and_then(http_date);
        if let Some(date) = date {
            self.clock.store(date.as_millisecond(), Ordering::Relaxed);
        }
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let asked = retry_after(response.headers());
        if status.is_redirection() {
            let to = response.headers().get("location");
            return Err(self.redirected(to.and_then(|to| to.to_str().ok())));
        }
        let mut page = Vec::new();
        while let Ok(Some(part)) = response.chunk().await {
            page.extend_from_slice(&part);
            if page.len() > MAX_ERROR_BODY {
                break;
            }
        }
        let error = ServerError::of(&page);
        Err(self.refusal(status.as_u16(), &error).trouble(asked))
    }

    async fn send(&self, call: &Call) -> Result<reqwest::Response, Trouble> {
        let get = call.get || self.get_only.load(Ordering::Relaxed);
        let mut url = Url::parse(&self.address.endpoint(call.endpoint))
            .map_err(|error| Trouble::last(SourceError::Setup(format!("[source] url: {error}"))))?;
        let mut params: Vec<(&str, &str)> = self
            .params
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let form = call.form.iter().map(|(key, value)| (*key, value.as_str()));
        if get {
            params.extend(form.clone());
        }
        if !params.is_empty() {
            url.query_pairs_mut().extend_pairs(params);
        }
        let connection = self.connection();
        let http = &connection.http;
        let mut request = if get {
            http.get(url)
        } else {
            let body = Serializer::new(String::new()).extend_pairs(form).finish();
            http.post(url).header(CONTENT_TYPE, FORM).body(body)
        };
        if let Some(value) = &connection.authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        request.send().await.map_err(|error| self.transport(error))
    }

    /// Passes the parts of an answer on to its reader, until one of them has had enough.
    async fn feed(
        &self,
        mut response: reqwest::Response,
        parts: mpsc::Sender<Bytes>,
    ) -> Result<(), Trouble> {
        let mut room = self.room();
        loop {
            match response.chunk().await {
                Ok(None) => return Ok(()),
                Ok(Some(part)) => {
                    let left = room.checked_sub(part.len());
                    room = left.ok_or_else(|| self.too_long())?;
                    // The reader has understood all it can.
                    if parts.send(part).await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(self.transport(error)),
            }
        }
    }
}

/// Milliseconds as seconds, the way the API takes times and steps.
fn seconds(millis: i64) -> String {
    let (whole, part) = (millis.div_euclid(1000), millis.rem_euclid(1000));
    if part == 0 {
        whole.to_string()
    } else if whole < 0 {
        // −1.5 s is −2 s and 500 ms: written as a fraction it is counted from the other side.
        format!("-{}.{:03}", -(whole + 1), 1000 - part)
    } else {
        format!("{whole}.{part:03}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        for (millis, text) in [
            (1_700_000_000_000, "1700000000"),
            (1_700_000_000_050, "1700000000.050"),
            (250, "0.250"),
            (-1500, "-1.500"),
            (-2000, "-2"),
            (-1, "-0.001"),
        ] {
            assert_eq!(seconds(millis), text);
        }
    }
}
