//! Request bodies. [`Arguments`] takes what Copr takes, JSON, a form or a multipart form with a part `json`,
//! and gives the handler one checked struct; [`FileForm`] is a multipart form that stays a stream.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use poem::{
    Body, FromRequest, Request, RequestBody,
    http::header,
    web::{Field, Multipart},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry},
    types::Type,
};
use serde_json::{Map, Value};
use tokio::io::AsyncReadExt as _;

use crate::{
    http::{
        address::decode_form,
        error::ApiError,
        fields::{Fields, MistakeStyle},
    },
    settings::MAX_BODY_BYTES,
};

/// How long what a refused client still sends is read, so that it sees the answer.
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// How many bytes the head of a part of an upload may have, and what comes with it.
const LONGEST_HEAD: usize = 1 << 20;
/// How long a body that is not a file may take to arrive.
const ARGUMENTS_TIMEOUT: Duration = Duration::from_secs(30);

/// The length that a client has promised for the body.
pub(crate) fn content_length(request: &Request) -> Option<u64> {
    request
        .headers()
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// A struct that is read from the arguments of a body. Its schema documents it; this reads it.
pub(crate) trait FromFields: Type + Sized + Send + Sync {
    /// How its mistakes are worded.
    const STYLE: MistakeStyle = MistakeStyle::Lines;

    /// Reads the fields, noting mistakes in `fields`.
    fn from_fields(fields: &mut Fields) -> Self;

    /// Reads a whole object.
    fn from_object(object: Map<String, Value>) -> Result<Self, ApiError> {
        let mut fields = Fields::new(object, Self::STYLE);
        let read = Self::from_fields(&mut fields);
        fields.finish()?;
        Ok(read)
    }
}

/// The arguments of a body, in any of the three forms that Copr's clients have used. They are read but not
/// judged: Copr looks for the project and the permission before it complains about a form.
#[derive(Debug)]
pub(crate) struct Arguments<T> {
    object: Map<String, Value>,
    kind: std::marker::PhantomData<T>,
}

impl<T: FromFields> Arguments<T> {
    /// From an object that was a part of something else.
    pub(crate) const fn from_object(object: Map<String, Value>) -> Self {
        Self {
            object,
            kind: std::marker::PhantomData,
        }
    }

    /// One argument, read before the rest is judged.
    pub(crate) fn peek(&self, name: &str) -> Option<&str> {
        self.object.get(name).and_then(Value::as_str)
    }

    /// The checked arguments.
    pub(crate) fn check(self) -> Result<T, ApiError> {
        T::from_object(self.object)
    }
}

const JSON: &str = "application/json";

const FORMS: [&str; 3] = [JSON, "application/x-www-form-urlencoded", "multipart/form-data"];

impl<'a, T: FromFields> ApiExtractor<'a> for Arguments<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: None,
            required: true,
            // One form suffices for whoever makes a client out of the document, and some generators of clients make a mess of
            // several.
            content: vec![MetaMediaType {
                content_type: JSON,
                schema: T::schema_ref(),
            }],
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let object = tokio::time::timeout(ARGUMENTS_TIMEOUT, read_object(request, body))
            .await
            .map_err(|_| ApiError::Timeout("The body of the request did not arrive in time.".to_owned()))??;
        Ok(Self::from_object(object))
    }
}

async fn read_object(request: &Request, body: &mut RequestBody) -> Result<Map<String, Value>, ApiError> {
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("application/json")
        .to_owned();
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => parse_object(&read_bytes(body).await?),
        "application/x-www-form-urlencoded" => Ok(parse_form(&read_bytes(body).await?)),
        "multipart/form-data" => read_multipart(request, body).await,
        other => Err(ApiError::UnsupportedMedia(format!(
            "The content type '{}' is not understood; send one of {}.",
            other.chars().take(80).collect::<String>(),
            FORMS.join(", ")
        ))),
    }
}

