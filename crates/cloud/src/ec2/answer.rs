//! What a failed call to an EC2 endpoint means, in words of our own.

use std::{error::Error as StdError, io};

use aws_sdk_ec2::{
    config::http::HttpResponse,
    error::{ConnectorError, ProvideErrorMetadata, SdkError},
};

use super::role::RoleError;
use crate::Error;

/// What an error means: by where on its way the question failed, then by the code of the answer and never by its HTTP
/// status. A refusal for capacity is a definite "no" though it comes as a server error, and a server error without a code
/// may have done anything.
pub(super) fn classify<E>(error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    if let Some(no_key) = find::<RoleError>(error) {
        return Error::Unreachable {
            why: format!("there is no key to ask it with: {no_key}"),
        };
    }
    match error {
        SdkError::ConstructionFailure(_) => Error::Unreachable {
            why: "no request can be made for its endpoint with its access key".to_owned(),
        },
        SdkError::DispatchFailure(failure) => not_answered(failure.as_connector_error()),
        SdkError::TimeoutError(_) => Error::Unclear {
            what: "it did not answer in time".to_owned(),
        },
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let message = error.message().unwrap_or_default();
            by_code(error.code().unwrap_or_default(), message, status)
        }
        _ => Error::Unclear {
            what: "an answer that is not EC2's".to_owned(),
        },
    }
}

/// What may be wrong where an endpoint has nothing at its path.
const OTHER_PATH: &str = "the endpoint may lack its path; that of Eucalyptus is /services/compute";

/// A definite code is a refusal, whatever it is called: there are hundreds, clouds have codes of their own, and new ones come.
fn by_code(code: &str, message: &str, status: u16) -> Error {
    // Older clouds say on which side the fault is.
    let bare = code.trim_start_matches("Client.").trim_start_matches("Server.");
    let word = bare.to_ascii_lowercase();
    let is_throttling = status == 429
        || word.contains("throttl")
        || word.contains("toomanyrequests")
        || ["requestlimitexceeded", "slowdown", "bandwidthlimitexceeded"].contains(&word.as_str());
    // Eucalyptus 4.4 has the line of the status as code of what fails outside of an action: `500 Internal Server Error`.
    let says_nothing = word.is_empty()
        || (word.starts_with('5') && word.split(' ').next() == Some(status.to_string().as_str()))
        || word.starts_with("internal")
        || word.starts_with("serviceunavailable")
        || ["unavailable", "servererror", "requesttimeout"].contains(&word.as_str());
    if is_throttling {
        Error::Throttled {
            code: if bare.is_empty() { "HTTP 429" } else { bare }.to_owned(),
        }
    } else if bare == "IdempotentInstanceTerminated" {
        Error::Ended
    } else if says_nothing {
        let what = if bare.is_empty() {
            let hint = if status == 404 {
                format!(": {OTHER_PATH}")
            } else {
                String::new()
            };
            format!("HTTP status {status} without a code of EC2{hint}")
        } else {
            bare.to_owned()
        };
        Error::Unclear { what }
    } else {
        // Eucalyptus tells a wrong path so; no action of EC2 has such a code.
        let message = match word.starts_with("404 ") {
            true => format!("{}; {OTHER_PATH}", message.trim_end_matches('.')),
            false => message.to_owned(),
        };
        Error::Refused {
            code: bare.to_owned(),
            message,
        }
    }
}

/// Nothing was answered. Where not even a connection was made, nothing was asked either.
fn not_answered(error: Option<&ConnectorError>) -> Error {
    let Some(error) = error else {
        return Error::Unclear {
            what: "the question was lost".to_owned(),
        };
    };
    let client: Option<&hyper_util::client::legacy::Error> = find(error);
    if client.is_some_and(hyper_util::client::legacy::Error::is_connect) {
        return Error::Unreachable {
            why: in_the_way(error).to_owned(),
        };
    }
    let what = if error.is_timeout() {
        "it did not answer in time"
    } else {
        "the connection ended before an answer came"
    };
    Error::Unclear {
        what: what.to_owned(),
    }
}

fn in_the_way(error: &ConnectorError) -> &'static str {
    if error.is_timeout() {
        return "it does not take a connection in time";
    }
    // The resolver's own error has no kind that would tell it from others.
    if sources(error).any(|source| source.to_string() == "dns error") {
        return "its name has no address";
    }
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused",
        Some(io::ErrorKind::TimedOut) => "it does not take a connection in time",
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => "there is no way to it",
        Some(io::ErrorKind::InvalidData) => "its certificate is not trusted, or it speaks no TLS",
        _ => "no connection can be made",
    }
}

