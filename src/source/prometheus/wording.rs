//! How a failed request is told: what happened, with which server, and what to do.

use std::time::Duration;

use url::Url;

use super::client::{Client, MEMORY};
use super::failure::{Refusal, ServerError};
use super::retry::{Cure, Trouble};
use crate::source::SourceError;

impl Client {
    /// A refusal with what may be shown of the server's words.
    pub fn refusal<'a>(&'a self, status: u16, error: &ServerError) -> Refusal<'a> {
        Refusal {
            server: self.shown(),
            status,
            kind: error.kind.as_deref().map(|kind| self.clean(kind)),
            text: error.text.as_deref().map(|text| self.clean(text)),
        }
    }

    /// What went wrong before there was a whole answer.
    pub fn transport(&self, error: reqwest::Error) -> Trouble {
        let error = error.without_url();
        let cause = self.clean(&super::setup::innermost(&error));
        let server = self.shown();
        if error.is_connect() && error.is_timeout() {
            return Trouble::passing(SourceError::Connect(format!(
                "no connection to {server} within {}; is the address right, and does a firewall let it through?",
                self.section().connect_timeout
            )));
        }
        if error.is_timeout() {
            return Trouble::passing(SourceError::Timeout(format!(
                "{server} gave no whole answer within {}; raise [source] timeout, or ask for less",
                self.section().timeout
            )));
        }
        if cause.contains("certificate") || cause.contains("fatal alert") {
            return Trouble {
                error: SourceError::Connect(format!(
                    "no trusted connection to {server}: {cause}; check [source.tls] ca (whom to trust), cert and key (who asks)"
                )),
                cure: Cure::Renew,
            };
        }
        if error.is_body() || error.is_decode() {
            return Trouble::passing(SourceError::Decode(format!(
                "the answer of {server} broke off: {cause}"
            )));
        }
        let hint = "is it running, and is [source] url right?";
        Trouble::passing(SourceError::Connect(format!(
            "can't talk to {server}: {cause}; {hint}"
        )))
    }

    /// What came is not the API's JSON; `head` is how it begins.
    pub fn not_json(&self, error: &serde_json::Error, head: &[u8]) -> Trouble {
        let head = self.clean_head(&String::from_utf8_lossy(head), 60);
        let error = self.clean(&error.to_string());
        Trouble::passing(SourceError::Decode(format!(
            "the answer of {} is not what a Prometheus-compatible server writes ({error}): it begins with `{head}`; is [source] url right?",
            self.shown()
        )))
    }

    /// An answer that is longer, or holds more, than one request may take of memory.
    pub fn too_long(&self) -> Trouble {
        Trouble {
            error: SourceError::Decode(format!(
                "the answer of {} takes more than {} MB unpacked, which is what each of [source] concurrency = {} requests may take of {} MB; aggregate in the expression or narrow it to fewer series, or take a longer [source] step",
                self.shown(),
                self.room() >> 20,
                self.section().concurrency,
                MEMORY >> 20
            )),
            cure: Cure::Less,
        }
    }

    /// A look was over before there was an answer.
    pub fn too_late(&self, length: Duration) -> Trouble {
        Trouble::last(SourceError::Timeout(format!(
            "{} gave no answer within the {} s that one look may take; the next look asks again. If this lasts, simplify the expressions, or raise [source] timeout (half of that time) or concurrency",
            self.shown(),
            length.as_secs_f64()
        )))
    }

    /// The server wants to be asked elsewhere.
    pub fn redirected(&self, to: Option<&str>) -> Trouble {
        // Only where to: the rest may repeat what was asked.
        let to = to
            .and_then(|to| to.split(['?', '#']).next())
            .unwrap_or("elsewhere");
        let to = match Url::parse(to) {
            Ok(mut url) => {
                let _ = url.set_username("");
                let _ = url.set_password(None);
                url.to_string()
            }
            Err(_) => to.to_owned(),
        };
        Trouble::last(SourceError::Setup(format!(
            "{} redirects to {}; redirects are not followed: set [source] url to where the API really is, or sign in with bearer or basic",
            self.shown(),
            self.clean(&to)
        )))
    }
}
