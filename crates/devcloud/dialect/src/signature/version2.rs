//! Signature version 2, checked: <https://docs.aws.amazon.com/general/latest/gr/signature-version-2.html>. Amazon no
//! longer takes it; Eucalyptus and clients made for it do.
//!
//! What is signed are the method, the host, the path, and every parameter, of the query string and of the form alike,
//! so that nothing that is acted upon is unsigned.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use http::header::HOST;
use percent_encoding::utf8_percent_encode;
use sha1::Sha1;
use sha2::Sha256;
use time::{OffsetDateTime, PrimitiveDateTime, macros::format_description};

use super::{Credentials, ESCAPED, SKEW, Signed, incomplete, not_validated, text};
use crate::{ApiError, Form};

/// Checks that the request was signed with the credentials and is neither old nor expired.
pub(super) fn verify(
    request: &Signed<'_>,
    credentials: &Credentials<'_>,
    now: OffsetDateTime,
) -> Result<(), ApiError> {
    let body = std::str::from_utf8(request.body)
        .map_err(|_| ApiError::new("MalformedQueryString", "The request's body is not UTF-8"))?;
    let parameters = Form::parse(&[request.query, body])?;
    let required = |name: &str| {
        parameters
            .get(name)
            .ok_or_else(|| incomplete(&format!("The parameter {name} is missing")))
    };
    let version = required("SignatureVersion")?;
    if version != "2" {
        let message = format!("Version {version} of signatures is not known as parameters: only 2 is");
        return Err(incomplete(&message));
    }
    check_time(&parameters, now)?;
    if required("AWSAccessKeyId")? != credentials.access_key {
        return Err(not_validated());
    }
    credentials.check_token(parameters.get("SecurityToken"))?;
    let signature = STANDARD
        .decode(required("Signature")?)
        .map_err(|_| not_validated())?;
    let to_sign = string_to_sign(request, &parameters)?;
    let (key, to_sign) = (credentials.secret_key.as_bytes(), to_sign.as_bytes());
    // Both compare in constant time.
    let good = match required("SignatureMethod")? {
        "HmacSHA256" => <Hmac<Sha256> as Mac>::new_from_slice(key)
            .is_ok_and(|mac| mac.chain_update(to_sign).verify_slice(&signature).is_ok()),
        "HmacSHA1" => <Hmac<Sha1> as Mac>::new_from_slice(key)
            .is_ok_and(|mac| mac.chain_update(to_sign).verify_slice(&signature).is_ok()),
        _ => {
            return Err(incomplete(
                "The SignatureMethod is neither HmacSHA256 nor HmacSHA1",
            ));
        }
    };
    if good { Ok(()) } else { Err(not_validated()) }
}

/// A request has the time at which it was signed, or else the time up to which it is good.
fn check_time(parameters: &Form, now: OffsetDateTime) -> Result<(), ApiError> {
    let expired = || ApiError::new("RequestExpired", "Request has expired.");
    match (parameters.get("Timestamp"), parameters.get("Expires")) {
        (Some(signed), None) if (now - moment("Timestamp", signed)?).abs() > SKEW => Err(expired()),
        (None, Some(until)) if now > moment("Expires", until)? => Err(expired()),
        (Some(_), None) | (None, Some(_)) => Ok(()),
        _ => Err(incomplete(
            "One of the parameters Timestamp and Expires is wanted",
        )),
    }
}

/// A moment as the clients write it: UTC, with or without a fraction and the letter that says so, and nothing after that.
fn moment(name: &str, text: &str) -> Result<OffsetDateTime, ApiError> {
    let layout = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let local = text.strip_suffix('Z').unwrap_or(text);
    let (whole, fraction) = local.split_once('.').unwrap_or((local, "0"));
    let is_fraction = matches!(fraction.len(), 1..=9) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    PrimitiveDateTime::parse(whole, &layout)
        .ok()
        // The library takes a sign before the year.
        .filter(|_| is_fraction && whole.starts_with(|first: char| first.is_ascii_digit()))
        .map(PrimitiveDateTime::assume_utc)
        .ok_or_else(|| incomplete(&format!("{name} is not of the form 2015-08-30T12:36:00Z")))
}

fn string_to_sign(request: &Signed<'_>, parameters: &Form) -> Result<String, ApiError> {
    let host = text(request.headers, HOST.as_str())?.unwrap_or_default();
    // Sorted by the names as bytes, which is the order of a form.
    let pairs: Vec<String> = parameters
        .iter()
        .filter(|(name, _)| *name != "Signature")
        .map(|(name, value)| {
            format!(
                "{}={}",
                utf8_percent_encode(name, ESCAPED),
                utf8_percent_encode(value, ESCAPED)
            )
        })
        .collect();
    Ok(format!(
        "{}\n{}\n{}\n{}",
        request.method,
        host.to_ascii_lowercase(),
        request.path,
        pairs.join("&")
    ))
}

#[cfg(test)]
mod tests;
