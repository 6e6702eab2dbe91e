//! Which machine it is, how it is reached, and which key it has to prove. There is no "accept anything".

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use model::{BuilderId, BuilderState, PoolName, fleet::ProvisionSpec};
use provisioner::Target;
use runtime::Settings;
use shell::{ClientKey, Endpoint, HostKey};
use store::Builder;

use super::{Arguments, farm_key, refuse_to_change};
use crate::database;

/// How the ids of builders begin.
const PREFIX: &str = "bdr_";

/// A builder of this farm.
pub(super) struct Ours {
    pub(super) id: BuilderId,
    pub(super) pool: PoolName,
    pub(super) state: BuilderState,
    address: String,
    port: u16,
    host_key: HostKey,
}

/// The builder that the command line names, if it names one by its id.
pub(super) async fn ours(settings: &Settings, arguments: &Arguments) -> anyhow::Result<Option<Ours>> {
    if !arguments.host.starts_with(PREFIX) {
        return Ok(None);
    }
    let id: BuilderId = arguments.host.parse()?;
    let found = database::with(settings, async |store| Ok(store.builder(id).await?));
    let builder = found.await?.with_context(|| {
        format!("there is no builder {id}; `verdigris fleet status` shows those there are")
    })?;
    let ours = Ours::of(builder)?;
    if !arguments.check {
        refuse_to_change(&ours)?;
    }
    Ok(Some(ours))
}

impl Ours {
    fn of(builder: Builder) -> anyhow::Result<Self> {
        let missing = |what: &str| format!("builder {} is {} and has no {what}", builder.id, builder.state);
        let host_key = builder.host_key.as_deref();
        let host_key = host_key.with_context(|| missing("host key"))?;
        Ok(Self {
            id: builder.id,
            state: builder.state,
            address: builder.address.clone().with_context(|| missing("address"))?,
            port: builder.port,
            host_key: HostKey::parse(host_key)?,
            pool: builder.pool,
        })
    }
}

/// All that says how a machine is reached.
pub(super) struct Machine<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) ours: Option<&'a Ours>,
    pub(super) provision: Option<&'a ProvisionSpec>,
}

impl Machine<'_> {
    pub(super) fn target(&self, settings: &Settings) -> anyhow::Result<Target> {
        let endpoint = self.endpoint();
        let host_key = self.host_key(&endpoint)?;
        Ok(Target {
            host_key,
            key: self.key(settings)?,
            endpoint,
            connection: None,
        })
    }

    fn endpoint(&self) -> Endpoint {
        let connect = self.provision.map(|provision| &provision.connect);
        let host = self.ours.map_or(&self.arguments.host, |ours| &ours.address);
        let port = self.arguments.port.or(self.ours.map(|ours| ours.port));
        let port = port.or(connect.map(|connect| connect.port));
        let user = self.arguments.user.as_ref();
        let user = user.or(connect.map(|connect| &connect.user));
        Endpoint::new(host, port.unwrap_or(22), user.map_or("root", String::as_str))
    }

    /// The key that the machine has to prove.
    fn host_key(&self, endpoint: &Endpoint) -> anyhow::Result<HostKey> {
        if let Some(text) = &self.arguments.host_key {
            return HostKey::parse(text).context("--host-key");
        }
        if let (Some(ours), None) = (self.ours, &self.arguments.known_hosts) {
            return Ok(ours.host_key.clone());
        }
        let (file, is_default) = match &self.arguments.known_hosts {
            Some(file) => (file.clone(), false),
            None => (default_known_hosts(), true),
        };
        let known = match HostKey::known(&endpoint.host, endpoint.port, &file) {
            Err(_) if is_default && !file.exists() => Vec::new(),
            found => found?,
        };
        let Some(key) = known.into_iter().next() else {
            let (host, port) = (&endpoint.host, endpoint.port);
            bail!(
                "{} has no host key of {host}, port {port}. Give it with --host-key or name another file with --known-hosts; \
                 `ssh-keyscan -t ed25519 -p {port} {host}` shows the key, which has to be compared with what the machine \
                 itself shows on its console",
                file.display()
            );
        };
        Ok(key)
    }

    /// The private key that the machine lets in.
    fn key(&self, settings: &Settings) -> anyhow::Result<ClientKey> {
        if let Some(file) = &self.arguments.key {
            let text =
                std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
            return ClientKey::parse(&text).with_context(|| file.display().to_string());
        }
        farm_key(settings)?.with_context(|| {
            let secrets = settings.storage.secrets();
            format!(
                "there is no key of the farm in {}; name the key that the machine lets in with --key FILE",
                secrets.display()
            )
        })
    }
}

fn default_known_hosts() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    home.unwrap_or_else(|| Path::new("/root").to_owned())
        .join(".ssh/known_hosts")
}
