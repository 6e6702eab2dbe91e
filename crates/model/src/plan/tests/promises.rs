//! What a plan keeps to, whatever the farm looks like. Each promise is a function of its own, so that a planner that breaks one
//! of them says which.

use std::collections::BTreeSet;

use super::*;

type Promise = Result<(), TestCaseError>;

const CHROOTS: [&str; 3] = ["microdistro-1-x86_64", "other-1-x86_64", "nowhere-1-x86_64"];

/// A pool in any condition: of any size, priority and pace, for one chroot or two, with any history, on any cloud.
fn any_pool() -> impl Strategy<Value = Pool> {
    let clouds = prop::sample::select(vec![
        CloudHealth::Answers,
        CloudHealth::Answers,
        CloudHealth::Answers,
        CloudHealth::Unknown,
        away(pool(0, 0, 0)).cloud,
    ]);
    let chroots = prop::sample::select(vec![&["microdistro"][..], &["other"], &["microdistro", "other"]]);
    let size = (0u32..4, 0u32..8, 0u32..4);
    (size, -1i32..2, 1u32..4, (0u32..6, 0u64..200), clouds, chroots).prop_map(
        |((min, max, idle), priority, parallel, (failures, ago), cloud, chroots)| {
            let mut pool = pool(min, max, idle);
            if failures > 0 {
                pool = failed(pool, failures, ago);
            }
            let patterns = chroots.iter().map(|chroot| format!("chroot:{chroot}-*"));
            pool.spec.labels = patterns.chain(["arch:x86_64".to_owned()]).collect();
            pool.spec.priority = priority;
            pool.spec.launch.parallel = parallel;
            if parallel > 1 {
                pool.spec.reuse.scope = ReuseScope::Sandbox;
            }
            pool.cloud = cloud;
            pool
        },
    )
}

/// A builder in any state that lasts, in one of two pools or in one that is gone.
fn is_urgent(builder: &Builder) -> bool {
    builder.lacks == Lacks::Everything
}

fn lacking(chroots: &[&str]) -> Lacks {
    Lacks::Chroots(Arc::new(chroots.iter().map(|it| it.parse().unwrap()).collect()))
}

/// Of the first build of a project that the owner of that number submitted.
fn sandbox_of(owner: u8) -> Sandbox {
    Sandbox::kept(&format!("o{owner}/demo by o{owner}"))
}

fn any_builder() -> impl Strategy<Value = Builder> {
    let mut states: Vec<_> = BuilderState::ALL
        .into_iter()
        .filter(|state| !state.is_final())
        .collect();
    // Those that much depends on come more often.
    states.extend([BuilderState::Ready; 4]);
    states.extend([
        BuilderState::Planned,
        BuilderState::Planned,
        BuilderState::Resolving,
    ]);
    let flags = (
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.2),
        prop::option::weighted(
            0.3,
            prop::sample::select(vec![
                (Drift::Image, Lacks::Nothing),
                (Drift::Chroots, lacking(&[CHROOTS[0]])),
                (Drift::Chroots, lacking(&CHROOTS[1..])),
                (Drift::Programs, Lacks::Everything),
            ]),
        ),
        prop::bool::weighted(0.6),
        prop::option::weighted(0.4, 0u8..3),
        prop::option::weighted(0.2, prop::sample::select(MarkKind::ALL.to_vec())),
    );
    (prop::sample::select(states), 0u8..3, flags, 0u64..2000).prop_map(
        |(state, pool, (overdue, cordoned, drift, refused, used, mark), age)| Builder {
            entered_at: NOW.minus(Duration::from_secs(age)),
            deadline: overdue.then_some(NOW),
            cordoned: cordoned || mark.is_some(),
            mark: mark.map(operators::mark),
            drift: drift.as_ref().map(|(drift, _)| *drift),
            lacks: drift.map_or(Lacks::Nothing, |(_, lacks)| lacks),
            refusal: (refused && state == BuilderState::Planned).then(|| "no room".to_owned()),
            sandbox: used
                .filter(|_| !BuilderState::STARTING.contains(&state))
                .map(sandbox_of),
            ..builder(0, &format!("p{pool}"), state)
        },
    )
}

