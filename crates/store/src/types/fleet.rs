//! Builders, launches, leases and sightings, as the controller sees them.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use model::{
    AttemptId, BuildId, BuildState, BuilderId, BuilderState, ChrootName, FleetId, LaunchAnswer,
    LaunchHistory, LaunchId, Offering, OwnerName, PackageName, PoolName, ProjectName, Sandbox, Shortage,
    Timestamp,
    budget::{Ended, Rental},
    calls::{CallClass, Level},
    fleet::{ImageChoices, Machines},
    intent::{Intent, Made},
    mark::{Mark, Pause},
    plan::{CloudTrouble, Host, Queue},
    shortage::Note,
    step::{Move, sight},
    stray::Ignored,
};

use super::{hook::NewHookRun, project::Chroot};

/// The right to act on a fleet; part of every write of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub fleet: FleetId,
    /// Its number, one higher each time that a controller takes the lease: whoever writes under a lower one is refused.
    pub epoch: i64,
}

/// A builder: a machine that the farm rents, has rented or has decided to rent.
#[derive(Clone, PartialEq)]
pub struct Builder {
    pub id: BuilderId,
    /// The pool whose specification it follows.
    pub pool: PoolName,
    pub state: BuilderState,
    /// How often it was changed. A change names the number that it was based on, and is refused if another came between.
    pub version: i64,
    /// The cloud it is in, by its name in `fleet.yaml`.
    pub cloud: String,
    /// The cloud's id for it.
    pub instance_id: Option<String>,
    /// The address that its sshd listens on.
    pub address: Option<String>,
    /// The port that its sshd listens on.
    pub port: u16,
    /// The public key that its sshd must prove, as OpenSSH writes it.
    pub host_key: Option<String>,
    /// The secret half, kept only while a launch may still have to be repeated.
    pub host_key_secret: Option<String>,
    /// Whether that key was given in user data, so that others may know it: the machine is to make another one.
    pub host_key_is_given: bool,
    /// The public key that the machine has made instead. It may show it already.
    pub host_key_next: Option<String>,
    /// The image, by the cloud's id.
    pub image: String,
    /// The digest of the specification that it follows.
    pub spec_hash: String,
    /// Whether an operator wants no further attempts on it.
    pub cordoned: bool,
    /// Why it is in its state, as a sentence for people.
    pub reason: Option<String>,
    /// When it came into its state.
    pub entered_at: Timestamp,
    /// When it is moved on if it is still in that state; `None`: never.
    pub deadline: Option<Timestamp>,
    /// When the farm decided to rent it.
    pub created_at: Timestamp,
    /// When it was ready for the first time.
    pub ready_at: Option<Timestamp>,
    /// The last launch for it.
    pub launch: Option<LaunchAttempt>,
    /// How many launches there were for it.
    pub launches: u32,
    /// Of these: how many were refused.
    pub refusals: u32,
    /// Of these: how many were put off, because the cloud asked for fewer calls.
    pub postponements: u32,
    /// What the cloud said to the last launch that it answered, when it gave no machine and is asked again.
    pub refusal: Option<String>,
    /// Whose builds it has run: it is never given to others.
    pub sandbox: Option<Sandbox>,
    /// How many attempts were begun on it.
    pub uses: u32,
    /// What it was like before its first build, as the builder's own program told it; `None` where nobody looked.
    pub baseline: Option<String>,
    /// What an operator has said of it.
    pub mark: Option<Mark>,
    /// The fixed host that it is, by its name; `None` where it is rented.
    pub host: Option<String>,
    /// What its machine was of when it was adopted; `None` where it was launched, or the cloud did not tell.
    pub adopted: Option<Offering>,
}

impl Builder {
    /// Whether its machine is, or will be, one of a cloud, and no fixed host.
    #[must_use]
    pub fn is_rented(&self) -> bool {
        self.host.is_none()
    }

    /// Whether it was made of an instance that no launch of the farm's is on record for.
    #[must_use]
    pub fn is_adopted(&self) -> bool {
        self.instance_id.is_some() && self.launch.is_none() && self.host.is_none()
    }

