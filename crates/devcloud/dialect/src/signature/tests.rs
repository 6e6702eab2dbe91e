//! The expected signatures are those that AWS publishes in its signing test suite.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use time::{Duration, OffsetDateTime, macros::datetime};

use super::{ApiError, Authorization, Credentials, Scheme, Signed, canonical_query, verify};

const NOW: OffsetDateTime = datetime!(2015-08-30 12:36:00 UTC);
const CREDENTIALS: Credentials<'static> = Credentials {
    access_key: "AKIDEXAMPLE",
    secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    session_token: None,
};
const VANILLA: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
/// Made by an implementation of its own, in Python.
const WITH_TOKEN: &str = "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8";

struct Case {
    method: Method,
    path: &'static str,
    query: &'static str,
    headers: Vec<(&'static str, String)>,
    body: &'static str,
}

impl Case {
    fn vanilla() -> Self {
        Self {
            method: Method::GET,
            path: "/",
            query: "",
            headers: vec![
                ("host", "example.amazonaws.com".to_owned()),
                ("x-amz-date", "20150830T123600Z".to_owned()),
            ],
            body: "",
        }
    }

    fn signed(mut self, signed_headers: &str, signature: &str) -> Self {
        let value = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders={signed_headers}, Signature={signature}"
        );
        self.headers.push(("authorization", value));
        self
    }

    fn check(&self, credentials: &Credentials<'_>, now: OffsetDateTime) -> Result<Scheme, ApiError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let (method, path, query) = (&self.method, self.path, self.query);
        verify(
            &Signed {
                method,
                path,
                query,
                headers: &headers,
                body: self.body.as_bytes(),
            },
            credentials,
            now,
        )
    }
}

#[test]
fn published_signatures_are_accepted() {
    let plain = "host;x-amz-date";
    let get = Case::vanilla().signed(plain, VANILLA);
    let ordered = Case {
        query: "Param2=value2&Param1=value1",
        ..Case::vanilla()
    }
    .signed(
        plain,
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    );
    let unreserved = Case {
        query: "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        ..Case::vanilla()
    }
    .signed(plain, "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197");
    let post = Case {
        method: Method::POST,
        ..Case::vanilla()
    }
    .signed(
        plain,
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    );
    let mut trimmed = Case::vanilla();
    trimmed.headers.push(("my-header1", " value1".to_owned()));
    trimmed.headers.push(("my-header2", " \"a   b   c\"".to_owned()));
    let trimmed = trimmed.signed(
        "host;my-header1;my-header2;x-amz-date",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    );
    let mut form = Case {
        method: Method::POST,
        body: "Param1=value1",
        ..Case::vanilla()
    };
    form.headers
        .push(("content-type", "application/x-www-form-urlencoded".to_owned()));
    form.headers.push(("content-length", "13".to_owned()));
    let hash = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e";
    form.headers.push(("x-amz-content-sha256", hash.to_owned()));
    let form = form.signed(
        "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
        "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
    );
    for case in [get, ordered, unreserved, post, trimmed, form] {
        case.check(&CREDENTIALS, NOW).unwrap();
    }
}

#[test]
fn anything_changed_after_signing_is_refused() {
    let signed = || Case::vanilla().signed("host;x-amz-date", VANILLA);
    let changed = [
        Case {
            method: Method::POST,
            ..signed()
        },
        Case {
            path: "/x",
            ..signed()
        },
        Case {
            query: "a=b",
            ..signed()
        },
        Case {
            body: "x",
            ..signed()
        },
        Case::vanilla().signed("host;x-amz-date", &VANILLA.replace('5', "6")),
        Case::vanilla().signed("host;x-amz-date", "zz"),
    ];
    for case in changed {
        let error = case.check(&CREDENTIALS, NOW).unwrap_err();
        assert_eq!((error.code.as_ref(), error.status.as_u16()), ("AuthFailure", 401));
    }
    let secret = Credentials {
        secret_key: "wrong",
        ..CREDENTIALS
    };
    assert_eq!(signed().check(&secret, NOW).unwrap_err().code, "AuthFailure");
    let stranger = Credentials {
        access_key: "OTHER",
        ..CREDENTIALS
    };
    assert_eq!(signed().check(&stranger, NOW).unwrap_err().code, "AuthFailure");
}

