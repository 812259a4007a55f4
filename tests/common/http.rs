//! Just enough HTTP to talk to a server under test without the code under test.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Sends one request to `127.0.0.1:port`; gives back status and body.
pub fn request(port: u16, method: &str, path: &str, body: &[u8]) -> io::Result<(u16, String)> {
    request_with(port, method, path, "", body)
}

/// As [`request`], with more header lines, each ending in CRLF.
pub fn request_with(
    port: u16,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    )?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.unwrap_or(0), body.to_owned()))
}

/// The body of a successful GET.
pub fn get(port: u16, path: &str) -> String {
    let (status, body) = request(port, "GET", path, &[]).expect("the server answers");
    assert_eq!(status, 200, "GET {path}: {body}");
    body
}

/// `text` as part of an address's query.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").unwrap();
        }
    }
    escaped
}

/// Whether the server on this port begins to answer within half a second.
pub fn answers(port: u16, path: &str) -> bool {
    let asked = || -> io::Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        stream.read_exact(&mut [0])
    };
    asked().is_ok()
}