fn any_farm() -> impl Strategy<Value = Farm> {
    let builders = prop::collection::vec(any_builder(), 0..12);
    let queue = prop::collection::vec((0u8..3, any::<bool>(), 0usize..8, 0u64..500), 0..12);
    let active = prop::collection::btree_map(0u8..3, 0u32..4, 0..3);
    (builders, queue, active, any_pool(), any_pool()).prop_map(|(builders, queue, active, first, second)| {
        let mut farm = snapshot(&[("p0", first), ("p1", second)]);
        farm.builders = builders;
        for (one, number) in farm.builders.iter_mut().zip(0..) {
            one.id = BuilderId(Uuid::from_u128(number));
        }
        let owner = |number: u8| format!("o{number}");
        farm.active = active
            .into_iter()
            .map(|(of, count)| (owner(of).parse().unwrap(), count))
            .collect();
        for ((of, background, chroot, age), number) in queue.into_iter().zip(1000..) {
            farm.queue.push(QueuedAttempt {
                background,
                chroot: CHROOTS[[0, 0, 0, 0, 1, 1, 1, 2][chroot]].parse().unwrap(),
                queued_at: NOW.minus(Duration::from_secs(age)),
                sandbox: (number % 5 > 0).then(|| sandbox_of(of)),
                ..attempt(number, &owner(of))
            });
        }
        farm
    })
}

impl Farm {
    fn get(&self, id: BuilderId) -> &Builder {
        self.builders.iter().find(|builder| builder.id == id).unwrap()
    }

    fn of<'a>(&'a self, pool: &'a PoolName) -> impl Iterator<Item = &'a Builder> {
        self.builders.iter().filter(move |builder| builder.pool == *pool)
    }

    fn starting(&self, pool: &PoolName) -> usize {
        let starts = |it: &&Builder| {
            let is_coming = BuilderState::STARTING.contains(&it.state) && !it.is_unwanted();
            is_coming && !is_overdue(it, self.now)
        };
        self.of(pool).filter(starts).count()
    }

    fn in_order(&self) -> Queue {
        Queue::new(self.queue.clone(), &self.active)
    }
}

fn launched(plan: &Plan, name: &PoolName) -> usize {
    let is_of = |action: &&Action| matches!(action, Action::Launch { pool, .. } if pool == name);
    plan.actions.iter().filter(is_of).count()
}

/// The attempts that get a builder, with it.
fn given(plan: &Plan) -> BTreeMap<AttemptId, BuilderId> {
    let given = plan.actions.iter().filter_map(|action| match action {
        Action::Assign { attempt, builder } => Some((*attempt, *builder)),
        _ => None,
    });
    given.collect()
}

fn drained(plan: &Plan) -> BTreeSet<BuilderId> {
    let drained = plan.actions.iter().filter_map(|action| match action {
        Action::Drain { builder, .. } => Some(*builder),
        _ => None,
    });
    drained.collect()
}

/// What a pool's launches keep to, whatever is wanted of it.
fn launches_are_within_limits(farm: &Farm, plan: &Plan) -> Promise {
    for (name, pool) in &farm.pools {
        let (launched, starting) = (launched(plan, name), farm.starting(name));
        if launched == 0 {
            continue;
        }
        let unanswered = farm
            .of(name)
            .filter(|it| it.state == BuilderState::Resolving)
            .count();
        prop_assert!(
            farm.of(name).count() + launched <= pool.spec.size.max as usize,
            "maximum"
        );
        prop_assert!(
            starting + launched <= pool.spec.launch.parallel as usize,
            "at once"
        );
        prop_assert_eq!(&pool.cloud, &CloudHealth::Answers);
        prop_assert!(unanswered < 2, "launches without an answer are few");
        if let Some(until) = pool.history.held_until() {
            let is_probe = until <= farm.now && launched == 1 && starting == 0;
            prop_assert!(is_probe, "one probe after the pause");
        }
    }
    Ok(())
}

