//! A client of the metadata service, version 2 with a session token, and version 1 where there is none.
//!
//! One short HTTP/1.0 exchange per question. The service is the host's, but its answers are bounded all the
//! same: what waits for it must come to an end.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::hypervisor::METADATA;

/// The largest answer taken: user data has 16 KiB with Amazon; this leaves room.
const ANSWER_MAX: u64 = 128 * 1024;

/// How long one exchange may take.
const EXCHANGE_PATIENCE: Duration = Duration::from_secs(2);

/// How long a token is asked for, in seconds: Amazon's largest.
const TOKEN_SECONDS: &str = "21600";

/// A service that has answered.
pub(super) struct Metadata {
    address: SocketAddr,
    token: Option<String>,
}

/// One answer.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Metadata {
    /// Asks for a token until there is an answer or the deadline has come.
    pub(super) fn reach(deadline: Instant) -> Result<Self, String> {
        Self::reach_at(SocketAddr::from((METADATA, 80)), deadline)
    }

    fn reach_at(address: SocketAddr, deadline: Instant) -> Result<Self, String> {
        let token_request = (
            "PUT",
            "/latest/api/token",
            ("X-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS),
        );
        loop {
            let reason = match exchange(address, token_request) {
                Ok(Answer { status: 200, body }) => match String::from_utf8(body) {
                    Ok(token) if is_header_value(&token) => {
                        return Ok(Self {
                            address,
                            token: Some(token),
                        });
                    }
                    _ => "its token is not a header's value".to_owned(),
                },
                Ok(Answer {
                    status: 403..=405, ..
                }) => return Ok(Self { address, token: None }),
                Ok(Answer { status, .. }) => format!("it answered {status}"),
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline {
                return Err(reason);
            }
            thread::sleep(Duration::from_millis(25));
        }
    }

    /// Reads one item, below `/latest/`. `None` when the instance has none.
    pub(super) fn get(&self, item: &str) -> Result<Option<Vec<u8>>, String> {
        let path = format!("/latest/{item}");
        let header = (
            "X-aws-ec2-metadata-token",
            self.token.as_deref().unwrap_or_default(),
        );
        match exchange(self.address, ("GET", &path, header)) {
            Ok(Answer { status: 200, body }) => Ok(Some(body)),
            Ok(Answer { status: 404, .. }) => Ok(None),
            Ok(Answer { status, .. }) => Err(format!("{path} was answered with {status}")),
            Err(error) => Err(format!("{path} could not be read: {error}")),
        }
    }
}

fn is_header_value(text: &str) -> bool {
    !text.is_empty() && text.len() <= 1024 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// One request: method, path and one header, left out when its value is empty.
fn exchange(address: SocketAddr, request: (&str, &str, (&str, &str))) -> io::Result<Answer> {
    let (method, path, (name, value)) = request;
    let mut stream = TcpStream::connect_timeout(&address, EXCHANGE_PATIENCE)?;
    stream.set_read_timeout(Some(EXCHANGE_PATIENCE))?;
    stream.set_write_timeout(Some(EXCHANGE_PATIENCE))?;
    let mut text = format!("{method} {path} HTTP/1.0\r\nHost: {METADATA}\r\nConnection: close\r\n");
    if !value.is_empty() {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if method == "PUT" {
        text.push_str("Content-Length: 0\r\n");
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes())?;
    let mut answer = Vec::new();
    (&mut stream).take(ANSWER_MAX + 1).read_to_end(&mut answer)?;
    parse(&answer)
}

/// Takes an answer apart. A body shorter than announced is an error, not a shorter body.
fn parse(answer: &[u8]) -> io::Result<Answer> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    if u64::try_from(answer.len()).is_ok_and(|length| length > ANSWER_MAX) {
        return Err(wrong("the answer is too long"));
    }
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .ok_or_else(|| wrong("the answer was cut off"))?;
    let (head, rest) = answer
        .split_at_checked(end)
        .ok_or_else(|| wrong("the answer was cut off"))?;
    let body = rest.get(4..).unwrap_or_default();
    let head = std::str::from_utf8(head).map_err(|_| wrong("the answer's head is not text"))?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .filter(|line| line.starts_with("HTTP/1."))
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| wrong("the answer is not HTTP"))?;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") && value.trim().parse() != Ok(body.len()) {
            return Err(wrong("the answer's body was cut off"));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(wrong("the answer is encoded, which HTTP/1.0 does not know"));
        }
    }
    Ok(Answer {
        status,
        body: body.to_vec(),
    })
}

#[cfg(test)]
mod tests;
