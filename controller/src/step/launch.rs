//! Asking a cloud for a machine: the row first, then the call.

use std::time::Duration;

use cloud::{Cloud, Instance, Volume};
use model::{
    LaunchId, Offering,
    calls::{Bucket, CallClass, name_of_pool},
    fleet::HostKeySource,
    step::{
        Move,
        launch::{self, Doubt, Reply},
    },
};
use runtime::chance::new_id;
use shell::ClientKey;
use store::{Builder, CallBudget, LaunchAttempt, Lease, NewLaunch};
use tracing::debug;

use super::{Turn, advance, host};
use crate::{Context, Error, calls::Taking, image::Images, request};

/// How long a builder is left alone whose launch only lists tell of for now.
const PAUSE_BEFORE_QUESTION: Duration = Duration::from_secs(10);

/// Commits token and parameters, then calls. Where the cloud may not be asked yet, the builder stays as it is, for as long as the
/// answer says.
pub(super) async fn launch(
    context: &Context,
    lease: &Lease,
    builder: Builder,
    (offering, images): (Offering, &Images),
) -> Result<Duration, Error> {
    let volumes = match volumes(context, &builder, images).await {
        Ok(volumes) => volumes,
        Err(error) => {
            tell_of_volumes(context, lease, &builder, &error).await?;
            return Err(error);
        }
    };
    if let Err(wait) = admit(context, &builder).await {
        return Ok(wait);
    }
    let now = context.clock.now();
    let pool = context.fleet.pools.get(&builder.pool);
    let source = pool.map(|pool| pool.host_key).unwrap_or_default();
    let (public, secret) = match (&builder.host, source) {
        (Some(name), _) => (host::known_key(context, lease, &builder, name).await?, None),
        (None, HostKeySource::Console) => (None, None),
        (None, HostKeySource::UserData) => {
            let host_key = ClientKey::generate(&builder.id.to_string()).map_err(Error::Keys)?;
            let public = host_key.public_openssh().map_err(Error::Keys)?;
            let secret = host_key.private_openssh().map_err(Error::Keys)?;
            (Some(public), Some(secret))
        }
    };
    let shown = public.as_deref().unwrap_or_default();
    let launch = NewLaunch {
        id: LaunchId(new_id()),
        params_hash: request::parameters_hash(&builder.image, &offering, shown),
        offering,
        host_key_public: public,
        host_key_secret: secret,
    };
    let deadline = now.plus(context.deadlines(&builder.pool).launch);
    let builder = context
        .store
        .begin_launch(lease, &builder, &launch, deadline, now)
        .await?;
    let (launch, answer) = ask(context, &builder, volumes).await?;
    // For the cloud: others need not find out the same.
    let failure = unreachable(&builder, &answer);
    let step = launch::after(&launch.offering, reply(answer));
    answered(context, lease, &builder, step).await?;
    failure.map_or(Ok(Duration::ZERO), Err)
}

/// What is said of the volumes of the builder's machine: those of its image that would go on costing when it has ended, and the disk
/// that its pool wants. Nothing is launched while that is not known.
async fn volumes(context: &Context, builder: &Builder, images: &Images) -> Result<Vec<Volume>, Error> {
    if builder.host.is_some() {
        return Ok(Vec::new());
    }
    let pool = context.fleet.pools.get(&builder.pool);
    let disk = pool.and_then(|pool| pool.disk.as_ref());
    images.volumes(cloud_of(context, builder)?, builder, disk).await
}

/// Says in the builder's reason why its launch cannot be asked for, where a person has to mend it: the cloud refuses its word on the
/// image, or the image has no disk such as the pool wants.
async fn tell_of_volumes(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    error: &Error,
) -> Result<(), Error> {
    let words = match error {
        Error::Cloud {
            source: source @ cloud::Error::Refused { .. },
            ..
        } => {
            let image = &builder.image;
            format!(
                "not launched, since it is not known which volumes image {image} would leave behind: {source}"
            )
        }
        Error::Contradiction(words) => format!("not launched: {words}"),
        _ => return Ok(()),
    };
    context.store.annotate_builder(lease, builder, &words).await?;
    Ok(())
}

