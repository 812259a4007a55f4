//! A server that answers whatever a test tells it to, byte by byte, and remembers what it was asked.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What to do with one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Send exactly this, then close.
    Raw(Vec<u8>),
    /// Read the request and never answer.
    Silence,
    /// Close at once.
    HangUp,
}

impl Reply {
    /// A whole answer with this status, extra header lines (each ending in CRLF) and body.
    pub fn status(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
        );
        Self::Raw([head.as_bytes(), body.as_bytes()].concat())
    }

    /// A successful answer with this JSON.
    pub fn json(body: &str) -> Self {
        Self::status(200, "Content-Type: application/json\r\n", body)
    }

    /// A successful range answer with these series, as `{"metric":…,"values":…}` objects.
    pub fn matrix(series: &str) -> Self {
        Self::json(&format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#
        ))
    }

    /// The first half of another answer.
    pub fn half(self) -> Self {
        match self {
            Self::Raw(bytes) => Self::Raw(bytes[..bytes.len() - bytes.len() / 4].to_vec()),
            other => other,
        }
    }
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method, path and header lines.
    pub head: String,
    /// Body.
    pub body: String,
}

/// What a server knows of its past and future.
#[derive(Debug)]
pub struct Script {
    replies: VecDeque<Reply>,
    last: Reply,
    requests: Vec<Request>,
}

impl Script {
    fn take(&mut self, request: Request) -> Reply {
        self.requests.push(request);
        self.replies
            .pop_front()
            .unwrap_or_else(|| self.last.clone())
    }
}

/// A server on loopback that follows a script; gone when dropped.
pub struct Misbehaving {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    task: JoinHandle<()>,
}

impl Drop for Misbehaving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Misbehaving {
    /// Answers with `replies` in turn, then with `last` for ever.
    pub async fn start(replies: Vec<Reply>, last: Reply) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = script(replies, last);
        let shared = Arc::clone(&script);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self {
            address,
            script,
            task,
        }
    }

    /// Answers the same to everything.
    pub async fn always(reply: Reply) -> Self {
        Self::start(Vec::new(), reply).await
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All that was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.script.lock().unwrap().requests.clone()
    }
}

/// A script to be followed by [`serve`].
pub fn script(replies: Vec<Reply>, last: Reply) -> Arc<Mutex<Script>> {
    Arc::new(Mutex::new(Script {
        replies: replies.into(),
        last,
        requests: Vec::new(),
    }))
}

/// Reads one request from `stream` and answers it by the script.
pub async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: Arc<Mutex<Script>>) {
    let Some(request) = read(&mut stream).await else {
        return;
    };
    let reply = script.lock().unwrap().take(request);
    match reply {
        Reply::Raw(bytes) => {
            // The client may have had enough.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Reply::Silence => std::future::pending().await,
        Reply::HangUp => {}
    }
}

/// Reads one request.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.trim().parse().unwrap());
            if body.len() >= length {
                return Some(Request {
                    head: head.to_owned(),
                    body: body.to_owned(),
                });
            }
        }
        match stream.read(&mut part).await {
            Ok(count) if count > 0 => bytes.extend_from_slice(&part[..count]),
            _ => return None,
        }
    }
}
