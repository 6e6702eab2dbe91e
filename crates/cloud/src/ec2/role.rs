//! Keys of the role of the machine that this program runs on. EC2's metadata service hands them out, each good for some hours, to
//! whoever asks from that machine (its version 2, which wants a token for that).

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};
use serde_json::Value;
use tokio::sync::Mutex;
use tracing::{debug, info, warn};

mod service;

/// Where the metadata service is on machines of EC2.
pub const METADATA_SERVICE: &str = "http://169.254.169.254";

const TOKEN: &str = "/latest/api/token";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
/// How long a token is good for. It is used for the questions that follow at once, and no more.
const TOKEN_SECONDS: &str = "60";
/// How long before its end a key is renewed: the service has the next one at least five minutes before.
const RENEWED_BEFORE: Duration = Duration::from_secs(300);
/// How long to leave the service alone that did not renew a key which is still good.
const PAUSE: Duration = Duration::from_secs(20);

/// Why there is no key of the machine's role. No word of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RoleError {
    /// Nobody answers.
    #[error(
        "no metadata service answers ({why}): this machine is none of EC2's, or it is switched off{more}"
    )]
    Silent {
        /// What is in the way; without addresses.
        why: String,
        /// What else may be the cause.
        more: &'static str,
    },
    /// It hands out no token.
    #[error(
        "the metadata service hands out no token (HTTP status {status}): it is switched off, or of the version 1 only"
    )]
    NoToken { status: u16 },
    /// The machine has no role.
    #[error("the machine that this runs on has no role: it needs an instance profile with one")]
    NoRole,
    /// It has a role, and no key for it.
    #[error("the metadata service has no key for the role: {code}: {message}")]
    Refused {
        /// The service's code.
        code: String,
        /// The service's words.
        message: String,
    },
    /// An answer that is none.
    #[error("the metadata service answers in another form than EC2's: {what}")]
    Odd { what: String },
}

/// A question to the metadata service.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Question {
    method: &'static str,
    path: String,
    /// The one header that it needs.
    header: (&'static str, String),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    body: String,
}

/// A metadata service.
#[async_trait]
trait Metadata: Send + Sync {
    /// Asks once, and not for long.
    async fn ask(&self, question: Question) -> Result<Answer, RoleError>;
}

/// A key that the service gave.
#[derive(Clone)]
struct Held {
    key: Credentials,
    until: SystemTime,
    /// When another one was last asked for.
    asked_at: SystemTime,
}

/// What is to be done before a question is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The key is good.
    Use,
    /// It is about to end: another one is asked for, and where there is none it has to do.
    Renew,
    /// There is none that is good.
    Ask,
}

impl Held {
    fn turn(&self, now: SystemTime) -> Turn {
        let left = self.until.duration_since(now).unwrap_or_default();
        // A clock that was set back is no reason to wait.
        let is_asked = now.duration_since(self.asked_at).is_ok_and(|ago| ago < PAUSE);
        if left.is_zero() {
            Turn::Ask
        } else if left > RENEWED_BEFORE || is_asked {
            Turn::Use
        } else {
            Turn::Renew
        }
    }
}

/// The keys of the machine's role. Each is asked for when it is needed, and renewed before its end.
#[derive(Clone)]
pub struct InstanceRole {
    service: Arc<dyn Metadata>,
    held: Arc<Mutex<Option<Held>>>,
    now: fn() -> SystemTime,
}

impl fmt::Debug for InstanceRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstanceRole").finish_non_exhaustive()
    }
}

impl InstanceRole {
    /// The role that the metadata service at an address of HTTP tells of, such as [`METADATA_SERVICE`]; nobody is asked yet. `None`
    /// where that is no such address.
    #[must_use]
    pub fn at(endpoint: &str) -> Option<Self> {
        let service = service::Service::at(endpoint)?;
        Some(Self::of(Arc::new(service), SystemTime::now))
    }

    fn of(service: Arc<dyn Metadata>, now: fn() -> SystemTime) -> Self {
        Self {
            service,
            held: Arc::default(),
            now,
        }
    }

