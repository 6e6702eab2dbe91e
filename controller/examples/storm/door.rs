//! A cloud, as a program of the farm calls it: what it asks passes the program's gate, takes its time, and fails as chance wants it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use cloud::{
    BUILDER_TAG, Cloud, Dialect, End, Error, FLEET_TAG, Image, Instance, LAUNCH_TAG, LaunchRequest, NewImage,
    Owner, POOL_TAG,
};
use model::{FleetId, fleet::HookPoint, step::launch::Reply};
use runtime::clock::Clock;
use sim::{
    Fault,
    cloud::{Change, LaunchAsk, Shown, Tags, Trouble},
};

use crate::{
    gate::Gate,
    outside::{All, Outside},
};

/// The fleet whose tag machines have, and another's.
pub(crate) const FLEET: &str = "019a0000-0000-7000-8000-000000000001";
const ANOTHERS: &str = "flt_019a0000000070008000000000000002";

/// The way of one program to one cloud.
pub(crate) struct Door {
    pub(crate) cloud: &'static str,
    pub(crate) outside: Arc<Outside>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Clock,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Door").field(&self.cloud).finish()
    }
}

fn failure(trouble: Trouble) -> Error {
    match trouble {
        Trouble::Unreachable => Error::Unreachable {
            why: "the simulation wants it".to_owned(),
        },
        Trouble::Throttled => Error::Throttled {
            code: "RequestLimitExceeded".to_owned(),
        },
        Trouble::Refused => refused("OperationNotPermitted"),
        Trouble::Unclear => unclear(),
    }
}

fn refused(code: &str) -> Error {
    Error::Refused {
        code: code.to_owned(),
        message: "the simulation wants it".to_owned(),
    }
}

fn unclear() -> Error {
    Error::Unclear {
        what: "the answer was lost".to_owned(),
    }
}

