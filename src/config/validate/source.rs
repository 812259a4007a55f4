//! `[source]`, `[queries]` and `[entities]`.

use super::Findings;
use super::maintenance::check_deviation;
use super::outside::check_header_value;
use crate::config::load::os_name;
use crate::config::{
    Config, Expr, Os, OsExpr, QueryConfig, Secret, SourceConfig, SourceKind, Span,
};

/// Longest expression, in bytes: far over what people write, and short enough for a parser that recurses.
const LONGEST_EXPRESSION: usize = 8192;
/// Names that columns of the project's own files have.
const RESERVED: [&str; 5] = [
    "timestamp",
    "entity",
    "day_of_week",
    "hour_of_day",
    "is_anomaly",
];

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let source = &config.source;
    findings.at_least(
        source.step,
        Span(std::time::Duration::from_millis(1)),
        &["source", "step"],
    );
    findings.at_least(source.timeout, Span::secs(1), &["source", "timeout"]);
    findings.at_least(
        source.connect_timeout,
        Span(std::time::Duration::from_millis(100)),
        &["source", "connect_timeout"],
    );
    findings.within(source.concurrency, 1..=64, &["source", "concurrency"]);
    findings.require(
        source.retries <= 20,
        &["source", "retries"],
        "this is out of range",
        "write a whole number from 0 to 20",
    );
    findings.require(
        source.speed.is_finite() && source.speed >= 0.0,
        &["source", "speed"],
        "this must be a number of rows a second, or 0 for as fast as it goes",
        "write 10",
    );
    findings.require(
        source
            .timezone
            .as_deref()
            .is_none_or(|zone| jiff::tz::TimeZone::get(zone).is_ok()),
        &["source", "timezone"],
        "this is not a time zone that this system knows",
        "write an IANA name such as \"Europe/Berlin\"",
    );
    match source.kind {
        SourceKind::Prometheus => check_server(source, findings),
        SourceKind::Replay => findings.require(
            source
                .file
                .as_ref()
                .is_some_and(|file| !file.as_os_str().is_empty()),
            &["source", "file"],
            "kind = \"replay\" needs a file to play back",
            "write file = \"metrics.csv\" (CSV, CSV.gz or Parquet)",
        ),
        SourceKind::Host => {}
    }
    check_access(source, findings);
}

fn check_server(source: &SourceConfig, findings: &mut Findings<'_>) {
    const EXAMPLE: &str = "write an address such as \"http://127.0.0.1:9090\"";
    if let Err(problem) = http_address(&source.url) {
        findings.wrong(&["source", "url"], problem, EXAMPLE);
    }
    if let Some(Err(problem)) = source.proxy.as_deref().map(http_address) {
        findings.wrong(
            &["source", "proxy"],
            problem,
            "write an address such as \"http://proxy:3128\"",
        );
    }
}

/// That `text` is the address of an HTTP server.
fn http_address(text: &str) -> Result<(), String> {
    let address =
        url::Url::parse(text).map_err(|error| format!("this is not an address: {error}"))?;
    if !matches!(address.scheme(), "http" | "https") {
        return Err(format!(
            "`{}` is not a scheme that can be asked",
            address.scheme()
        ));
    }
    match address.host_str() {
        Some(host) if !host.is_empty() => Ok(()),
        _ => Err("this address names no host".into()),
    }
}

fn check_access(source: &SourceConfig, findings: &mut Findings<'_>) {
    findings.require(
        source.bearer.is_none() || source.basic.is_none(),
        &["source", "basic"],
        "a request can carry only one authorisation, and source.bearer is set too",
        "take out source.bearer or [source.basic]",
    );
    let tls = &source.tls;
    match (&tls.cert, &tls.key) {
        (Some(_), None) => findings.wrong(
            &["source", "tls", "cert"],
            "a client certificate needs its private key",
            "write key = \"client.key\" beside it",
        ),
        (None, Some(_)) => findings.wrong(
            &["source", "tls", "key"],
            "a private key needs its certificate",
            "write cert = \"client.pem\" beside it",
        ),
        _ => {}
    }
    if let Some(bearer) = &source.bearer {
        check_secret(bearer, &["source", "bearer"], findings);
        if let Secret::Inline(text) = bearer {
            check_header_value(text, &["source", "bearer"], findings);
        }
    }
    if let Some(basic) = &source.basic {
        check_secret(&basic.password, &["source", "basic", "password"], findings);
        findings.require(
            !basic.username.contains(':'),
            &["source", "basic", "username"],
            "a user name can't have a colon in it (RFC 7617)",
            "write the name alone; the password is a key of its own",
        );
    }
    for (name, value) in &source.headers {
        let path = ["source", "headers", name.as_str()];
        findings.require(
            !name.is_empty() && name.bytes().all(is_header_byte),
            &path,
            "this is not a header's name",
            "write letters, digits and hyphens, such as X-Scope-OrgID",
        );
        check_secret(value, &path, findings);
        if let Secret::Inline(text) = value {
            check_header_value(text, &path, findings);
        }
    }
}

