//! Signature version 4, checked: <https://docs.aws.amazon.com/general/latest/gr/create-signed-request.html>. Requests
//! of clients that know only version 2 are passed on to `version2`.
//!
//! The scope is taken from the header, because clients that do not know this endpoint put odd regions there; the
//! key is derived from exactly that scope, so nothing is lost by it.

mod version2;

use hmac::{Hmac, Mac};
use http::{HeaderMap, Method, StatusCode, header::AUTHORIZATION};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, PrimitiveDateTime, macros::format_description};

use crate::{ApiError, form};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The header with the token of a session.
const TOKEN: &str = "x-amz-security-token";

/// How far the clocks of client and cloud may be apart.
const SKEW: time::Duration = time::Duration::minutes(15);

/// What no escape is needed for (RFC 3986 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The same, and the slash between the parts of a path.
const ESCAPED_IN_PATH: &AsciiSet = &ESCAPED.remove(b'/');

/// How a request was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the header, for the service of this name.
    Version4 {
        /// The service in the scope, such as `ec2`.
        service: String,
    },
    /// In the parameters.
    Version2,
}

/// What was signed.
pub struct Signed<'a> {
    /// The HTTP method.
    pub method: &'a Method,
    /// The path as it came.
    pub path: &'a str,
    /// The query string as it came.
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: &'a [u8],
}

/// Who may sign.
pub struct Credentials<'a> {
    pub access_key: &'a str,
    /// Its secret.
    pub secret_key: &'a str,
    /// The token that every request has to carry with it, where the key is a session's.
    pub session_token: Option<&'a str>,
}

impl Credentials<'_> {
    /// Refuses what is not the token of the key's session, none among it.
    fn check_token(&self, token: Option<&str>) -> Result<(), ApiError> {
        // By their digests, so that the time tells nothing.
        let digest = |token: &str| Sha256::digest(token.as_bytes());
        match self.session_token.map(digest) == token.map(digest) {
            true => Ok(()),
            false => Err(not_validated()),
        }
    }
}

/// Checks that the request was signed with the credentials, within the last and next 15 minutes.
///
/// # Errors
/// `MissingAuthenticationToken`, `IncompleteSignature`, `RequestExpired`, `AuthFailure`.
pub fn verify(
    request: &Signed<'_>,
    credentials: &Credentials<'_>,
    now: OffsetDateTime,
) -> Result<Scheme, ApiError> {
    let Some(header) = request.headers.get(AUTHORIZATION) else {
        if has_parameter(request, "SignatureVersion") || has_parameter(request, "AWSAccessKeyId") {
            version2::verify(request, credentials, now)?;
            return Ok(Scheme::Version2);
        }
        return Err(unsigned(request));
    };
    let header = header
        .to_str()
        .map_err(|_| incomplete("The Authorization header is not plain text"))?;
    let authorization = Authorization::parse(header)?;
    let date = text(request.headers, "x-amz-date")?.unwrap_or_default();
    let layout = format_description!("[year][month][day]T[hour][minute][second]Z");
    let time = PrimitiveDateTime::parse(&date, &layout)
        .map_err(|_| incomplete("X-Amz-Date is missing or is not of the form 20150830T123600Z"))?
        .assume_utc();
    if date.get(..8) != Some(authorization.day) {
        return Err(incomplete(
            "The date of the credential scope is not that of X-Amz-Date",
        ));
    }
    if (now - time).abs() > SKEW {
        return Err(ApiError::new("RequestExpired", "Request has expired."));
    }
    let token = request.headers.contains_key(TOKEN).then_some(TOKEN);
    for header in ["host", "x-amz-date"].into_iter().chain(token) {
        if !authorization.signed_headers.contains(&header) {
            return Err(incomplete(&format!("The header {header} is not signed")));
        }
    }
    let body_hash = hex::encode(Sha256::digest(request.body));
    if let Some(claimed) = text(request.headers, "x-amz-content-sha256")?
        && claimed != body_hash
    {
        let message = "The body is not the one whose hash is in X-Amz-Content-Sha256";
        return Err(ApiError::auth_failure(message));
    }
    if authorization.access_key != credentials.access_key {
        return Err(not_validated());
    }
    credentials.check_token(text(request.headers, TOKEN)?.as_deref())?;
    let canonical = canonical_request(request, &authorization, &body_hash)?;
    let to_sign = format!(
        "{ALGORITHM}\n{date}\n{}\n{}",
        authorization.scope,
        hex::encode(Sha256::digest(canonical.as_bytes()))
    );
    let signature = hex::decode(authorization.signature).map_err(|_| not_validated())?;
    let mac = signing_mac(credentials.secret_key, &authorization, &to_sign).ok_or_else(not_validated)?;
    // Compares in constant time.
    mac.verify_slice(&signature).map_err(|_| not_validated())?;
    Ok(Scheme::Version4 {
        service: authorization.service.to_owned(),
    })
}

