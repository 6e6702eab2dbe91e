//! From the store's view of the fleet to what the planner looks at.

use std::{collections::BTreeMap, time::Duration};

use model::{
    Lacks, PoolName,
    budget::Budget,
    builder::Deadlines,
    calls::{CallClass, LaunchCalls, LaunchPace, name_of_pool},
    fleet::{ConnectSpec, FleetSpec, PoolSpec},
    intent,
    plan::{self, Caps, CloudHealth, Host, HostUse, Quota, Snapshot},
    step::sight::{self, InstanceState},
    stray::Stray,
};
use store::{Builder, Chroot, FleetView};

use crate::{Context, recipe::Comparison};

/// What the plan is made from, with the clouds as the database tells of them.
#[must_use]
pub fn snapshot(context: &Context, view: &FleetView) -> Snapshot {
    let troubles = view.troubles.iter().cloned();
    let health = troubles.map(|trouble| (trouble.cloud.clone(), CloudHealth::Away(trouble)));
    snapshot_with(context, view, &health.collect())
}

/// What the plan is made from, with the clouds as the caller knows them; one that it does not know answers.
pub(crate) fn snapshot_with(
    context: &Context,
    view: &FleetView,
    health: &BTreeMap<String, CloudHealth>,
) -> Snapshot {
    let budgets = budgets(&context.fleet, view);
    let pools = context.fleet.pools.iter().map(|(name, spec)| {
        let cloud = context.fleet.cloud_of(spec).and_then(|cloud| health.get(cloud));
        let provision = context.fleet.provision.get(&spec.provision);
        let port = provision.map_or_else(|| ConnectSpec::default().port, |it| it.connect.port);
        let hosts = spec.hosts.iter().filter_map(|host| {
            let known = view.hosts.get(&host.name)?;
            let is_there = known.place == Host::place_at(&host.address, host.port_or(port));
            is_there.then(|| (host.name.clone(), known.clone()))
        });
        let pool = plan::Pool {
            spec: spec.clone(),
            history: view.histories.get(name).cloned().unwrap_or_default(),
            cloud: cloud.cloned().unwrap_or_default(),
            pause: view.pauses.get(name).cloned(),
            no_image: context.fleet.no_image(spec, &view.images),
            quota: context
                .fleet
                .cloud_of(spec)
                .and_then(|cloud| quota(&context.fleet, cloud, view)),
            budget: context.fleet.budget_of(name, &budgets),
            calls: launch_calls(&context.fleet, spec, view),
            pace: pace(name, spec, view),
            hosts: hosts.collect(),
            port,
        };
        (name.clone(), pool)
    });
    let mut comparison = Comparison::new(context, view);
    let line = |builder: &Builder| {
        let pool = context.fleet.pools.get(&builder.pool)?;
        pool.line_of(builder.state, builder.offering())
    };
    let builders = view.builders.iter().map(|builder| {
        let outdated = comparison.of(builder);
        plan::Builder {
            id: builder.id,
            pool: builder.pool.clone(),
            state: builder.state,
            created_at: builder.created_at,
            entered_at: builder.entered_at,
            deadline: builder.deadline,
            cordoned: builder.cordoned,
            drift: outdated.as_ref().map(|it| it.drift),
            lacks: outdated.map_or(Lacks::Nothing, |it| it.lacks),
            refusal: builder.refusal.clone(),
            sandbox: builder.sandbox.clone(),
            ready_at: builder.ready_at,
            mark: builder.mark.clone(),
            host: builder.host.as_ref().map(|name| HostUse {
                name: name.clone(),
                address: builder.address.clone().unwrap_or_default(),
                port: builder.port,
            }),
            line: line(builder),
        }
    });
    let mut snapshot = Snapshot::new(view.at, pools.collect(), builders.collect(), view.queue.clone());
    snapshot.caps = Caps {
        spec: context.fleet.fairness.caps.clone(),
        active: view.active.clone(),
    };
    let asked = view.intents.iter().flat_map(|it| intent::demands(it, view.at));
    snapshot.demands.extend(asked);
    snapshot.strays = strays(view).collect();
    snapshot
}

