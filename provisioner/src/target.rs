//! What a playbook is played on, what is wanted, and who can do it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use shell::{ClientKey, Connection, Endpoint, HostKey};

use crate::error::Error;
use crate::report::{Mode, Report, TaskReport};

/// A machine to play on: where it is, by what it is known, and what it lets in.
#[derive(Clone, Debug)]
pub struct Target {
    /// Address, port and user.
    pub endpoint: Endpoint,
    /// The key that the machine has to prove.
    pub host_key: HostKey,
    /// The private key that it lets in.
    pub key: ClientKey,
    /// A connection to it that is open already, for a runner that can use it. Others make their own.
    pub connection: Option<Arc<Connection>>,
}

/// Called with each task as soon as it has ended.
pub type Progress<'a> = &'a (dyn Fn(&TaskReport) + Send + Sync);

/// A playbook with all that it is played with.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The playbook's file name.
    pub playbook: &'a str,
    /// Variables, which win over the playbook's own.
    pub vars: &'a Map<String, Value>,
    /// Whether the machine may be changed.
    pub mode: Mode,
    /// How long all of it may take, with connecting.
    pub limit: Duration,
    /// The tag of the tasks that alone are played, beside those with the tag `always`; all tasks without it.
    pub part: Option<&'a str>,
    /// Who hears of each task.
    pub progress: Option<Progress<'a>>,
}

/// Something that can play playbooks on machines.
///
/// All or nothing is for the caller: a run that failed may have changed some things, and the next run goes on from there.
#[async_trait]
pub trait PlaybookRunner: Send + Sync {
    /// Plays a playbook on a machine. In check mode nothing is changed there; the report tells what would be.
    ///
    /// # Errors
    /// [`Error::UnknownPlaybook`]; [`Error::Mistakes`] and [`Error::File`] of the operator's files; [`Error::Unreachable`]
    /// before the first task; [`Error::TaskFailed`], [`Error::Connection`], [`Error::Deadline`].
    async fn play(&self, target: &Target, request: &Request<'_>) -> Result<Report, Error>;
}