/// No builder has two things to do, and each thing is for a builder in its state.
fn each_builder_has_one_thing_to_do(farm: &Farm, plan: &Plan) -> Promise {
    let mut builders = BTreeSet::new();
    for action in &plan.actions {
        match action {
            Action::Assign { builder, .. } => {
                prop_assert!(builders.insert(*builder), "a builder is given out once");
                let given = farm.get(*builder);
                prop_assert_eq!(given.state, BuilderState::Ready);
                prop_assert!(!given.cordoned && !is_urgent(given), "out of use: {:?}", given);
            }
            Action::Drain { builder, .. } => {
                prop_assert!(builders.insert(*builder), "drained once, and not given out");
                prop_assert_eq!(farm.get(*builder).state, BuilderState::Ready);
            }
            Action::Expire {
                builder, from, to, ..
            } => {
                prop_assert!(
                    builders.insert(*builder),
                    "whose time is over gets nothing else to do"
                );
                prop_assert_eq!(farm.get(*builder).state, *from);
                prop_assert!(from.may_become(*to));
                prop_assert!(is_overdue(farm.get(*builder), farm.now), "not before its time");
            }
            Action::Move { builder, to, .. } => {
                prop_assert!(builders.insert(*builder), "moved once, and nothing else");
                let moved = farm.get(*builder);
                prop_assert!(moved.state.may_become(*to));
                let is_homeless = !farm.pools.contains_key(&moved.pool);
                let is_for_nobody = is_homeless && moved.state.when_unwanted() == Some(*to);
                let is_too_many = moved.state == BuilderState::Planned
                    && *to == BuilderState::Abandoned
                    && farm
                        .pools
                        .get(&moved.pool)
                        .is_some_and(|pool| farm.of(&moved.pool).count() > pool.spec.size.max as usize);
                prop_assert!(
                    moved.mark.is_some() || is_for_nobody || is_too_many,
                    "nobody wants that: {:?}",
                    moved
                );
            }
            Action::Launch { .. } => {}
        }
    }
    for builder in farm
        .builders
        .iter()
        .filter(|builder| is_overdue(builder, farm.now))
    {
        prop_assert!(builders.contains(&builder.id), "no time is over unnoticed");
    }
    Ok(())
}

/// Every attempt is served or told why not, and those that wait keep their order and count from 1.
fn every_attempt_is_served_or_told_why_not(farm: &Farm, plan: &Plan) -> Promise {
    let (order, given) = (farm.in_order(), given(plan));
    let left: Vec<_> = order.iter().filter(|it| !given.contains_key(&it.id)).collect();
    let waits: Vec<_> = plan.waits.iter().map(|wait| wait.attempt).collect();
    prop_assert_eq!(left.iter().map(|it| it.id).collect::<Vec<_>>(), waits);
    for (wait, position) in plan.waits.iter().zip(1..) {
        prop_assert_eq!(wait.position, position);
        prop_assert!(!wait.reason.is_empty());
    }
    prop_assert_eq!(given.len() + left.len(), farm.queue.len());
    Ok(())
}