/// The case with the token of a session in its headers, signed together with them.
fn with_token(token: &str, signed_headers: &str, signature: &str) -> Case {
    let mut case = Case::vanilla();
    case.headers.push(("x-amz-security-token", token.to_owned()));
    case.signed(signed_headers, signature)
}

#[test]
fn the_key_of_a_session_is_taken_with_its_token_and_no_other_key_with_any() {
    let of_a_session = Credentials {
        session_token: Some("6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"),
        ..CREDENTIALS
    };
    let all = "host;x-amz-date;x-amz-security-token";
    let token = of_a_session.session_token.unwrap();
    let good = with_token(token, all, WITH_TOKEN);
    good.check(&of_a_session, NOW).unwrap();
    let code = |case: Case, key: &Credentials<'_>| case.check(key, NOW).unwrap_err().code.into_owned();
    // A key that lasts has none, and a session's is nothing without its own.
    assert_eq!(code(good, &CREDENTIALS), "AuthFailure");
    let plain = Case::vanilla().signed("host;x-amz-date", VANILLA);
    assert_eq!(code(plain, &of_a_session), "AuthFailure");
    assert_eq!(
        code(with_token("another", all, WITH_TOKEN), &of_a_session),
        "AuthFailure"
    );
    // One that was put beside a signature says nothing.
    let beside = with_token(token, "host;x-amz-date", VANILLA);
    assert_eq!(code(beside, &of_a_session), "IncompleteSignature");
}

#[test]
fn old_and_future_requests_have_expired() {
    let case = Case::vanilla().signed("host;x-amz-date", VANILLA);
    case.check(&CREDENTIALS, NOW + Duration::minutes(15)).unwrap();
    for shift in [Duration::minutes(16), -Duration::minutes(16)] {
        assert_eq!(
            case.check(&CREDENTIALS, NOW + shift).unwrap_err().code,
            "RequestExpired"
        );
    }
}

#[test]
fn requests_without_a_good_header_say_what_is_missing() {
    let error = Case::vanilla().check(&CREDENTIALS, NOW).unwrap_err();
    assert_eq!(
        (error.code.as_ref(), error.status.as_u16()),
        ("MissingAuthenticationToken", 403)
    );
    let error = Case::vanilla()
        .signed("x-amz-date", VANILLA)
        .check(&CREDENTIALS, NOW)
        .unwrap_err();
    assert_eq!(
        (error.code.as_ref(), error.message.as_str()),
        ("IncompleteSignature", "The header host is not signed")
    );
    for odd in [
        "Bearer x",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=00",
    ] {
        let mut case = Case::vanilla();
        case.headers.push(("authorization", odd.to_owned()));
        assert_eq!(
            case.check(&CREDENTIALS, NOW).unwrap_err().code,
            "IncompleteSignature",
            "{odd}"
        );
    }
}

#[test]
fn a_header_has_each_of_its_three_parts_once_and_no_other() {
    let credential = "Credential=AKID/20150830/eu-1/ec2/aws4_request";
    let (headers, signature) = ("SignedHeaders=host;x-amz-date", "Signature=00ff");
    let header = |parts: &[&str]| format!("AWS4-HMAC-SHA256 {}", parts.join(","));
    for parts in [[credential, headers, signature], [signature, credential, headers]] {
        let header = header(&parts);
        let Ok(read) = Authorization::parse(&header) else {
            panic!("{header}")
        };
        assert_eq!(
            (read.access_key, read.day, read.region, read.service, read.scope),
            (
                "AKID",
                "20150830",
                "eu-1",
                "ec2",
                "20150830/eu-1/ec2/aws4_request"
            )
        );
        assert_eq!(
            (read.signed_headers, read.signature),
            (vec!["host", "x-amz-date"], "00ff")
        );
    }
    for (parts, message) in [
        (&[credential, headers][..], "has no Signature"),
        (&[credential, signature], "has no SignedHeaders"),
        (&[headers, signature], "has no Credential"),
        (&[credential, headers, "Signature="], "has no Signature"),
        (&[credential, headers, "Signature"], "has no Signature"),
        (
            &[credential, headers, signature, "Signature=11"],
            "has Signature twice",
        ),
        (
            &[credential, credential, headers, signature],
            "has Credential twice",
        ),
        (
            &[credential, headers, signature, "Extra=1"],
            "has a part that is not known",
        ),
        (
            &[credential, headers, signature, ""],
            "has a part that is not known",
        ),
        (&["Credential=AKID", headers, signature], "has no scope"),
    ] {
        let error = Authorization::parse(&header(parts)).err().expect("it is refused");
        assert_eq!(error.code, "IncompleteSignature");
        assert!(error.message.contains(message), "{parts:?}: {}", error.message);
    }
}