async fn read_bytes(body: &mut RequestBody) -> Result<Vec<u8>, ApiError> {
    let body = body
        .take()
        .map_err(|error| ApiError::Internal(error.to_string()))?;
    let limit = usize::try_from(MAX_BODY_BYTES).unwrap_or(usize::MAX);
    body.into_bytes_limit(limit)
        .await
        .map(|bytes| bytes.to_vec())
        .map_err(|error| match error {
            poem::error::ReadBodyError::PayloadTooLarge => too_large(MAX_BODY_BYTES),
            _ => ApiError::Invalid("The body of the request broke off.".to_owned()),
        })
}

/// The answer to a body beyond its limit.
pub(crate) fn too_large(limit: u64) -> ApiError {
    ApiError::TooLarge(format!(
        "The body of the request is larger than the {limit} bytes that are taken here."
    ))
}

/// A JSON object; an empty body is one without keys.
pub(crate) fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(ApiError::Invalid(
            "The body of the request is not a JSON object.".to_owned(),
        )),
        Err(error) if error.is_eof() => Err(ApiError::Invalid(
            "The body of the request is not valid JSON: it ends too early.".to_owned(),
        )),
        Err(error) => Err(ApiError::Invalid(format!(
            "The body of the request is not valid JSON: see line {}, column {}.",
            error.line(),
            error.column()
        ))),
    }
}

/// A form; a key given more than once becomes a list.
fn parse_form(bytes: &[u8]) -> Map<String, Value> {
    let mut object = Map::new();
    for pair in String::from_utf8_lossy(bytes)
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode_form(name), decode_form(value));
        add(&mut object, name, value);
    }
    object
}

/// Adds a field of a form.
pub(crate) fn add(object: &mut Map<String, Value>, name: String, value: String) {
    let value = Value::String(value);
    match object.get_mut(&name) {
        Some(Value::Array(items)) => items.push(value),
        Some(first) => {
            let both = vec![first.take(), value];
            *first = Value::Array(both);
        }
        None => {
            object.insert(name, value);
        }
    }
}