/// A builder goes to the first in the queue that it is for: a used one to its sandbox and no other, before a fresh one; from the
/// pool with the highest priority that has one.
fn builders_go_to_who_is_first_from_the_pool_that_is_preferred(farm: &Farm, plan: &Plan) -> Promise {
    let given = given(plan);
    let serves = |builder: &Builder, attempt: &QueuedAttempt| {
        let pool = farm.pools.get(&builder.pool);
        let is_for = builder.sandbox.is_none() || builder.sandbox == attempt.sandbox;
        let is_fit = !builder.lacks.blocks(&attempt.chroot);
        is_for && is_fit && builder.is_for_use() && pool.is_some_and(|pool| pool.spec.offers(&attempt.chroot))
    };
    let rank = |builder: &Builder| (builder.sandbox.is_some(), farm.pools[&builder.pool].spec.priority);
    let mut free: Vec<&Builder> = farm
        .builders
        .iter()
        .filter(|builder| builder.is_for_use())
        .collect();
    for attempt in &*farm.in_order() {
        let best = free
            .iter()
            .filter(|it| serves(it, attempt))
            .map(|it| rank(it))
            .max();
        let got = given.get(&attempt.id).map(|id| farm.get(*id));
        prop_assert_eq!(got.map(rank), best, "{} of {}", attempt.id, attempt.chroot);
        if let Some(got) = got {
            prop_assert!(serves(got, attempt), "{} for {}", got.pool, attempt.chroot);
            let turn = |it: &Builder| (it.drift.is_some(), it.entered_at);
            let is_alike = |it: &Builder| {
                let is_fit = !it.lacks.blocks(&attempt.chroot);
                it.pool == got.pool && it.sandbox == got.sandbox && is_fit
            };
            let earlier = free.iter().any(|it| is_alike(it) && turn(it) < turn(got));
            prop_assert!(
                !earlier,
                "those that are as they should be go first, and the oldest of them"
            );
            free.retain(|it| it.id != got.id);
        }
    }
    Ok(())
}

/// What differs leaves no faster than the pool's limits say: what is fit for no build, and what waits for its turn.
fn what_differs_leaves_a_few_at_a_time(farm: &Farm, plan: &Plan) -> Promise {
    let drained = drained(plan);
    for (name, pool) in &farm.pools {
        let goes = |it: &&Builder| drained.contains(&it.id) && it.drift.is_some() && !it.is_unwanted();
        let all = u32::try_from(farm.of(name).count()).unwrap();
        let budget = pool.spec.drift.budget.of(all);
        let at_once = budget.max(pool.spec.launch.parallel) as usize;
        // Who is used, and kept no longer than the pool says, or idle for too long leaves besides.
        let is_idle = |it: &Builder| farm.now.since(it.entered_at) >= Duration::from_secs(90);
        let in_turn = farm
            .of(name)
            .filter(goes)
            .filter(|it| it.sandbox.is_none() && !is_idle(it));
        let (urgent, others): (Vec<_>, Vec<_>) = in_turn.partition(|it| is_urgent(it));
        prop_assert!(urgent.len() <= at_once, "fit for nothing: {}", urgent.len());
        prop_assert!(others.len() <= budget as usize, "in their turn: {}", others.len());
        prop_assert!(others.is_empty() || pool.cloud == CloudHealth::Answers);
    }
    Ok(())
}

/// Nobody waits for nothing while a pool that gets its machines has room for one more.
fn who_waits_has_a_builder_that_comes_or_no_room_anywhere(farm: &Farm, plan: &Plan) -> Promise {
    for wait in &plan.waits {
        let is_coming = wait.reason.starts_with("a builder of pool ");
        for (name, pool) in farm
            .pools
            .iter()
            .filter(|(_, pool)| pool.spec.offers(&wait.chroot))
        {
            let launched = launched(plan, name);
            let has_room = pool.cloud == CloudHealth::Answers
                && pool.history.failures < 3
                && farm.of(name).count() + launched < pool.spec.size.max as usize
                && farm.starting(name) + launched < pool.spec.launch.parallel as usize
                // A launch without an answer may be a reason to ask for no more, and a builder that this plan gives up is one
                // more failure.
                && !farm.of(name).any(|it| it.state == BuilderState::Resolving)
                && !farm.of(name).any(|it| is_overdue(it, farm.now));
            // Those that its cloud refused are asked for again, and may be waited for.
            let is_refused = farm.of(name).any(|it| it.refusal.is_some());
            let is_served = is_coming || is_refused && wait.reason.ends_with("it is asked again");
            prop_assert!(is_served || !has_room, "{} has room: {}", name, wait.reason);
        }
    }
    Ok(())
}

