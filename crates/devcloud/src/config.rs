//! The settings of a cloud. They are plain values: the program that embeds the cloud, or `main.rs`, fills them.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use crate::Profile;

/// Everything that a [`crate::Cloud`] has to be told.
#[derive(Clone)]
pub struct CloudConfig {
    /// Directory of the ledger and of the machines' disks; one devcloud at a time may use it.
    pub state_dir: PathBuf,
    /// The images that instances can be made from.
    pub images: Vec<ImageConfig>,
    /// The only access key that is accepted.
    pub access_key: String,
    /// The secret that belongs to it; also the bearer token of the control endpoint.
    pub secret_key: String,
    /// The token that every request has to carry, where the key is to be one of a session; none is taken otherwise.
    pub session_token: Option<String>,
    /// The region's name; its one availability zone is this name followed by `a`.
    pub region: String,
    /// Whose dialect the API speaks.
    pub profile: Profile,
    /// Where the API listens. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The program, with its first arguments, that runs `guest::main`; `/proc/self/exe` is this executable.
    pub helper: Vec<OsString>,
    /// Second number of the loopback network of public addresses, `127.N.0.0/16`.
    pub public_network: u8,
    /// The port of public addresses whose connections go to port 22 of the instance.
    pub ssh_port: u16,
    /// Ports of the gateway address that are carried to addresses of the host.
    pub forwards: Vec<Forward>,
    /// Whether instances reach the network outside, by translation of addresses. Needs slirp4netns.
    pub outside: bool,
    /// How much the cloud has.
    pub capacity: Capacity,
    /// Memory limit of machines in percent of what their instance type says; `None` sets no limit.
    pub memory_percent: Option<u32>,
    /// How long a terminated instance can still be described.
    pub terminated_retention: Duration,
}

impl CloudConfig {
    /// Settings with the usual values: region `dev-1`, loopback on a free port, networks 10.88 and 127.88, port
    /// 2222, no forwards, no memory limit, one hour of retention.
    #[must_use]
    pub fn new(
        state_dir: impl Into<PathBuf>,
        access_key: impl Into<String>,
        secret_key: impl Into<String>,
    ) -> Self {
        Self {
            state_dir: state_dir.into(),
            images: Vec::new(),
            access_key: access_key.into(),
            secret_key: secret_key.into(),
            session_token: None,
            region: "dev-1".to_owned(),
            profile: Profile::AWS,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            helper: vec!["/proc/self/exe".into(), "guest".into()],
            public_network: 88,
            ssh_port: default_ssh_port(),
            forwards: Vec::new(),
            outside: false,
            capacity: Capacity::default(),
            memory_percent: None,
            terminated_retention: Duration::from_secs(3600),
        }
    }

    /// The one availability zone.
    #[must_use]
    pub fn zone(&self) -> String {
        format!("{}a", self.region)
    }

    /// Its id, which EC2 keeps apart from its name.
    #[must_use]
    pub fn zone_id(&self) -> String {
        format!("{}-az1", self.region)
    }
}

/// The usual port of public addresses. It is not 22: an ordinary user may not listen there, and where the host's own
/// sshd listens on all addresses nobody may.
#[must_use]
pub fn default_ssh_port() -> u16 {
    2222
}

/// One image. [`ImageConfig::read`] makes it from a directory with an `image.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageConfig {
    /// A digest of the name; the cloud makes it anew, in the form of its profile.
    pub id: String,
    /// The name that `DescribeImages` shows and filters.
    pub name: String,
    /// A sentence for people.
    pub description: String,
    /// As EC2 writes it: `x86_64` or `arm64`.
    pub architecture: String,
    /// The root directories of the layers, topmost first.
    pub layers: Vec<PathBuf>,
    /// Whether the disk of an instance stays, and would cost money, when that is terminated, unless the launch says otherwise.
    pub keeps_volume: bool,
}

impl ImageConfig {
    /// How large the disk of every image is said to be, and that of an instance has to be at least. All sizes of disks are words.
    pub(crate) const GIBIBYTES: i64 = 8;

    /// The id of the snapshot that its disk is said to be made of. There is none: it has the digits of the image's id.
    pub(crate) fn snapshot_id(&self) -> String {
        let digits = self
            .id
            .split_once('-')
            .map_or(self.id.as_str(), |(_, digits)| digits);
        format!("snap-{digits}")
    }
}

/// A port of the gateway address inside the cloud's network, carried to an address of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The port that instances connect to, at the gateway's address 10.88.0.1.
    pub port: u16,
    /// Where those connections go on the host.
    pub target: SocketAddr,
}

/// How much the cloud has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// The account's quota: more instances at once than this is `InstanceLimitExceeded`.
    pub max_instances: u32,
    /// The cloud's hardware: more instances at once than this is `InsufficientInstanceCapacity`.
    pub instances: u32,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            max_instances: 256,
            instances: 256,
        }
    }
}
