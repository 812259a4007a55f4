//! Clients that send or read too slowly take nothing from the others.

use std::net::SocketAddr;
use std::time::Duration;

use pulsewatch::config::{ApiConfig, ExporterConfig};
use pulsewatch::domain::Snapshot;
use pulsewatch::serve::{Limits, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::fixture::{Running, entity, exporter, feature, scored, two_features};

/// As many as the listener has room for.
const CONNECTIONS: usize = 256;

/// Longer than any answer takes, shorter than any bound on slow clients.
const SOON: Duration = Duration::from_secs(5);

/// A connection that has sent this, with little room for what comes back.
async fn slow(address: SocketAddr, request: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn answers(server: &Running, path: &str) {
    let answer = tokio::time::timeout(SOON, server.get(path)).await;
    let response = answer.unwrap_or_else(|_| panic!("{path} did not answer"));
    assert_eq!(response.status(), 200, "{path}");
    tokio::time::timeout(SOON, response.bytes())
        .await
        .unwrap()
        .unwrap();
}

/// So much to export that no socket buffer holds a few answers.
fn large() -> Snapshot {
    let hosts = (0..700).map(|i| {
        let features = (0..4).map(|f| feature(&format!("feature-{f}-{}", "x".repeat(100))));
        entity(&format!("host-{i:03}"), features.collect())
    });
    scored(true, hosts.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_never_end_do_not_silence_the_listener() {
    let server = Running::start(two_features());
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS + 20 {
        held.push(slow(server.address, "GET /livez HTTP/1.1\r\nHost: local").await);
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        answers(&server, path).await;
    }
    // The oldest one had to give way.
    let mut oldest = held.remove(0);
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(SOON, oldest.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "it is still open");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_do_not_silence_the_listener() {
    let server = Running::start(large());
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20);
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.push(slow(server.address, &request).await);
    }
    answers(&server, "/livez").await;
    answers(&server, "/readyz").await;
    // A client must have stalled for a second before another one gets its place.
    let tried = tokio::time::timeout(SOON * 2, async {
        while server.get("/metrics").await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    tried.await.expect("/metrics did not answer");
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_read_in_time_ends_its_connection() {
    let limits = Limits {
        write: Duration::from_millis(200),
        ..Limits::default()
    };
    let bound = Server::bind(&exporter(), &ApiConfig::default(), true)
        .unwrap()
        .unwrap()
        .with_limits(limits);
    let server = Running::serve(large(), bound);
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20);
    let held = slow(server.address, &request).await;
    // Its first answer is under way.
    held.readable().await.unwrap();
    // The end waits for what is being written, five seconds at most.
    let stopped = tokio::time::timeout(Duration::from_secs(3), server.stop()).await;
    assert!(stopped.is_ok(), "it waits for a client that does not read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_must_come_in_time_and_an_idle_connection_may_wait_longer() {
    let limits = Limits {
        head: Duration::from_millis(300),
        ..Limits::default()
    };
    let bound = Server::bind(
        &ExporterConfig { ..exporter() },
        &ApiConfig::default(),
        true,
    )
    .unwrap()
    .unwrap()
    .with_limits(limits);
    let server = Running::serve(two_features(), bound);
    let mut idle = slow(
        server.address,
        "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    )
    .await;
    let mut first = [0; 4096];
    assert!(idle.read(&mut first).await.unwrap() > 0);
    // Two that send no whole head are closed, one after the other: longer than the idle one would have had.
    for unfinished in ["", "GET /livez HTTP/1.1\r\n"] {
        let mut stream = slow(server.address, unfinished).await;
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "{unfinished:?} is still open");
    }
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let read = tokio::time::timeout(SOON, idle.read(&mut first)).await;
    assert!(read.unwrap().unwrap() > 0, "the idle one was closed");
}
