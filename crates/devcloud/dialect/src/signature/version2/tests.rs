//! The first signature is the one that AWS published in its description of the version; the others were made by an
//! implementation of its own, in Python.

use http::{HeaderMap, HeaderValue, Method};
use time::{Duration, OffsetDateTime, macros::datetime};

use super::{
    super::{ApiError, Credentials, Scheme, Signed, verify},
    Form, check_time, moment,
};

const NOW: OffsetDateTime = datetime!(2015-08-30 12:36:00 UTC);
const CREDENTIALS: Credentials<'static> = Credentials {
    access_key: "AKIDEXAMPLE",
    secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    session_token: None,
};
const SHA256: &str = "vniww%2B7Xn7%2B/qNheE9irKLNcuU1DL0bKukp7PoS2qnU%3D";
const SHA1: &str = "X9IpIWb8wNq6AhwoH40QTiHoL0o%3D";

#[derive(Clone)]
struct Case {
    method: Method,
    host: &'static str,
    path: &'static str,
    query: String,
    body: String,
}

impl Case {
    /// In another order than the signed one, with a blank as forms may write it.
    fn signed(method: &str, signature: &str) -> Self {
        Self {
            method: Method::GET,
            host: "EC2.example.com:8773",
            path: "/services/Eucalyptus",
            query: format!(
                "Action=DescribeInstances&Filter.1.Value.1=a+b/%C3%BC*~&Filter.1.Name=tag:Name&Version=2016-11-15&\
                 AWSAccessKeyId=AKIDEXAMPLE&SignatureVersion=2&SignatureMethod={method}&\
                 Timestamp=2015-08-30T12:36:00Z&Signature={signature}"
            ),
            body: String::new(),
        }
    }

    fn check(&self, credentials: &Credentials<'_>, now: OffsetDateTime) -> Result<Scheme, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static(self.host));
        let signed = Signed {
            method: &self.method,
            path: self.path,
            query: &self.query,
            headers: &headers,
            body: self.body.as_bytes(),
        };
        verify(&signed, credentials, now)
    }

    fn with(&self, old: &str, new: &str) -> Self {
        assert!(self.query.contains(old), "{old}");
        let query = self.query.replace(old, new);
        Self {
            query,
            ..self.clone()
        }
    }
}

#[test]
fn the_published_signature_is_accepted() {
    let published = Case {
        method: Method::GET,
        host: "elasticmapreduce.amazonaws.com",
        path: "/",
        query: "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Action=DescribeJobFlows&SignatureMethod=HmacSHA256&\
                SignatureVersion=2&Timestamp=2011-10-03T15%3A19%3A30&Version=2009-03-31&\
                Signature=i91nKc4PWAt0JJIdXwz9HxZCJDdiy6cf/Mj6vPxyYIs%3D"
            .to_owned(),
        body: String::new(),
    };
    let credentials = Credentials {
        access_key: "AKIAIOSFODNN7EXAMPLE",
        secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        session_token: None,
    };
    published
        .check(&credentials, datetime!(2011-10-03 15:20:00 UTC))
        .unwrap();
}

#[test]
fn both_methods_are_accepted_for_what_was_signed_and_for_nothing_else() {
    for (method, signature) in [("HmacSHA256", SHA256), ("HmacSHA1", SHA1)] {
        let good = Case::signed(method, signature);
        good.check(&CREDENTIALS, NOW).unwrap();
        let changed = [
            Case {
                method: Method::POST,
                ..good.clone()
            },
            Case {
                host: "other.example.com",
                ..good.clone()
            },
            Case {
                path: "/",
                ..good.clone()
            },
            Case {
                body: "InstanceId.1=i-1".to_owned(),
                ..good.clone()
            },
            good.with("DescribeInstances", "TerminateInstances"),
            good.with("12:36:00Z", "12:36:01Z"),
            good.with(signature, "AAAA"),
            good.with(signature, "%21"),
            good.with("AKIDEXAMPLE", "OTHER"),
        ];
        for case in changed {
            let error = case.check(&CREDENTIALS, NOW).unwrap_err();
            assert_eq!(
                (error.code.as_ref(), error.status.as_u16()),
                ("AuthFailure", 401),
                "{}",
                case.query
            );
        }
        let secret = Credentials {
            secret_key: "wrong",
            ..CREDENTIALS
        };
        assert_eq!(good.check(&secret, NOW).unwrap_err().code, "AuthFailure");
        let of_a_session = Credentials {
            session_token: Some("token"),
            ..CREDENTIALS
        };
        assert_eq!(good.check(&of_a_session, NOW).unwrap_err().code, "AuthFailure");
    }
}

