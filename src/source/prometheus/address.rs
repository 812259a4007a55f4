//! The server's address, taken apart so that nothing secret is left in what is shown.

use secrecy::SecretString;
use url::Url;

use crate::source::SourceError;

/// Where requests go.
#[derive(Debug)]
pub(super) struct Address {
    /// Scheme, host, port and path prefix; no credentials, no parameters, no trailing slash.
    base: String,
    /// Name and password that stood in the address.
    pub credentials: Option<(String, SecretString)>,
    /// Parameters that stood in the address.
    pub params: Vec<(String, String)>,
}

impl Address {
    /// Reads `[source] url`. A trailing `/api/v1` or `/api/v1/query_range` is dropped.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let mut url = Url::parse(text.trim()).ok().filter(is_http).ok_or_else(|| {
            // What can't be taken apart may hold a password: then it is not repeated.
            let shown = if text.contains('@') { "…" } else { text };
            SourceError::Setup(format!(
                "[source] url = \"{shown}\" is not the address of a server; write it as in \"http://localhost:9090\""
            ))
        })?;
        let credentials = (!url.username().is_empty() || url.password().is_some()).then(|| {
            let password = SecretString::from(decode(url.password().unwrap_or("")));
            (decode(url.username()), password)
        });
        let params = url.query_pairs().into_owned().collect();
        // Neither can fail: an http address always has a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.set_fragment(None);
        let mut base = url.as_str().trim_end_matches('/');
        for end in ["/api/v1/query_range", "/api/v1"] {
            base = base.strip_suffix(end).unwrap_or(base);
        }
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            credentials,
            params,
        })
    }

    /// The address as people see it.
    pub fn shown(&self) -> &str {
        &self.base
    }

    /// Whether the server is spoken to over TLS.
    pub fn is_https(&self) -> bool {
        self.base.starts_with("https:")
    }

    /// The address of an endpoint under `/api/v1/`.
    pub fn endpoint(&self, name: &str) -> String {
        format!("{}/api/v1/{name}", self.base)
    }
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

/// Undoes percent-encoding: the user part of an address is the only one that needs it here.
fn decode(text: &str) -> String {
    let pair = format!("k={}", text.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn endpoints_keep_the_prefix() {
        for (url, endpoint) in [
            ("http://h:9090", "http://h:9090/api/v1/query_range"),
            ("http://h:9090/", "http://h:9090/api/v1/query_range"),
            ("http://h/prom/", "http://h/prom/api/v1/query_range"),
            (
                "https://h/prom/api/v1/query_range",
                "https://h/prom/api/v1/query_range",
            ),
            ("http://h/api/v1/", "http://h/api/v1/query_range"),
            ("http://[::1]:9090", "http://[::1]:9090/api/v1/query_range"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.endpoint("query_range"), endpoint, "{url}");
        }
    }

    #[test]
    fn credentials_and_parameters_are_not_shown() {
        let address = Address::parse("https://me:p%40ss+w&d@h/x?dedup=true&token=t#f").unwrap();
        assert_eq!(address.shown(), "https://h/x");
        let (name, password) = address.credentials.unwrap();
        assert_eq!(
            (name.as_str(), password.expose_secret()),
            ("me", "p@ss+w&d")
        );
        assert_eq!(address.params.len(), 2);
    }

    #[test]
    fn what_is_no_address_is_told_without_its_password() {
        for bad in ["localhost:9090", "", "ftp://h", "/path", "http://"] {
            let error = Address::parse(bad).unwrap_err().to_string();
            assert!(error.contains("[source] url"), "{error}");
        }
        let error = Address::parse("htp://me:hunter2@h").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
