//! A client that keeps its connection and does as little as it can: benchmarks run it beside what they measure.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A kept connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    address: String,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::with_capacity(64 << 10, stream),
            address: address.to_owned(),
        })
    }

    /// The body of a good answer; `headers` are more lines of the request, each with its end.
    pub(crate) fn get(&mut self, path: &str, headers: &str) -> Result<Vec<u8>> {
        match self.ask(path, headers)? {
            (200, body) => Ok(body),
            (status, body) => bail!(
                "GET {path} of {}: {status}: {}",
                self.address,
                String::from_utf8_lossy(&body)
            ),
        }
    }

    /// Status and body of any answer.
    pub(crate) fn ask(&mut self, path: &str, headers: &str) -> Result<(u16, Vec<u8>)> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.address);
        self.stream.get_mut().write_all(request.as_bytes())?;
        let answer = self.answer();
        answer.with_context(|| format!("GET {path} of {}", self.address))
    }

    fn answer(&mut self) -> Result<(u16, Vec<u8>)> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("no HTTP status: {line:?}"))?;
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
        Ok((status, body))
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
pub(crate) mod tests;
