//! The keys of intents.

use anyhow::Context as _;
use model::intent::Request;
use sha2::{Digest as _, Sha256};

/// How much of a digest a key holds, in bytes: enough to tell requests apart, also those that somebody chose.
const DIGEST: usize = 16;

/// The key of a request in a slot: the same for the same request and slot, and for no other.
///
/// It is made of the JSON that stands in the database, and not of Rust's own names and forms: those may change with any new
/// program, and of two that run side by side in one minute, an older and a newer one, each would have an effect. Other JSON gives
/// other keys, which a test of three of them shows.
///
/// # Errors
/// The request has no JSON, which none is.
pub(super) fn key_of(request: &Request, slot: &str) -> anyhow::Result<String> {
    let mut json = serde_json::to_value(request).context("making the key of an intent")?;
    // By their names, in whatever order the fields of the type stand.
    json.sort_all_objects();
    let digest = hex::encode(Sha256::digest(json.to_string()));
    let (start, _) = digest.split_at_checked(2 * DIGEST).context("a short digest")?;
    Ok(format!("{}/{slot}/{start}", request.verb()))
}

#[cfg(test)]
mod tests {
    use model::{BuilderId, PoolName, intent::Target, quantity::Span};
    use uuid::Uuid;

    use super::*;

    const SLOT: &str = "2027-01-15T08:00";

    fn ids(numbers: &[u128]) -> Target {
        let ids = numbers.iter().map(|number| BuilderId(Uuid::from_u128(*number)));
        Target::Builders(ids.collect())
    }

    fn x86() -> PoolName {
        "x86".parse().unwrap()
    }

    fn spawn(count: u32, keep: Option<Span>) -> Request {
        Request::Spawn {
            pool: x86(),
            count,
            keep,
        }
    }

    fn terminate(what: Target, now: bool) -> Request {
        Request::Terminate {
            what,
            now,
            reason: "old".to_owned(),
        }
    }

    fn key(request: &Request) -> String {
        key_of(request, SLOT).unwrap()
    }

    #[test]
    fn a_key_is_the_same_for_the_same_words_and_slot_and_for_no_others() {
        let requests = [
            spawn(1, None),
            spawn(2, None),
            spawn(1, Some(Span::seconds(60))),
            terminate(ids(&[1]), false),
            terminate(ids(&[1]), true),
            terminate(ids(&[1, 2]), false),
            terminate(Target::Pool(x86()), false),
            Request::Reconcile,
        ];
        let mut keys: Vec<String> = requests.iter().map(key).collect();
        assert_eq!(keys[0], key(&spawn(1, None)));
        keys.push(key_of(&spawn(1, None), "other").unwrap());
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), requests.len() + 1);
    }

    /// Those of the farms that there are: whoever has to change this has the commands of an older and a newer program each take
    /// effect where both run in one minute, and those with a `--key` that has had its effect take effect once more.
    #[test]
    fn keys_stay_what_they_are_from_one_program_to_the_next() {
        let requests = [
            spawn(2, Some(Span::seconds(90))),
            terminate(ids(&[1, 2]), true),
            Request::Reconcile,
        ];
        // SHA-256 of {"count":2,"for":"90s","pool":"x86","verb":"spawn"} and so on, by another program.
        assert_eq!(
            requests.each_ref().map(key),
            [
                "spawn/2027-01-15T08:00/f4893231e407857faf8c46df80a556b5",
                "terminate/2027-01-15T08:00/4d7ce38c6edd1bfaf6f1b83c537a7527",
                "reconcile/2027-01-15T08:00/b64e5d4ed42bb1aba6e889329fd344ed",
            ]
        );
    }
}
