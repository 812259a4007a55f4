//! Who is let in, what is refused, how it starts and ends.

use std::net::SocketAddr;

use pulsewatch::config::{ApiConfig, ExporterConfig};
use pulsewatch::serve::{ServeError, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::fixture::{Running, exporter, problem, two_features, with_token};

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_can_train() {
    let server = Running::with(two_features(), &exporter(), &with_token("s3cret"));
    let response = server.post("/train").send().await.unwrap();
    assert_eq!(
        response.headers()["www-authenticate"],
        "Bearer realm=\"pulsewatch\""
    );
    problem(response, 401).await;
    let wrong = server.post("/train").bearer_auth("s3cret!");
    problem(wrong.send().await.unwrap(), 401).await;
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("host", "evil.example"),
    ] {
        let request = server
            .post("/train")
            .bearer_auth("s3cret")
            .header(name, value);
        problem(request.send().await.unwrap(), 403).await;
    }
    assert!(server.control.sent.lock().unwrap().is_empty());
    let good = server
        .post("/train")
        .bearer_auth("s3cret")
        .header("origin", &server.url);
    assert_eq!(good.send().await.unwrap().status(), 202);
    assert_eq!(server.get("/metrics").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_listener_without_a_token_changes_nothing() {
    let open = ExporterConfig {
        listen: SocketAddr::from(([0, 0, 0, 0], 0)),
        ..exporter()
    };
    let bound = Server::bind(&open, &ApiConfig::default(), true)
        .unwrap()
        .unwrap();
    let warning = bound.warning().unwrap();
    assert!(warning.contains("api.token"), "{warning}");
    let server = Running::serve(two_features(), bound);
    let url = format!("http://127.0.0.1:{}", server.address.port());
    let response = server
        .client
        .post(format!("{url}/train"))
        .send()
        .await
        .unwrap();
    problem(response, 403).await;
    let response = server
        .client
        .get(format!("{url}/metrics/live-short"))
        .send()
        .await;
    assert_eq!(response.unwrap().status(), 200);

    let bound = Server::bind(&open, &with_token("s3cret"), true)
        .unwrap()
        .unwrap();
    assert_eq!(bound.warning(), None);
    let local = Server::bind(&exporter(), &ApiConfig::default(), true)
        .unwrap()
        .unwrap();
    assert_eq!(local.warning(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_paths_methods_and_sizes_are_problems() {
    let server = Running::start(two_features());
    let body = problem(server.get("/metrics/nothing").await, 404).await;
    assert!(body["error"].as_str().unwrap().contains("/metrics/nothing"));
    let put = server.client.put(format!("{}/train", server.url));
    let response = put.send().await.unwrap();
    let allowed = response.headers()["allow"].to_str().unwrap();
    assert!(
        allowed.contains("POST") && !allowed.contains("PUT"),
        "{allowed}"
    );
    problem(response, 405).await;
    problem(server.post("/metrics").send().await.unwrap(), 405).await;
    problem(server.post("/livez").send().await.unwrap(), 405).await;
    let large = server.post("/train").body(vec![b'x'; 64 * 1024 + 1]);
    problem(large.send().await.unwrap(), 413).await;
    let fits = server.post("/train").body(vec![b'x'; 64 * 1024]);
    assert_eq!(fits.send().await.unwrap().status(), 202);
}

/// Sends bytes as they are; what comes back until the server closes.
async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_requests_are_refused_and_the_server_goes_on() {
    let server = Running::start(two_features());
    let headers = "X-Header: one\r\n".repeat(200);
    let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    let answer = raw(server.address, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let answer = raw(server.address, b"\x16\x03\x01 not http at all\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let no_host = raw(server.address, b"POST /train HTTP/1.0\r\n\r\n").await;
    assert!(no_host.starts_with("HTTP/1.0 403"), "{no_host}");
    assert_eq!(server.get("/livez").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_in_one_request_are_refused() {
    let server = Running::start(two_features());
    for line in ["POST /train", "GET /metrics", "GET /livez", "GET /nothing"] {
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {0}\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
            server.address
        );
        let answer = raw(server.address, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{line}: {answer}");
    }
    assert!(server.control.sent.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_an_error_only_when_it_was_asked_for() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = ExporterConfig {
        listen: held.local_addr().unwrap(),
        ..exporter()
    };
    let api = ApiConfig::default();
    let error = Server::bind(&taken, &api, true).unwrap_err();
    assert!(matches!(error, ServeError::Taken { .. }));
    let text = error.to_string();
    assert!(
        text.contains("exporter.listen") && text.contains(&taken.listen.to_string()),
        "{text}"
    );
    assert!(Server::bind(&taken, &api, false).unwrap().is_none());
    assert!(Server::port_taken(&taken).contains(&taken.listen.to_string()));
    let off = ExporterConfig {
        enabled: false,
        ..taken
    };
    assert!(Server::bind(&off, &api, true).unwrap().is_none());
}

#[test]
fn bad_settings_name_their_key() {
    let refused = |exporter: &ExporterConfig, api: &ApiConfig| {
        Server::bind(exporter, api, true).unwrap_err().to_string()
    };
    let prefixed = |prefix: &str| ExporterConfig {
        prefix: prefix.into(),
        ..exporter()
    };
    for prefix in ["9lives_", "has space_", "dash-"] {
        let text = refused(&prefixed(prefix), &ApiConfig::default());
        assert!(
            text.contains("exporter.prefix") && text.contains(prefix),
            "{text}"
        );
    }
    assert!(Server::bind(&prefixed(""), &ApiConfig::default(), true).is_ok());
    let text = refused(&exporter(), &with_token(" "));
    assert!(text.contains("api.token"), "{text}");
    let elsewhere = ExporterConfig {
        // An address of documentation (RFC 5737): no host has it.
        listen: SocketAddr::from(([192, 0, 2, 1], 0)),
        ..exporter()
    };
    let text = refused(&elsewhere, &ApiConfig::default());
    assert!(text.contains("exporter.listen"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_drains_and_gives_the_port_back() {
    let server = Running::start(two_features());
    let address = server.address;
    // A connection that is kept open without a request must not hold the end up.
    let idle = tokio::net::TcpStream::connect(address).await.unwrap();
    assert_eq!(server.get("/livez").await.status(), 200);
    server.stop().await;
    drop(idle);
    assert!(std::net::TcpListener::bind(address).is_ok());
}
