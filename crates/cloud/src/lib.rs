//! The clouds that builders are rented from, behind one small trait.
//!
//! This crate alone knows the EC2 SDK. It decides nothing: it makes one call, and says what its answer means
//! for the caller ([`Error`]), above all whether a failed launch may have made a machine all the same. It
//! never retries a launch by itself, and never takes a machine for its own that lacks the fleet's tag.
//!
//! Start with [`Cloud`]; [`Ec2`] is the real one, [`HostCloud`] that of machines which are always there, [`FakeCloud`] the one for
//! tests of callers.

mod dialect;
mod ec2;
mod error;
mod fake;
mod hosts;
mod image;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
pub use dialect::Dialect;
pub use ec2::{Ec2, Ec2Settings, InstanceRole, METADATA_SERVICE, UnknownTypes};
pub use error::Error;
pub use fake::{FakeCloud, LaunchFailure};
pub use hosts::HostCloud;
pub use image::{BASE_TAG, Image, ImageState, NewImage, NoRootVolume, PLAYBOOK_TAG, Volume};
pub use model::InstanceState;
use model::{BuilderId, FleetId, LaunchId, Offering, PoolName, step::sight::Sight};

/// The tag whose value says which fleet an instance belongs to.
pub const FLEET_TAG: &str = "verdigris:fleet";
/// The tag with the builder's id.
pub const BUILDER_TAG: &str = "verdigris:builder";
/// The tag with the id of the launch that made the instance.
pub const LAUNCH_TAG: &str = "verdigris:launch";
/// The tag with the pool's name.
pub const POOL_TAG: &str = "verdigris:pool";

/// How many instances one question for some of them holds at most: EC2 takes no filter with more values.
pub const IDS_AT_ONCE: usize = 200;
/// How many instances there are on one page of a list, so that it is known how many calls it took; EC2 allows 1000.
pub const INSTANCES_ON_A_PAGE: u16 = 500;

/// A cloud: a few calls, each with a time limit of its own.
#[async_trait]
pub trait Cloud: Send + Sync + std::fmt::Debug {
    /// Asks for one machine. Asking again with the same launch id and the same parameters gives the same
    /// machine.
    async fn launch(&self, request: &LaunchRequest) -> Result<Instance, Error>;

    /// Looks up instances by id; those that the cloud does not know are left out.
    async fn describe(&self, instance_ids: &[String]) -> Result<Vec<Instance>, Error>;

    /// Every instance with the fleet's tag, page by page; terminated ones too while the cloud shows them. Fixed hosts are listed
    /// without any tag.
    async fn list(&self, fleet: FleetId) -> Result<Vec<Instance>, Error>;

    /// Every instance of the account, whoever's, page by page. Of fixed hosts none: nobody counts them.
    async fn list_all(&self) -> Result<Vec<Instance>, Error>;

    /// Gives an instance the tags that make it a builder's. Doing so again does no harm.
    async fn tag(&self, instance_id: &str, owner: &Owner) -> Result<(), Error>;

    /// Asks for the end of an instance. Asking again does no harm.
    async fn terminate(&self, instance_id: &str) -> Result<End, Error>;

    /// Takes away what keeps an instance from being ended, where somebody protected it. Doing so again does no harm.
    async fn unprotect(&self, instance_id: &str) -> Result<(), Error>;

    /// What the instance wrote on its console so far.
    async fn console_output(&self, instance_id: &str) -> Result<String, Error>;

    /// A machine image by its id; `None` where the cloud does not know it.
    async fn image(&self, id: &str) -> Result<Option<Image>, Error>;

    /// The account's own images with the fleet's tag.
    async fn images(&self, fleet: FleetId) -> Result<Vec<Image>, Error>;

    /// The available images of an owner (`self`, `amazon` or an account's id) with such names, in which `*` stands for any characters
    /// and `?` for one. More than a thousand are an error.
    async fn images_named(&self, owner: &str, name: &str) -> Result<Vec<Image>, Error>;

    /// Has an image made of a machine; its id. Asking again with the same name gives the same image.
    async fn create_image(&self, wanted: &NewImage) -> Result<String, Error>;

    /// Gives an image tags, beside those that it has.
    async fn tag_image(&self, id: &str, tags: &BTreeMap<String, String>) -> Result<(), Error>;

    /// Takes an image away. Machines that were launched from it stay, and so does what the cloud keeps its disk in.
    async fn delete_image(&self, id: &str) -> Result<(), Error>;