fn not_validated() -> ApiError {
    ApiError::auth_failure(
        "AWS was not able to validate the provided access credentials: unknown access key or wrong signature",
    )
}

fn incomplete(message: &str) -> ApiError {
    ApiError::new("IncompleteSignature", message)
}

/// Whether the query string or the form has a parameter.
fn has_parameter(request: &Signed<'_>, name: &str) -> bool {
    let body = std::str::from_utf8(request.body).unwrap_or_default();
    let mut pairs = request.query.split('&').chain(body.split('&'));
    pairs.any(|pair| pair.split('=').next() == Some(name))
}

/// Why a request without an Authorization header is refused.
fn unsigned(request: &Signed<'_>) -> ApiError {
    if has_parameter(request, "X-Amz-Signature") {
        return ApiError::auth_failure(
            "Signatures in the query string are not supported here: send the Authorization header",
        );
    }
    ApiError::new(
        "MissingAuthenticationToken",
        "Request is missing an Authentication Token",
    )
    .with_status(StatusCode::FORBIDDEN)
}

/// The Authorization header in its parts.
struct Authorization<'a> {
    access_key: &'a str,
    day: &'a str,
    region: &'a str,
    service: &'a str,
    scope: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str) -> Result<Self, ApiError> {
        let rest = header
            .strip_prefix(ALGORITHM)
            .filter(|rest| rest.starts_with(' '))
            .ok_or_else(|| incomplete("The Authorization header does not begin with AWS4-HMAC-SHA256"))?;
        let (mut credential, mut signed_headers, mut signature) = ("", "", "");
        for part in rest.split(',').map(str::trim) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => {
                    return Err(incomplete(
                        "The Authorization header has a part that is not known",
                    ));
                }
            };
            if !std::mem::replace(place, value).is_empty() {
                return Err(incomplete(&format!("The Authorization header has {name} twice")));
            }
        }
        for (name, value) in [
            ("Credential", credential),
            ("SignedHeaders", signed_headers),
            ("Signature", signature),
        ] {
            if value.is_empty() {
                return Err(incomplete(&format!("The Authorization header has no {name}")));
            }
        }
        let (access_key, scope) = credential
            .split_once('/')
            .ok_or_else(|| incomplete("The Credential has no scope"))?;
        let mut fields = scope.split('/');
        let (Some(day), Some(region), Some(service), Some("aws4_request"), None) = (
            fields.next(),
            fields.next(),
            fields.next(),
            fields.next(),
            fields.next(),
        ) else {
            return Err(incomplete(
                "The scope of the Credential is not DAY/REGION/SERVICE/aws4_request",
            ));
        };
        if day.len() != 8 || !day.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(incomplete(
                "The day in the scope of the Credential has not eight digits",
            ));
        }
        Ok(Self {
            access_key,
            day,
            region,
            service,
            scope,
            signed_headers: signed_headers.split(';').collect(),
            signature,
        })
    }
}

fn signing_mac(secret: &str, authorization: &Authorization<'_>, to_sign: &str) -> Option<Hmac<Sha256>> {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [
        authorization.day,
        authorization.region,
        authorization.service,
        "aws4_request",
    ] {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&key).ok()?;
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&key).ok()?;
    mac.update(to_sign.as_bytes());
    Some(mac)
}

fn canonical_request(
    request: &Signed<'_>,
    authorization: &Authorization<'_>,
    body_hash: &str,
) -> Result<String, ApiError> {
    let mut headers = String::new();
    for name in &authorization.signed_headers {
        let mut values = Vec::new();
        for value in request.headers.get_all(*name) {
            let value = std::str::from_utf8(value.as_bytes())
                .map_err(|_| incomplete(&format!("The header {name} is not UTF-8")))?;
            values.push(
                value
                    .split(' ')
                    .filter(|word| !word.is_empty())
                    .collect::<Vec<_>>()
                    .join(" "),
            );
        }
        if values.is_empty() {
            return Err(incomplete(&format!("The header {name} is signed and not there")));
        }
        headers.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    Ok(format!(
        "{}\n{}\n{}\n{headers}\n{}\n{body_hash}",
        request.method,
        utf8_percent_encode(request.path, ESCAPED_IN_PATH),
        canonical_query(request.query)?,
        authorization.signed_headers.join(";"),
    ))
}

fn canonical_query(query: &str) -> Result<String, ApiError> {
    if !form::is_well_formed(query) {
        return Err(form::malformed());
    }
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let encode = |part: &str| {
            let plain = percent_decode_str(part).decode_utf8();
            plain.map(|part| utf8_percent_encode(&part, ESCAPED).to_string())
        };
        let pair = encode(name).and_then(|name| Ok((name, encode(value)?)));
        pairs.push(pair.map_err(|_| form::malformed())?);
    }
    pairs.sort();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Ok(pairs.join("&"))
}

fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let value = value
        .to_str()
        .map_err(|_| incomplete(&format!("The header {name} is not plain text")))?;
    Ok(Some(value.trim().to_owned()))
}

#[cfg(test)]
mod tests;
