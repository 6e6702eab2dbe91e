//! `fleet.yaml`: the clouds that machines are rented from, the images they start with, how they are made
//! builders, and the pools that say how many of which. Unknown keys are errors; durations have units.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod calls;
mod check;
mod disk;
mod fairness;
mod hooks;
mod host;
mod image;
mod money;
mod place;
mod pool;
mod prices;
mod schema;
mod size;

pub use calls::CallsSpec;
pub use check::Contradiction;
pub use disk::{DiskSpec, DiskType};
pub use fairness::{CapsSpec, FairnessSpec};
pub use hooks::{HookPoint, HookSpec, HooksSpec, LONGEST_WAIT, OnFailure, SkipIf};
pub use host::{HOSTS, HostSpec};
pub use image::{
    ChosenImage, CloudImage, ImageChoice, ImageChoices, ImageQuestion, ImageSpec, NoImage, SelectSpec,
    awaited, select, to_confirm,
};
pub use money::{HardLimit, MoneySpec, SoftLimit};
pub use place::{CloudPlace, Machines, about_to_be_launched, machines_left};
pub use pool::{
    DriftSpec, HoldSpec, HostKeySource, LaunchSpec, OfferingSpec, PoolKind, PoolSpec, ReuseScope, ReuseSpec,
    ShrinkSpec,
};
pub use prices::{Cost, PricesSpec};
pub use schema::schema;
pub use size::{ScheduleSpec, SizeNow, SizeSpec, WhenSpec};

use crate::{
    builder::Deadlines,
    id::FleetId,
    name::PoolName,
    quantity::{Decimal, Span},
};

/// The fleet file, `fleet.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Verdigris: fleet.yaml")]
pub struct FleetSpec {
    /// The version of the file's format: 1.
    #[schemars(extend("const" = 1))]
    pub schema: u32,
    /// The value of the tag on every instance of this fleet, a UUID; made once, never changed while machines run.
    pub fleet: FleetId,
    /// A name for people, such as `production`.
    #[schemars(extend("pattern" = schema::SOMETHING))]
    pub name: String,
    /// How the controller itself behaves.
    #[serde(default)]
    pub controller: ControllerSpec,
    /// The clouds, by name.
    #[serde(default)]
    pub clouds: BTreeMap<String, CloudSpec>,
    /// The machine images, by name.
    #[serde(default)]
    pub images: BTreeMap<String, ImageSpec>,
    /// The ways to make a machine a builder, by name.
    pub provision: BTreeMap<String, ProvisionSpec>,
    /// The pools, by name.
    pub pools: BTreeMap<PoolName, PoolSpec>,
    /// How builders are shared between owners, beside that they take turns.
    #[serde(default)]
    pub fairness: FairnessSpec,
    /// Commands that the controller runs at turns in a builder's life.
    #[serde(default)]
    pub hooks: HooksSpec,
}

impl FleetSpec {
    /// The cloud that a pool's machines are rented from, or [`HOSTS`]; `None` where its image is in no file.
    #[must_use]
    pub fn cloud_of(&self, pool: &PoolSpec) -> Option<&str> {
        match pool.kind() {
            PoolKind::Cloud { image } => Some(self.images.get(image)?.cloud.as_str()),
            PoolKind::Hosts(_) => Some(HOSTS),
        }
    }

    /// The playbooks that the farm plays itself, where others are played by the real Ansible; `None` where it plays all.
    #[must_use]
    pub fn own_playbooks(&self) -> Option<BTreeSet<String>> {
        let (ours, theirs): (Vec<_>, Vec<_>) = self
            .provision
            .values()
            .partition(|spec| spec.runner == Runner::Builtin);
        let named = ours.iter().flat_map(|spec| [&spec.playbook, &spec.check]);
        (!theirs.is_empty()).then(|| named.cloned().collect())
    }
}

/// How often the controller works, how long its lease lasts, and how much it ends by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ControllerSpec {
    /// How long the controller rests between two rounds.
    pub tick: TickSpec,
    /// The lease that makes one of several controllers the one that acts.
    pub lease: LeaseSpec,
    /// The most machines with the fleet's tag and without a builder that are ended in an hour, in each cloud; with 0 none is. More
    /// than that are no accident: the database may be an old one, or another farm's.
    pub reap_per_hour: u32,
}

impl Default for ControllerSpec {
    fn default() -> Self {
        Self {
            tick: TickSpec::default(),
            lease: LeaseSpec::default(),
            reap_per_hour: 20,
        }
    }
}

