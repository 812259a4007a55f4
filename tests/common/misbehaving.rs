//! Servers that answer whatever a test tells them to, byte by byte; one of them follows a script and remembers what it was
//! asked.

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

/// What a server says.
pub trait Answers: Send + 'static {
    /// The reply to the next request.
    fn answer(&mut self, request: Request) -> Reply;
}

/// A server on loopback; gone when dropped.
pub struct Server<A> {
    address: SocketAddr,
    answers: Arc<Mutex<A>>,
    task: JoinHandle<()>,
}

impl<A> Drop for Server<A> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<A: Answers> Server<A> {
    /// A server that says what `answers` does.
    pub async fn saying(answers: A) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(Mutex::new(answers));
        let shared = Arc::clone(&answers);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self {
            address,
            answers,
            task,
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Looks at what it says, or changes it.
    pub fn change<T>(&self, change: impl FnOnce(&mut A) -> T) -> T {
        change(&mut self.answers.lock().unwrap())
    }
}

/// What a server knows of its past and future.
#[derive(Debug)]
pub struct Script {
    replies: VecDeque<Reply>,
    last: Reply,
    requests: Vec<Request>,
}

impl Script {
    /// `replies` in turn, then `last` for ever.
    pub fn new(replies: Vec<Reply>, last: Reply) -> Self {
        Self {
            replies: replies.into(),
            last,
            requests: Vec::new(),
        }
    }
}

impl Answers for Script {
    fn answer(&mut self, request: Request) -> Reply {
        self.requests.push(request);
        self.replies
            .pop_front()
            .unwrap_or_else(|| self.last.clone())
    }
}

/// A server that follows a script.
pub type Misbehaving = Server<Script>;

impl Misbehaving {
    /// Answers with `replies` in turn, then with `last` for ever.
    pub async fn start(replies: Vec<Reply>, last: Reply) -> Self {
        Self::saying(Script::new(replies, last)).await
    }

    /// Answers the same to everything.
    pub async fn always(reply: Reply) -> Self {
        Self::start(Vec::new(), reply).await
    }

    /// All that was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.change(|script| script.requests.clone())
    }
}

/// Reads one request from `stream` and answers it.
pub async fn serve<A: Answers>(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answers: Arc<Mutex<A>>,
) {
    let Some(request) = read(&mut stream).await else {
        return;
    };
    let reply = answers.lock().unwrap().answer(request);
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
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
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