#[test]
fn old_future_and_incomplete_requests_are_refused_and_say_why() {
    let good = Case::signed("HmacSHA256", SHA256);
    good.check(&CREDENTIALS, NOW + Duration::minutes(15)).unwrap();
    for shift in [Duration::minutes(16), -Duration::minutes(16)] {
        assert_eq!(
            good.check(&CREDENTIALS, NOW + shift).unwrap_err().code,
            "RequestExpired"
        );
    }
    let until = good.with("Timestamp=2015-08-30T12:36:00Z", "Expires=2015-08-30T12:35:59.5Z");
    assert_eq!(until.check(&CREDENTIALS, NOW).unwrap_err().code, "RequestExpired");
    for (old, new, message) in [
        (
            "SignatureVersion=2",
            "SignatureVersion=1",
            "Version 1 of signatures",
        ),
        ("SignatureVersion=2&", "", "SignatureVersion is missing"),
        ("HmacSHA256", "HmacMD5", "neither HmacSHA256 nor HmacSHA1"),
        ("Timestamp=2015-08-30T12:36:00Z&", "", "Timestamp and Expires"),
        (
            "2015-08-30T12:36:00Z",
            "yesterday",
            "Timestamp is not of the form",
        ),
        ("&Signature=", "&Nothing=", "Signature is missing"),
    ] {
        let error = good.with(old, new).check(&CREDENTIALS, NOW).unwrap_err();
        assert_eq!(error.code, "IncompleteSignature", "{new}");
        assert!(error.message.contains(message), "{}", error.message);
    }
    let twice = good.with("Action=", "Action=X&Action=");
    assert_eq!(
        twice.check(&CREDENTIALS, NOW).unwrap_err().code,
        "InvalidParameterCombination"
    );
}

#[test]
fn a_moment_has_nothing_after_it_and_one_spelling_of_its_numbers() {
    let noon = datetime!(2015-08-30 12:36:00 UTC);
    for text in [
        "2015-08-30T12:36:00",
        "2015-08-30T12:36:00Z",
        "2015-08-30T12:36:00.0",
        "2015-08-30T12:36:00.000Z",
        "2015-08-30T12:36:00.999999999Z",
    ] {
        assert_eq!(moment("Timestamp", text), Ok(noon), "{text}");
    }
    for text in [
        "",
        "Z",
        "2015-08-30",
        "2015-08-30T12:36",
        "2015-08-30 12:36:00",
        "2015-08-30t12:36:00z",
        "2015-08-30T12:36:00ZZ",
        "2015-08-30T12:36:00Z ",
        " 2015-08-30T12:36:00Z",
        "2015-08-30T12:36:00+02:00",
        "2015-08-30T12:36:00Z and more",
        "2015-08-30T12:36:00.Z",
        "2015-08-30T12:36:00.",
        "2015-08-30T12:36:00.and more",
        "2015-08-30T12:36:00.5and more",
        "2015-08-30T12:36:00.5.5",
        "2015-08-30T12:36:00.0000000000",
        "2015-08-30T12:36:00.+5",
        "2015-08-30T12:36:00.5Z.5Z",
        "+2015-08-30T12:36:00Z",
        "-2015-08-30T12:36:00Z",
        "2015-8-30T12:36:00Z",
        "2015-08-30T+2:36:00Z",
        "2015-02-30T12:36:00Z",
        "2015-08-30T24:00:00Z",
        "20150830T123600Z",
    ] {
        let error = moment("Expires", text).unwrap_err();
        assert_eq!(
            (error.code.as_ref(), error.message.as_str()),
            (
                "IncompleteSignature",
                "Expires is not of the form 2015-08-30T12:36:00Z"
            ),
            "{text:?}"
        );
    }
}

#[test]
fn a_request_is_timed_by_one_of_two_parameters() {
    let form = |text: &str| Form::parse(&[text]).unwrap();
    let check = |text: &str| check_time(&form(text), NOW).map_err(|error| error.code.into_owned());
    let error = |code: &str| Err(code.to_owned());
    for (text, checked) in [
        ("Timestamp=2015-08-30T12:21:00Z", Ok(())),
        ("Timestamp=2015-08-30T12:20:59Z", error("RequestExpired")),
        ("Timestamp=2015-08-30T12:51:00Z", Ok(())),
        ("Timestamp=2015-08-30T12:51:01Z", error("RequestExpired")),
        ("Expires=2015-08-30T12:36:00Z", Ok(())),
        ("Expires=2015-08-30T12:35:59Z", error("RequestExpired")),
        ("Expires=2099-01-01T00:00:00Z", Ok(())),
        ("", error("IncompleteSignature")),
        ("Timestamp=", error("IncompleteSignature")),
        (
            "Timestamp=2015-08-30T12:36:00Z&Expires=2015-08-30T12:36:00Z",
            error("IncompleteSignature"),
        ),
    ] {
        assert_eq!(check(text), checked, "{text}");
    }
}
