//! The first signature is the one that AWS published in its description of the version; the others were made by an
//! implementation of its own, in Python.

use http::{HeaderMap, HeaderValue, Method};
use time::{Duration, OffsetDateTime, macros::datetime};

use super::super::{ApiError, Credentials, Scheme, Signed, verify};

const NOW: OffsetDateTime = datetime!(2015-08-30 12:36:00 UTC);
const CREDENTIALS: Credentials<'static> = Credentials {
    access_key: "AKIDEXAMPLE",
    secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
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
