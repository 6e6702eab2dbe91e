//! What the dialects of EC2 differ in. Everything is decided here, in one value for each dialect; actions ask the value and
//! never which dialect it is.

mod eucalyptus;

use std::borrow::Cow;

use devcloud_dialect::{Api, ApiError, Form, ids};
use poem::http::StatusCode;
use sha2::{Digest, Sha256};

/// Whose dialect of EC2 is spoken: [`Profile::AWS`] or [`Profile::EUCALYPTUS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The word for it on the command line.
    pub name: &'static str,
    /// Whether requests may be signed as version 2 says.
    pub(crate) takes_version_2: bool,
    /// The paths that each service answers at, and below which it answers too. Empty: at every path.
    pub(crate) paths: &'static [(Api, &'static str)],
    /// Whether lists come in pages. Where they do not, all rows are in one answer, and no token is given.
    pub(crate) has_pages: bool,
    /// Whether `DryRun` is a parameter.
    pub(crate) has_dry_run: bool,
    /// What a client token that comes again means.
    pub(crate) tokens: Tokens,
    /// Whether instances have metadata options, and tokens of version 2 in their metadata service.
    pub(crate) has_metadata_options: bool,
    /// The versions that the metadata service lists.
    pub(crate) metadata_versions: &'static str,
    /// Beginnings of paths that its metadata service lacks.
    pub(crate) absent_metadata: &'static [&'static str],
    /// Whether what an instance is to do on a power-off from inside is kept. Where it is not, it stops.
    pub(crate) keeps_shutdown_behavior: bool,
    /// Whether an instance that is terminated twice is in no list any more.
    pub(crate) buries_twice_terminated: bool,
    /// The prefix of an image's id.
    image_prefix: &'static str,
    /// How many digits new ids have.
    id_digits: usize,
    /// Whether instance types are described in a form of its own.
    pub(crate) has_own_instance_types: bool,
    /// The HTTP status of an error that says that there is no room.
    no_room: StatusCode,
    /// Whether what is refused before any action is told by the HTTP status alone.
    early_by_status: bool,
    /// Actions that there are not.
    absent_actions: &'static [&'static str],
    /// Parameters, and beginnings of such, that actions do not know.
    absent_parameters: &'static [(&'static str, &'static [&'static str])],
}

/// What a client token of RunInstances that comes again means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tokens {
    /// The same parameters have to come with it, and one of its instances has to be alive.
    Strict,
    /// Its instances are answered as long as they are known, whatever else is asked. Two calls at the same time can both find
    /// it unused; then one of them fails.
    Earlier,
}

impl Profile {
    /// Amazon's, of today.
    pub const AWS: Self = Self {
        name: "aws",
        takes_version_2: false,
        paths: &[],
        has_pages: true,
        has_dry_run: true,
        tokens: Tokens::Strict,
        has_metadata_options: true,
        metadata_versions: "1.0\n2009-04-04\n2021-07-15\nlatest",
        absent_metadata: &[],
        keeps_shutdown_behavior: true,
        buries_twice_terminated: false,
        image_prefix: "ami",
        id_digits: 17,
        has_own_instance_types: false,
        no_room: StatusCode::INTERNAL_SERVER_ERROR,
        early_by_status: false,
        absent_actions: &[],
        absent_parameters: &[],
    };

    /// Eucalyptus's, as its source of version 4.4.2 reads.
    pub const EUCALYPTUS: Self = eucalyptus::PROFILE;

    /// Whether the service answers at this path.
    pub(crate) fn has_path(&self, api: Api, path: &str) -> bool {
        self.paths.is_empty()
            || self
                .paths
                .iter()
                .any(|(service, base)| *service == api && is_at_or_below(path, base, '/'))
    }

