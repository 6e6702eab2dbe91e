//! What the ledger holds. The field names are the file's format: a change of them is a change of [`VERSION`].

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    path::PathBuf,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use devcloud_dialect::ids::{random, resource_id};

use super::{
    faults::{InstanceFaults, TagEdit},
    images::MadeImage,
};

/// The format of the file.
const VERSION: u32 = 1;

/// How many steps of one instance are kept; older ones are dropped.
const HISTORY: usize = 500;

/// Everything the cloud knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The format of the file.
    pub version: u32,
    /// The account number, twelve digits.
    pub owner_id: String,
    /// Counts launches, so that lists have an order.
    pub sequence: u64,
    /// The last two numbers of the address given last; the next one is looked for after it.
    pub address_cursor: u16,
    /// Instances by id; terminated ones stay for a while.
    #[serde(with = "shared")]
    pub instances: BTreeMap<String, Arc<Instance>>,
    /// Client tokens of RunInstances.
    pub tokens: BTreeMap<String, LaunchToken>,
    /// Images that were made here, by id.
    #[serde(default)]
    pub images: BTreeMap<String, MadeImage>,
    /// Disks that stayed when their instances were terminated, by id: what a real account would pay for.
    #[serde(default)]
    pub left_volumes: BTreeMap<String, String>,
    /// Key pairs by name.
    pub key_pairs: BTreeMap<String, KeyPair>,
    /// Security groups by id.
    pub security_groups: BTreeMap<String, SecurityGroup>,
    /// Tags by resource id.
    pub tags: BTreeMap<String, BTreeMap<String, String>>,
}

impl State {
    /// An empty cloud with a random account number and the security group `default`.
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let owner = u64::from_le_bytes(random::<8>()?) % 1_000_000_000_000;
        let group = SecurityGroup {
            id: resource_id("sg")?,
            name: "default".to_owned(),
            description: "default group".to_owned(),
            ingress: Vec::new(),
            egress_description: None,
        };
        Ok(Self {
            version: VERSION,
            owner_id: format!("{owner:012}"),
            sequence: 0,
            // Different clouds begin at different places, so that a client's known hosts rarely mix them up.
            address_cursor: u16::from_le_bytes(random::<2>()?),
            instances: BTreeMap::new(),
            tokens: BTreeMap::new(),
            images: BTreeMap::new(),
            left_volumes: BTreeMap::new(),
            key_pairs: BTreeMap::new(),
            security_groups: BTreeMap::from([(group.id.clone(), group)]),
            tags: BTreeMap::new(),
        })
    }

    /// What is wrong with a state that could be parsed.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!(
                "its version is {}, this program reads {VERSION}",
                self.version
            ));
        }
        let mut addresses = BTreeMap::new();
        for (id, instance) in &self.instances {
            if *id != instance.id {
                return Err(format!("instances.{id} is named {} inside", instance.id));
            }
            if instance.state != InstanceState::Terminated
                && let Some(other) = addresses.insert(instance.private_address, id)
            {
                return Err(format!(
                    "{id} and {other} have the same address {}",
                    instance.private_address
                ));
            }
        }
        Ok(())
    }

    /// The instance, to be changed.
    pub(crate) fn instance_mut(&mut self, id: &str) -> Option<&mut Instance> {
        self.instances.get_mut(id).map(Arc::make_mut)
    }

    /// Edits the tags of an instance as it was to be done up to `now`.
    pub(crate) fn edit_tags(&mut self, id: &str, now: OffsetDateTime) {
        let Some(instance) = self.instance_mut(id) else {
            return;
        };
        let due: Vec<TagEdit>;
        (due, instance.faults.tag_edits) = std::mem::take(&mut instance.faults.tag_edits)
            .into_iter()
            .partition(|edit| edit.at <= now);
        instance.note("fault", "tags");
        let tags = self.tags.entry(id.to_owned()).or_default();
        for edit in due {
            tags.extend(edit.set);
            tags.retain(|key, _| !edit.remove.contains(key));
        }
        if tags.is_empty() {
            self.tags.remove(id);
        }
    }

    /// Forgets terminated instances whose time is over, the tags of what was theirs, and tokens older than two days that no
    /// instance bears any more.
    pub(crate) fn forget(&mut self, now: OffsetDateTime, retention: std::time::Duration) {
        self.instances
            .retain(|_, instance| !instance.is_forgotten(now, retention));
        let Self {
            tags,
            instances,
            tokens,
            ..
        } = self;
        // An interface is its instance's by its number, a disk by being named there.
        let disks: BTreeSet<&String> = instances.values().map(|one| &one.root_volume_id).collect();
        tags.retain(|id, _| match id.split_once('-') {
            Some(("i", _)) => instances.contains_key(id),
            Some(("eni", digits)) => instances.contains_key(&format!("i-{digits}")),
            Some(("vol", _)) => disks.contains(id),
            _ => true,
        });
        tokens.retain(|_, token| {
            now - token.time < time::Duration::days(2)
                || token.instances.iter().any(|id| instances.contains_key(id))
        });
    }
}