/// Takes the call for a launch, and its turn among those of its pool, before anything is written down of it. As an error: how long
/// until there is one.
async fn admit(context: &Context, builder: &Builder) -> Result<(), Duration> {
    fn taking<'a>(context: &'a Context, name: &'a str, bucket: Bucket) -> Taking<'a> {
        Taking {
            calls: &context.calls,
            store: &context.store,
            clock: &context.clock,
            budget: CallBudget {
                fleet: context.fleet.fleet,
                cloud: name,
                class: CallClass::Launch,
                bucket,
            },
        }
    }
    let pool = context.fleet.pools.get(&builder.pool);
    let name = name_of_pool(&builder.pool);
    let turn = pool.and_then(|pool| pool.launch.bucket());
    let turn = turn.map(|bucket| taking(context, &name, bucket));
    if let Some(turn) = turn.as_ref().filter(|turn| !turn.take_kept()) {
        let wait = context
            .calls
            .wait(&builder.cloud, CallClass::Launch, context.clock.elapsed());
        if !wait.is_zero() {
            return Err(wait);
        }
        turn.once().await?;
    }
    let spec = context.fleet.clouds.get(&builder.cloud);
    let bucket = spec.and_then(|spec| spec.buckets().remove(&CallClass::Launch));
    let Some(bucket) = bucket else { return Ok(()) };
    let admitted = taking(context, &builder.cloud, bucket).admit().await;
    if let (Err(_), Some(turn)) = (&admitted, &turn) {
        // Another took the cloud's call: the pool's turn may be the only one for minutes.
        turn.keep();
    }
    admitted
}

/// Repeats the question with the same token and the same parameters. Observing adopts an instance by its tag as well.
pub(super) async fn ask_again(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    turn: &Turn,
) -> Result<Duration, Error> {
    let waited = context.clock.now().since(builder.entered_at);
    let cloud = context.fleet.clouds.get(&builder.cloud);
    if let Some(rest) = cloud.and_then(|cloud| launch::rest_before_question(cloud.profile))
        && (turn.doubts.rests(builder.id, rest, context.clock.elapsed())
            || !is_nowhere(context, builder).await?)
    {
        // What a list shows by then, the next look takes over by its tag.
        return Ok(PAUSE_BEFORE_QUESTION.min(rest));
    }
    let (launch, reply) = if launch::only_lists_tell(waited, turn.doubts.count(builder.id)) {
        (
            launch_of(builder)?,
            Reply::Unclear("it is not asked again".to_owned()),
        )
    } else {
        turn.doubts.asked(builder.id, context.clock.elapsed());
        repeat(context, builder, turn).await?
    };
    debug!(builder.id = %builder.id, "Asked again what became of the launch: {reply:?}");
    let step = match launch::after_question(&launch.offering, reply, waited) {
        Doubt::Over(step) => *step,
        Doubt::GoesOn(pause) => return Ok(pause),
        Doubt::Unless(pause) => {
            if !is_nowhere(context, builder).await? {
                turn.doubts.forget(builder.id);
                return Ok(pause);
            }
            if turn.doubts.missed(builder.id) < launch::LISTS_WITHOUT_IT {
                return Ok(pause);
            }
            launch::nowhere()
        }
    };
    answered(context, lease, builder, step).await?;
    Ok(Duration::ZERO)
}

