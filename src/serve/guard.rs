//! Who may change something: the token, and the Host and Origin that a web page can't forge.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq as _;

use super::Problem;

/// What a mutating request must show.
///
/// The Host must name this listener, so that a page whose name was bound to a loopback address can't get in; the Origin,
/// when there is one, must be that same host, so that another page's form can't either. A browser that says that the
/// request comes from another site's page (`Sec-Fetch-Site`) is believed: images and links have no Origin. The token is
/// asked for whenever one is set. A listener that others can reach and that has no token lets nobody change anything.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    listen: SocketAddr,
    token: Option<SecretString>,
    /// Nobody may change anything.
    read_only: bool,
}

impl Guard {
    pub(super) const fn new(listen: SocketAddr, token: Option<SecretString>) -> Self {
        Self {
            listen,
            token,
            read_only: false,
        }
    }

    /// The same, and with `read_only` nobody may change anything.
    pub(super) fn with_read_only(self, read_only: bool) -> Self {
        Self { read_only, ..self }
    }

    /// Others can reach the listener, and there is no token to tell them apart.
    pub(super) fn is_shut(&self) -> bool {
        !self.read_only && self.token.is_none() && !is_loopback(self.listen.ip())
    }

    /// Lets a mutating request through, or says why not (401 or 403) and what would.
    pub(super) fn check(&self, request: &Parts) -> Result<(), Problem> {
        if self.read_only {
            return Err(forbidden(
                "nothing can be changed through this listener: `api.read_only` is true",
            ));
        }
        let host = self.check_host(request)?;
        check_origin(&request.headers, &host)?;
        check_site(&request.headers)?;
        self.check_token(&request.headers)
    }

    fn check_host(&self, request: &Parts) -> Result<Authority, Problem> {
        let named = match request.uri.authority() {
            Some(authority) => Some(authority.clone()),
            None => request
                .headers
                .get(HOST)
                .and_then(|host| Authority::try_from(host.as_bytes()).ok()),
        };
        named.filter(|name| self.is_own(name)).ok_or_else(|| {
            forbidden(format!(
                "the request's Host is not this listener; send it to http://{} or by a loopback name",
                self.listen
            ))
        })
    }

    fn is_own(&self, name: &Authority) -> bool {
        if name.as_str().contains('@') {
            return false;
        }
        let host = name.host().trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            // A page's name can be made to point anywhere, but an address is what it says.
            Ok(ip) => {
                is_loopback(ip) || ip == self.listen.ip() || self.listen.ip().is_unspecified()
            }
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(token) = &self.token else {
            return if self.is_shut() {
                Err(forbidden(
                    "this listener can be reached from other hosts and has no token, so nothing can be changed through it; \
                     set `api.token`, or listen on a loopback address",
                ))
            } else {
                Ok(())
            };
        };
        let given = headers.get(AUTHORIZATION).and_then(bearer);
        match given {
            Some(given) if given.ct_eq(token.expose_secret().as_bytes()).into() => Ok(()),
            Some(_) => Err(unauthorized(
                "the token is not the one set as `api.token`",
                "Bearer realm=\"pulsewatch\", error=\"invalid_token\"",
            )),
            None => Err(unauthorized(
                "this route needs the token set as `api.token`; send `Authorization: Bearer <token>`",
                "Bearer realm=\"pulsewatch\"",
            )),
        }
    }
}

fn check_origin(headers: &HeaderMap, host: &Authority) -> Result<(), Problem> {
    for origin in headers.get_all(ORIGIN) {
        check_one_origin(origin, host)?;
    }
    Ok(())
}

fn check_one_origin(origin: &HeaderValue, host: &Authority) -> Result<(), Problem> {
    let page = Uri::try_from(origin.as_bytes()).ok();
    let same_host = page.is_some_and(|page| {
        page.scheme_str() == Some("http")
            && page.authority().is_some_and(|authority| {
                authority.host().eq_ignore_ascii_case(host.host())
                    && authority.port_u16().unwrap_or(80) == host.port_u16().unwrap_or(80)
            })
    });
    if same_host {
        Ok(())
    } else {
        Err(forbidden(
            "the request comes from another site's page (its Origin is not this listener)",
        ))
    }
}

