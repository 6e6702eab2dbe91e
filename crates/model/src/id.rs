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
    use super::{AttemptId, BuildId, BuilderId, FleetId, LaunchId};

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

    #[test]
    fn each_kind_of_id_has_its_prefix_and_takes_no_other() {
        let bare = "019a0000000070008000000000000001";
        assert_eq!(
            bare.parse::<AttemptId>().unwrap().to_string(),
            format!("att_{bare}")
        );
        assert_eq!(
            bare.parse::<BuilderId>().unwrap().to_string(),
            format!("bdr_{bare}")
        );
        assert_eq!(
            bare.parse::<LaunchId>().unwrap().to_string(),
            format!("lch_{bare}")
        );
        assert_eq!(
            bare.parse::<FleetId>().unwrap().to_string(),
            format!("flt_{bare}")
        );
        for wrong in [
            format!("bdr_{bare}"),
            format!("att_att_{bare}"),
            format!("ATT_{bare}"),
            format!(" {bare}"),
            bare.chars().skip(1).collect(),
            format!("{bare}0"),
            "att_".to_owned(),
            String::new(),
        ] {
            let said = wrong.parse::<AttemptId>().unwrap_err().to_string();
            let expected =
                format!("`{wrong}` is no id of that kind: expected a UUID, with or without `att_` before it");
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn what_people_copy_from_elsewhere_is_the_same_id() {
        let id: AttemptId = "019a0000-0000-7000-8000-000000000001".parse().unwrap();
        for given in [
            "019A0000-0000-7000-8000-000000000001",
            "att_019a0000-0000-7000-8000-000000000001",
            "{019a0000-0000-7000-8000-000000000001}",
            "urn:uuid:019a0000-0000-7000-8000-000000000001",
        ] {
            assert_eq!(given.parse(), Ok(id), "{given}");
        }
    }

    #[test]
    fn texts_of_ids_are_in_the_order_of_the_ids() {
        let ids: Vec<AttemptId> = [1, 255, 256, u128::MAX]
            .map(uuid::Uuid::from_u128)
            .map(AttemptId)
            .to_vec();
        let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
        assert!(ids.is_sorted() && texts.is_sorted(), "{texts:?}");
        // Numbers are written as numbers, in text and in JSON.
        assert_eq!(BuildId(-7).to_string(), "-7");
        assert_eq!(serde_json::to_value(BuildId(i64::MAX)).unwrap(), i64::MAX);
    }
}