#[test]
fn a_scope_has_a_day_a_region_a_service_and_its_end() {
    for (scope, good) in [
        ("20150830/eu-1/ec2/aws4_request", true),
        ("20150830//ec2/aws4_request", true),
        ("20150830/eu-1/ec2/aws4_request/more", false),
        ("20150830/eu-1/ec2/AWS4_request", false),
        ("20150830/eu-1/ec2", false),
        ("2015083/eu-1/ec2/aws4_request", false),
        ("201508300/eu-1/ec2/aws4_request", false),
        ("+2015083/eu-1/ec2/aws4_request", false),
        ("2015-8-3/eu-1/ec2/aws4_request", false),
    ] {
        let header = format!("AWS4-HMAC-SHA256 Credential=AKID/{scope}, SignedHeaders=host, Signature=00");
        assert_eq!(Authorization::parse(&header).is_ok(), good, "{scope}");
    }
}

#[test]
fn the_date_is_the_scopes_and_has_one_form() {
    for (date, message) in [
        ("20150831T123600Z", "is not that of X-Amz-Date"),
        ("20150830T123600", "not of the form"),
        ("20150830T123600ZZ", "not of the form"),
        ("20150830T123600Z and more", "not of the form"),
        ("+20150830T123600Z", "is not that of X-Amz-Date"),
        ("2015-08-30T12:36:00Z", "not of the form"),
        ("Sun, 30 Aug 2015 12:36:00 GMT", "not of the form"),
        ("", "not of the form"),
    ] {
        let mut case = Case::vanilla();
        case.headers[1].1 = date.to_owned();
        let error = case
            .signed("host;x-amz-date", VANILLA)
            .check(&CREDENTIALS, NOW)
            .unwrap_err();
        assert_eq!(error.code, "IncompleteSignature", "{date}");
        assert!(error.message.contains(message), "{date}: {}", error.message);
    }
}

#[test]
fn a_query_is_sorted_and_escaped_for_signing() {
    for (query, canonical) in [
        ("", ""),
        ("b=2&a=1", "a=1&b=2"),
        ("a=2&a=1", "a=1&a=2"),
        ("a", "a="),
        ("&a=1&&", "a=1"),
        ("a=x%20y", "a=x%20y"),
        ("a=b=c", "a=b%3Dc"),
        ("a=%7E~-._", "a=~~-._"),
        ("a=/", "a=%2F"),
        ("%c3%bc=%C3%BC", "%C3%BC=%C3%BC"),
        ("A=1&a=1", "A=1&a=1"),
    ] {
        assert_eq!(canonical_query(query).unwrap(), canonical, "{query}");
    }
    for broken in ["a=%", "a=%zz", "a=%ff"] {
        assert_eq!(
            canonical_query(broken).unwrap_err().code,
            "MalformedQueryString",
            "{broken}"
        );
    }
}

#[test]
fn signatures_in_the_query_are_told_apart_from_none() {
    for (query, body, code) in [
        ("", "", "MissingAuthenticationToken"),
        ("Action=X", "SignatureVersions=2", "MissingAuthenticationToken"),
        ("X-Amz-Signature=00", "", "AuthFailure"),
        ("", "AWSAccessKeyId=AKIDEXAMPLE", "IncompleteSignature"),
        ("SignatureVersion=2", "", "IncompleteSignature"),
        ("SignatureVersion", "", "IncompleteSignature"),
    ] {
        let case = Case {
            query,
            body,
            ..Case::vanilla()
        };
        assert_eq!(
            case.check(&CREDENTIALS, NOW).unwrap_err().code,
            code,
            "{query} {body}"
        );
    }
}
