//! `verdigris image bake`: from a builder to an image.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use cloud::{Cloud, NewImage};
use controller::{BOOT_TAG, Calls, Spender, playbook_digest, playbook_variables, rationed};
use model::{
    PoolName,
    fleet::{CloudProfile, CloudSpec, FleetSpec, PoolKind, ProvisionSpec},
};
use provisioner::{Mode, PlaybookRunner as _, Provisioner, Request, Target};
use runtime::{
    CancellationToken, Settings,
    clock::{self, Clock},
    telemetry,
};
use serde_json::{Map, Value, json};
use shell::{ClientKey, Endpoint, HostKey};
use store::{Builder, Store};
use tracing::info;

use super::{
    BakeArguments,
    machine::Machines,
    make::{self, Origin},
    older,
    shown::{self, Baked},
};
use crate::{
    complain, database,
    fleet::BAD_CONFIG,
    parts::{self, BadConfig},
    say,
    secrets::Secrets,
    signals::stop_at_signals,
};

/// What is played on the builder before an image is made of it.
const PLAYBOOK: &str = "image.yml";
/// How long that may take.
const CLEANED_WITHIN: Duration = Duration::from_secs(300);

/// Bakes, and tells what came of it.
pub(super) async fn bake(arguments: &BakeArguments) -> anyhow::Result<ExitCode> {
    match baked(arguments).await {
        Ok(words) => {
            say(&words);
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            if arguments.json {
                say(&json!({"error": format!("{error:#}")}).to_string());
            }
            if !BadConfig::is_cause_of(&error) {
                return Err(error);
            }
            complain(&format!("{error:#}"));
            Ok(ExitCode::from(BAD_CONFIG))
        }
    }
}

async fn baked(arguments: &BakeArguments) -> anyhow::Result<String> {
    let settings = Settings::load(arguments.config.config.as_deref())?;
    telemetry::start(&settings.log)?;
    database::with(&settings, async |store| {
        let (fleet, _) = parts::fleet_in_force(&settings, &store).await?;
        let wanted = Wanted::read(&settings, &store, &fleet, arguments).await?;
        let baked = match wanted.is_there(arguments).await? {
            Some(baked) => baked,
            None => wanted.bake(arguments).await?,
        };
        Ok(match arguments.json {
            true => baked.as_json(&fleet),
            false => baked.as_text(&fleet),
        })
    })
    .await
}

/// All that an image of a pool is made with.
struct Wanted<'a> {
    settings: &'a Settings,
    store: &'a Store,
    fleet: &'a FleetSpec,
    pool: PoolName,
    /// The cloud's name, and what the file says of it.
    cloud_name: &'a str,
    cloud_spec: &'a CloudSpec,
    cloud: Arc<dyn Cloud>,
    /// The id of the pool's image.
    base: String,
    provision: &'a ProvisionSpec,
    provisioner: Provisioner,
    key: ClientKey,
    vars: Map<String, Value>,
    digest: String,
    begun: Instant,
}

impl<'a> Wanted<'a> {
    async fn read(
        settings: &'a Settings,
        store: &'a Store,
        fleet: &'a FleetSpec,
        arguments: &BakeArguments,
    ) -> anyhow::Result<Self> {
        let (pool, spec) = parts::pool(fleet, &arguments.pool)?;
        let PoolKind::Cloud { image } = spec.kind() else {
            bail!("pool {pool} has fixed hosts, of which nobody makes images");
        };
        let missing = |what: &str, name: &str| format!("there is no {what} `{name}` in the fleet file");
        let choices = store.image_choices(fleet.fleet).await?;
        let base = fleet.image_id(image, &choices).map(str::to_owned);
        let name = image;
        let image = fleet.images.get(name).with_context(|| missing("image", name))?;
        let base = base.with_context(|| {
            format!("which image images.{name}.select is, no controller has found out yet: `verdigris fleet status` says why")
        })?;
        let cloud_spec = fleet.clouds.get(&image.cloud);
        let cloud_spec = cloud_spec.with_context(|| missing("cloud", &image.cloud))?;
        let provision = fleet.provision.get(&spec.provision);
        let provision = provision.with_context(|| missing("provision", &spec.provision))?;
        let cloud = parts::ec2(cloud_spec, None).with_context(|| format!("clouds.{}", image.cloud))?;
        let spender = Spender {
            store: store.clone(),
            clock: Clock::System,
            calls: Calls::default(),
        };
        let of = (fleet.fleet, image.cloud.as_str(), cloud_spec);
        let cloud = rationed(Arc::new(cloud), of, &spender);
        let provisioner = parts::provisioner(settings, fleet)?;
        ensure!(
            provisioner.playbooks().any(|name| name == PLAYBOOK),
            "there is no playbook {PLAYBOOK} among those of `fleet.playbooks`: it takes from a builder what may be in no image. The one \
             that this program brings is a good one"
        );
        let key = Secrets::open(&settings.storage.secrets())?.builder_key()?;
        let chroots = store.chroots().await?;
        let url = settings.http.builder_url();
        let vars = playbook_variables(fleet, (pool, ""), &key, &url, &chroots)?;
        Ok(Self {
            settings,
            store,
            fleet,
            pool: pool.clone(),
            cloud_name: &image.cloud,
            cloud_spec,
            cloud,
            base,
            digest: playbook_digest(&provisioner, provision, &vars),
            provision,
            provisioner,
            key,
            vars,
            begun: Instant::now(),
        })
    }

    /// The name of the image that is made of a builder.
    fn name_of(&self, builder: &Builder) -> String {
        format!("verdigris-{}-{}", self.pool, builder.id)
    }