/// `tchar` of RFC 9110.
fn is_header_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// That a secret says where it is. Whether it is there is seen when it is used.
pub(super) fn check_secret(secret: &Secret, path: &[&str], findings: &mut Findings<'_>) {
    let named = match secret {
        Secret::Inline(_) => true,
        Secret::Env(from) => !from.env.is_empty(),
        Secret::File(from) => !from.file.as_os_str().is_empty(),
    };
    findings.require(
        named,
        path,
        "this names no place to take the secret from",
        "write { env = \"NAME\" } or { file = \"PATH\" }",
    );
}

pub(super) fn check_queries(config: &Config, findings: &mut Findings<'_>) {
    for (name, query) in &config.queries {
        check_alias(name, findings);
        check_query(name, query, findings);
    }
    if config.source.kind != SourceKind::Prometheus {
        return;
    }
    let os = config.source.os.unwrap_or(Os::here());
    if config
        .queries
        .values()
        .all(|query| query.expr.on(os).is_none())
    {
        findings.wrong(
            &["queries"],
            format!("there is no query to ask the server about {} hosts", os_name(os)),
            "write [queries.cpu] with expr = \"…\", or set source.os to the system that the expressions are for",
        );
    }
    check_names(config, &config.detect.mute, &["detect", "mute"], findings);
    for (position, window) in config.detect.maintenance.iter().enumerate() {
        let position = position.to_string();
        let path = ["detect", "maintenance", &position, "queries"];
        check_names(config, &window.queries, &path, findings);
    }
}

/// Whether the list at `path` names queries.
fn check_names(config: &Config, names: &[String], path: &[&str], findings: &mut Findings<'_>) {
    let written = findings.root.names(&["queries"]);
    for (position, name) in names.iter().enumerate() {
        if !config.queries.contains_key(name) && !written.contains(name) {
            let names: Vec<&str> = config.queries.keys().map(String::as_str).collect();
            let remedy = match crate::config::suggest::nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("the queries are {}", names.join(", ")),
            };
            let position = position.to_string();
            let path: Vec<&str> = path.iter().copied().chain([position.as_str()]).collect();
            findings.wrong(&path, "there is no query of this name", remedy);
        }
    }
}

fn check_alias(name: &str, findings: &mut Findings<'_>) {
    let sane = name
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    findings.require(
        sane,
        &["queries", name],
        "a query's name becomes a column and a label",
        "use letters, digits and _ only, and no digit first",
    );
    findings.require(
        !RESERVED.contains(&name),
        &["queries", name],
        "this name is taken by a column that is always there",
        "choose another",
    );
}

fn check_query(name: &str, query: &QueryConfig, findings: &mut Findings<'_>) {
    match &query.expr {
        Expr::Everywhere(expr) => check_expression(expr, &["queries", name, "expr"], findings),
        Expr::PerOs(OsExpr {
            linux,
            windows,
            macos,
        }) => {
            let variants = [("linux", linux), ("windows", windows), ("macos", macos)];
            findings.require(
                variants.iter().any(|(_, expr)| expr.is_some()),
                &["queries", name, "expr"],
                "there is an expression for no system at all",
                "write expr = { linux = \"…\" }",
            );
            for (os, expr) in variants {
                if let Some(expr) = expr {
                    check_expression(expr, &["queries", name, "expr", os], findings);
                }
            }
        }
    }
    findings.require(
        query.limit.is_none_or(f64::is_finite),
        &["queries", name, "limit"],
        "a limit must be a finite number",
        "write limit = 90, or take it out",
    );
    check_deviation(
        query.min_deviation,
        &["queries", name, "min_deviation"],
        findings,
    );
}

fn check_expression(expr: &str, path: &[&str], findings: &mut Findings<'_>) {
    if expr.len() > LONGEST_EXPRESSION {
        findings.wrong(
            path,
            format!("an expression has at most {LONGEST_EXPRESSION} bytes"),
            "make it a recording rule",
        );
    } else if expr.trim().is_empty() {
        findings.wrong(
            path,
            "the expression is empty",
            "write PromQL, such as \"node_load5\"",
        );
    } else if let Err(error) = promql_parser::parser::parse(expr) {
        findings.wrong(
            path,
            format!("this is not PromQL: {}", error.trim()),
            "mend it; what only this server understands can be a recording rule",
        );
    }
}

pub(super) fn check_entities(config: &Config, findings: &mut Findings<'_>) {
    let entities = &config.entities;
    for (key, labels) in [
        ("group_by", &entities.group_by),
        ("ignore_labels", &entities.ignore_labels),
    ] {
        for (position, label) in labels.iter().enumerate() {
            let place = position.to_string();
            findings.require(
                is_label(label),
                &["entities", key, &place],
                "this is not a label's name",
                "write letters, digits and _, such as \"instance\"",
            );
            findings.require(
                !labels.iter().take(position).any(|other| other == label),
                &["entities", key, &place],
                "this label stands here twice",
                "take one out",
            );
        }
    }
    for (position, label) in entities.ignore_labels.iter().enumerate() {
        findings.require(
            !entities.group_by.contains(label),
            &["entities", "ignore_labels", &position.to_string()],
            "entities are named by this label, so it can't be ignored",
            "take it out of ignore_labels or out of group_by",
        );
    }
    findings.within(entities.max, 1..=100_000, &["entities", "max"]);
    findings.within(
        entities.max_features,
        1..=10_000,
        &["entities", "max_features"],
    );
}

fn is_label(label: &str) -> bool {
    label
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
