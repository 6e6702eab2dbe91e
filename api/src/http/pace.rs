//! How slowly bytes may come and go. A client who sends or takes one now and then would otherwise keep a connection, and
//! what belongs to it, for as long as he likes.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// The slowest pace at which a client may send or take bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// The longest time without a byte; and what every body has for its beginning.
    pub(crate) patience: Duration,
    /// Bytes a second, on the average; 0 for none.
    pub(crate) min_rate: u64,
    /// The longest time for all of it, however many bytes come.
    pub(crate) longest: Duration,
}

impl Pace {
    /// How long the next byte may take, given the bytes so far and the time that they took; `None` when that was too slow.
    pub(crate) fn left(&self, elapsed: Duration, bytes: u64) -> Option<Duration> {
        let earned = bytes.checked_div(self.min_rate).map(Duration::from_secs);
        let allowed = earned.map_or(Duration::MAX, |earned| self.patience.saturating_add(earned));
        let left = allowed
            .min(self.longest)
            .checked_sub(elapsed)
            .filter(|left| !left.is_zero())?;
        Some(left.min(self.patience))
    }
}

/// A connection that fails when its client takes what is written too slowly.
pub(crate) struct Paced<S> {
    stream: S,
    pace: Pace,
    /// Set from the moment when the client would take no more until he has taken all that there was.
    behind: Option<Behind>,
}

struct Behind {
    since: Instant,
    written: u64,
    timer: Pin<Box<Sleep>>,
}

impl<S> Paced<S> {
    pub(crate) fn new(stream: S, pace: Pace) -> Self {
        Self {
            stream,
            pace,
            behind: None,
        }
    }

    /// Judges the outcome of writing `wanted` bytes.
    fn judge(
        &mut self,
        outcome: Poll<io::Result<usize>>,
        wanted: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Ready(Ok(written)) if written >= wanted => {
                self.behind = None;
                Poll::Ready(Ok(written))
            }
            Poll::Ready(Ok(written)) => {
                if let Some(behind) = &mut self.behind {
                    let bytes = u64::try_from(written).unwrap_or(u64::MAX);
                    behind.written = behind.written.saturating_add(bytes);
                    let left = self.pace.left(behind.since.elapsed(), behind.written);
                    behind.timer.as_mut().reset(later(left.unwrap_or(Duration::ZERO)));
                }
                Poll::Ready(Ok(written))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let patience = self.pace.patience;
                let behind = self.behind.get_or_insert_with(|| Behind {
                    since: Instant::now(),
                    written: 0,
                    timer: Box::pin(tokio::time::sleep_until(later(patience))),
                });
                ready!(behind.timer.as_mut().poll(context));
                let error = io::Error::new(io::ErrorKind::TimedOut, "the client takes the answer too slowly");
                Poll::Ready(Err(error))
            }
        }
    }
}

fn later(duration: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(duration).unwrap_or(now)
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, buffer);
        self.judge(outcome, buffer.len(), context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        let wanted = buffers
            .iter()
            .fold(0_usize, |sum, buffer| sum.saturating_add(buffer.len()));
        self.judge(outcome, wanted, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::{Pace, Paced};

    const PACE: Pace = Pace {
        patience: Duration::from_secs(60),
        min_rate: 1000,
        longest: Duration::from_secs(5000),
    };

    #[test]
    fn a_body_has_its_patience_and_a_second_for_every_thousand_bytes() {
        let left = |seconds, bytes| {
            PACE.left(Duration::from_secs(seconds), bytes)
                .map(|left| left.as_secs())
        };
        assert_eq!(left(0, 0), Some(60));
        assert_eq!(left(59, 0), Some(1));
        assert_eq!(left(60, 0), None);
        assert_eq!(left(60, 5000), Some(5));
        assert_eq!(left(60, 1_000_000), Some(60));
        assert_eq!(left(1061, 1_000_000), None);
        let at_any_pace = Pace { min_rate: 0, ..PACE };
        let left = |seconds| at_any_pace.left(Duration::from_secs(seconds), 1);
        assert_eq!(left(4000), Some(PACE.patience));
        // All of it has an end, also for who sends without a pause.
        assert_eq!(left(4990), Some(Duration::from_secs(10)));
        assert_eq!(left(5000), None);
        assert_eq!(PACE.left(Duration::from_secs(5000), u64::MAX), None);
    }

    /// Sends bytes to a client who takes so many at a time, with a pause; how it ended.
    async fn send(pace: Pace, bytes: usize, taken: usize, pause: Duration) -> std::io::Result<()> {
        let (server, client) = duplex(4096);
        let reading = tokio::spawn(take(client, taken, pause));
        let mut paced = Paced::new(server, pace);
        let whole = vec![7; bytes];
        let sending = tokio::time::timeout(Duration::from_secs(60), paced.write_all(&whole));
        let sent = sending.await.expect("neither sent nor cut off");
        reading.abort();
        sent
    }

    async fn take(mut client: DuplexStream, bytes: usize, pause: Duration) {
        let mut buffer = vec![0; bytes];
        while client.read(&mut buffer).await.is_ok_and(|count| count > 0) {
            tokio::time::sleep(pause).await;
        }
    }

    #[tokio::test]
    async fn who_takes_nothing_is_cut_off() {
        let pace = Pace {
            patience: Duration::from_millis(200),
            min_rate: 0,
            ..PACE
        };
        let sent = send(pace, 1_000_000, 4096, Duration::from_secs(1000)).await;
        assert_eq!(sent.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_takes_a_little_now_and_then_is_cut_off_as_well() {
        let pace = Pace {
            patience: Duration::from_millis(500),
            min_rate: 1_000_000,
            ..PACE
        };
        // Each pause is within the patience; a hundred thousand of them would be hours.
        let sent = send(pace, 1_000_000, 10, Duration::from_millis(50)).await;
        assert_eq!(sent.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_is_slow_but_steady_gets_all() {
        let pace = Pace {
            patience: Duration::from_secs(20),
            min_rate: 100,
            ..PACE
        };
        send(pace, 100_000, 4096, Duration::from_millis(20))
            .await
            .unwrap();
    }
}