    /// What its machine is of, or was asked for last; `None` where that is not known, or nothing was asked for.
    #[must_use]
    pub fn offering(&self) -> Option<&Offering> {
        let launched = self.launch.as_ref().map(|launch| &launch.offering);
        launched.or(self.adopted.as_ref())
    }

    /// Since when it is, or may be, a rented machine: since the call that may have made it, or since it was adopted. `None` where
    /// there is none.
    #[must_use]
    pub fn rented_since(&self) -> Option<Timestamp> {
        let may_be_one = matches!(self.state, BuilderState::Launching | BuilderState::Resolving);
        if self.host.is_some() || !(may_be_one || self.instance_id.is_some()) {
            return None;
        }
        Some(
            self.launch
                .as_ref()
                .map_or(self.created_at, |launch| launch.asked_at),
        )
    }

    /// How it is paid for.
    #[must_use]
    pub fn rental(&self) -> Rental<'_> {
        Rental {
            cloud: &self.cloud,
            pool: &self.pool,
            offering: self.offering(),
            since: self.rented_since(),
            is_ending: BuilderState::ENDING.contains(&self.state),
        }
    }
}

impl fmt::Debug for Builder {
    /// Without the secret host key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("id", &self.id)
            .field("pool", &self.pool)
            .field("state", &self.state)
            .field("version", &self.version)
            .field("instance_id", &self.instance_id)
            .field("address", &self.address)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// A launch: one call that asks a cloud for a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchAttempt {
    /// Its id, whose text is the client token that the cloud is given.
    pub id: LaunchId,
    /// The offering that is asked for.
    pub offering: Offering,
    /// The digest of all parameters: the same token goes with the same parameters only.
    pub params_hash: String,
    /// When it was written down, just before the call.
    pub asked_at: Timestamp,
    /// When an answer came.
    pub answered_at: Option<Timestamp>,
    /// The kind of answer; `None` before there is one.
    pub answer: Option<LaunchAnswer>,
    /// The answer, as a sentence for people.
    pub outcome: Option<String>,
}

/// A builder that the farm decides to rent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBuilder {
    /// Its id, made by the caller.
    pub id: BuilderId,
    /// The pool whose specification it follows.
    pub pool: PoolName,
    /// The cloud, by its name in `fleet.yaml`.
    pub cloud: String,
    /// The image, by the cloud's id.
    pub image: String,
    /// The digest of the specification.
    pub spec_hash: String,
    /// The port of its sshd.
    pub port: u16,
    /// The fixed host that it is made of.
    pub host: Option<NewHost>,
    /// What it is rented for, as a sentence for people.
    pub reason: String,
    /// When the farm gives it up if no launch has been begun for it.
    pub deadline: Timestamp,
}

/// The fixed host that a builder is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHost {
    pub name: String,
    /// Where it is reached: an IP address or a host name.
    pub address: String,
}

/// What is on record of a fixed host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRecord {
    /// The key that it showed first, as OpenSSH writes it; `None` where it never was to show one.
    pub host_key: Option<String>,
    /// What it was like before builds ran there; `None` where none have since it was cleaned.
    pub baseline: Option<String>,
    /// Whether a build may have run there since.
    pub may_have_built: bool,
}

/// The end of what a builder's machine wrote on its console before it was ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    /// When it was read.
    pub at: Timestamp,
    pub text: String,
}

/// A launch that is to be written down before the cloud is called.
#[derive(Clone, PartialEq, Eq)]
pub struct NewLaunch {
    /// Its id, made by the caller.
    pub id: LaunchId,
    /// The offering to ask for.
    pub offering: Offering,
    /// The digest of all parameters.
    pub params_hash: String,
    /// The public key that the machine's sshd is to prove, as OpenSSH writes it; `None` where it is to be found out.
    pub host_key_public: Option<String>,
    /// The secret half of that key, where the machine is given it.
    pub host_key_secret: Option<String>,
}

impl fmt::Debug for NewLaunch {
    /// Without the secret host key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewLaunch")
            .field("id", &self.id)
            .field("offering", &self.offering)
            .field("params_hash", &self.params_hash)
            .finish_non_exhaustive()
    }
}