    /// A key that is good now.
    async fn key(&self) -> Result<Credentials, RoleError> {
        let mut held = self.held.lock().await;
        let now = (self.now)();
        let old = match held.as_ref().map(|held| (held.turn(now), held)) {
            Some((Turn::Use, held)) => return Ok(held.key.clone()),
            Some((Turn::Renew, held)) => Some(held.clone()),
            Some((Turn::Ask, _)) | None => None,
        };
        let (key, until) = match (fetch(self.service.as_ref()).await, old) {
            (Ok(new), _) => new,
            (Err(error), Some(old)) => {
                warn!("The key of the machine's role is not renewed yet: {error}");
                (old.key, old.until)
            }
            (Err(error), None) => return Err(error),
        };
        let is_new = held.as_ref().is_none_or(|held| held.until != until);
        *held = Some(Held {
            key: key.clone(),
            until,
            asked_at: now,
        });
        if is_new {
            let left = until.duration_since(now).unwrap_or_default().as_secs();
            info!("There is a key of the machine's role, good for {left} s.");
        }
        Ok(key)
    }
}

impl ProvideCredentials for InstanceRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            let key = self.key().await;
            key.map_err(|error| {
                debug!("No key of the machine's role: {error}");
                CredentialsError::provider_error(error)
            })
        })
    }
}

/// Asks for a token, for the role's name, and for its key; with the key's end.
async fn fetch(service: &dyn Metadata) -> Result<(Credentials, SystemTime), RoleError> {
    let ttl = ("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS.to_owned());
    let token = service.ask(Question {
        method: "PUT",
        path: TOKEN.to_owned(),
        header: ttl,
    });
    let token = match token.await? {
        Answer { status: 200, body } if !body.is_empty() && body.bytes().all(|it| it.is_ascii_graphic()) => {
            body
        }
        Answer { status: 200, .. } => {
            return Err(RoleError::Odd {
                what: "a token that is no word".to_owned(),
            });
        }
        Answer { status, .. } => return Err(RoleError::NoToken { status }),
    };
    let get = |path: String| {
        service.ask(Question {
            method: "GET",
            path,
            header: ("x-aws-ec2-metadata-token", token.clone()),
        })
    };
    let odd = |what: &str, status: u16| RoleError::Odd {
        what: format!("HTTP status {status} where {what} is asked for"),
    };
    let answer = get(ROLES.to_owned()).await?;
    let role = answer.body.lines().next().unwrap_or_default().trim();
    match answer.status {
        // Names of roles are of letters, digits and these: all of them may stand in a path.
        200 if role
            .bytes()
            .any(|it| !it.is_ascii_alphanumeric() && !b"+=,.@-_".contains(&it)) =>
        {
            return Err(RoleError::Odd {
                what: "a name that no role has".to_owned(),
            });
        }
        200 if !role.is_empty() => {}
        200 | 404 => return Err(RoleError::NoRole),
        status => return Err(odd("the role's name", status)),
    }
    match get(format!("{ROLES}{role}")).await? {
        Answer { status: 200, body } => read_key(&body),
        Answer { status: 404, .. } => Err(RoleError::NoRole),
        Answer { status, .. } => Err(odd("the role's key", status)),
    }
}

/// The key in an answer, and its end.
fn read_key(body: &str) -> Result<(Credentials, SystemTime), RoleError> {
    let odd = |what: &str| RoleError::Odd {
        what: what.to_owned(),
    };
    let found: Value = serde_json::from_str(body).map_err(|_| odd("a key that is no JSON"))?;
    let word = |name: &str| {
        found
            .get(name)
            .and_then(Value::as_str)
            .filter(|word| !word.is_empty())
    };
    let needed = |name: &str| word(name).ok_or_else(|| odd(&format!("a key without `{name}`")));
    if let Some(code) = word("Code").filter(|code| *code != "Success") {
        return Err(RoleError::Refused {
            code: code.to_owned(),
            message: word("Message").unwrap_or("it does not say why").to_owned(),
        });
    }
    let until = DateTime::from_str(needed("Expiration")?, DateTimeFormat::DateTime);
    let until = until.ok().and_then(|until| SystemTime::try_from(until).ok());
    let until = until.ok_or_else(|| odd("a key whose `Expiration` is no moment"))?;
    let (id, secret, token) = (
        needed("AccessKeyId")?,
        needed("SecretAccessKey")?,
        needed("Token")?,
    );
    let key = Credentials::new(id, secret, Some(token.to_owned()), Some(until), "instance-role");
    Ok((key, until))
}

#[cfg(test)]
mod tests;