/// How long the controller rests between two rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TickSpec {
    /// The longest pause between two rounds while something is under way; from 10ms to 10m, at most `max`.
    pub min: Span,
    /// The longest pause between two rounds while nothing is under way; from 10ms to 10m. It counts up to `lease.renew` only.
    pub max: Span,
}

impl Default for TickSpec {
    fn default() -> Self {
        Self {
            min: Span::seconds(2),
            max: Span::seconds(30),
        }
    }
}

/// The controller's lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LeaseSpec {
    /// How long it lasts if it is not renewed; from 1s to 1h.
    pub ttl: Span,
    /// How often it is renewed; at most half of `ttl`.
    pub renew: Span,
}

impl Default for LeaseSpec {
    fn default() -> Self {
        Self {
            ttl: Span::seconds(15),
            renew: Span::seconds(5),
        }
    }
}

/// A cloud that machines are rented from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloudSpec {
    /// The protocol that it speaks.
    pub kind: CloudKind,
    /// The region, such as `eu-central-1`; it is part of every signature.
    #[schemars(extend("pattern" = schema::SOMETHING))]
    pub region: String,
    /// The address of its API, with http:// or https://; Amazon's of that region when left out.
    #[serde(default)]
    #[schemars(extend("pattern" = "^https?://[^/:?\\s]\\S*$"))]
    pub endpoint: Option<String>,
    /// Which parts of that protocol it knows.
    #[serde(default)]
    pub profile: CloudProfile,
    /// Where the access key comes from.
    pub credentials: CredentialsSpec,
    /// The subnet and the security groups of its instances.
    #[serde(default)]
    pub network: NetworkSpec,
    /// Which part of the calls that Amazon documents for an account the fleet makes at most, from 0.01 to 1; 0.7 when left out, and
    /// no limit where `endpoint` is not Amazon's.
    #[serde(default)]
    #[schemars(schema_with = "schema::part")]
    pub api_share: Option<Decimal>,
    /// What all pools together may have there.
    #[serde(default)]
    pub limits: LimitsSpec,
    /// What an hour of a machine costs there, by the type of instance: for those who look, and for `limits.money`.
    #[serde(default)]
    pub prices: BTreeMap<String, PricesSpec>,
}

/// What all pools, and others in the account, may have in a cloud together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSpec {
    /// The most machines, counting those that come and go, and those that others have in the account; no limit when left out.
    pub instances: Option<u32>,
    /// What machines may cost, by the `prices` of the cloud; no limit when left out.
    pub money: Option<MoneySpec>,
    /// How many calls the cloud's API is asked in a second.
    pub calls: CallsSpec,
}

/// The subnet and the security groups of instances; the cloud's defaults where left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkSpec {
    /// The subnet's id, such as `subnet-0123456789abcdef0`; the cloud's default when left out.
    #[schemars(extend("pattern" = schema::SOMETHING))]
    pub subnet: Option<String>,
    /// The subnets' ids by availability zone, for those zones that offerings name: a subnet lies in one zone.
    #[schemars(schema_with = "schema::named_texts")]
    pub subnets: BTreeMap<String, String>,
    /// The security groups' ids; the cloud's default without any. They have to let the controller and the workers in, and nobody else.
    #[schemars(schema_with = "schema::texts")]
    pub security_groups: Vec<String>,
}

impl NetworkSpec {
    /// The subnet for an instance in a zone, or in one that the cloud chooses.
    fn subnet_of(&self, zone: Option<&str>) -> Option<&str> {
        let of_zone = zone.and_then(|zone| self.subnets.get(zone));
        of_zone.or(self.subnet.as_ref()).map(String::as_str)
    }
}

/// The protocol of a cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CloudKind {
    /// Amazon's EC2 Query API, which Eucalyptus and devcloud speak as well.
    Ec2,
}

/// Which parts of EC2's API an endpoint knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CloudProfile {
    /// All parts, as Amazon's own.
    #[default]
    Aws,
    /// No metadata options, no spot market, no paging, weak client tokens.
    Eucalyptus,
}

impl std::fmt::Display for CloudProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Aws => "aws",
            Self::Eucalyptus => "eucalyptus",
        })
    }
}

impl CloudProfile {
    /// Whether an instance that is stopped takes up a place of its account's quota.
    #[must_use]
    pub const fn counts_stopped(self) -> bool {
        match self {
            Self::Aws => false,
            Self::Eucalyptus => true,
        }
    }
}