    /// The dialect that the endpoint shows to speak; `None` where it shows neither. Nothing is changed by the questions.
    async fn dialect(&self) -> Result<Option<Dialect>, Error>;
}

/// Whose an instance is, as its tags say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub fleet: FleetId,
    pub builder: BuilderId,
    pub pool: PoolName,
}

impl Owner {
    /// The tags, by their keys.
    fn tags(&self) -> [(&'static str, String); 4] {
        [
            ("Name", format!("verdigris {}", self.pool)),
            (FLEET_TAG, self.fleet.to_string()),
            (BUILDER_TAG, self.builder.to_string()),
            (POOL_TAG, self.pool.to_string()),
        ]
    }

    /// Whether an instance has no other owner by its tags, and lacks some of this one's.
    #[must_use]
    pub fn is_lacked_by(&self, instance: &Instance) -> bool {
        let is_anothers = instance
            .fleet()
            .is_some_and(|fleet| fleet != self.fleet.to_string());
        !is_anothers && instance.builder() != Some(self.builder)
    }
}

/// What comes of asking for the end of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The cloud has heard of it. Whether the end has come, a look tells.
    Asked,
    /// Who had it has it no more: there is nothing to wait for.
    Over,
}

/// What is asked of a cloud for one builder.
#[derive(Clone, PartialEq, Eq)]
pub struct LaunchRequest {
    /// This try; its text is the client token.
    pub launch: LaunchId,
    /// The builder it is for.
    pub builder: BuilderId,
    /// The fleet that pays.
    pub fleet: FleetId,
    pub pool: PoolName,
    /// The image's id.
    pub image: String,
    /// What kind of machine, where, and in which market.
    pub offering: Offering,
    /// The volumes that are to go with the machine, though its image says that they stay, or that are to be others than the image's.
    pub volumes: Vec<Volume>,
    /// The security groups' ids; the cloud's default without any.
    pub security_groups: Vec<String>,
    /// What the instance's first boot reads. Holds its host key, so it is never logged.
    pub user_data: String,
    /// Whether the cloud knows metadata options: tokens are then required and one hop is the limit.
    pub metadata_options: bool,
    /// How long the answer is waited for.
    pub limit: Duration,
}

impl LaunchRequest {
    /// Whose the instance is to be.
    #[must_use]
    pub fn owner(&self) -> Owner {
        Owner {
            fleet: self.fleet,
            builder: self.builder,
            pool: self.pool.clone(),
        }
    }
}

impl std::fmt::Debug for LaunchRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LaunchRequest")
            .field("launch", &self.launch)
            .field("builder", &self.builder)
            .field("image", &self.image)
            .field("offering", &self.offering)
            .finish_non_exhaustive()
    }
}

/// An instance, as the cloud tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub id: String,
    pub state: InstanceState,
    /// Where it is reached: the public address where there is one, else the private one.
    pub address: Option<String>,
    /// Why it is in its state, in the cloud's words.
    pub state_reason: Option<String>,
    /// What it is of: its type, its zone and how it is paid for; `None` where the cloud does not tell.
    pub offering: Option<Offering>,
    pub tags: BTreeMap<String, String>,
}

impl Instance {
    /// Whether it carries the tag of exactly this fleet.
    #[must_use]
    pub fn belongs_to(&self, fleet: FleetId) -> bool {
        self.fleet().is_some_and(|value| value == fleet.to_string())
    }

    /// The fleet that its tag names, whatever stands there; `None` where it has no such tag, or an empty one.
    #[must_use]
    pub fn fleet(&self) -> Option<&str> {
        self.tags
            .get(FLEET_TAG)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The pool that its tag names, if a pool may have that name.
    #[must_use]
    pub fn pool(&self) -> Option<PoolName> {
        self.tags.get(POOL_TAG)?.parse().ok()
    }

    /// Whether the cloud took it back for somebody who pays more, which it may with spot instances.
    #[must_use]
    pub fn is_taken_back(&self) -> bool {
        let reason = self.state_reason.as_deref().unwrap_or_default();
        ["Server.SpotInstanceTermination", "Server.SpotInstanceShutdown"]
            .iter()
            .any(|code| reason.starts_with(code))
    }

    /// What its builder's fate depends on.
    #[must_use]
    pub fn sight(&self) -> Sight<'_> {
        Sight {
            id: &self.id,
            state: self.state,
            address: self.address.as_deref(),
            why: self.state_reason.as_deref(),
            is_taken_back: self.is_taken_back(),
        }
    }

    /// The builder it was launched for, by its tag.
    #[must_use]
    pub fn builder(&self) -> Option<BuilderId> {
        self.tags.get(BUILDER_TAG)?.parse().ok()
    }

