//! A client that keeps its connection and does as little as it can: it shares the machine with what it measures.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a client asks for.
#[derive(Clone, Copy)]
pub(super) struct Wish<'a> {
    pub(super) path: &'a str,
    /// Whether the server is not to answer with what it keeps.
    pub(super) is_anew: bool,
}

impl<'a> Wish<'a> {
    pub(super) const fn of(path: &'a str) -> Self {
        Self { path, is_anew: false }
    }

    pub(super) const fn anew(path: &'a str) -> Self {
        Self { path, is_anew: true }
    }
}

/// A kept connection.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
    address: String,
}

impl Client {
    pub(super) fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::with_capacity(64 << 10, stream),
            address: address.to_owned(),
        })
    }

    /// The body of a good answer.
    pub(super) fn get(&mut self, wish: Wish<'_>) -> Result<Vec<u8>> {
        let Wish { path, is_anew } = wish;
        let control = if is_anew {
            "Cache-Control: no-cache\r\n"
        } else {
            ""
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{control}\r\n", self.address);
        self.stream.get_mut().write_all(request.as_bytes())?;
        let body = self.answer();
        body.with_context(|| format!("GET {path} of {}", self.address))
    }

    fn answer(&mut self) -> Result<Vec<u8>> {
        let status = self.line()?;
        let mut length = None;
        let mut is_chunked = false;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':').map(|(name, value)| (name, value.trim())) {
                None => break,
                Some(("content-length", value)) => length = Some(value.parse()?),
                Some(("transfer-encoding", "chunked")) => is_chunked = true,
                Some(_) => {}
            }
        }
        let mut body = Vec::new();
        match length {
            Some(length) => self.bytes(length, &mut body)?,
            None if is_chunked => loop {
                let size = usize::from_str_radix(&self.line()?, 16)?;
                self.bytes(size, &mut body)?;
                self.line()?;
                if size == 0 {
                    break;
                }
            },
            None => bail!("an answer without a length"),
        }
        if status.split(' ').nth(1) != Some("200") {
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if !line.ends_with('\n') {
            bail!("the connection was closed");
        }
        Ok(line.trim_end().to_owned())
    }

    fn bytes(&mut self, count: usize, body: &mut Vec<u8>) -> Result<()> {
        let before = body.len();
        body.resize(before + count, 0);
        let place = body.get_mut(before..).context("no place for a body")?;
        Ok(self.stream.read_exact(place)?)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
    };

    use super::{Client, Wish};

    /// What the client makes of answers, each to a request of one connection.
    fn asked(answers: &'static [&'static str]) -> Vec<Result<String, String>> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            for answer in answers {
                let mut request = [0; 1000];
                let length = stream.read(&mut request).expect("a request");
                assert!(request.starts_with(b"GET /x HTTP/1.1\r\nHost: 127.0.0.1:") && length < 1000);
                stream.write_all(answer.as_bytes()).expect("an answer");
            }
        });
        let mut client = Client::connect(&address).expect("a connection");
        let got = answers.iter().map(|_| {
            let body = client.get(Wish::of("/x")).map_err(|error| format!("{error:#}"))?;
            String::from_utf8(body).map_err(|error| error.to_string())
        });
        let got = got.collect();
        server.join().expect("the server");
        got
    }

    #[test]
    fn bodies_with_a_length_and_in_chunks_are_read_to_their_end() {
        let got = asked(&[
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nfirst",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nsec\r\nA\r\nond answer\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ]);
        let good = |text: &str| Ok(text.to_owned());
        assert_eq!(got, [good("first"), good("second answer"), good("")]);
    }

    #[test]
    fn an_answer_that_is_not_good_or_not_whole_is_told() {
        for (answer, told) in [
            (
                "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\ngone",
                "404 Not Found: gone",
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", "GET /x"),
            ("HTTP/1.1 200 OK\r\n", "closed"),
            ("HTTP/1.1 200 OK\r\n\r\n", "without a length"),
        ] {
            let got = asked(Vec::leak(vec![answer]));
            assert!(matches!(&*got, [Err(error)] if error.contains(told)), "{got:?}");
        }
    }
}
