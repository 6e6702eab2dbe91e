//! What failed calls mean.

use std::time::Duration;

use model::{calls::CallClass, step::launch::Reply};

/// What a failed call means for the caller. The words of each are for operators and this program's own: a library's never
/// come through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was done, and the same again will not help. A launch may be asked for with another offering.
    #[error("the cloud refuses: {code}{}", after_colon(message))]
    Refused {
        /// EC2's code.
        code: String,
        /// The cloud's words.
        message: String,
    },
    /// Nothing was done: too many calls. Ask the same later.
    #[error("the cloud asks for fewer calls ({code})")]
    Throttled {
        /// EC2's code.
        code: String,
    },
    /// Nothing was done: the cloud was not asked, since the fleet has made as many calls of that kind as it may. Ask the same later.
    #[error("it may not be asked again so soon: too many calls of the kind `{class}`")]
    Rationed {
        class: CallClass,
        /// How long until there may be another call.
        wait: Duration,
    },
    /// Nothing was done: the question did not get there. Ask later, and not with many at once.
    #[error("the cloud cannot be reached: {why}")]
    Unreachable {
        /// What is in the way; without addresses.
        why: String,
    },
    /// Nothing was done: there is no client of the cloud, for one since its access key cannot be read. Ask later.
    #[error("the farm has no access to the cloud: {why}")]
    NoAccess {
        /// What is in the way, and what can be done.
        why: String,
    },
    /// The machine of this launch has been made and has ended: asking with its token again gives nothing.
    #[error("the machine of this launch has ended already")]
    Ended,
    /// It is not known whether anything was done: no answer, or one that says nothing.
    #[error("no clear answer from the cloud: {what}")]
    Unclear {
        /// What came instead; without addresses.
        what: String,
    },
}

fn after_colon(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

impl Error {
    /// What it means for a launch that failed so.
    #[must_use]
    pub fn reply(&self) -> Reply {
        let words = self.to_string();
        match self {
            Self::Refused { code, .. } => Reply::Refused {
                code: code.clone(),
                words,
            },
            Self::Throttled { .. }
            | Self::Rationed { .. }
            | Self::Unreachable { .. }
            | Self::NoAccess { .. } => Reply::Later(words),
            Self::Ended => Reply::Ended(words),
            Self::Unclear { .. } => Reply::Unclear(words),
        }
    }

    /// Whether nothing at all can be asked of the cloud at this moment.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::NoAccess { .. })
    }

    /// The error without what the cloud wrote and where its access key is, which may name accounts, machines and addresses: for
    /// everybody.
    #[must_use]
    pub fn in_public(&self) -> String {
        match self {
            Self::Refused { code, .. } => format!("the cloud refuses: {code}"),
            Self::NoAccess { .. } => "the farm has no access to the cloud".to_owned(),
            Self::Throttled { .. }
            | Self::Rationed { .. }
            | Self::Unreachable { .. }
            | Self::Ended
            | Self::Unclear { .. } => self.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_reads_the_code_and_operators_the_clouds_words_as_well() {
        let refused = |message: &str| Error::Refused {
            code: "UnauthorizedOperation".to_owned(),
            message: message.to_owned(),
        };
        let what = || "it did not answer in time".to_owned();
        for (error, whole, public) in [
            (
                refused("account 123456789012 may not"),
                "the cloud refuses: UnauthorizedOperation: account 123456789012 may not",
                "the cloud refuses: UnauthorizedOperation",
            ),
            (
                refused(""),
                "the cloud refuses: UnauthorizedOperation",
                "the cloud refuses: UnauthorizedOperation",
            ),
            (
                Error::Throttled {
                    code: "SlowDown".to_owned(),
                },
                "the cloud asks for fewer calls (SlowDown)",
                "the cloud asks for fewer calls (SlowDown)",
            ),
            (
                Error::Rationed {
                    class: CallClass::Read,
                    wait: Duration::from_secs(3),
                },
                "it may not be asked again so soon: too many calls of the kind `read`",
                "it may not be asked again so soon: too many calls of the kind `read`",
            ),
            (
                Error::NoAccess {
                    why: "there is no file key.toml".to_owned(),
                },
                "the farm has no access to the cloud: there is no file key.toml",
                "the farm has no access to the cloud",
            ),
            (
                Error::Unclear { what: what() },
                "no clear answer from the cloud: it did not answer in time",
                "no clear answer from the cloud: it did not answer in time",
            ),
        ] {
            assert_eq!(error.to_string(), whole);
            assert_eq!(error.in_public(), public);
        }
    }

    #[test]
    fn only_a_launch_without_a_clear_answer_may_have_made_a_machine() {
        let text = |text: &str| text.to_owned();
        let (code, message, why, what) = (text("X"), text("no"), text("no route"), text("it was cut off"));
        for (error, expected) in [
            (
                Error::Refused {
                    code: code.clone(),
                    message,
                },
                Reply::Refused {
                    code: text("X"),
                    words: text("the cloud refuses: X: no"),
                },
            ),
            (
                Error::Throttled { code },
                Reply::Later(text("the cloud asks for fewer calls (X)")),
            ),
            (
                Error::Rationed {
                    class: CallClass::Launch,
                    wait: Duration::ZERO,
                },
                Reply::Later(text(
                    "it may not be asked again so soon: too many calls of the kind `launch`",
                )),
            ),
            (
                Error::Unreachable { why },
                Reply::Later(text("the cloud cannot be reached: no route")),
            ),
            (
                Error::NoAccess { why: text("no key") },
                Reply::Later(text("the farm has no access to the cloud: no key")),
            ),
            (
                Error::Ended,
                Reply::Ended(text("the machine of this launch has ended already")),
            ),
            (
                Error::Unclear { what },
                Reply::Unclear(text("no clear answer from the cloud: it was cut off")),
            ),
        ] {
            assert_eq!(error.reply(), expected);
        }
    }
}