fn sources<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn StdError + 'static) = *error;
        error.source()
    })
}

fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    sources(error).find_map(|source| source.downcast_ref::<E>())
}

#[cfg(test)]
mod tests {
    use super::{ConnectorError, Error, OTHER_PATH, by_code, not_answered};

    fn refused(code: &str) -> Error {
        Error::Refused {
            code: code.to_owned(),
            message: "no".to_owned(),
        }
    }

    fn throttled(code: &str) -> Error {
        Error::Throttled {
            code: code.to_owned(),
        }
    }

    fn unclear(what: &str) -> Error {
        Error::Unclear {
            what: what.to_owned(),
        }
    }

    #[test]
    fn a_code_decides_before_the_status_and_says_itself_without_its_side() {
        for (code, status, expected) in [
            (
                "InsufficientInstanceCapacity",
                500,
                refused("InsufficientInstanceCapacity"),
            ),
            (
                "Server.InsufficientInstanceCapacity",
                503,
                refused("InsufficientInstanceCapacity"),
            ),
            ("Client.AuthFailure", 401, refused("AuthFailure")),
            ("InvalidAMIID.NotFound", 400, refused("InvalidAMIID.NotFound")),
            ("UnauthorizedOperation", 403, refused("UnauthorizedOperation")),
            (
                "UnavailableHostRequirements",
                400,
                refused("UnavailableHostRequirements"),
            ),
            (
                "IdempotentParameterMismatch",
                400,
                refused("IdempotentParameterMismatch"),
            ),
            ("IdempotentInstanceTerminated", 400, Error::Ended),
            ("Client.IdempotentInstanceTerminated", 500, Error::Ended),
            (
                "Client.RequestLimitExceeded",
                400,
                throttled("RequestLimitExceeded"),
            ),
            ("requestlimitexceeded", 503, throttled("requestlimitexceeded")),
            ("BandwidthLimitExceeded", 503, throttled("BandwidthLimitExceeded")),
            // The status counts where it alone says it.
            ("", 429, throttled("HTTP 429")),
            ("InternalError", 429, throttled("InternalError")),
            ("", 500, unclear("HTTP status 500 without a code of EC2")),
            ("", 200, unclear("HTTP status 200 without a code of EC2")),
            (
                "500 Internal Server Error",
                500,
                unclear("500 Internal Server Error"),
            ),
            ("503 Service Unavailable", 503, unclear("503 Service Unavailable")),
            ("403 Forbidden", 403, refused("403 Forbidden")),
            ("400 Bad Request", 400, refused("400 Bad Request")),
            ("Server.", 502, unclear("HTTP status 502 without a code of EC2")),
            ("Server.InternalError", 500, unclear("InternalError")),
            ("InternalFailure", 400, unclear("InternalFailure")),
            (
                "ServiceUnavailableException",
                503,
                unclear("ServiceUnavailableException"),
            ),
            ("Unavailable", 503, unclear("Unavailable")),
            ("RequestTimeout", 400, unclear("RequestTimeout")),
            ("ServerError", 500, unclear("ServerError")),
        ] {
            let found = by_code(code, "no", status);
            assert_eq!(found, expected, "{code} {status}");
        }
    }

    #[test]
    fn nothing_at_the_path_of_an_endpoint_is_told_with_the_path_of_eucalyptus() {
        let bare = format!("HTTP status 404 without a code of EC2: {OTHER_PATH}");
        assert_eq!(by_code("", "", 404), unclear(&bare));
        let of_eucalyptus = Error::Refused {
            code: "404 Not Found".to_owned(),
            message: format!("There is no service at /; {OTHER_PATH}"),
        };
        let found = by_code("404 Not Found", "There is no service at /.", 404);
        assert_eq!(found, of_eucalyptus);
        let of_an_action = by_code("InvalidInstanceID.NotFound", "no", 404);
        assert_eq!(of_an_action, refused("InvalidInstanceID.NotFound"));
    }

    #[test]
    fn what_was_lost_on_its_way_may_have_been_heard() {
        let io = |kind| Box::new(std::io::Error::from(kind));
        for (error, what) in [
            (None, "the question was lost"),
            (
                Some(ConnectorError::timeout(io(std::io::ErrorKind::TimedOut))),
                "it did not answer in time",
            ),
            (
                Some(ConnectorError::io(io(std::io::ErrorKind::ConnectionReset))),
                "the connection ended before an answer came",
            ),
        ] {
            assert_eq!(not_answered(error.as_ref()), unclear(what));
        }
    }
}
