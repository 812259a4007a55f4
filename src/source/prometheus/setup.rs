//! The HTTP client as the configuration wants it: trust, identity, proxy, headers, time limits.

use std::path::Path;
use std::sync::Once;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, ClientBuilder, Identity, Proxy, redirect};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::address::Address;
use super::redact::Redactor;
use crate::config::{Secret, SourceConfig, TlsConfig};
use crate::source::SourceError;

/// A client that is ready to ask, and what it must never show.
pub(super) struct Connection {
    /// Sends the extra headers by itself.
    pub http: reqwest::Client,
    /// `Authorization`, where one is configured.
    pub authorization: Option<HeaderValue>,
    /// Hides every secret that was resolved.
    pub redactor: Redactor,
}

impl Connection {
    /// Resolves all secrets of `[source]` and builds the client.
    pub fn new(source: &SourceConfig, address: &Address) -> Result<Self, SourceError> {
        if source.bearer.is_some() && source.basic.is_some() {
            return Err(setup(
                "[source] has both bearer and basic; a server takes one of them: remove the other",
            ));
        }
        let mut redactor = Redactor::default();
        let headers = extra_headers(source, &mut redactor)?;
        let params = address.params.iter().map(|(_, value)| value);
        for value in source.params.values().chain(params) {
            redactor.hide_if_long(value);
        }
        if let Some(proxy) = source.proxy.as_deref().and_then(|p| Url::parse(p).ok()) {
            redactor.hide(SecretString::from(proxy.password().unwrap_or("")));
        }
        let http = client(source, address.is_https(), &headers)?;
        let authorization = authorization(source, address, &http, &mut redactor)?;
        Ok(Self {
            http,
            authorization,
            redactor,
        })
    }
}

fn extra_headers(source: &SourceConfig, redactor: &mut Redactor) -> Result<HeaderMap, SourceError> {
    let mut headers = HeaderMap::new();
    for (name, secret) in &source.headers {
        let key = format!("headers.{name}");
        let header = HeaderName::try_from(name).map_err(|_| {
            setup(&format!(
                "[source] {key}: `{name}` is not the name of an HTTP header; use letters, digits and `-`"
            ))
        })?;
        let text = resolve(&key, secret)?;
        let value = HeaderValue::from_str(text.expose_secret());
        headers.insert(header, sensitive(&key, value.ok())?);
        redactor.hide(text);
    }
    Ok(headers)
}

/// The `Authorization` header; credentials in the address count when no others are given.
fn authorization(
    source: &SourceConfig,
    address: &Address,
    http: &reqwest::Client,
    redactor: &mut Redactor,
) -> Result<Option<HeaderValue>, SourceError> {
    // Made for its header only, never sent.
    let request = http.get(address.endpoint("query_range"));
    let (key, request) = if let Some(secret) = &source.bearer {
        let token = resolve("bearer", secret)?;
        let request = request.bearer_auth(token.expose_secret());
        redactor.hide(token);
        ("bearer", request)
    } else if let Some(basic) = &source.basic {
        let password = resolve("basic.password", &basic.password)?;
        let request = request.basic_auth(&basic.username, Some(password.expose_secret()));
        redactor.hide(password);
        ("basic", request)
    } else if let Some((name, password)) = &address.credentials {
        redactor.hide(password.clone());
        let request = request.basic_auth(name, Some(password.expose_secret()));
        ("url", request)
    } else {
        return Ok(None);
    };
    let made = request.build().ok();
    let value = sensitive(
        key,
        made.and_then(|r| r.headers().get(AUTHORIZATION).cloned()),
    )?;
    if let Some((_, encoded)) = value.to_str().ok().and_then(|text| text.split_once(' ')) {
        redactor.hide(SecretString::from(encoded));
    }
    Ok(Some(value))
}