/// Where an access key comes from. Secrets stand in a file or in the environment, never in the fleet file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "if" = {"properties": {"source": {"const": "file"}}},
    "then" = {"required": ["path"], "properties": {"path": {"type": "string"}}},
    "else" = {"properties": {"path": {"type": "null"}}},
))]
pub struct CredentialsSpec {
    /// Which kind of place; `embedded` is the devcloud inside `verdigris up`, whose endpoint needs no telling, and `instance-role` the
    /// role of the machine of EC2 that the controller runs on.
    pub source: CredentialsSource,
    /// For `file`, and only there: the path of a TOML file with `access_key` and `secret_key`, and `session_token` where the key is good for some hours only.
    #[serde(default)]
    #[schemars(extend("pattern" = schema::SOMETHING))]
    pub path: Option<String>,
}

/// The kinds of places that an access key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CredentialsSource {
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, and `AWS_SESSION_TOKEN` if it is set.
    Environment,
    /// The file that `path` names.
    File,
    /// The devcloud that `verdigris up` runs in its own process.
    Embedded,
    /// The role of the machine that the controller runs on, by EC2's metadata service.
    #[serde(rename = "instance-role")]
    InstanceRole,
}

/// What makes a machine a builder: how to reach it, and which playbooks to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvisionSpec {
    /// The user and the port of SSH.
    #[serde(default)]
    pub connect: ConnectSpec,
    /// The playbook that makes it a builder.
    #[serde(default = "builder_playbook")]
    #[schemars(extend("pattern" = schema::SOMETHING))]
    pub playbook: String,
    /// The playbook that checks whether it is one.
    #[serde(default = "check_playbook")]
    #[schemars(extend("pattern" = schema::SOMETHING))]
    pub check: String,
    /// Who plays them.
    #[serde(default)]
    pub runner: Runner,
    /// The real Ansible, where it is the runner.
    #[serde(default)]
    pub ansible: AnsibleSpec,
    /// Time limits by stage.
    #[serde(default)]
    pub timeouts: TimeoutsSpec,
    /// Variables handed to the playbooks.
    #[serde(default)]
    pub vars: BTreeMap<String, serde_json::Value>,
}

/// Who plays playbooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Runner {
    /// The farm itself, which knows a part of Ansible's language.
    #[default]
    Builtin,
    /// The real `ansible-playbook`.
    Ansible,
}

/// The real Ansible.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AnsibleSpec {
    /// The program: a path, or a name to be found in PATH; `ansible-playbook` when left out.
    pub command: Option<String>,
}

fn builder_playbook() -> String {
    "builder.yml".to_owned()
}

fn check_playbook() -> String {
    "check.yml".to_owned()
}

/// The user and the port of SSH.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectSpec {
    /// The user to log in as.
    #[schemars(extend("pattern" = schema::SOMETHING))]
    pub user: String,
    /// The port that sshd listens on; 2222 on devcloud.
    #[schemars(range(min = 1))]
    pub port: u16,
}

impl Default for ConnectSpec {
    fn default() -> Self {
        Self {
            user: "root".to_owned(),
            port: 22,
        }
    }
}

/// Time limits of the stages on the way to a builder, each from 1s to 1d.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutsSpec {
    /// The longest time from the call to the cloud's answer.
    #[schemars(extend("default" = "1m"))]
    pub launch: Option<Span>,
    /// The longest time from the launch to a running instance with an address.
    #[schemars(extend("default" = "5m"))]
    pub pending: Option<Span>,
    /// The longest time from there to SSH with the right host key.
    #[schemars(extend("default" = "5m"))]
    pub boot: Option<Span>,
    /// The longest time for the run of the playbook that makes it a builder.
    #[schemars(extend("default" = "15m"))]
    pub provision: Option<Span>,
    /// The longest time for the run of the playbook that checks it.
    #[schemars(extend("default" = "1m"))]
    pub check: Option<Span>,
}

impl TimeoutsSpec {
    /// The time limits of every state.
    #[must_use]
    pub fn deadlines(&self) -> Deadlines {
        let default = Deadlines::default();
        let or = |given: Option<Span>, default| given.map_or(default, Span::get);
        Deadlines {
            launch: or(self.launch, default.launch),
            pending: or(self.pending, default.pending),
            boot: or(self.boot, default.boot),
            provision: or(self.provision, default.provision),
            check: or(self.check, default.check),
            ..default
        }
    }
}

#[cfg(test)]
mod tests;
