//! Why a cloud gives no machines, in two wordings.

/// Why a cloud does not answer.
pub(super) struct Failure {
    /// In words that name nothing of the farm's.
    pub(super) reason: String,
    /// All of it, for operators.
    pub(super) detail: String,
}

impl Failure {
    /// One of which everybody may hear all.
    pub(super) fn of_all(words: String) -> Self {
        Self {
            reason: words.clone(),
            detail: words,
        }
    }
}

impl From<&cloud::Error> for Failure {
    fn from(error: &cloud::Error) -> Self {
        Self {
            reason: error.in_public(),
            detail: error.to_string(),
        }
    }
}
