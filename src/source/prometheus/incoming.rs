//! Hands an answer to its parser part by part, as it comes: nobody holds the whole of it.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

/// Parts that wait for the parser, of some 10 kB each.
const WAITING: usize = 4;

/// As much of an answer's beginning as is kept, to say what came when it can't be understood.
const HEAD: usize = 256;

/// A way for parts to come in, and their reader.
pub(super) fn incoming() -> (mpsc::Sender<Bytes>, Incoming) {
    let (sender, parts) = mpsc::channel(WAITING);
    let incoming = Incoming {
        parts,
        part: Bytes::new(),
        head: Vec::new(),
    };
    (sender, incoming)
}

/// What comes in, as a blocking reader. It ends where the sender does.
pub(super) struct Incoming {
    parts: mpsc::Receiver<Bytes>,
    part: Bytes,
    head: Vec<u8>,
}

impl Incoming {
    /// The first bytes that came, at most [`HEAD`].
    pub fn into_head(self) -> Vec<u8> {
        self.head
    }
}

impl Read for Incoming {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() {
            let Some(part) = self.parts.blocking_recv() else {
                return Ok(0);
            };
            let room = HEAD.saturating_sub(self.head.len()).min(part.len());
            self.head.extend(part.iter().take(room));
            self.part = part;
        }
        let count = self.part.len().min(to.len());
        self.part
            .copy_to_slice(to.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_in_order_and_the_first_bytes_are_kept() {
        let (sender, mut incoming) = incoming();
        for part in ["ab", "", "cde"] {
            sender
                .blocking_send(Bytes::from_static(part.as_bytes()))
                .unwrap();
        }
        drop(sender);
        let mut text = String::new();
        incoming.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abcde");
        assert_eq!(incoming.into_head(), b"abcde");
    }
}