/// Without need, a pool goes neither below its minimum nor below the idle ones that it wants, and an operator's builder stays.
fn what_is_let_go_is_not_needed(farm: &Farm, plan: &Plan) -> Promise {
    let (drained, given) = (drained(plan), given(plan));
    let given: BTreeSet<_> = given.values().copied().collect();
    for builder in &farm.builders {
        let is_made_well = farm.pools.contains_key(&builder.pool) && !is_urgent(builder);
        let is_wanted = is_made_well && !builder.is_unwanted();
        let is_ready = builder.state == BuilderState::Ready;
        if drained.contains(&builder.id) && is_wanted && builder.drift.is_none() {
            let idle = farm.now.since(builder.entered_at);
            let pool = &farm.pools[&builder.pool];
            // With what the plan launches: of those who wait some may fill the pool, and the next one needs room.
            let will_be = farm.of(&builder.pool).count() + launched(plan, &builder.pool);
            let is_over = if builder.sandbox.is_some() {
                pool.spec.reuse.scope == ReuseScope::Never
                    || idle >= Duration::from_secs(90)
                    || will_be >= pool.spec.size.max as usize
            } else {
                idle >= Duration::from_secs(600)
            };
            prop_assert!(is_over && !builder.cordoned, "{:?}", builder);
        }
        prop_assert!(
            !is_ready
                || is_wanted
                || is_urgent(builder)
                || builder.is_to_be_held()
                || drained.contains(&builder.id),
            "{:?}",
            builder
        );
    }
    for (name, pool) in &farm.pools {
        let surplus = farm
            .of(name)
            .filter(|it| drained.contains(&it.id) && it.drift.is_none() && it.sandbox.is_none())
            .filter(|it| !it.is_unwanted())
            .count();
        if surplus == 0 {
            continue;
        }
        let is_overdue = |it: &&Builder| is_overdue(it, farm.now);
        let ends = |it: &&Builder| {
            BuilderState::ENDING.contains(&it.state) || it.is_unwanted() || drained.contains(&it.id)
        };
        let lasting = farm.of(name).filter(|it| !ends(it) && !is_overdue(it)).count();
        let free = farm
            .of(name)
            .filter(|it| it.is_for_use() && it.sandbox.is_none() && !given.contains(&it.id))
            .count();
        // Whoever is reserved for too long, or busy, may go on all the same: they are at least as many.
        let going_on = lasting + farm.of(name).filter(is_overdue).filter(|it| !ends(it)).count();
        prop_assert!(
            going_on >= pool.spec.size.min as usize,
            "minimum of {}: {}",
            name,
            going_on
        );
        prop_assert!(
            free >= surplus + pool.spec.size_at(farm.now, 0).idle as usize,
            "idle ones of {}",
            name
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn whatever_the_farm_looks_like_the_plan_keeps_its_promises(farm in any_farm()) {
        let decided = plan(&farm);
        prop_assert_eq!(&decided, &plan(&farm), "the same snapshot gives the same plan");
        launches_are_within_limits(&farm, &decided)?;
        each_builder_has_one_thing_to_do(&farm, &decided)?;
        every_attempt_is_served_or_told_why_not(&farm, &decided)?;
        builders_go_to_who_is_first_from_the_pool_that_is_preferred(&farm, &decided)?;
        who_waits_has_a_builder_that_comes_or_no_room_anywhere(&farm, &decided)?;
        what_is_let_go_is_not_needed(&farm, &decided)?;
        what_differs_leaves_a_few_at_a_time(&farm, &decided)?;
    }
}
