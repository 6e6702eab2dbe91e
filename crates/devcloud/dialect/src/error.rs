//! Errors as EC2's clients know them: a code, a message, an HTTP status.

use std::borrow::Cow;

use http::StatusCode;

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// EC2's code, such as `InvalidInstanceID.NotFound`.
    pub code: Cow<'static, str>,
    /// A sentence for people.
    pub message: String,
}

impl ApiError {
    /// An error of the caller: status 400.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: code.into(),
            message: message.into(),
        }
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The value of a parameter is wrong.
    #[must_use]
    pub fn invalid(parameter: &str, value: &str, reason: &str) -> Self {
        let shown: String = value.chars().take(100).collect();
        Self::new(
            "InvalidParameterValue",
            format!("Value ({shown}) for parameter {parameter} is invalid. {reason}"),
        )
    }

    /// A parameter is not there.
    #[must_use]
    pub fn missing(parameter: &str) -> Self {
        Self::new(
            "MissingParameter",
            format!("The request must contain the parameter {parameter}"),
        )
    }

    /// The action knows no such parameter.
    #[must_use]
    pub fn unknown_parameter(parameter: &str) -> Self {
        let shown: String = parameter.chars().take(200).collect();
        Self::new(
            "UnknownParameter",
            format!("The parameter {shown} is not recognized"),
        )
    }

    /// EC2 knows what is asked for, and this cloud does not do it.
    #[must_use]
    pub fn unsupported(what: &str) -> Self {
        Self::new(
            "Unsupported",
            format!("The requested configuration is not supported: {what}."),
        )
    }

    /// The caller is not who he says, or does not say it.
    #[must_use]
    pub fn auth_failure(message: &str) -> Self {
        Self::new("AuthFailure", message).with_status(StatusCode::UNAUTHORIZED)
    }

    /// A failure of the cloud's own; what it was is in its log.
    #[must_use]
    pub fn internal() -> Self {
        Self::new("InternalError", "An internal error has occurred")
            .with_status(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<getrandom::Error> for ApiError {
    fn from(error: getrandom::Error) -> Self {
        tracing::error!(%error, "No random bytes could be had.");
        Self::internal()
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::ApiError;

    #[test]
    fn each_kind_has_ec2s_code_its_status_and_says_what_it_is_about() {
        let random = getrandom::Error::UNSUPPORTED;
        for (error, code, status, message) in [
            (
                ApiError::invalid("MaxResults", "4", "It must be a number from 5 to 1000."),
                "InvalidParameterValue",
                400,
                "Value (4) for parameter MaxResults is invalid. It must be a number from 5 to 1000.",
            ),
            (
                ApiError::missing("ImageId"),
                "MissingParameter",
                400,
                "The request must contain the parameter ImageId",
            ),
            (
                ApiError::unknown_parameter("MetadataOptions.HttpTokenz"),
                "UnknownParameter",
                400,
                "The parameter MetadataOptions.HttpTokenz is not recognized",
            ),
            (
                ApiError::unsupported("a second disk"),
                "Unsupported",
                400,
                "The requested configuration is not supported: a second disk.",
            ),
            (ApiError::auth_failure("no"), "AuthFailure", 401, "no"),
            (
                ApiError::internal(),
                "InternalError",
                500,
                "An internal error has occurred",
            ),
            (
                ApiError::from(random),
                "InternalError",
                500,
                "An internal error has occurred",
            ),
            (
                ApiError::new("InsufficientInstanceCapacity", "full")
                    .with_status(StatusCode::INTERNAL_SERVER_ERROR),
                "InsufficientInstanceCapacity",
                500,
                "full",
            ),
        ] {
            assert_eq!(
                (error.code.as_ref(), error.status.as_u16(), error.message.as_str()),
                (code, status, message)
            );
        }
    }

    #[test]
    fn what_a_caller_sent_is_shown_up_to_a_length_in_whole_letters() {
        let long = "ü".repeat(5000);
        let invalid = ApiError::invalid("KeyName", &long, "No.");
        assert_eq!(invalid.message.matches('ü').count(), 100);
        assert!(
            invalid
                .message
                .ends_with(") for parameter KeyName is invalid. No.")
        );
        assert_eq!(
            ApiError::unknown_parameter(&long).message.matches('ü').count(),
            200
        );
    }
}