/// One instance from its launch to the end of its hour of being terminated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// `i-` and 17 digits.
    pub id: String,
    /// Its place among all launches.
    pub sequence: u64,
    /// `r-` and 17 digits; instances of one call share it.
    pub reservation_id: String,
    /// Its place within the call.
    pub launch_index: u32,
    /// The image it was made from.
    pub image_id: String,
    /// CPU architecture of the image.
    pub architecture: String,
    /// The image's layers at the time of the launch, topmost first.
    pub layers: Vec<PathBuf>,
    /// A name of the table in `instance_types`.
    pub instance_type: String,
    /// The key pair's name.
    pub key_name: Option<String>,
    /// Its public key at the time of the launch, in OpenSSH's format.
    pub public_key: Option<String>,
    /// User data in base64, as it came.
    pub user_data: Option<String>,
    /// The token of the call that launched it.
    pub client_token: Option<String>,
    /// Ids of its security groups.
    pub group_ids: Vec<String>,
    /// Its availability zone.
    pub zone: String,
    /// Whether it was asked for as a spot instance.
    pub spot: bool,
    /// How the metadata service treats it.
    pub metadata: MetadataOptions,
    /// What a power-off from inside means.
    pub shutdown_behavior: ShutdownBehavior,
    /// Whether TerminateInstances is refused.
    pub termination_protected: bool,
    /// Whether StopInstances is refused.
    #[serde(default)]
    pub stop_protected: bool,
    /// Its address inside the cloud's network.
    pub private_address: Ipv4Addr,
    /// The loopback address of the host that leads to it.
    pub public_address: Ipv4Addr,
    /// The id of its disk.
    pub root_volume_id: String,
    /// Whether it stays when the instance is terminated.
    #[serde(default)]
    pub keeps_volume: bool,
    /// When it was launched, or started again.
    #[serde(with = "time::serde::rfc3339")]
    pub launch_time: OffsetDateTime,
    /// Where it is in its life.
    pub state: InstanceState,
    /// Whether its disk was made, so that a start is a start again.
    pub has_disk: bool,
    /// Whether a reboot was asked for and not done yet.
    pub reboot_requested: bool,
    /// A fault: its public address is never opened.
    pub without_ssh: bool,
    /// What else of it goes wrong on purpose.
    #[serde(default)]
    pub faults: InstanceFaults,
    /// Why it is in its state, where there is something to say.
    pub state_reason: Option<StateReason>,
    /// When it reached `terminated`.
    #[serde(with = "time::serde::rfc3339::option")]
    pub terminated_at: Option<OffsetDateTime>,
    /// What happened to it, oldest first.
    pub history: Vec<HistoryEntry>,
}

impl Instance {
    /// Moves to `state` and writes it into the history.
    pub(crate) fn enter(&mut self, state: InstanceState, reason: Option<StateReason>) {
        let detail = reason
            .as_ref()
            .map(|reason| reason.message.clone())
            .unwrap_or_default();
        self.note(state.name(), detail);
        self.state = state;
        self.state_reason = reason;
        if state != InstanceState::Running {
            self.reboot_requested = false;
        }
        self.terminated_at = (state == InstanceState::Terminated).then(OffsetDateTime::now_utc);
    }

    /// Writes a step into the history.
    pub(crate) fn note(&mut self, event: &str, detail: impl Into<String>) {
        if self.history.len() >= HISTORY {
            self.history.remove(0);
        }
        let time = OffsetDateTime::now_utc();
        self.history.push(HistoryEntry {
            time,
            event: event.to_owned(),
            detail: detail.into(),
        });
    }

    /// From now on it is in no list, and forgotten as soon as anything is.
    pub(crate) fn bury(&mut self) {
        self.note("buried", "");
        self.faults.hidden_until = Some(OffsetDateTime::now_utc() + time::Duration::weeks(5000));
        self.terminated_at = Some(OffsetDateTime::UNIX_EPOCH);
    }

