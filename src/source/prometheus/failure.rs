//! What a server's refusal means: whose fault, what to do, and whether asking again or asking for less may help.

use std::marker::PhantomData;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use serde::de::{DeserializeSeed, IgnoredAny};

use super::answer::Reading;
use super::retry::{Cure, Trouble};
use crate::source::SourceError;

/// How servers say that a request covers too much at once (Prometheus, Thanos, Cortex, Mimir, VictoriaMetrics).
const TOO_MUCH: [&str; 16] = [
    "exceeded maximum resolution",
    "too many points",
    "too many samples",
    "maxPointsPerTimeseries",
    "maxSamplesPerQuery",
    "time range exceeds the limit",
    "response too large",
    "max number of chunks limit",
    "maximum number of chunks",
    "exceeded chunks limit",
    "chunks size limit",
    "maximum chunks bytes",
    "max-chunks",
    "max number of series limit",
    "exceeded series limit",
    "estimated-memory-consumption",
];

/// The error part of an answer.
#[derive(Debug, Default)]
pub(super) struct ServerError {
    /// `bad_data`, `execution`, …
    pub kind: Option<String>,
    /// The server's words.
    pub text: Option<String>,
}

impl ServerError {
    /// Reads an error page: the API's JSON, or else plain text. Other markup says nothing useful.
    pub fn of(page: &[u8]) -> Self {
        let mut json = serde_json::Deserializer::from_slice(page);
        if let Ok(answer) = Reading(PhantomData::<IgnoredAny>).deserialize(&mut json) {
            return Self {
                kind: answer.error_type,
                text: answer.error,
            };
        }
        let text = String::from_utf8_lossy(page);
        let text = text.trim();
        let plain = !text.is_empty() && !text.starts_with('<');
        Self {
            kind: None,
            text: plain.then(|| text.to_owned()),
        }
    }
}

/// An answer that is none.
#[derive(Debug)]
pub(super) struct Refusal<'a> {
    /// Who refused, as shown.
    pub server: &'a str,
    /// HTTP status; 200 for an error inside a regular answer.
    pub status: u16,
    /// The server's word for the kind of error, cleaned.
    pub kind: Option<String>,
    /// The server's words, cleaned.
    pub text: Option<String>,
}

impl Refusal<'_> {
    /// What follows from it; `asked` is how long the server wants to be left alone.
    pub fn trouble(&self, asked: Option<Duration>) -> Trouble {
        let text = self.text.as_deref().unwrap_or("");
        let message = |hint: &str| format!("{}; {hint}", self.line());
        if TOO_MUCH.iter().any(|words| text.contains(words)) {
            return Trouble {
                error: SourceError::Query(message(
                    "it allows less at once than one step of this query needs: raise the server's limit, or make the expression select fewer series",
                )),
                cure: Cure::Less,
            };
        }
        match self.status {
            429 => self.again(
                asked,
                message("lower [source] concurrency, or ask less often"),
            ),
            408 | 500..=599 if self.status != 501 => {
                self.again(asked, message("see the server's log if this lasts"))
            }
            401 | 403 | 407 => Trouble {
                error: SourceError::Query(message(
                    "check [source] bearer, basic, headers and what they are allowed to read",
                )),
                cure: Cure::Renew,
            },
            404 | 405 | 410 | 501 => refused(message(
                "is [source] url the base address of a Prometheus-compatible server, with its path prefix if it has one?",
            )),
            _ => refused(message("correct the query's expr")),
        }
    }

    fn again(&self, asked: Option<Duration>, text: String) -> Trouble {
        let text = match asked {
            Some(asked) => format!("{text}; it asks to be left alone for {} s", asked.as_secs()),
            None => text,
        };
        Trouble {
            error: if self.status == 408 {
                SourceError::Timeout(text)
            } else {
                SourceError::Http(text)
            },
            cure: if self.is_out_of_time() {
                Cure::Slow(asked)
            } else {
                Cure::Again(asked)
            },
        }
    }

    /// Whether the server, or a proxy before it, gave up because it took too long.
    fn is_out_of_time(&self) -> bool {
        matches!(self.status, 408 | 504) || self.kind.as_deref() == Some("timeout")
    }

    /// `http://h answered 400 Bad Request (bad_data): parse error`.
    fn line(&self) -> String {
        let mut line = format!("{} answered ", self.server);
        if self.status == 200 {
            line.push_str("with an error");
        } else {
            line.push_str(&self.status.to_string());
            let reason = reqwest::StatusCode::from_u16(self.status)
                .ok()
                .and_then(|status| status.canonical_reason());
            if let Some(reason) = reason {
                line.push(' ');
                line.push_str(reason);
            }
        }
        if let Some(kind) = &self.kind {
            line.push_str(" (");
            line.push_str(kind);
            line.push(')');
        }
        if let Some(text) = &self.text {
            line.push_str(": ");
            line.push_str(text);
        }
        line
    }
}