    /// The launch that made it, by its tag.
    #[must_use]
    pub fn launch(&self) -> Option<LaunchId> {
        self.tags.get(LAUNCH_TAG)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        BTreeMap, BUILDER_TAG, FLEET_TAG, FleetId, Instance, InstanceState, LAUNCH_TAG, Owner, POOL_TAG,
    };

    fn tagged(tags: &[(&str, &str)]) -> Instance {
        Instance {
            id: "i-1".to_owned(),
            state: InstanceState::Running,
            address: None,
            state_reason: None,
            offering: None,
            tags: tags
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>(),
        }
    }

    #[test]
    fn an_instance_is_of_the_fleet_and_the_builder_whose_exact_ids_it_carries() {
        let fleet: FleetId = "flt_00000000000000000000000000000003".parse().unwrap();
        for (value, expected) in [
            ("flt_00000000000000000000000000000003", true),
            ("flt_00000000000000000000000000000004", false),
            ("FLT_00000000000000000000000000000003", false),
            ("00000000000000000000000000000003", false),
            (" flt_00000000000000000000000000000003", false),
            ("flt_000000000000000000000000000000031", false),
            ("", false),
        ] {
            assert_eq!(
                tagged(&[(FLEET_TAG, value)]).belongs_to(fleet),
                expected,
                "{value}"
            );
        }
        assert!(!tagged(&[("Verdigris:fleet", &fleet.to_string())]).belongs_to(fleet));
        let builder = "bdr_00000000000000000000000000000001";
        let launch = "lch_00000000000000000000000000000002";
        let whole = tagged(&[(BUILDER_TAG, builder), (LAUNCH_TAG, launch)]);
        assert_eq!(whole.builder().unwrap().to_string(), builder);
        assert_eq!(whole.launch().unwrap().to_string(), launch);
        // A tag that anybody may have changed is no reason to fail.
        for value in ["", "bdr_1", "i-1", launch] {
            assert_eq!(tagged(&[(BUILDER_TAG, value)]).builder(), None, "{value}");
        }
        assert_eq!((tagged(&[]).builder(), tagged(&[]).launch()), (None, None));
        let of_pool = |value| tagged(&[(POOL_TAG, value)]).pool();
        assert_eq!(of_pool("x86"), Some("x86".parse().unwrap()));
        assert_eq!((of_pool("a b"), tagged(&[]).pool()), (None, None));
    }

    #[test]
    fn an_instance_that_has_no_other_owner_lacks_the_tags_until_it_has_them() {
        let owner = Owner {
            fleet: "flt_00000000000000000000000000000003".parse().unwrap(),
            builder: "bdr_00000000000000000000000000000001".parse().unwrap(),
            pool: "x86".parse().unwrap(),
        };
        let own = owner.tags();
        let own: Vec<_> = own.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let (fleet, builder) = (owner.fleet.to_string(), "bdr_00000000000000000000000000000009");
        for (tags, is_lacked) in [
            (&[][..], true),
            (&[(FLEET_TAG, "")], true),
            (&[(FLEET_TAG, fleet.as_str())], true),
            (&[(FLEET_TAG, fleet.as_str()), (BUILDER_TAG, builder)], true),
            // Another fleet's stays another fleet's, whatever a row says.
            (&[(FLEET_TAG, "flt_00000000000000000000000000000004")], false),
            (&[(FLEET_TAG, "somebody")], false),
            (own.as_slice(), false),
        ] {
            assert_eq!(owner.is_lacked_by(&tagged(tags)), is_lacked, "{tags:?}");
        }
    }

    #[test]
    fn only_the_spot_markets_own_reasons_say_that_an_instance_was_taken_back() {
        for (reason, expected) in [
            (
                Some("Server.SpotInstanceTermination: Spot instance termination"),
                true,
            ),
            (Some("Server.SpotInstanceShutdown: Spot instance shutdown"), true),
            (Some("Server.SpotInstanceTermination"), true),
            (
                Some("Client.UserInitiatedShutdown: User initiated shutdown"),
                false,
            ),
            (Some("Client.Server.SpotInstanceTermination"), false),
            (
                Some("Server.InsufficientInstanceCapacity: Insufficient capacity"),
                false,
            ),
            (Some(""), false),
            (None, false),
        ] {
            let instance = Instance {
                state_reason: reason.map(str::to_owned),
                ..tagged(&[])
            };
            assert_eq!(instance.is_taken_back(), expected, "{reason:?}");
        }
    }
}