    /// Whether any service answers at this path.
    pub(crate) fn has_any(&self, path: &str) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|(_, base)| is_at_or_below(path, base, '/'))
    }

    /// Refuses an action or a parameter that this dialect does not know.
    pub(crate) fn check(&self, action: &str, form: &Form) -> Result<(), ApiError> {
        if self.absent_actions.contains(&action) {
            return Err(no_action(action));
        }
        if !self.has_dry_run && form.get("DryRun").is_some() {
            return Err(ApiError::unknown_parameter("DryRun"));
        }
        let absent = self.absent_parameters.iter();
        let absent = absent
            .filter(|(name, _)| *name == action)
            .flat_map(|(_, names)| *names);
        for name in absent {
            let asked = |full: &str| is_at_or_below(full, name, '.');
            if let Some((full, _)) = form.asked().find(|(full, _)| asked(full)) {
                return Err(ApiError::unknown_parameter(full));
            }
        }
        Ok(())
    }

    /// The form that an action reads: where there are no pages, without what asks for them.
    pub(crate) fn asked<'a>(&self, form: &'a Form) -> Cow<'a, Form> {
        if self.has_pages {
            return Cow::Borrowed(form);
        }
        Cow::Owned(form.without(&["MaxResults", "NextToken"]))
    }

    /// How a refusal that comes before any action is told, where that is not by its code.
    pub(crate) fn early(&self, error: &ApiError) -> Option<ApiError> {
        if !self.early_by_status {
            return None;
        }
        let status = early_status(&error.code)?;
        let reason = status.canonical_reason().unwrap_or_default();
        let code = format!("{} {reason}", status.as_u16());
        Some(ApiError::new(code, error.message.clone()).with_status(status))
    }

    /// A new identifier.
    pub(crate) fn new_id(&self, prefix: &str) -> Result<String, getrandom::Error> {
        let id = ids::resource_id(prefix)?;
        let length = prefix.len() + 1 + self.id_digits;
        Ok(id.get(..length).unwrap_or(&id).to_owned())
    }

    /// A new identifier of an image.
    pub(crate) fn new_image_id(&self) -> Result<String, getrandom::Error> {
        self.new_id(self.image_prefix)
    }

    /// The id of the image of this name: a digest of it, so that an image that is made again keeps its id.
    #[must_use]
    pub fn image_id(&self, name: &str) -> String {
        let digest = hex::encode(Sha256::digest(name.as_bytes()));
        let digits = digest.get(..self.id_digits).unwrap_or(&digest);
        format!("{}-{digits}", self.image_prefix)
    }

    /// Whether a text can be the id of an image.
    pub(crate) fn is_image_id(&self, text: &str) -> bool {
        ids::is_resource_id(text, self.image_prefix)
    }

    /// An error that says that there is no room now.
    pub(crate) fn no_room(&self, message: String) -> ApiError {
        ApiError::new("InsufficientInstanceCapacity", message).with_status(self.no_room)
    }
}

/// There is no such action, here or at all.
pub(crate) fn no_action(action: &str) -> ApiError {
    let message = format!("The action {action} is not valid for this web service.");
    ApiError::new("InvalidAction", message)
}

/// The service does not answer at the path.
pub(crate) fn no_path(path: &str) -> ApiError {
    let shown: String = path.chars().take(200).collect();
    ApiError::new("NoSuchPath", format!("There is no service at {shown}")).with_status(StatusCode::NOT_FOUND)
}

/// The status of a refusal by the stages before the actions: the path, the signature, the reading of the parameters.
fn early_status(code: &str) -> Option<StatusCode> {
    Some(match code {
        "NoSuchPath" => StatusCode::NOT_FOUND,
        "AuthFailure" | "IncompleteSignature" | "MissingAuthenticationToken" | "RequestExpired" => {
            StatusCode::FORBIDDEN
        }
        "InvalidAction" | "MalformedQueryString" | "MissingAction" | "NoSuchVersion" | "UnknownParameter" => {
            StatusCode::BAD_REQUEST
        }
        _ => return None,
    })
}

/// Whether `name` is `base` or a part of it, behind `separator`.
fn is_at_or_below(name: &str, base: &str, separator: char) -> bool {
    name.strip_prefix(base)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(separator))
}

#[cfg(test)]
mod tests;
