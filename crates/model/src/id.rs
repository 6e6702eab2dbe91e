//! Typed ids. Users, projects, packages and builds have integers, which Copr's clients see and bookmark;
//! what only the farm knows (builders, attempts, launches) has a UUID of version 7, whose order is that of
//! its making.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

macro_rules! integer_ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

integer_ids! {
    /// A person or program with an account.
    UserId,
    /// A project; part of webhook addresses, so it is never given out twice.
    ProjectId,
    /// A package of a project.
    PackageId,
    /// One submission of sources; what `copr-cli` prints and watches.
    BuildId,
    /// The number of an allocation. It rises by one with each, so that it serves as the fencing epoch: a
    /// builder refuses orders that carry a lower one than it has seen.
    Epoch,
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        /// As its text, so that an id is the same wherever it is shown.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        /// From its text, with or without the prefix.
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl $name {
            /// What stands before the UUID in text meant for people.
            pub const PREFIX: &'static str = $prefix;
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Reads the text with or without its prefix.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let bare = text.strip_prefix($prefix).unwrap_or(text);
                Uuid::parse_str(bare).map(Self).map_err(|_| InvalidId { prefix: $prefix, text: text.to_owned() })
            }
        }
    )+};
}

uuid_ids! {
    /// One try of one build chroot, on at most one builder.
    AttemptId = "att_",
    /// One machine that we have, had, or meant to have.
    BuilderId = "bdr_",
    /// One call to a cloud for a machine; its text is the client token.
    LaunchId = "lch_",
    /// A fleet: the value of the tag that marks an instance as ours.
    FleetId = "flt_",
}

/// A text that is not an id of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no id of that kind: expected a UUID, with or without `{prefix}` before it")]
pub struct InvalidId {
    prefix: &'static str,
    text: String,
}

#[cfg(test)]
mod tests {
    use super::{BuilderId, FleetId};

    #[test]
    fn an_id_is_the_same_in_text_and_in_json_and_read_with_and_without_its_prefix() {
        let id = BuilderId(uuid::Uuid::from_u128(7));
        let text = "bdr_00000000000000000000000000000007";
        assert_eq!(id.to_string(), text);
        assert_eq!(serde_json::to_value(id).unwrap(), text);
        for given in [
            "flt_00000000000000000000000000000007",
            "00000000-0000-0000-0000-000000000007",
        ] {
            let read: FleetId = serde_json::from_value(given.into()).unwrap();
            assert_eq!(read, FleetId(uuid::Uuid::from_u128(7)));
        }
        let bad = serde_json::from_value::<FleetId>("seven".into()).unwrap_err();
        assert_eq!(
            bad.to_string(),
            "`seven` is no id of that kind: expected a UUID, with or without `flt_` before it"
        );
    }
}
