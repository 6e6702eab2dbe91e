//! What operators call instances that no builder has.

use anyhow::{Context as _, bail};
use model::{PoolName, fleet::FleetSpec};
use shell::HostKey;
use store::FleetView;

use crate::parts;

/// Reads the id of an instance, as clouds write them.
pub(super) fn instance(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("i-").unwrap_or_default();
    let is_id = !digits.is_empty() && digits.len() <= 64 && digits.chars().all(|c| c.is_ascii_alphanumeric());
    if is_id {
        Ok(text.to_owned())
    } else {
        Err("an instance is i- and letters or digits".to_owned())
    }
}

/// The pool that an instance is to be of: the one that is given, that of its builder where it has one already, or that of its tag.
pub(super) fn pool(
    instance: &str,
    given: Option<&str>,
    fleet: &FleetSpec,
    view: &FleetView,
) -> anyhow::Result<PoolName> {
    if let Some(given) = given {
        return Ok(parts::pool(fleet, given)?.0.clone());
    }
    let mut builders = view.builders.iter();
    if let Some(builder) = builders.find(|it| it.instance_id.as_deref() == Some(instance)) {
        return Ok(builder.pool.clone());
    }
    let Some(stray) = view.strays.iter().find(|it| it.instance_id == instance) else {
        bail!(
            "no cloud lists an instance {instance} with the fleet's tag and no builder: say of which pool it is to be, with --pool"
        );
    };
    let Some(tagged) = &stray.pool else {
        bail!("the tags of instance {instance} name no pool: say of which one it is to be, with --pool");
    };
    let known = parts::pool(fleet, tagged.as_str());
    let known = known.with_context(|| {
        format!("the tag of instance {instance} names a pool: say another one with --pool")
    })?;
    Ok(known.0.clone())
}

/// Reads a host key, as the farm keeps them.
pub(super) fn host_key(text: &str) -> Result<String, String> {
    let key = HostKey::parse(text).map_err(|error| error.to_string())?;
    Ok(key.to_string())
}

#[cfg(test)]
mod tests {
    use model::BuilderState;
    use store::Orphan;

    use super::{
        super::super::testing::{NOW, builder, fleet, name, view},
        *,
    };

    #[test]
    fn an_instance_is_called_by_its_id() {
        for (text, is_good) in [
            ("i-1", true),
            ("i-0123456789abcdef0", true),
            ("i-", false),
            ("i-1 2", false),
            ("x-1", false),
            ("", false),
            ("i-é", false),
        ] {
            assert_eq!(instance(text).is_ok(), is_good, "{text}");
        }
        assert!(instance(&format!("i-{}", "a".repeat(65))).is_err());
    }

    #[test]
    fn the_pool_is_the_one_that_is_said_or_that_of_the_builder_or_of_the_tag() {
        let fleet = fleet(&[
            ("arm", "arch:aarch64", [0, 3, 0], 0),
            ("x86", "arch:x86_64", [0, 3, 0], 0),
        ]);
        let stray = |id: &str, pool: Option<&str>| Orphan {
            cloud: "c".to_owned(),
            instance_id: id.to_owned(),
            state: "running".to_owned(),
            first_at: NOW,
            last_at: NOW,
            times_seen: 1,
            refusal: None,
            pool: pool.map(name),
            is_ending: false,
            ignored: None,
        };
        let mut view = view(vec![builder(1, "arm", BuilderState::Ready)], vec![]);
        view.strays = vec![
            stray("i-2", Some("x86")),
            stray("i-3", None),
            stray("i-4", Some("gone")),
        ];
        for (instance, given, expected) in [
            ("i-2", None, Ok("x86")),
            ("i-2", Some("arm"), Ok("arm")),
            ("i-9", Some("arm"), Ok("arm")),
            ("i-1", None, Ok("arm")),
            (
                "i-2",
                Some("x68"),
                Err("there is no pool `x68` in the fleet file, did you mean `x86`?"),
            ),
            (
                "i-3",
                None,
                Err("the tags of instance i-3 name no pool: say of which one it is to be, with --pool"),
            ),
            (
                "i-4",
                None,
                Err(
                    "the tag of instance i-4 names a pool: say another one with --pool: there is no pool `gone`",
                ),
            ),
            (
                "i-9",
                None,
                Err("no cloud lists an instance i-9 with the fleet's tag and no builder"),
            ),
        ] {
            let found = pool(instance, given, &fleet, &view).map_err(|error| format!("{error:#}"));
            match (&found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.as_str(), expected),
                (Err(words), Err(expected)) => assert!(words.contains(expected), "{words}"),
                _ => panic!("{instance} {given:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_host_key_is_kept_without_its_comment() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        assert_eq!(host_key(&format!("{key} root@rack\n")).unwrap(), key);
        let said = host_key("AAAA").unwrap_err();
        assert!(said.contains("the host key"), "{said}");
    }
}
