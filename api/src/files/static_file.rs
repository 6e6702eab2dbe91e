//! Answering with a file: its type by its name alone, validators, and ranges as `curl -C -` and `dnf` use them.

use std::{fs::File, io, os::unix::fs::MetadataExt as _, time::SystemTime};

use poem::{
    Body, Request, Response,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
};
use time::{OffsetDateTime, macros::format_description};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::log::pieces::read_at;
use crate::http::error::ApiError;

/// The largest file that is read as a whole, in bytes.
const SMALL: u64 = 64 << 10;

/// How much of a larger file is read at a time, in bytes.
const CHUNK: usize = 256 << 10;

/// What forbids a result to act as the console, whatever a browser takes it for.
pub(crate) const INERT: &str =
    "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// How long an answer may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caching {
    /// Its name is its digest.
    Forever,
    /// It does not change while it is there, but it may go.
    Hour,
    /// It has to be asked for anew each time.
    Revalidate,
    /// It may still grow.
    Never,
}

impl Caching {
    const fn header(self) -> &'static str {
        match self {
            Self::Forever => "public, max-age=31536000, immutable",
            Self::Hour => "public, max-age=3600",
            Self::Revalidate => "no-cache",
            Self::Never => "no-store",
        }
    }

    /// By the name of a file among the results.
    pub(crate) fn of(name: &str) -> Self {
        let is_digest = name.split_once('-').is_some_and(|(digest, _)| {
            digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        if is_digest {
            Self::Forever
        } else if name.ends_with(".rpm") {
            Self::Hour
        } else {
            Self::Revalidate
        }
    }
}

/// The type of a result. Nothing is ever HTML, SVG or script: builders name these files.
pub(crate) fn content_type(name: &str) -> &'static str {
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension)
        .unwrap_or_default();
    match extension {
        "rpm" => "application/x-rpm",
        "log" | "txt" | "spec" | "info" | "cfg" | "conf" | "repo" | "patch" | "diff" => {
            "text/plain; charset=utf-8"
        }
        "json" => "application/json",
        "xml" => "application/xml",
        "gz" => "application/gzip",
        "xz" => "application/x-xz",
        "zst" => "application/zstd",
        "bz2" => "application/x-bzip2",
        "gpg" | "asc" | "key" => "application/pgp-keys",
        _ if name == "success" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Answers with a regular file.
pub(crate) async fn respond(
    request: &Request,
    file: File,
    content_type: &'static str,
    caching: Caching,
) -> Result<Response, ApiError> {
    let metadata = file.metadata().map_err(|error| failed(&error))?;
    let size = metadata.len();
    let modified = metadata.modified().ok();
    let etag = format!(
        "\"{:x}-{:x}-{:x}\"",
        metadata.ino(),
        metadata.mtime_nsec() ^ (metadata.mtime() << 30),
        size
    );
    let mut response = Response::builder().content_type(content_type).finish();
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching.header()));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(INERT));
    set(headers, header::ETAG, &etag);
    let last_modified = modified.and_then(http_date);
    if let Some(date) = &last_modified {
        set(headers, header::LAST_MODIFIED, date);
    }
    if is_unchanged(request.headers(), &etag, last_modified.as_deref()) {
        response.set_status(StatusCode::NOT_MODIFIED);
        return Ok(response);
    }
    let range = requested_range(request.headers(), &etag, last_modified.as_deref(), size);
    let (start, length) = match range {
        Range::All => (0, size),
        Range::Part { start, length } => {
            response.set_status(StatusCode::PARTIAL_CONTENT);
            let end = start.saturating_add(length).saturating_sub(1);
            set(
                response.headers_mut(),
                header::CONTENT_RANGE,
                &format!("bytes {start}-{end}/{size}"),
            );
            (start, length)
        }
        Range::Outside => {
            let mut response = ApiError::RangeNotSatisfiable(format!(
                "The range lies outside the {size} bytes of the file."
            ))
            .to_response();
            set(
                response.headers_mut(),
                header::CONTENT_RANGE,
                &format!("bytes */{size}"),
            );
            return Ok(response);
        }
    };
    set(
        response.headers_mut(),
        header::CONTENT_LENGTH,
        &length.to_string(),
    );
    if request.method() != Method::HEAD {
        response.set_body(
            content(file, start, length)
                .await
                .map_err(|error| failed(&error))?,
        );
    }
    Ok(response)
}

/// Exactly the promised length, also when the file grows meanwhile. A small one is read at once and goes out with the head.
async fn content(file: File, start: u64, length: u64) -> io::Result<Body> {
    if length <= SMALL {
        let read = tokio::task::spawn_blocking(move || read_at(&file, start, length));
        let bytes = read.await.map_err(io::Error::other)??;
        if u64::try_from(bytes.len()).is_ok_and(|count| count < length) {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a result became shorter",
            ));
        }
        return Ok(bytes.into());
    }
    let mut file = tokio::fs::File::from_std(file);
    file.seek(io::SeekFrom::Start(start)).await?;
    file.set_max_buf_size(CHUNK);
    Ok(Body::from_bytes_stream(ReaderStream::with_capacity(
        file.take(length),
        CHUNK,
    )))
}

