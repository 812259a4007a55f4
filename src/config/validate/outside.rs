//! Checks what a configuration needs from outside of itself: variables, files and what stands in them.
//!
//! Only commands that use it ask: the incidents of a service can be listed without the service's secrets.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::Findings;
use crate::config::{Config, Secret, SourceConfig, SourceKind};

/// What asking the source needs.
pub(super) fn check_source(config: &Config, findings: &mut Findings<'_>) {
    let source = &config.source;
    match source.kind {
        SourceKind::Prometheus => check_server(source, findings),
        SourceKind::Replay => {
            if let Some(file) = &source.file {
                check_file(file, &["source", "file"], findings);
            }
        }
        SourceKind::Host => {}
    }
}

fn check_server(source: &SourceConfig, findings: &mut Findings<'_>) {
    if let Some(bearer) = &source.bearer {
        check_sent(bearer, &["source", "bearer"], findings);
    }
    if let Some(basic) = &source.basic {
        let path = ["source", "basic", "password"];
        resolve(&basic.password, &path, findings);
    }
    for (name, value) in &source.headers {
        check_sent(value, &["source", "headers", name], findings);
    }
    let tls = &source.tls;
    for (key, file) in [("ca", &tls.ca), ("cert", &tls.cert), ("key", &tls.key)] {
        if let Some(file) = file {
            check_file(file, &["source", "tls", key], findings);
        }
    }
}

/// What the HTTP routes need.
pub(super) fn check_serving(config: &Config, findings: &mut Findings<'_>) {
    let Some(token) = config
        .api
        .token
        .as_ref()
        .filter(|_| config.exporter.enabled)
    else {
        return;
    };
    let path = ["api", "token"];
    if let Some(token) = resolve(token, &path, findings) {
        findings.require(
            !token.expose_secret().trim().is_empty(),
            &path,
            "the token is empty",
            "write a long random word, or leave the key out",
        );
    }
}

/// A secret that goes into an HTTP header.
fn check_sent(secret: &Secret, path: &[&str], findings: &mut Findings<'_>) {
    if let Some(text) = resolve(secret, path, findings) {
        check_header_value(&text, path, findings);
    }
}

/// That a value can be sent in an HTTP header (RFC 9110: visible characters, spaces and tabs).
pub(super) fn check_header_value(text: &SecretString, path: &[&str], findings: &mut Findings<'_>) {
    let is_sent = |byte: u8| byte == b'\t' || (byte >= 0x20 && byte != 0x7f);
    findings.require(
        text.expose_secret().bytes().all(is_sent),
        path,
        "the value holds a line end or another control character, which no HTTP header can carry",
        "write it on one line",
    );
}

fn resolve(secret: &Secret, path: &[&str], findings: &mut Findings<'_>) -> Option<SecretString> {
    match secret.resolve() {
        Ok(text) => Some(text),
        Err(error) => {
            let (problem, remedy) = error.split_once("; ").unwrap_or((&error, ""));
            findings.wrong(path, problem, remedy);
            None
        }
    }
}

fn check_file(file: &Path, path: &[&str], findings: &mut Findings<'_>) {
    let opened = std::fs::File::open(file).and_then(|file| file.metadata());
    match opened {
        Ok(meta) if meta.is_dir() => {
            findings.wrong(path, "this is a folder", "write the path of a file");
        }
        Ok(_) => {}
        Err(error) => findings.wrong(
            path,
            format!("the file can't be read: {error}"),
            "write the path of a file that this user may read",
        ),
    }
}
