//! Asks the server, understands what went wrong, asks again where that may help.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use url::Url;
use url::form_urlencoded::Serializer;

use super::address::Address;
use super::answer::{Answer, BuildInfo, Data};
use super::block::Block;
use super::failure::{ServerError, http_date, retry_after};
use super::retry::{Backoff, Cure, Health, Retry, Trouble};
use super::setup::Connection;
use crate::config::SourceConfig;
use crate::domain::{Grid, Time};
use crate::source::SourceError;

/// Longest answer that is read, decompressed; also what one request may take of memory, about twice.
const MAX_BODY: usize = 256 << 20;

/// As much of an error page as is looked at.
pub(super) const MAX_ERROR_BODY: usize = 64 << 10;

const FORM: &str = "application/x-www-form-urlencoded";

/// One server.
pub(super) struct Client {
    connection: RwLock<Arc<Connection>>,
    source: SourceConfig,
    address: Address,
    /// Go along in the address, not in the form: some proxies look only there.
    params: Vec<(String, String)>,
    gate: Semaphore,
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
        Ok(Self {
            connection: RwLock::new(Arc::new(connection)),
            source: source.clone(),
            address,
            params,
            gate: Semaphore::new(source.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
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
        health: &Health,
    ) -> Result<Told<Block>, Trouble> {
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
            ],
            get: false,
        };
        let told: Told<Data> = self.ask(&call, health).await?;
        if told.data.kind != "matrix" {
            let kind = self.clean(&told.data.kind);
            return Err(Trouble::last(SourceError::Decode(format!(
                "{} answered a range query with a {kind}; is it a Prometheus-compatible server?",
                self.shown()
            ))));
        }
        let (block, histograms) = Block::of(told.data, grid);
        let mut notes = told.notes;
        if histograms > 0 {
            notes.push(format!(
                "{histograms} series carry native histograms, which have no single value and are left out; use histogram_quantile(…), histogram_count(…) or histogram_sum(…)"
            ));
        }
        Ok(Told {
            data: block,
            notes,
            partial: told.partial,
        })
    }

    /// `expr` at the server's own now.
    pub async fn instant(&self, expr: &str, health: &Health) -> Result<Told<Data>, Trouble> {
        let call = Call {
            endpoint: "query",
            form: vec![("query", expr.to_owned())],
            get: false,
        };
        self.ask(&call, health).await
    }

    /// What the server says of itself, if it says anything.
    pub async fn build_info(&self, health: &Health) -> Result<BuildInfo, Trouble> {
        let call = Call {
            endpoint: "status/buildinfo",
            form: Vec::new(),
            get: true,
        };
        self.ask(&call, health).await.map(|told| told.data)
    }

    /// Asks until there is an answer or asking again would not help. One of the configured requests at once.
    async fn ask<T: DeserializeOwned + Send + 'static>(
        &self,
        call: &Call,
        health: &Health,
    ) -> Result<Told<T>, Trouble> {
        let mut attempt = 0;
        let mut renewed = false;
        loop {
            let outcome = {
                // The gate is never closed; if it were, there would be nothing to wait for.
                let _permit = self.gate.acquire().await.ok();
                if let Some(error) = health.down() {
                    return Err(Trouble::last(error));
                }
                self.attempt(call).await
            };
            let trouble = match outcome {
                Ok(told) => {
                    health.answered();
                    return Ok(told);
                }
                Err(trouble) => trouble,
            };
            if !matches!(
                trouble.error,
                SourceError::Connect(_) | SourceError::Timeout(_)
            ) {
                health.answered();
            }
            if trouble.cure == Cure::Renew && !renewed && self.renew() {
                renewed = true;
                continue;
            }
            let Some(wait) = self.retry.next(attempt, &trouble) else {
                health.gave_up(&trouble.error);
                return Err(trouble);
            };
            tracing::debug!(server = self.shown(), attempt, ?wait, error = %trouble.error, "asking again");
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    async fn attempt<T: DeserializeOwned + Send + 'static>(
        &self,
        call: &Call,
    ) -> Result<Told<T>, Trouble> {
        let body = self.body(call).await?;
        let read = move || {
            let answer = serde_json::from_slice::<Answer<T>>(&body);
            answer.map_err(|error| (error, body))
        };
        let mut answer = match tokio::task::spawn_blocking(read).await {
            Ok(Ok(answer)) => answer,
            Ok(Err((error, body))) => return Err(self.not_json(&error, &body)),
            Err(_) => {
                return Err(Trouble::passing(SourceError::Decode(format!(
                    "reading the answer of {} was cut short",
                    self.shown()
                ))));
            }
        };
        let partial = answer.is_partial();
        let notes = answer.notes().iter().map(|note| self.clean(note)).collect();
        match answer.data.take() {
            Some(data) if answer.status == "success" => Ok(Told {
                data,
                notes,
                partial,
            }),
            _ => {
                let error = ServerError {
                    kind: answer.error_type,
                    text: answer.error,
                };
                Err(self.refusal(200, &error).trouble(None))
            }
        }
    }

    /// The body of a successful answer.
    async fn body(&self, call: &Call) -> Result<Vec<u8>, Trouble> {
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
            return self.read(response).await;
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

    async fn read(&self, mut response: reqwest::Response) -> Result<Vec<u8>, Trouble> {
        // An answer that says how long it is needs no second place to grow into.
        let said = response.content_length().unwrap_or(0);
        let length = usize::try_from(said).unwrap_or(MAX_BODY).min(MAX_BODY);
        let mut body = Vec::with_capacity(length);
        loop {
            match response.chunk().await {
                Ok(Some(part)) if body.len() + part.len() > MAX_BODY => {
                    return Err(Trouble {
                        error: SourceError::Decode(format!(
                            "the answer of {} is longer than {} MB; ask for fewer series or a longer [source] step",
                            self.shown(),
                            MAX_BODY >> 20
                        )),
                        cure: Cure::Less,
                    });
                }
                Ok(Some(part)) => body.extend_from_slice(&part),
                Ok(None) => return Ok(body),
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