    /// Whether nobody is told of it yet: a fault.
    #[must_use]
    pub fn is_hidden(&self, now: OffsetDateTime) -> bool {
        self.faults.hidden_until.is_some_and(|until| now < until)
    }

    /// Whether it was terminated longer than `retention` ago.
    #[must_use]
    pub fn is_forgotten(&self, now: OffsetDateTime, retention: std::time::Duration) -> bool {
        self.terminated_at.is_some_and(|time| now - time > retention)
    }
}

/// One step of an instance's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryEntry {
    /// The moment, in RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
    /// A state's name, or `reboot`, `recovered`, `powered-off`, `fault`.
    pub event: String,
    /// A sentence, or nothing.
    pub detail: String,
}

/// The states of EC2, with its codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Being made or started.
    Pending,
    /// Its machine runs.
    Running,
    /// Being ended for good.
    ShuttingDown,
    /// Nothing of it is left.
    Terminated,
    /// Being stopped.
    Stopping,
    /// Its disk is kept, its machine is not there.
    Stopped,
}

impl InstanceState {
    /// The name in EC2's answers and filters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// The state of this name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let all = [
            Self::Pending,
            Self::Running,
            Self::ShuttingDown,
            Self::Terminated,
            Self::Stopping,
            Self::Stopped,
        ];
        all.into_iter().find(|state| state.name() == name)
    }

    /// The number in EC2's answers and filters.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }
}

/// `stateReason` of EC2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateReason {
    /// Such as `Client.UserInitiatedShutdown`.
    pub code: String,
    /// The code, a colon and a sentence.
    pub message: String,
}

impl StateReason {
    /// A reason whose message repeats the code, as EC2's do.
    pub(crate) fn new(code: &str, sentence: &str) -> Self {
        Self {
            code: code.to_owned(),
            message: format!("{code}: {sentence}"),
        }
    }
}

/// `InstanceInitiatedShutdownBehavior`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShutdownBehavior {
    /// A power-off from inside stops the instance.
    Stop,
    /// A power-off from inside terminates the instance.
    Terminate,
}

impl ShutdownBehavior {
    /// The word of the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Terminate => "terminate",
        }
    }
}

/// How the metadata service treats an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataOptions {
    /// `HttpTokens=required`: requests without a token are refused.
    pub tokens_required: bool,
    /// `HttpPutResponseHopLimit`, recorded.
    pub hop_limit: u8,
    /// `HttpEndpoint`.
    pub enabled: bool,
}

/// A client token that was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchToken {
    /// SHA-256 of the parameters of the call, hexadecimal.
    pub parameters: String,
    /// What it launched.
    pub instances: Vec<String>,
    /// The moment, in RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
}

/// A key pair; the private half was never kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPair {
    /// `key-` and 17 digits.
    pub id: String,
    pub name: String,
    /// `ed25519` or `rsa`.
    pub kind: String,
    /// As EC2 makes it: of an Ed25519 key OpenSSH's SHA-256 in base64, of an RSA key another digest in hexadecimal pairs.
    pub fingerprint: String,
    /// One line in OpenSSH's format.
    pub public_key: String,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
}

/// A security group: recorded, not enforced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityGroup {
    /// `sg-` and 17 digits.
    pub id: String,
    pub name: String,
    /// A sentence for people.
    pub description: String,
    /// What may come in.
    pub ingress: Vec<Permission>,
    /// What the one rule for what goes out says.
    #[serde(default)]
    pub egress_description: Option<String>,
}

/// One rule of a security group: one protocol, one range of ports, one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// `tcp`, `udp`, `icmp`, a number, or `-1` for all.
    pub protocol: String,
    /// First port, or ICMP type.
    pub from_port: Option<i32>,
    /// Last port, or ICMP code.
    pub to_port: Option<i32>,
    /// An IPv4 or IPv6 network or a group id.
    pub source: String,
    /// `sgr-` and 17 digits.
    pub rule_id: String,
    /// A sentence for people.
    #[serde(default)]
    pub description: Option<String>,
}

/// Serialisation of maps whose values are shared.
mod shared {
    use std::{collections::BTreeMap, sync::Arc};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer, T: Serialize>(
        map: &BTreeMap<String, Arc<T>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(key, value)| (key, &**value)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, Arc<T>>, D::Error> {
        let map = BTreeMap::<String, T>::deserialize(deserializer)?;
        Ok(map
            .into_iter()
            .map(|(key, value)| (key, Arc::new(value)))
            .collect())
    }
}

#[cfg(test)]
mod tests;
