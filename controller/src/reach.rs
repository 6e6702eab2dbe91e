//! How machines are reached: over SSH, or not at all in tests.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use model::{
    fleet::{ProvisionSpec, Runner},
    step::{difference::Difference, live::Answer},
};
use provisioner::{Ansible, Mode, PlaybookRunner as _, Provisioner, Report, Request, Target};
use runtime::supervisor::error_chain;
use serde_json::{Map, Value};
use shell::{ClientKey, Connection, Endpoint, HostKey, Timeouts};

use crate::{agent, host_keys};

/// A way to open a machine, so that a playbook can be run on it.
#[async_trait]
pub trait Reach: Send + Sync + std::fmt::Debug {
    /// Connects to the machine at an address, which has to prove that host key, within `limit`.
    async fn open(
        &self,
        endpoint: &Endpoint,
        host_key: &HostKey,
        limit: Duration,
    ) -> Result<Box<dyn Machine>, shell::Error>;

    /// The host key that whoever listens at an address shows. To trust it is the caller's decision.
    async fn host_key(&self, endpoint: &Endpoint, limit: Duration) -> Result<HostKey, shell::Error>;
}

/// A machine that was opened.
#[async_trait]
pub trait Machine: Send + Sync {
    /// Runs a playbook on it by the runner of a provision, or the part of it that has a tag; what came of it, in words for operators.
    async fn play(
        &self,
        provision: &ProvisionSpec,
        playbook: &str,
        (vars, part): (&Map<String, Value>, Option<&str>),
        limit: Duration,
    ) -> Result<String, String>;

    /// Has it make a host key, which it does not show yet; the public half.
    async fn make_host_key(&self, limit: Duration) -> Result<HostKey, String>;

    /// Has it show the host key that it made last, which has to be this one, from the next connection on, and forget the one that it
    /// was given.
    async fn replace_host_key(&self, made: &HostKey, limit: Duration) -> Result<(), String>;

    /// What runs on it that nobody may disturb, in words for operators; `None` where nothing does.
    async fn running(&self, limit: Duration) -> Option<String>;

    /// Looks at what the machine is like, before its first build; a text for [`Machine::clean`].
    async fn baseline(&self, limit: Duration) -> Result<String, String>;

    /// Takes the machine as it is, whatever was found on it before.
    async fn accept(&self, limit: Duration) -> Result<(), String>;

    /// Removes what builds left there, and compares the machine with what it was like. What differs is told in words for
    /// operators; nothing: it is as it was.
    async fn clean(&self, baseline: &str, limit: Duration) -> Result<Vec<Difference>, String>;

    /// Whether the machine is still the builder with that id, is fit to build, and was not started again since `baseline` was taken,
    /// where that is known.
    async fn live(&self, builder: &str, baseline: Option<&str>, limit: Duration) -> Answer;

    /// Waits until its cloud tells it that it takes the machine back, for at most so long; that notice in words for operators.
    /// `None`: there is nothing that could tell it.
    async fn notice(&self, limit: Duration) -> Result<Option<String>, String>;

    /// Ends the connection.
    async fn close(self: Box<Self>);
}

/// Opens machines over SSH.
pub struct OverSsh {
    /// The private key that the machines let in.
    pub key: Arc<ClientKey>,
    /// What runs playbooks.
    pub provisioner: Arc<Provisioner>,
}

impl std::fmt::Debug for OverSsh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OverSsh").finish_non_exhaustive()
    }
}

struct Opened {
    connection: Arc<Connection>,
    target: Target,
    provisioner: Arc<Provisioner>,
}

#[async_trait]
impl Reach for OverSsh {
    async fn open(
        &self,
        endpoint: &Endpoint,
        host_key: &HostKey,
        limit: Duration,
    ) -> Result<Box<dyn Machine>, shell::Error> {
        let timeouts = Timeouts {
            handshake: limit,
            ..Timeouts::default()
        };
        let connection = Connection::open(endpoint, &self.key, host_key, timeouts).await?;
        let connection = Arc::new(connection);
        let target = Target {
            endpoint: endpoint.clone(),
            host_key: host_key.clone(),
            key: ClientKey::clone(&self.key),
            connection: Some(Arc::clone(&connection)),
        };
        Ok(Box::new(Opened {
            connection,
            target,
            provisioner: Arc::clone(&self.provisioner),
        }))
    }

    async fn host_key(&self, endpoint: &Endpoint, limit: Duration) -> Result<HostKey, shell::Error> {
        HostKey::shown_at(&endpoint.host, endpoint.port, limit).await
    }
}

#[async_trait]
impl Machine for Opened {
    async fn play(
        &self,
        provision: &ProvisionSpec,
        playbook: &str,
        (vars, part): (&Map<String, Value>, Option<&str>),
        limit: Duration,
    ) -> Result<String, String> {
        let request = Request {
            playbook,
            vars,
            mode: Mode::Apply,
            limit,
            part,
            progress: None,
        };
        let played = match provision.runner {
            Runner::Builtin => self.provisioner.play(&self.target, &request).await,
            Runner::Ansible => {
                let command = provision.ansible.command.as_deref();
                match Ansible::new(Arc::clone(&self.provisioner), command) {
                    Ok(ansible) => ansible.play(&self.target, &request).await,
                    Err(error) => Err(error),
                }
            }
        };
        match played {
            Ok(report) => Ok(summary(playbook, &report)),
            Err(error) => Err(format!("{playbook}: {}", error_chain(&error))),
        }
    }

    async fn make_host_key(&self, limit: Duration) -> Result<HostKey, String> {
        host_keys::make(&self.connection, limit).await
    }

    async fn replace_host_key(&self, made: &HostKey, limit: Duration) -> Result<(), String> {
        host_keys::replace(&self.connection, made, limit).await
    }

    async fn running(&self, limit: Duration) -> Option<String> {
        agent::running(&self.connection, limit).await
    }

    async fn baseline(&self, limit: Duration) -> Result<String, String> {
        agent::baseline(&self.connection, limit).await
    }

    async fn accept(&self, limit: Duration) -> Result<(), String> {
        agent::accept(&self.connection, limit).await
    }

    async fn clean(&self, baseline: &str, limit: Duration) -> Result<Vec<Difference>, String> {
        agent::clean(&self.connection, baseline, limit).await
    }

    async fn live(&self, builder: &str, baseline: Option<&str>, limit: Duration) -> Answer {
        agent::live(&self.connection, (builder, baseline), limit).await
    }

    async fn notice(&self, limit: Duration) -> Result<Option<String>, String> {
        agent::notice(&self.connection, limit).await
    }

    async fn close(self: Box<Self>) {
        self.connection.close().await;
    }
}

/// What a playbook did, in a line.
fn summary(playbook: &str, report: &Report) -> String {
    format!(
        "{playbook}: {} tasks, {} changed something, in {} ms",
        report.tasks.len(),
        report.changed(),
        report.duration.as_millis()
    )
}

#[cfg(test)]
mod tests;