fn sensitive(key: &str, value: Option<HeaderValue>) -> Result<HeaderValue, SourceError> {
    let mut value = value.ok_or_else(|| {
        setup(&format!(
            "[source] {key}: the value can't be sent in an HTTP header; it holds a line end or a control character"
        ))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn setup(text: &str) -> SourceError {
    SourceError::Setup(text.to_owned())
}

fn resolve(key: &str, secret: &Secret) -> Result<SecretString, SourceError> {
    secret
        .resolve()
        .map_err(|error| SourceError::Setup(format!("[source] {key}: {error}")))
}

/// Builds the client. Redirects are not followed: they would lose the form and could carry headers to a stranger.
fn client(
    source: &SourceConfig,
    https: bool,
    headers: &HeaderMap,
) -> Result<reqwest::Client, SourceError> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // An error means that the process has a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let mut made = trust(base(source, headers)?, &source.tls)?.build();
    if made.is_err() && !https {
        // A machine without any certificates can still speak plain HTTP.
        made = base(source, headers)?.tls_certs_only([]).build();
    }
    made.map_err(|error| {
        let cause = innermost(&error.without_url());
        SourceError::Setup(format!(
            "[source]: no HTTPS client can be made: {cause}; install the system's CA certificates (package ca-certificates) or set [source.tls] ca"
        ))
    })
}

fn base(source: &SourceConfig, headers: &HeaderMap) -> Result<ClientBuilder, SourceError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("pulsewatch/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers.clone())
        .connect_timeout(source.connect_timeout.0)
        .timeout(source.timeout.0)
        .redirect(redirect::Policy::none());
    if let Some(address) = &source.proxy {
        let proxy = Proxy::all(address.as_str()).map_err(|_| {
            setup("[source] proxy is not the address of a proxy; write it as in \"http://proxy:3128\"")
        })?;
        builder = builder.proxy(proxy);
    }
    Ok(builder)
}

fn trust(mut builder: ClientBuilder, tls: &TlsConfig) -> Result<ClientBuilder, SourceError> {
    if let Some(path) = &tls.ca {
        let found = Certificate::from_pem_bundle(&read("ca", path)?).unwrap_or_default();
        if found.is_empty() {
            return Err(unusable("ca", path, "holds no PEM certificate"));
        }
        builder = builder.tls_certs_merge(found);
    }
    match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => {
            let mut pem = read("cert", cert)?;
            pem.push(b'\n');
            pem.extend(read("key", key)?);
            let identity = Identity::from_pem(&pem).map_err(|_| {
                let why = format!(
                    "and {} do not hold a PEM certificate and its unencrypted private key",
                    key.display()
                );
                unusable("cert", cert, &why)
            })?;
            builder = builder.identity(identity);
        }
        (None, None) => {}
        _ => {
            return Err(setup(
                "[source.tls] cert and key belong together: set both, or neither",
            ));
        }
    }
    Ok(builder.tls_danger_accept_invalid_certs(tls.insecure_skip_verify))
}

fn read(key: &str, path: &Path) -> Result<Vec<u8>, SourceError> {
    std::fs::read(path).map_err(|error| unusable(key, path, &format!("can't be read: {error}")))
}

fn unusable(key: &str, path: &Path, why: &str) -> SourceError {
    SourceError::Setup(format!("[source.tls] {key}: {} {why}", path.display()))
}

/// The last link of an error's chain, which says what really happened.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(change: impl Fn(&mut SourceConfig)) -> String {
        let mut source = SourceConfig::default();
        change(&mut source);
        let address = Address::parse(&source.url).unwrap();
        let made = Connection::new(&source, &address);
        made.err().unwrap().to_string()
    }

    #[test]
    fn what_can_not_work_names_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let junk = dir.path().join("junk.pem");
        std::fs::write(&junk, "junk").unwrap();
        let missing = dir.path().join("missing.pem");
        let inline = |text: &str| Secret::Inline(SecretString::from(text));
        let cases = [
            fails(|s| s.tls.ca = Some(missing.clone())),
            fails(|s| s.tls.ca = Some(junk.clone())),
            fails(|s| s.tls.cert = Some(junk.clone())),
            fails(|s| {
                s.tls.cert = Some(junk.clone());
                s.tls.key = Some(junk.clone());
            }),
            fails(|s| s.proxy = Some("::".into())),
            fails(|s| s.bearer = Some(inline("hunter2\n"))),
            fails(|s| {
                s.headers.insert("a b".into(), inline("hunter2"));
            }),
        ];
        let named = ["ca", "ca", "cert", "cert", "proxy", "bearer", "headers.a b"];
        for (text, key) in cases.iter().zip(named) {
            assert!(text.contains("[source") && text.contains(key), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