/// What a transition changes besides the state. What is `None` stays as it is, but for the deadline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Why it changes, as a sentence for people.
    pub reason: String,
    /// When it is moved on if it is still in the new state; `None`: never.
    pub deadline: Option<Timestamp>,
    /// The cloud's id for it.
    pub instance_id: Option<String>,
    /// The address that its sshd listens on.
    pub address: Option<String>,
    /// What the cloud answered to the open launch; the change's reason says it in words.
    pub launch_answer: Option<LaunchAnswer>,
    /// Whether an attempt that is lost by it, or was lost on the builder before, does not count as a try.
    pub is_excused: bool,
    /// Whether its machine is gone, or its cloud has taken it back: it is held for nobody then.
    pub is_gone: bool,
    /// For one that gets ready: until when it may be used again after its next use; `None`: it may not.
    pub reusable_until: Option<Timestamp>,
    /// What it is like before its first build, as the builder's own program tells it.
    pub baseline: Option<String>,
    /// What its cloud has no more of, where it refused the launch.
    pub shortage: Option<Shortage>,
    /// The hooks of the turn that it comes to by this.
    pub hooks: Vec<NewHookRun>,
}

impl Change {
    /// What a move changes, and until when the builder may stay where it comes to.
    #[must_use]
    pub fn of(step: Move, deadline: Option<Timestamp>) -> Self {
        Self {
            reason: step.reason,
            deadline,
            instance_id: step.instance_id,
            address: step.address,
            launch_answer: step.answer,
            is_excused: step.is_excused,
            is_gone: step.is_gone,
            reusable_until: step.reusable_until,
            baseline: step.baseline,
            shortage: step.shortage,
            hooks: Vec::new(),
        }
    }
}

/// Why attempts wait, as sentences for people. Shared: many wait for one thing.
pub type Reasons = Arc<HashMap<AttemptId, Arc<str>>>;

/// The fleet and the queue, as of one moment.
#[derive(Clone, Debug)]
pub struct FleetView {
    /// The moment, as the asker gave it.
    pub at: Timestamp,
    /// Every builder that is not terminated or abandoned, oldest first.
    pub builders: Arc<Vec<Builder>>,
    /// The attempts without a builder.
    pub queue: Queue,
    /// Why they wait, as far as somebody has said it.
    pub reasons: Reasons,
    /// How many attempts of each owner have a builder.
    pub active: BTreeMap<OwnerName, u32>,
    /// Every chroot, in the order in which they were made.
    pub chroots: Vec<Chroot>,
    /// How the last launches of each pool went.
    pub histories: BTreeMap<PoolName, LaunchHistory>,
    /// The clouds that give no machines.
    pub troubles: Vec<CloudTrouble>,
    /// What clouds said lately that they have no more of.
    pub shortages: Arc<BTreeMap<String, Vec<Note>>>,
    /// How many machines others have in the accounts of clouds, as far as somebody has counted them.
    pub others: BTreeMap<String, OtherMachines>,
    /// How many calls are left to clouds for which they are limited, by cloud and class.
    pub calls: BTreeMap<(String, CallClass), Level>,
    /// The machines that ended, as far as they count for what clouds cost.
    pub ended: Vec<Ended>,
    /// The instances of the latest lists that no live builder has, those seen first first.
    pub strays: Vec<Orphan>,
    /// What is on record of fixed hosts, by their names.
    pub hosts: BTreeMap<String, Host>,
    /// What was chosen for those of the file's images that say only which ones match.
    pub images: ImageChoices,
    /// The pools that operators let launch nothing.
    pub pauses: BTreeMap<PoolName, Pause>,
    /// What operators ask for, and what goes on following from it, the oldest first.
    pub intents: Vec<Intent>,
    /// The builders that those which are under way are about, also where they have ended.
    pub made: Vec<Made>,
}

/// An attempt that waits for a builder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    /// Its place in the queue: 1 is served next.
    pub position: u64,
    pub attempt: AttemptId,
    pub build: BuildId,
    pub chroot: ChrootName,
    /// The owner of the project.
    pub owner: OwnerName,
    pub project: ProjectName,
    /// The package that is built; `None` until its name is known.
    pub package: Option<PackageName>,
    /// Whether it is in the background: all builds that are not are served before it.
    pub background: bool,
    /// When its build was submitted.
    pub submitted_at: Timestamp,
    /// When the attempt was put into the queue.
    pub queued_at: Timestamp,
    /// Why it waits, as a sentence for people; `None` before the planner has seen it.
    pub reason: Option<String>,
}