async fn read_multipart(request: &Request, body: &mut RequestBody) -> Result<Map<String, Value>, ApiError> {
    let mut form = <Multipart as FromRequest>::from_request(request, body)
        .await
        .map_err(|error| bad_form(&error))?;
    let mut object = Map::new();
    while let Some(field) = form.next_field().await.map_err(|error| bad_form(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        let bytes = read_part(field).await?;
        if name == "json" {
            object.extend(parse_object(&bytes)?);
        } else {
            add(&mut object, name, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    Ok(object)
}

/// A part that is arguments, not a file: it has to fit into memory.
pub(crate) async fn read_part(field: Field) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    let mut reader = std::pin::pin!(field.into_async_read().take(MAX_BODY_BYTES + 1));
    reader
        .read_to_end(&mut bytes)
        .await
        .map_err(|error| bad_form(&error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BODY_BYTES {
        return Err(too_large(MAX_BODY_BYTES));
    }
    Ok(bytes)
}

/// The answer to a form that cannot be taken apart.
pub(crate) fn bad_form(error: &dyn std::fmt::Display) -> ApiError {
    tracing::debug!(%error, "A multipart form cannot be read.");
    ApiError::Invalid(
        "The multipart form cannot be read: it is cut off, or it is not as its Content-Type says.".to_owned(),
    )
}

/// Bounds the head of a part: the parser looks through all that it has of one whenever more comes, and has no limit of its own.
#[derive(Default)]
struct Head {
    is_awaited: AtomicBool,
    /// Whether what comes is for nobody any more.
    is_drained: AtomicBool,
    /// Bytes that came while it was awaited.
    bytes: AtomicUsize,
}

impl Head {
    fn take(&self, chunk: Bytes) -> std::io::Result<Bytes> {
        if self.is_drained.load(Ordering::Relaxed) {
            return Ok(Bytes::new());
        }
        if self.is_awaited.load(Ordering::Relaxed) {
            let before = self.bytes.fetch_add(chunk.len(), Ordering::Relaxed);
            if before > LONGEST_HEAD {
                return Err(std::io::Error::other("the head of a part is too long"));
            }
        }
        Ok(chunk)
    }
}

impl<T> FileForm<T> {
    /// The next part; the one before has been read to its end.
    pub(crate) async fn next_part(&mut self) -> Result<Option<Field>, ApiError> {
        self.head.bytes.store(0, Ordering::Relaxed);
        self.head.is_awaited.store(true, Ordering::Relaxed);
        let part = self.parts.next_field().await;
        self.head.is_awaited.store(false, Ordering::Relaxed);
        part.map_err(|error| {
            if self.head.bytes.load(Ordering::Relaxed) > LONGEST_HEAD {
                return ApiError::Invalid("The head of a part of the multipart form is too long.".to_owned());
            }
            bad_form(&error)
        })
    }

    /// Reads on, within limits, after a refusal: a client that is cut off in the middle of a body sees a broken connection instead
    /// of the reason. The parser, which owns the body, gets nothing of it.
    pub(crate) async fn drain(&mut self) {
        self.head.is_drained.store(true, Ordering::Relaxed);
        let reading = async { while let Ok(Some(_)) = self.parts.next_field().await {} };
        // Whether it came to an end does not matter: the answer is the same.
        tokio::time::timeout(DRAIN_TIME, reading).await.ok();
    }
}

/// A multipart form with arguments `T`, in a part `json` or in parts of their own, and a file in a part `pkgs`, in any order. poem's own
/// type would first write every file into the temporary directory, which may be memory.
pub(crate) struct FileForm<T> {
    parts: Multipart,
    head: Arc<Head>,
    /// How many bytes the client has promised; 0 when it did not say.
    pub(crate) expected: u64,
    arguments: std::marker::PhantomData<T>,
}

impl<'a, T: FromFields> ApiExtractor<'a> for FileForm<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let mut schema = MetaSchema::new("object");
        schema.required = vec!["pkgs"];
        schema.properties = vec![
            ("json", T::schema_ref()),
            (
                "pkgs",
                MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "binary"))),
            ),
        ];
        Some(MetaRequest {
            description: Some(
                "The settings of the build and its source package, in any order. Instead of the part `json`, each setting may be a \
                 part of its own.",
            ),
            required: true,
            content: vec![MetaMediaType {
                content_type: "multipart/form-data",
                schema: MetaSchemaRef::Inline(Box::new(schema)),
            }],
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let is_form = request
            .content_type()
            .is_some_and(|kind| kind.starts_with("multipart/form-data"));
        if !is_form {
            return Err(ApiError::UnsupportedMedia(
                "An upload is a multipart/form-data body with a part 'pkgs', and with the settings in a part 'json' or in parts of \
                 their own.".to_owned(),
            )
            .into());
        }
        let head = Arc::<Head>::default();
        let counted = {
            let head = Arc::clone(&head);
            let chunks = body.take().map_err(|error| bad_form(&error))?.into_bytes_stream();
            Body::from_bytes_stream(chunks.and_then(move |chunk| std::future::ready(head.take(chunk))))
        };
        Ok(Self {
            parts: <Multipart as FromRequest>::from_request(request, &mut RequestBody::new(counted))
                .await
                .map_err(|error| bad_form(&error))?,
            head,
            expected: content_length(request).unwrap_or(0),
            arguments: std::marker::PhantomData,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{parse_form, parse_object};

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        assert_eq!(
            serde_json::Value::Object(parse_form(b"name=a+b%2Fc&chroots=x&chroots=y&flag&bad=%zz%4")),
            json!({"name": "a b/c", "chroots": ["x", "y"], "flag": "", "bad": "%zz%4"})
        );
    }

    #[test]
    fn only_an_object_is_taken_for_arguments() {
        assert_eq!(parse_object(b"  ").unwrap().len(), 0);
        assert!(
            parse_object(b"[1]")
                .unwrap_err()
                .to_string()
                .contains("not a JSON object")
        );
        for (bad, words) in [
            (b"{\"a\":".as_slice(), "it ends too early."),
            (b"{\"a\": 1,\n  b}", "see line 2, column 3."),
            (b"\xff", "see line 1, column 1."),
        ] {
            let refused = parse_object(bad).unwrap_err().to_string();
            assert_eq!(
                refused,
                format!("The body of the request is not valid JSON: {words}")
            );
        }
    }
}