fn failed(error: &io::Error) -> ApiError {
    ApiError::Internal(format!("cannot read a result: {error}"))
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// A moment as HTTP writes it (RFC 9110, 5.6.7).
fn http_date(at: SystemTime) -> Option<String> {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    OffsetDateTime::from(at).format(format).ok()
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Dates are compared as text: a client sends back the one that it was given.
fn is_unchanged(headers: &HeaderMap, etag: &str, last_modified: Option<&str>) -> bool {
    if let Some(known) = text(headers, header::IF_NONE_MATCH) {
        return known == "*"
            || known
                .split(',')
                .any(|known| known.trim().trim_start_matches("W/") == etag);
    }
    text(headers, header::IF_MODIFIED_SINCE).is_some_and(|date| Some(date) == last_modified)
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    All,
    Part { start: u64, length: u64 },
    Outside,
}

/// One range is answered; several, or one that cannot be read, mean the whole file.
fn requested_range(headers: &HeaderMap, etag: &str, last_modified: Option<&str>, size: u64) -> Range {
    let Some(wanted) = text(headers, header::RANGE) else {
        return Range::All;
    };
    if let Some(known) = text(headers, header::IF_RANGE)
        && known != etag
        && Some(known) != last_modified
    {
        return Range::All;
    }
    let Some((first, last)) = wanted
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return Range::All;
    };
    let (start, end) = match (first.trim(), last.trim()) {
        ("", suffix) => match suffix.parse::<u64>() {
            Ok(0) => return Range::Outside,
            Ok(count) => (size.saturating_sub(count), size),
            Err(_) => return Range::All,
        },
        (first, "") => match first.parse::<u64>() {
            Ok(start) => (start, size),
            Err(_) => return Range::All,
        },
        (first, last) => match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(start), Ok(last)) if start <= last => (start, last.saturating_add(1).min(size)),
            _ => return Range::All,
        },
    };
    if start >= size {
        return Range::Outside;
    }
    Range::Part {
        start,
        length: end.saturating_sub(start),
    }
}

#[cfg(test)]
mod tests {
    use poem::http::{HeaderMap, header};

    use super::{Caching, Range, content_type, requested_range};

    fn range(text: &str, size: u64) -> Range {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, text.parse().unwrap());
        requested_range(&headers, "\"e\"", None, size)
    }

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        for (text, expected) in [
            ("bytes=0-3", Range::Part { start: 0, length: 4 }),
            ("bytes=5-", Range::Part { start: 5, length: 5 }),
            ("bytes=-3", Range::Part { start: 7, length: 3 }),
            ("bytes=-99", Range::Part { start: 0, length: 10 }),
            ("bytes=2-99", Range::Part { start: 2, length: 8 }),
            ("bytes=10-", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=3-2", Range::All),
            ("bytes=0-1,4-5", Range::All),
            ("lines=1-2", Range::All),
            ("bytes=x-", Range::All),
        ] {
            assert_eq!(range(text, 10), expected, "{text}");
        }
        assert_eq!(range("bytes=0-", 0), Range::Outside);
    }

    #[test]
    fn a_range_of_a_file_that_changed_is_the_whole_file() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, "bytes=0-1".parse().unwrap());
        headers.insert(header::IF_RANGE, "\"old\"".parse().unwrap());
        assert_eq!(requested_range(&headers, "\"new\"", None, 10), Range::All);
        headers.insert(header::IF_RANGE, "\"new\"".parse().unwrap());
        assert_eq!(
            requested_range(&headers, "\"new\"", None, 10),
            Range::Part { start: 0, length: 2 }
        );
    }

    #[test]
    fn no_name_makes_a_page_or_a_script() {
        for name in [
            "a.html", "a.htm", "a.svg", "a.js", "a.xhtml", "a", "a.mjs", "a.css",
        ] {
            assert_eq!(content_type(name), "application/octet-stream", "{name}");
        }
        assert_eq!(content_type("builder-live.log"), "text/plain; charset=utf-8");
        assert_eq!(content_type("hello-1.0-1.x86_64.rpm"), "application/x-rpm");
    }

    #[test]
    fn only_what_is_named_by_its_digest_is_kept_for_ever() {
        let digest = "a".repeat(64);
        assert_eq!(Caching::of(&format!("{digest}-primary.xml.gz")), Caching::Forever);
        assert_eq!(Caching::of("repomd.xml"), Caching::Revalidate);
        assert_eq!(Caching::of("repomd.xml.asc"), Caching::Revalidate);
        assert_eq!(Caching::of("hello-1.0-1.x86_64.rpm"), Caching::Hour);
        assert_eq!(Caching::of("abc-primary.xml.gz"), Caching::Revalidate);
    }
}