impl Door {
    /// Something is asked and answered. A slow answer is slow before it is done, or after it.
    async fn ask<T>(
        &self,
        what: &str,
        work: impl FnOnce(&mut All, &'static str) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.gate.passed().await;
        let [before, after] = self.outside.with(|all| {
            let slow = all.luck.strikes(Fault::Slow);
            let takes = if slow {
                all.luck.seconds(1, 60)
            } else {
                Duration::ZERO
            };
            if all.luck.once_in(2) {
                [takes, Duration::ZERO]
            } else {
                [Duration::ZERO, takes]
            }
        });
        self.clock.sleep(before).await;
        let answer = self.outside.with(|all| {
            let answer = work(all, self.cloud);
            all.tell(|| {
                let words = answer.as_ref().err().map_or("done".to_owned(), Error::to_string);
                format!("{}: {what}: {words}", self.cloud)
            });
            answer
        });
        self.clock.sleep(after).await;
        self.gate.passed().await;
        answer
    }
}

/// What a cloud shows of one of its machines.
fn instance(all: &All, cloud: &str, shown: Shown) -> Instance {
    let machine = all.clouds.get(cloud).and_then(|it| it.machines.get(&shown.id));
    let tags = match machine.and_then(|it| it.tags.as_ref()) {
        Some(tags) => BTreeMap::from([
            (FLEET_TAG.to_owned(), fleet().to_string()),
            (BUILDER_TAG.to_owned(), tags.builder.to_string()),
            (LAUNCH_TAG.to_owned(), tags.launch.to_string()),
            (POOL_TAG.to_owned(), tags.pool.to_string()),
        ]),
        None => BTreeMap::from([(FLEET_TAG.to_owned(), ANOTHERS.to_owned())]),
    };
    let reason = "Server.SpotInstanceTermination: Spot instance termination".to_owned();
    Instance {
        id: shown.id,
        state: shown.state,
        address: shown.address,
        state_reason: shown.is_taken_back.then_some(reason),
        offering: None,
        tags,
    }
}

pub(crate) fn fleet() -> FleetId {
    FLEET.parse().unwrap_or(FleetId(uuid::Uuid::nil()))
}

fn launch(all: &mut All, name: &'static str, request: &LaunchRequest, life: u64) -> Result<Instance, Error> {
    all.judge_launch(request);
    all.judge_hooks(request.builder, HookPoint::BeforeSpawn, life);
    let ask = LaunchAsk {
        tags: Tags {
            pool: request.pool.clone(),
            builder: request.builder,
            launch: request.launch,
        },
        offering: request.offering.clone(),
    };
    let now = all.now;
    let of = all.clouds.get_mut(name).ok_or_else(unclear)?;
    let before = of.machines.len();
    let said = of.launch(&ask, &mut all.luck, now);
    let is_new = of.machines.len() > before;
    let its = of.machines.iter().rev();
    let its = its
        .filter(|(_, it)| it.tags.as_ref().map(|tags| tags.launch) == Some(request.launch))
        .map(|(id, _)| id.clone())
        .next();
    if let Some(id) = its.filter(|_| is_new) {
        all.made((name, &id), request);
    }
    for (after, id, change) in said.made {
        all.will(after, name, &id, change);
    }
    match said.reply {
        Reply::Instance(id) => {
            let machine = all.clouds.get(name).and_then(|it| it.machines.get(&id));
            let shown = Shown {
                id,
                state: machine.ok_or_else(unclear)?.state,
                address: None,
                is_taken_back: false,
                builder: Some(request.builder),
            };
            Ok(instance(all, name, shown))
        }
        Reply::Refused { code, .. } => Err(refused(&code)),
        Reply::Later(_) if said.is_unreachable => Err(failure(Trouble::Unreachable)),
        Reply::Later(_) => Err(failure(Trouble::Throttled)),
        Reply::Ended(_) => Err(Error::Ended),
        Reply::Unclear(_) => Err(unclear()),
    }
}

/// What a machine has written on its console, as far as its cloud shows it.
fn console(all: &mut All, name: &str, id: &str) -> String {
    let now = all.now;
    let machine = all.clouds.get(name).and_then(|it| it.machines.get(id));
    let has_booted = machine.is_some_and(|it| it.answers(now));
    let told = all
        .keys
        .get(id)
        .filter(|keys| keys.told_at.is_some_and(|at| at <= now));
    let Some(keys) = told.filter(|_| has_booted) else {
        return String::new();
    };
    let text = format!(
        "booted\n-----BEGIN SSH HOST KEY KEYS-----\n{}\n-----END SSH HOST KEY KEYS-----\n",
        keys.shown
    );
    // Some clouds show the end of it late.
    let is_cut = !all.luck.is_calm() && all.luck.once_in(4);
    let shown = if is_cut { text.len() / 2 } else { text.len() };
    text.chars().take(shown).collect()
}

#[async_trait]
impl Cloud for Door {
    async fn launch(&self, request: &LaunchRequest) -> Result<Instance, Error> {
        let what = format!("launch {} for {}", request.launch, request.builder);
        let life = self.gate.life();
        self.ask(&what, |all, name| launch(all, name, request, life))
            .await
    }

    async fn describe(&self, instance_ids: &[String]) -> Result<Vec<Instance>, Error> {
        if instance_ids.is_empty() {
            return Ok(Vec::new());
        }
        let what = format!("describe {}", instance_ids.join(" "));
        self.ask(&what, |all, name| {
            let now = all.now;
            let of = all.clouds.get_mut(name).ok_or_else(unclear)?;
            if let Some(trouble) = of.trouble(&mut all.luck, now) {
                return Err(failure(trouble));
            }
            let shown = of.describe(instance_ids, &mut all.luck, now).map_err(failure)?;
            Ok(shown.into_iter().map(|it| instance(all, name, it)).collect())
        })
        .await
    }

    async fn list(&self, _fleet: FleetId) -> Result<Vec<Instance>, Error> {
        self.ask("list", |all, name| {
            let now = all.now;
            let of = all.clouds.get_mut(name).ok_or_else(unclear)?;
            let shown = of.list(&mut all.luck, now).map_err(failure)?;
            Ok(shown.into_iter().map(|it| instance(all, name, it)).collect())
        })
        .await
    }

    async fn list_all(&self) -> Result<Vec<Instance>, Error> {
        self.list(fleet()).await
    }