/// The instances with the fleet's tag that no builder has.
fn strays(view: &FleetView) -> impl Iterator<Item = Stray> {
    view.strays.iter().map(|orphan| Stray {
        cloud: orphan.cloud.clone(),
        instance: orphan.instance_id.clone(),
        is_ending: orphan.is_ending,
        ignored: orphan.ignored.clone(),
    })
}

/// What may be spent in the clouds for which the file sets a limit, and is, by their names.
#[must_use]
pub fn budgets(fleet: &FleetSpec, view: &FleetView) -> BTreeMap<String, Budget> {
    fleet.budgets(view.builders.iter().map(Builder::rental), &view.ended, view.at)
}

/// How many machines there may be in a cloud, and are; `None` where the file sets no limit. Strays count as others' machines: they
/// are no builders, and each is seen in every list.
#[must_use]
pub fn quota(fleet: &FleetSpec, cloud: &str, view: &FleetView) -> Option<Quota> {
    let spec = fleet.clouds.get(cloud)?;
    let instances = spec.limits.instances?;
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let there = view
        .builders
        .iter()
        .filter(|it| it.cloud == cloud && it.state.counts());
    let strays = view.strays.iter().filter(|it| {
        let state = InstanceState::of_word(&it.state);
        it.cloud == cloud && state.uses_quota(spec.profile.counts_stopped())
    });
    let counted = view.others.get(cloud).and_then(|others| others.counted);
    let counted = counted.filter(|(_, counted_at)| sight::is_count_believed(*counted_at, view.at));
    Some(Quota {
        cloud: cloud.to_owned(),
        instances,
        counted: number(there.count()),
        others: counted.map(|(machines, _)| machines.saturating_add(number(strays.count()))),
    })
}

/// How many launches the cloud of a pool may be asked for; `None` where the file sets no limit. Before the first call there is
/// nothing to wait for.
fn launch_calls(fleet: &FleetSpec, pool: &PoolSpec, view: &FleetView) -> Option<LaunchCalls> {
    let cloud = fleet.cloud_of(pool)?;
    let bucket = *fleet.clouds.get(cloud)?.buckets().get(&CallClass::Launch)?;
    let level = view.calls.get(&(cloud.to_owned(), CallClass::Launch))?;
    Some(LaunchCalls::of(cloud, bucket, level, view.at))
}

/// How often a pool may launch by its own rate. Before the first launch there is nothing to wait for.
fn pace(pool: &PoolName, spec: &PoolSpec, view: &FleetView) -> Option<LaunchPace> {
    let (name, bucket) = (name_of_pool(pool), spec.launch.bucket()?);
    let level = view.calls.get(&(name, CallClass::Launch));
    Some(LaunchPace {
        rate: spec.launch.rate?,
        wait: level.map_or(Duration::ZERO, |level| level.wait(bucket, view.at)),
    })
}

impl Context {
    /// The time limits of a pool's builders.
    pub(crate) fn deadlines(&self, pool: &PoolName) -> Deadlines {
        self.fleet
            .pools
            .get(pool)
            .and_then(|spec| self.fleet.provision.get(&spec.provision))
            .map_or_else(Deadlines::default, |provision| provision.timeouts.deadlines())
    }

    /// Who logs in to a pool's machines.
    pub(crate) fn user_of(&self, pool: &PoolName) -> &str {
        let pool = self.fleet.pools.get(pool);
        let provision = pool.and_then(|pool| self.fleet.provision.get(&pool.provision));
        provision.map_or("root", |provision| provision.connect.user.as_str())
    }

    /// The chroots that a pool's builders are made for: also those that are offered to nobody any more, since builds of them
    /// may wait.
    pub(crate) fn chroots_of<'a>(
        &'a self,
        pool: &PoolName,
        chroots: &'a [Chroot],
    ) -> impl Iterator<Item = &'a Chroot> {
        let spec = self.fleet.pools.get(pool);
        chroots
            .iter()
            .filter(move |chroot| spec.is_some_and(|spec| spec.offers(&chroot.name)))
    }
}