    /// What is told of an image, by its id and its name.
    fn told(&self, (image, name): (String, String)) -> Baked {
        Baked {
            pool: self.pool.clone(),
            cloud: self.cloud_name.to_owned(),
            image,
            name,
            is_new: true,
            base: self.base.clone(),
            playbook: self.provision.playbook.clone(),
            digest: self.digest.clone(),
            has_boot_tasks: self.provisioner.has_tag(&self.provision.playbook, BOOT_TAG),
            older: Vec::new(),
            deleted: Vec::new(),
            seconds: self.begun.elapsed().as_secs(),
        }
    }

    /// The pool's image, where it was made by the same playbook already and no other one is to be made.
    async fn is_there(&self, arguments: &BakeArguments) -> anyhow::Result<Option<Baked>> {
        let asked = self.cloud.image(&self.base).await;
        let image =
            asked.with_context(|| format!("asking cloud {} for image {}", self.cloud_name, self.base))?;
        let image = image.with_context(|| {
            let (cloud, base) = (self.cloud_name, &self.base);
            format!("the cloud {cloud} has no image {base}, or none that this account may use")
        })?;
        let is_same = image.made_by() == Some(self.digest.as_str());
        if arguments.again || !is_same {
            return Ok(None);
        }
        Ok(Some(Baked {
            is_new: false,
            ..self.told((image.id, image.name))
        }))
    }

    async fn bake(&self, arguments: &BakeArguments) -> anyhow::Result<Baked> {
        let slot = format!("bake-{}", uuid::Uuid::now_v7().simple());
        let machines = Machines {
            settings: self.settings,
            store: self.store,
            fleet: self.fleet,
            pool: &self.pool,
            slot: &slot,
            begun: self.begun,
            limit: arguments.timeout.get(),
        };
        let builder = machines.held().await?;
        let stop = CancellationToken::new();
        stop_at_signals(stop.clone())?;
        let made = tokio::select! {
            made = self.image_of(&builder, machines.left()) => made,
            () = stop.cancelled() => Err(anyhow!("it was interrupted; an image of builder {} may be left", builder.id)),
            () = tokio::time::sleep(machines.left()) => Err(anyhow!("it was not done in {}", arguments.timeout)),
        };
        machines.release(builder.id).await;
        let id = made?;
        let (older, deleted) = self.others(&id, arguments.delete_older).await?;
        Ok(Baked {
            older,
            deleted,
            ..self.told((id, self.name_of(&builder)))
        })
    }

    /// Takes from the builder what may be in no image, and has one made of it.
    async fn image_of(&self, builder: &Builder, limit: Duration) -> anyhow::Result<String> {
        let missing = |what: &str| format!("builder {} is held and has no {what}", builder.id);
        let instance_id = builder.instance_id.clone().with_context(|| missing("instance"))?;
        self.clean(builder)
            .await
            .with_context(|| format!("builder {}", builder.id))?;
        let origin = Origin {
            fleet: self.fleet.fleet,
            pool: self.pool.clone(),
            base: builder.image.clone(),
            digest: self.digest.clone(),
        };
        let is_amazon = self.cloud_spec.profile == CloudProfile::Aws;
        let wanted = NewImage {
            instance_id,
            name: self.name_of(builder),
            description: format!(
                "a builder of pool {}, made by {}",
                self.pool, self.provision.playbook
            ),
            // Eucalyptus shows a machine as stopped meanwhile, which the controller takes for its end; nothing writes there.
            may_stop: is_amazon,
            tags: if is_amazon { origin.tags() } else { BTreeMap::new() },
        };
        make::make(self.cloud.as_ref(), &Clock::System, (&wanted, &origin), limit).await
    }

    /// Plays the playbook that makes a builder fit for an image.
    async fn clean(&self, builder: &Builder) -> anyhow::Result<()> {
        let address = builder.address.as_deref().context("it has no address")?;
        let host_key = builder.host_key.as_deref().context("it has no host key")?;
        let target = Target {
            endpoint: Endpoint::new(address, builder.port, &self.provision.connect.user),
            host_key: HostKey::parse(host_key)?,
            key: self.key.clone(),
            connection: None,
        };
        let request = Request {
            playbook: PLAYBOOK,
            vars: &self.vars,
            mode: Mode::Apply,
            limit: CLEANED_WITHIN,
            part: None,
            progress: None,
        };
        let report = self.provisioner.play(&target, &request).await?;
        info!(
            "{PLAYBOOK} was played on builder {}: {} tasks.",
            builder.id,
            report.tasks.len()
        );
        Ok(())
    }

    /// The images that were baked for the pool before and that nobody uses, and those of them that were deleted, if that was asked. Who
    /// uses which is read here, since the bake took minutes: a controller may have chosen meanwhile, and the file may be another one.
    async fn others(&self, new: &str, deletes: bool) -> anyhow::Result<(Vec<String>, Vec<String>)> {
        let images = self.cloud.images(self.fleet.fleet).await;
        let images =
            images.with_context(|| format!("image {new} is there, and older ones could not be asked for"))?;
        let (in_force, _) = parts::fleet_in_force(self.settings, self.store).await?;
        let choices = self.store.image_choices(self.fleet.fleet).await?;
        let mut used = shown::named(&in_force, &choices);
        // What the file said when the bake began, which the printed words go by, counts as well.
        used.extend(shown::named(self.fleet, &choices));
        for fleet in [self.fleet, &in_force] {
            used.extend(older::selected(&images, fleet, clock::now()));
        }
        let builders = self.store.builders(None).await?;
        used.extend(builders.into_iter().map(|builder| builder.image));
        let older = older::superseded(&images, (self.fleet.fleet, &self.pool), new, &used);
        let deleted = match deletes {
            true => older::delete(self.cloud.as_ref(), &older).await,
            false => Vec::new(),
        };
        Ok((older, deleted))
    }
}