    async fn tag(&self, instance_id: &str, owner: &Owner) -> Result<(), Error> {
        self.ask(&format!("tag {instance_id}"), |all, name| {
            let of = all.clouds.get_mut(name).ok_or_else(unclear)?;
            let tags = of.machines.get_mut(instance_id).and_then(|it| it.tags.as_mut());
            if let Some(tags) = tags {
                (tags.builder, tags.pool) = (owner.builder, owner.pool.clone());
            }
            Ok(())
        })
        .await
    }

    async fn terminate(&self, instance_id: &str) -> Result<End, Error> {
        let life = self.gate.life();
        self.ask(&format!("terminate {instance_id}"), |all, name| {
            all.judge_end(instance_id, life);
            let now = all.now;
            let of = all.clouds.get_mut(name).ok_or_else(unclear)?;
            let ends = of.terminate(instance_id, &mut all.luck, now).map_err(failure)?;
            if ends {
                all.change(name, instance_id, Change::Ends);
            }
            Ok(End::Asked)
        })
        .await
    }

    /// Nothing is protected here: an end that is refused is refused all the same.
    async fn unprotect(&self, instance_id: &str) -> Result<(), Error> {
        self.ask(&format!("unprotect {instance_id}"), |all, name| {
            let now = all.now;
            let of = all.clouds.get_mut(name).ok_or_else(unclear)?;
            of.trouble(&mut all.luck, now)
                .map_or(Ok(()), |trouble| Err(failure(trouble)))
        })
        .await
    }

    async fn console_output(&self, instance_id: &str) -> Result<String, Error> {
        self.ask(&format!("console of {instance_id}"), |all, name| {
            let now = all.now;
            let of = all.clouds.get_mut(name).ok_or_else(unclear)?;
            if let Some(trouble) = of.trouble(&mut all.luck, now) {
                return Err(failure(trouble));
            }
            Ok(console(all, name, instance_id))
        })
        .await
    }

    async fn image(&self, _id: &str) -> Result<Option<Image>, Error> {
        Ok(None)
    }

    async fn images(&self, _fleet: FleetId) -> Result<Vec<Image>, Error> {
        Ok(Vec::new())
    }

    async fn images_named(&self, _owner: &str, _name: &str) -> Result<Vec<Image>, Error> {
        Ok(Vec::new())
    }

    async fn create_image(&self, _wanted: &NewImage) -> Result<String, Error> {
        Err(refused("UnsupportedOperation"))
    }

    async fn tag_image(&self, _id: &str, _tags: &BTreeMap<String, String>) -> Result<(), Error> {
        Err(refused("UnsupportedOperation"))
    }

    async fn delete_image(&self, _id: &str) -> Result<(), Error> {
        Err(refused("UnsupportedOperation"))
    }

    async fn dialect(&self) -> Result<Option<Dialect>, Error> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shell::ClientKey;

    use super::*;
    use crate::outside::Keys;

    #[test]
    fn a_console_tells_the_key_that_a_machine_has_made_and_none_that_it_was_given() {
        let outside = Outside::new(1, Some(&BTreeSet::new()), false);
        outside.with(|all| {
            all.luck.calm_down();
            let All {
                clouds, luck, now, ..
            } = all;
            let id = clouds.get_mut("near").unwrap().make(None, luck, *now);
            all.change("near", &id, Change::Runs);
            let shown = ClientKey::generate("machine").unwrap().host_key().unwrap();
            let line = shown.to_string();
            let keys = Keys {
                set_up: 0,
                shown,
                made: None,
                told_at: Some(Duration::from_secs(60)),
            };
            all.keys.insert(id.clone(), keys);
            for (seconds, is_told) in [(0, false), (59, false), (60, true)] {
                all.now = Duration::from_secs(seconds);
                assert_eq!(console(all, "near", &id).contains(&line), is_told, "{seconds}");
            }
            assert_eq!(console(all, "far", &id), "");
            all.keys.get_mut(&id).unwrap().told_at = None;
            assert_eq!(console(all, "near", &id), "");
        });
    }
}