fn refused(text: String) -> Trouble {
    Trouble::last(SourceError::Query(text))
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, or a date, which is compared with the server's own clock.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(secs) = text.parse() {
        return Some(Duration::from_secs(secs));
    }
    let now = headers.get(DATE).and_then(http_date)?;
    let then = headers.get(RETRY_AFTER).and_then(http_date)?;
    let secs = then.as_second().saturating_sub(now.as_second());
    Some(Duration::from_secs(u64::try_from(secs).unwrap_or(0)))
}

/// A moment as HTTP headers write it.
pub(super) fn http_date(value: &HeaderValue) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(value.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(status: u16, page: &str) -> Trouble {
        let error = ServerError::of(page.as_bytes());
        let refusal = Refusal {
            server: "http://h",
            status,
            kind: error.kind,
            text: error.text,
        };
        refusal.trouble(Some(Duration::from_secs(3)))
    }

    #[test]
    fn every_status_has_its_meaning() {
        let again = Cure::Again(Some(Duration::from_secs(3)));
        let slow = Cure::Slow(Some(Duration::from_secs(3)));
        for (status, reason, cure) in [
            (200, "query", Cure::Nothing),
            (400, "query", Cure::Nothing),
            (401, "query", Cure::Renew),
            (403, "query", Cure::Renew),
            (404, "query", Cure::Nothing),
            (408, "timeout", slow),
            (422, "query", Cure::Nothing),
            (429, "http", again),
            (500, "http", again),
            (501, "query", Cure::Nothing),
            (502, "http", again),
            (503, "http", again),
            (504, "http", slow),
        ] {
            let trouble = trouble(status, "<html>oops</html>");
            assert_eq!(
                (trouble.error.reason(), trouble.cure),
                (reason, cure),
                "{status}"
            );
            assert!(!trouble.error.to_string().contains("oops"));
        }
    }

    #[test]
    fn the_servers_words_are_passed_on() {
        let page =
            r#"{"status":"error","errorType":"bad_data","error":"1:5: parse error: unclosed"}"#;
        let text = trouble(400, page).error.to_string();
        assert!(
            text.contains("400 Bad Request (bad_data): 1:5: parse error"),
            "{text}"
        );
        let text = trouble(502, "upstream gone\n").error.to_string();
        assert!(text.contains("502 Bad Gateway: upstream gone"), "{text}");
    }

    #[test]
    fn too_much_at_once_is_asked_in_parts() {
        let page = r#"{"status":"error","errorType":"bad_data","error":"exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"}"#;
        assert_eq!(trouble(400, page).cure, Cure::Less);
        let page = r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory in query execution"}"#;
        assert_eq!(trouble(422, page).cure, Cure::Less);
    }

    #[test]
    fn a_limit_that_a_shorter_range_keeps_to_is_no_mistake_of_the_query() {
        for text in [
            "the query hit the max number of chunks limit (limit: 2000000 chunks); reduce the range",
            "the query exceeded the maximum number of chunks (limit: 10 chunks) (err-mimir-max-chunks-per-query)",
            "the query exceeded the aggregated chunks size limit (limit: 100 bytes) (err-mimir-max-chunks-bytes-per-query)",
            "exceeded chunks limit: rpc error: limit 10 violated (got 20)",
            "the query hit the max number of series limit (limit: 10 series)",
        ] {
            let page = format!(r#"{{"status":"error","errorType":"execution","error":"{text}"}}"#);
            let trouble = trouble(422, &page);
            assert_eq!(trouble.cure, Cure::Less, "{text}");
            assert!(!trouble.error.to_string().contains("correct the query"));
        }
    }

    #[test]
    fn a_query_that_ran_out_of_time_is_asked_for_less() {
        let page = r#"{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}"#;
        let asked = Some(Duration::from_secs(3));
        assert_eq!(trouble(503, page).cure, Cure::Slow(asked));
        assert_eq!(trouble(503, "busy").cure, Cure::Again(asked));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        headers.insert(RETRY_AFTER, "7".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(7)));
        headers.insert(
            RETRY_AFTER,
            "Fri, 31 Dec 1999 23:59:59 GMT".parse().unwrap(),
        );
        assert_eq!(retry_after(&headers), None);
        headers.insert(DATE, "Fri, 31 Dec 1999 23:59:49 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(10)));
        headers.insert(DATE, "Sat, 01 Jan 2000 00:00:00 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::ZERO));
    }
}