/// Asks once more for the launch that is on record, word for word; what is answered.
async fn repeat<'a>(
    context: &Context,
    builder: &'a Builder,
    turn: &Turn,
) -> Result<(&'a LaunchAttempt, Reply), Error> {
    let known = match volumes(context, builder, &turn.images).await {
        // The file wants a disk by now that could not be asked for: it was not when the launch was.
        Err(Error::Contradiction(_)) => {
            let cloud = cloud_of(context, builder)?;
            turn.images.volumes(cloud, builder, None).await
        }
        known => known,
    };
    match known {
        Ok(volumes) => {
            let (launch, answer) = ask(context, builder, volumes).await?;
            if let Some(failure) = unreachable(builder, &answer) {
                return Err(failure);
            }
            Ok((launch, reply(answer)))
        }
        // The question cannot be repeated word for word; the cloud's lists go on telling.
        Err(Error::Cloud { source, .. }) if matches!(source, cloud::Error::Refused { .. }) => {
            Ok((launch_of(builder)?, Reply::Unclear(source.to_string())))
        }
        Err(error) => Err(error),
    }
}

/// Writes down what came of a launch. That the instance is another builder's is no lost race: it is told in the builder's reason and
/// as an error, since only operators can find out what is so.
async fn answered(context: &Context, lease: &Lease, builder: &Builder, step: Move) -> Result<(), Error> {
    let names_one = step.instance_id.is_some();
    let what = match advance(context, lease, builder, step).await {
        Ok(_) => return Ok(()),
        Err(store::Error::Conflict { what }) if names_one => what,
        Err(error) => return Err(error.into()),
    };
    let row = context.store.builder(builder.id).await?;
    if row.is_none_or(|row| row.version != builder.version) {
        return Err(store::Error::Conflict { what }.into());
    }
    context.store.annotate_builder(lease, builder, &what).await?;
    Err(Error::Contradiction(format!(
        "cloud {} gives builder {} a machine that cannot be its: {what}",
        builder.cloud, builder.id
    )))
}

/// The cloud's answer to the launch that is on record.
async fn ask<'a>(
    context: &Context,
    builder: &'a Builder,
    volumes: Vec<Volume>,
) -> Result<(&'a LaunchAttempt, Result<Instance, cloud::Error>), Error> {
    let launch = launch_of(builder)?;
    let request = request::launch_request(&context.fleet, builder, launch, (&context.key, volumes))?;
    Ok((launch, cloud_of(context, builder)?.launch(&request).await))
}

fn launch_of(builder: &Builder) -> Result<&LaunchAttempt, Error> {
    builder.launch.as_ref().ok_or_else(|| {
        let (id, state) = (builder.id, builder.state);
        Error::Contradiction(format!("builder {id} is {state} without a launch"))
    })
}

fn reply(answer: Result<Instance, cloud::Error>) -> Reply {
    match answer {
        Ok(instance) => Reply::Instance(instance.id),
        Err(error) => error.reply(),
    }
}

/// That the cloud was not there to answer, where it was not.
fn unreachable(builder: &Builder, answer: &Result<Instance, cloud::Error>) -> Option<Error> {
    match answer {
        Err(source) if source.is_away() => Some(Error::Cloud {
            cloud: builder.cloud.clone(),
            source: source.clone(),
        }),
        Ok(_) | Err(_) => None,
    }
}

fn cloud_of<'a>(context: &'a Context, builder: &Builder) -> Result<&'a dyn Cloud, Error> {
    let found = context.clouds.get(&builder.cloud).map(AsRef::as_ref);
    found.ok_or_else(|| Error::Contradiction(format!("there is no cloud `{}` in fleet.yaml", builder.cloud)))
}

/// Whether the cloud lists no machine for it.
async fn is_nowhere(context: &Context, builder: &Builder) -> Result<bool, Error> {
    let listed = cloud_of(context, builder)?.list(context.fleet.fleet).await;
    let listed = listed.map_err(|source| Error::Cloud {
        cloud: builder.cloud.clone(),
        source,
    })?;
    Ok(listed
        .iter()
        .all(|instance| instance.builder() != Some(builder.id)))
}
