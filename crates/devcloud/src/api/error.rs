//! Errors as EC2's clients know them: a code, a message, an HTTP status.

use std::borrow::Cow;

use poem::http::StatusCode;

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
}

impl ApiError {
    /// An error of the caller: status 400.
    pub(crate) fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: code.into(),
            message: message.into(),
        }
    }

    /// The same with another status.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same with another message.
    fn with_message(mut self, message: String) -> Self {
        self.message = message;
        self
    }

    /// The value of a parameter is wrong.
    pub(crate) fn invalid(parameter: &str, value: &str, reason: &str) -> Self {
        let shown: String = value.chars().take(100).collect();
        Self::new(
            "InvalidParameterValue",
            format!("Value ({shown}) for parameter {parameter} is invalid. {reason}"),
        )
    }

    /// A parameter is not there.
    pub(crate) fn missing(parameter: &str) -> Self {
        Self::new(
            "MissingParameter",
            format!("The request must contain the parameter {parameter}"),
        )
    }

    /// The caller is not who he says, or does not say it.
    pub(crate) fn auth_failure(message: &str) -> Self {
        Self::new("AuthFailure", message).with_status(StatusCode::UNAUTHORIZED)
    }

    /// Our own failure; what it was is in the log.
    pub(crate) fn internal() -> Self {
        Self::new("InternalError", "An internal error has occurred")
            .with_status(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<crate::Error> for ApiError {
    fn from(error: crate::Error) -> Self {
        if matches!(error, crate::Error::Ending) {
            return Self::new("Unavailable", "The cloud is ending")
                .with_status(StatusCode::SERVICE_UNAVAILABLE);
        }
        tracing::error!(error = crate::describe(&error), "A request failed.");
        if matches!(error, crate::Error::PublicPort { .. }) {
            // Whoever asks can be the one who chose the port.
            return Self::internal().with_message(error.to_string());
        }
        Self::internal()
    }
}

impl From<getrandom::Error> for ApiError {
    fn from(error: getrandom::Error) -> Self {
        tracing::error!(%error, "No random bytes could be had.");
        Self::internal()
    }
}
