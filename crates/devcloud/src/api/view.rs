//! What the answers of several actions have: times, tags, groups.

use devcloud_dialect::Xml;
use time::{OffsetDateTime, UtcOffset, macros::format_description};

use crate::ledger::{Instance, InstanceState, State};

/// A time as EC2 writes it.
pub(super) fn timestamp(time: OffsetDateTime) -> String {
    let layout = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    // The layout has only parts that every time has.
    time.to_offset(UtcOffset::UTC).format(&layout).unwrap_or_default()
}

/// The tags of a resource.
pub(super) fn tags(xml: &mut Xml, state: &State, id: &str) {
    tags_named(xml, "tagSet", state, id);
}

/// The tags of a resource, in an element of this name.
pub(super) fn tags_named(xml: &mut Xml, name: &'static str, state: &State, id: &str) {
    if let Some(tags) = state.tags.get(id).filter(|tags| !tags.is_empty()) {
        xml.list(name, tags, |xml, (key, value)| {
            xml.put("key", key);
            xml.put("value", value);
        });
    }
}

/// The security groups of an instance.
pub(super) fn groups(xml: &mut Xml, state: &State, instance: &Instance) {
    let groups = instance
        .group_ids
        .iter()
        .filter_map(|id| state.security_groups.get(id));
    xml.list("groupSet", groups, |xml, group| {
        xml.put("groupId", &group.id);
        xml.put("groupName", &group.name);
    });
}

/// Whether the instance has its place in the network still.
pub(super) fn has_interface(instance: &Instance) -> bool {
    !instance.faults.is_bare
        && !matches!(
            instance.state,
            InstanceState::Terminated | InstanceState::ShuttingDown
        )
}

/// Whether the public address leads somewhere now.
pub(super) fn has_public_address(instance: &Instance) -> bool {
    instance.state == InstanceState::Running && !instance.faults.is_bare
}

#[cfg(test)]
mod tests {
    use super::timestamp;
    use time::macros::datetime;

    /// The one form that the Rust SDK, botocore and libcloud all read: UTC, with a `Z` at its end.
    #[test]
    fn moments_end_with_z_whatever_their_zone_was() {
        for (moment, text) in [
            (datetime!(2026-11-28 16:00 UTC), "2026-11-28T16:00:00.000Z"),
            (
                datetime!(2026-11-28 9:00:00.123456 -7),
                "2026-11-28T16:00:00.123Z",
            ),
        ] {
            assert_eq!(timestamp(moment), text);
        }
    }
}