/// A part of the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueuePage {
    /// In the order of service.
    pub entries: Vec<QueueEntry>,
    /// How many attempts wait in all.
    pub total: u64,
}

/// How many there are of what is not over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FarmCounts {
    /// Builders that are not terminated or abandoned, by pool and state.
    pub builders: BTreeMap<(PoolName, BuilderState), u64>,
    /// Builds that have not ended, by state; a state without builds is left out.
    pub builds: BTreeMap<BuildState, u64>,
    /// Attempts that wait for a builder.
    pub waiting: u64,
}

/// How many machines a cloud's account has that do not carry the fleet's tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherMachines {
    /// The last count, and when it was made; `None` before the first one.
    pub counted: Option<(u32, Timestamp)>,
    /// Why they could not be counted since then.
    pub failure: Option<String>,
}

/// An instance that is there already and becomes a builder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// What it becomes; its deadline is until when it has to run and have an address.
    pub builder: NewBuilder,
    /// The cloud's id for it.
    pub instance_id: String,
    /// The public key that its sshd must prove, as OpenSSH writes it.
    pub host_key: String,
    /// What it is of, as the cloud tells it; `None` where it does not.
    pub offering: Option<Offering>,
}

/// What a fleet has in each cloud, of builders that live and of strays. Fixed hosts are not counted, nor is an instance that an operator
/// has left alone: the farm never ends it.
#[must_use]
pub fn machines_by_cloud(builders: &[Builder], strays: &[Orphan]) -> BTreeMap<String, Machines> {
    let mut machines: BTreeMap<String, Machines> = BTreeMap::new();
    for builder in builders.iter().filter(|builder| builder.is_rented()) {
        let there = machines.entry(builder.cloud.clone()).or_default();
        let count = match builder.state {
            BuilderState::Planned => &mut there.planned,
            _ => &mut there.builders,
        };
        *count = count.saturating_add(1);
    }
    for stray in strays.iter().filter(|stray| stray.is_to_end()) {
        let there = machines.entry(stray.cloud.clone()).or_default();
        there.strays = there.strays.saturating_add(1);
    }
    machines
}

/// An instance with our tag and without a builder, in one list of a cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The cloud's id for it.
    pub instance_id: String,
    /// The cloud's word for its state.
    pub state: String,
    /// The pool that its tag names.
    pub pool: Option<PoolName>,
}

impl Sighting {
    /// A sighting of an instance in a state.
    #[must_use]
    pub fn of(instance_id: &str, state: &str) -> Self {
        Self {
            instance_id: instance_id.to_owned(),
            state: state.to_owned(),
            pool: None,
        }
    }
}

/// An instance with our tag that no builder has: it was in the latest list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The cloud, by its name in `fleet.yaml`.
    pub cloud: String,
    /// The cloud's id for it.
    pub instance_id: String,
    /// The cloud's word for its state.
    pub state: String,
    /// When it was first seen.
    pub first_at: Timestamp,
    /// When it was last seen.
    pub last_at: Timestamp,
    /// In how many lists in a row.
    pub times_seen: u32,
    /// Why the cloud does not end it, if it was asked to and refused.
    pub refusal: Option<String>,
    /// The pool that its tag names, if there may be one of that name.
    pub pool: Option<PoolName>,
    /// Whether the cloud is being told to end it, and has not refused so far.
    pub is_ending: bool,
    /// That an operator has it left alone.
    pub ignored: Option<Ignored>,
}

impl Orphan {
    /// Whether the farm ends it sooner or later: no operator has left it alone.
    #[must_use]
    pub fn is_to_end(&self) -> bool {
        self.ignored.is_none()
    }

    /// Whether it was seen for long enough to be ended.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        sight::is_orphan_due(self.times_seen, self.first_at, now)
    }

    /// Whether it is due for so long that something has kept the farm from ending it.
    #[must_use]
    pub fn is_left(&self, now: Timestamp) -> bool {
        let is_asked = self.is_ending || self.refusal.is_some() || self.ignored.is_some();
        !is_asked && self.is_due(now.minus(sight::ORPHANS_TOLD_OF_AFTER))
    }
}
