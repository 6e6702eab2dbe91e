//! What stops a worker's work, sorted by what follows from it.

use model::Blame;
use runtime::supervisor::error_chain;
use store::Outcome;

/// What stops a worker's work on an attempt or a publication.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused or is away.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The builder cannot be reached, or the connection to it was lost: try to connect again.
    #[error("the connection to the builder")]
    Connection(#[source] shell::Error),
    /// The attempt is another worker's by now, or nobody's: this one stops at once.
    #[error("a later allocation of the attempt has been on its builder")]
    Fenced,
    /// The builder finds fault with what we ask of it.
    #[error("the builder refuses the task: {0}")]
    Task(String),
    /// The builder says or does what no builder of ours does.
    #[error("the builder misbehaves: {0}")]
    Builder(String),
    /// What the builder hands over is refused.
    #[error("{0}")]
    Refused(String),
    /// A package or the repository.
    #[error(transparent)]
    Repository(#[from] repository::Error),
    /// A file of ours.
    #[error("{what}")]
    File {
        /// What was being done, and to which file.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A blocking task of ours was lost.
    #[error("an inner task was lost: {0}")]
    Lost(String),
}

impl Error {
    /// Whether there is no room on a disk of the farm's own.
    pub(crate) fn is_full_disk(&self) -> bool {
        let is_full = |source: &std::io::Error| {
            [std::io::ErrorKind::StorageFull, std::io::ErrorKind::QuotaExceeded].contains(&source.kind())
        };
        match self {
            Self::File { source, .. } | Self::Repository(repository::Error::Io(source)) => is_full(source),
            Self::Store(error) => matches!(error, store::Error::NoSpace { .. }),
            _ => false,
        }
    }

    /// Whether the same may work later, without anything built anew: the connection comes back, a disk gets room.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Connection(_)) || self.is_full_disk()
    }

    /// How an attempt ends that this ends: whose fault it is.
    pub(crate) fn outcome(&self) -> Outcome {
        let blame = match self {
            Self::Task(_) => {
                return Outcome::Refused {
                    reason: error_chain(self),
                    result_directory: None,
                };
            }
            Self::Connection(_) | Self::Builder(_) => Blame::Infrastructure,
            Self::Repository(repository::Error::Manifest(_)) => Blame::Infrastructure,
            Self::Refused(_) => Blame::Package,
            Self::Repository(cause) if cause.is_bad_package() => Blame::Package,
            Self::Store(_) | Self::Repository(_) | Self::File { .. } | Self::Lost(_) | Self::Fenced => {
                Blame::Service
            }
        };
        Outcome::Failed {
            blame,
            reason: error_chain(self),
            evidence: None,
            is_suspect: false,
            result_directory: None,
        }
    }
}

impl From<shell::Error> for Error {
    /// By what the caller does about it: connect again, look at our own disk, or give the builder up.
    fn from(error: shell::Error) -> Self {
        match error {
            shell::Error::Local { what, cause } => Self::File {
                what: format!("the local side of {what}"),
                source: cause,
            },
            error if error.is_worth_retrying() => Self::Connection(error),
            error => Self::Builder(error_chain(&error)),
        }
    }
}

/// Runs blocking work away from the threads that wait for the network.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|cause| Error::Lost(cause.to_string()))?
}

#[cfg(test)]
mod tests {
    use std::io;

    use model::Blame;
    use store::Outcome;

    use super::Error;

    fn file(kind: io::ErrorKind) -> Error {
        Error::File {
            what: "writing a file".to_owned(),
            source: kind.into(),
        }
    }

    #[test]
    fn whose_fault_an_error_is_follows_from_where_it_happened() {
        let lost = shell::Error::Lost {
            what: "a command".to_owned(),
            bytes_received: 0,
            why: "gone".to_owned(),
        };
        for (error, expected) in [
            (Error::from(lost), Blame::Infrastructure),
            (Error::Builder("odd".to_owned()), Blame::Infrastructure),
            (
                Error::Repository(repository::Error::Manifest("odd".to_owned())),
                Blame::Infrastructure,
            ),
            (Error::Refused("its name".to_owned()), Blame::Package),
            (file(io::ErrorKind::PermissionDenied), Blame::Service),
            (Error::Lost("a panic".to_owned()), Blame::Service),
        ] {
            let outcome = error.outcome();
            assert!(
                matches!(&outcome, Outcome::Failed { blame, .. } if *blame == expected),
                "{error}: {outcome:?}"
            );
        }
    }

    #[test]
    fn a_failure_of_ssh_is_a_lost_connection_a_builder_given_up_or_our_own_disk() {
        let (what, endpoint) = (|| "a command".to_owned(), || "root@10.0.0.7:22".to_owned());
        let shown = || "SHA256:x".to_owned();
        for (error, may_pass, blame) in [
            (
                shell::Error::Refused {
                    what: what(),
                    why: "too many sessions".to_owned(),
                },
                true,
                Blame::Infrastructure,
            ),
            (
                shell::Error::HostKeyMismatch {
                    endpoint: endpoint(),
                    expected: shown(),
                    got: shown(),
                },
                false,
                Blame::Infrastructure,
            ),
            (
                shell::Error::AuthenticationRefused {
                    endpoint: endpoint(),
                    fingerprint: shown(),
                },
                false,
                Blame::Infrastructure,
            ),
            (
                shell::Error::Local {
                    what: what(),
                    cause: io::ErrorKind::PermissionDenied.into(),
                },
                false,
                Blame::Service,
            ),
            (
                shell::Error::Local {
                    what: what(),
                    cause: io::ErrorKind::StorageFull.into(),
                },
                true,
                Blame::Service,
            ),
        ] {
            let error = Error::from(error);
            assert_eq!(error.may_pass(), may_pass, "{error}");
            let outcome = error.outcome();
            assert!(
                matches!(&outcome, Outcome::Failed { blame: found, .. } if *found == blame),
                "{outcome:?}"
            );
        }
    }

    #[test]
    fn a_refused_task_is_not_tried_again_and_says_what_is_wrong_with_it() {
        let outcome = Error::Task("task: chroot: no definition".to_owned()).outcome();
        let Outcome::Refused { reason, .. } = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(
            reason,
            "the builder refuses the task: task: chroot: no definition"
        );
    }

    #[test]
    fn a_full_disk_and_a_lost_connection_may_pass_and_nothing_else() {
        assert!(file(io::ErrorKind::StorageFull).may_pass());
        assert!(file(io::ErrorKind::QuotaExceeded).may_pass());
        let timeout = shell::Error::Timeout {
            what: "a command".to_owned(),
            limit: std::time::Duration::from_secs(1),
            bytes_received: 0,
        };
        assert!(Error::from(timeout).may_pass());
        assert!(!file(io::ErrorKind::NotFound).may_pass());
        assert!(!Error::Builder("odd".to_owned()).may_pass());
        assert!(!Error::Fenced.may_pass());
    }
}