/// Fetch metadata: `none` is what a person typed into the address bar; a client that is no browser sends nothing.
fn check_site(headers: &HeaderMap) -> Result<(), Problem> {
    let own = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
    if headers.get_all("sec-fetch-site").iter().all(own) {
        Ok(())
    } else {
        Err(forbidden(
            "the request comes from another site's page (its Sec-Fetch-Site is not same-origin)",
        ))
    }
}

fn bearer(header: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = header.as_bytes().split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn forbidden(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, detail)
}

fn unauthorized(detail: &str, challenge: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use axum::response::IntoResponse as _;

    use super::*;

    fn check(listen: &str, token: Option<&str>, headers: &[(&str, &str)]) -> u16 {
        let guard = Guard::new(listen.parse().unwrap(), token.map(SecretString::from));
        let request = headers.iter().fold(Request::builder(), |r, (name, value)| {
            r.header(*name, *value)
        });
        let (parts, ()) = request.uri("/train").body(()).unwrap().into_parts();
        guard.check(&parts).map_or_else(
            |problem| problem.into_response().status().as_u16(),
            |()| 200,
        )
    }

    #[test]
    fn the_host_must_be_this_listener() {
        for (listen, host, status) in [
            ("127.0.0.1:8901", "127.0.0.1:8901", 200),
            ("127.0.0.1:8901", "LOCALHOST:9999", 200),
            ("127.0.0.1:8901", "[::1]:8901", 200),
            ("127.0.0.1:8901", "127.0.0.1.evil.example", 403),
            ("127.0.0.1:8901", "localhost@evil.example", 403),
            ("127.0.0.1:8901", "192.0.2.7:8901", 403),
            ("127.0.0.1:8901", "not a host", 403),
        ] {
            assert_eq!(check(listen, None, &[("host", host)]), status, "{host}");
        }
        assert_eq!(check("127.0.0.1:8901", None, &[]), 403);
        let good = ("authorization", "Bearer s3cret");
        for (listen, host, status) in [
            ("192.0.2.7:8901", "192.0.2.7:8901", 200),
            ("0.0.0.0:8901", "192.0.2.7:8901", 200),
            ("0.0.0.0:8901", "rebound.example:8901", 403),
        ] {
            let headers = [("host", host), good];
            assert_eq!(check(listen, Some("s3cret"), &headers), status, "{host}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        for (origin, status) in [
            ("http://127.0.0.1:8901", 200),
            ("http://127.0.0.1:8902", 403),
            ("http://localhost:8901", 403),
            ("http://evil.example", 403),
            ("https://127.0.0.1:8901", 403),
            ("null", 403),
        ] {
            let headers = [("host", "127.0.0.1:8901"), ("origin", origin)];
            assert_eq!(check("127.0.0.1:8901", None, &headers), status, "{origin}");
        }
    }

    #[test]
    fn what_another_sites_page_loads_is_refused() {
        for (site, status) in [
            ("same-origin", 200),
            ("none", 200),
            ("same-site", 403),
            ("cross-site", 403),
            ("something-new", 403),
        ] {
            let headers = [("host", "127.0.0.1:8901"), ("sec-fetch-site", site)];
            assert_eq!(check("127.0.0.1:8901", None, &headers), status, "{site}");
        }
        let twice = [
            ("host", "127.0.0.1:8901"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "cross-site"),
        ];
        assert_eq!(check("127.0.0.1:8901", None, &twice), 403);
    }

    #[test]
    fn the_token_is_asked_for_when_set_and_needed_beyond_loopback() {
        let host = ("host", "127.0.0.1");
        for (token, authorization, status) in [
            (Some("s3cret"), Some("Bearer s3cret"), 200),
            (Some("s3cret"), Some("bearer  s3cret"), 200),
            (Some("s3cret"), Some("Bearer s3cre"), 401),
            (Some("s3cret"), Some("Bearer s3cret2"), 401),
            (Some("s3cret"), Some("Basic s3cret"), 401),
            (Some("s3cret"), Some("x"), 401),
            (Some("s3cret"), None, 401),
            (None, None, 200),
        ] {
            let mut headers = vec![host];
            headers.extend(authorization.map(|value| ("authorization", value)));
            assert_eq!(
                check("127.0.0.1:1", token, &headers),
                status,
                "{authorization:?}"
            );
        }
        assert_eq!(check("0.0.0.0:1", None, &[host]), 403);
    }
}
