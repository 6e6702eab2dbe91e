//! What the farm holds: all playbooks and provision files, loaded once and checked.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use shell::{Connection, Timeouts};
use tokio::time::Instant;

use crate::error::{Error, Mistake};
use crate::folder::{self, File, Links};
use crate::playbook::Playbook;
use crate::report::{Mode, Report};
use crate::runner::{Run, evaluated_vars};
use crate::scratch::Scratch;
use crate::staging::Staging;
use crate::target::{PlaybookRunner, Request, Target};
use crate::value;

/// The largest playbook, in bytes.
const MAX_PLAYBOOK: usize = 1024 * 1024;

/// The variable that says where the rendered provision files are, and the name of that folder.
const STAGED: &str = "staged";

/// Where the builder's own programs are among the provision files.
const PROGRAMS: &str = "builder/";

/// All playbooks and provision files, ready to be run.
pub struct Provisioner {
    /// By name; with the mistakes of one that ours does not understand, and that only the real Ansible plays.
    playbooks: BTreeMap<String, Result<Playbook, Vec<Mistake>>>,
    /// Everything in the folder of playbooks.
    files: Vec<File>,
    staging: Staging,
    hash: String,
    files_hash: String,
    programs_hash: String,
}

impl Provisioner {
    /// Reads everything below both folders; parses every `*.yml` that lies in `playbooks` itself, and compiles the templates.
    ///
    /// # Errors
    /// [`Error::Mistakes`] with all mistakes of all files, [`Error::File`].
    pub fn load(playbooks: &Path, provision_files: &Path) -> Result<Self, Error> {
        Self::load_beside_ansible(playbooks, provision_files, None)
    }

    /// The same where the real Ansible plays too: only the playbooks of these names have to be what ours understands. Others may
    /// use more of its language, or be parts of playbooks.
    ///
    /// # Errors
    /// As [`Provisioner::load`], but for what is in those others.
    pub fn load_beside_ansible(
        playbooks: &Path,
        provision_files: &Path,
        ours: Option<&BTreeSet<String>>,
    ) -> Result<Self, Error> {
        let is_ours = |name: &str| ours.is_none_or(|ours| ours.contains(name));
        let mut hash = Sha256::new();
        let mut parsed = BTreeMap::new();
        let mut mistakes: Vec<Mistake> = Vec::new();
        let files = folder::read(playbooks, Links::Followed)?;
        folder::add(&mut hash, "playbooks", files.iter());
        for (name, text) in playbooks_of(playbooks, &files)? {
            if text.len() > MAX_PLAYBOOK {
                let message = format!("it is larger than {MAX_PLAYBOOK} bytes");
                mistakes.push(Mistake::of_file(name, message));
                continue;
            }
            let playbook = Playbook::parse(name, text);
            match &playbook {
                Err(found) if is_ours(name) => mistakes.extend(found.iter().cloned()),
                _ => drop(parsed.insert(name.to_owned(), playbook)),
            }
        }
        let staging = match Staging::load(provision_files) {
            Ok(staging) => staging,
            Err(Error::Mistakes(found)) => {
                mistakes.extend(found);
                return Err(Error::Mistakes(mistakes));
            }
            Err(error) => return Err(error),
        };
        if !mistakes.is_empty() {
            return Err(Error::Mistakes(mistakes));
        }
        folder::add(&mut hash, "provision-files", staging.files().iter());
        let all = staging.files().iter();
        let (programs, others): (Vec<&File>, Vec<&File>) =
            all.partition(|file| file.path.starts_with(PROGRAMS));
        let mut files_hash = Sha256::new();
        folder::add(&mut files_hash, "playbooks", files.iter());
        folder::add(&mut files_hash, "provision-files", others.into_iter());
        let mut programs_hash = Sha256::new();
        folder::add(&mut programs_hash, "provision-files", programs.into_iter());
        Ok(Self {
            playbooks: parsed,
            files,
            staging,
            hash: hex::encode(hash.finalize()),
            files_hash: hex::encode(files_hash.finalize()),
            programs_hash: hex::encode(programs_hash.finalize()),
        })
    }

    /// SHA-256 over everything in both folders, in hexadecimal, also over what playbooks of the real Ansible may use beside
    /// themselves: two builders made with the same hash and the same variables are alike.
    pub fn configuration_hash(&self) -> &str {
        &self.hash
    }

    /// As [`Provisioner::configuration_hash`], but for the builder's own programs.
    pub fn files_hash(&self) -> &str {
        &self.files_hash
    }

    /// SHA-256 over the builder's own programs, those in `builder` of the provision-files, in hexadecimal. Whoever runs a build on
    /// a builder relies on them.
    pub fn programs_hash(&self) -> &str {
        &self.programs_hash
    }

    /// The names of the playbooks.
    pub fn playbooks(&self) -> impl Iterator<Item = &str> {
        self.playbooks.keys().map(String::as_str)
    }

    /// Whether any task of a playbook has a tag, as far as that is known: of one that only the real Ansible understands it is not.
    pub fn has_tag(&self, playbook: &str, tag: &str) -> bool {
        self.playbook(playbook)
            .is_ok_and(|playbook| playbook.has_tag(tag))
    }

    /// Runs a playbook over a connection. All or nothing is for the caller: a run that failed may have changed
    /// some things, and the next run goes on from there.
    ///
    /// `vars` win over the playbook's own. In check mode nothing is changed on the host, and the report tells
    /// what would be, with diffs.
    ///
    /// # Errors
    /// [`Error::UnknownPlaybook`]; [`Error::Mistakes`] and [`Error::File`] from rendering; [`Error::TaskFailed`],
    /// [`Error::Connection`], [`Error::Deadline`].
    pub async fn run(
        &self,
        connection: &Connection,
        playbook: &str,
        vars: &Map<String, Value>,
        mode: Mode,
        deadline: Duration,
    ) -> Result<Report, Error> {
        let request = Request {
            playbook,
            vars,
            mode,
            limit: deadline,
            part: None,
            progress: None,
        };
        self.play_over(connection, &request).await
    }

    async fn play_over(&self, connection: &Connection, request: &Request<'_>) -> Result<Report, Error> {
        let playbook = self.playbook(request.playbook)?;
        let mut vars = request.vars.clone();
        let staged = match playbook.uses_staged {
            true => Some(self.staged(playbook, &vars)?),
            false => None,
        };
        if let Some(scratch) = &staged {
            let path = scratch.path(STAGED).display().to_string();
            vars.insert(STAGED.to_owned(), Value::String(path));
        }
        let vars = vars
            .into_iter()
            .map(|(name, given)| (name, value::Value::from(given)));
        let shell = connection.open_shell();
        let ran = Run::new(&shell, playbook, vars.collect(), request).run().await;
        shell.close().await;
        ran
    }

    /// Renders the provision files as `run` would, into `directory`, for the real `ansible-playbook`
    /// (`-e staged=DIRECTORY`).
    ///
    /// # Errors
    /// [`Error::UnknownPlaybook`], [`Error::Mistakes`], [`Error::File`].
    pub fn stage(&self, playbook: &str, vars: &Map<String, Value>, directory: &Path) -> Result<(), Error> {
        let playbook = self.playbook(playbook)?;
        self.staging
            .write(directory, &template_variables(playbook, vars)?)
    }

    fn staged(&self, playbook: &Playbook, vars: &Map<String, Value>) -> Result<Scratch, Error> {
        let scratch = Scratch::new()?;
        self.staging
            .write(&scratch.path(STAGED), &template_variables(playbook, vars)?)?;
        Ok(scratch)
    }

    /// Renders the provision files for the real Ansible: into `directory`, unless the playbook is known to need none of them.
    /// Of a playbook that ours does not understand, templates see the given variables only.
    pub(crate) fn stage_for_ansible(
        &self,
        request: &Request<'_>,
        directory: &Path,
    ) -> Result<Option<PathBuf>, Error> {
        let variables = match self.known(request.playbook)? {
            Ok(playbook) if !playbook.uses_staged => return Ok(None),
            Ok(playbook) => template_variables(playbook, request.vars)?,
            Err(_) => request.vars.clone(),
        };
        self.staging.write(directory, &variables)?;
        Ok(Some(directory.to_owned()))
    }

    /// Everything in the folder of playbooks, as it was read.
    pub(crate) fn files(&self) -> &[File] {
        &self.files
    }

    /// A playbook that ours understands.
    fn playbook(&self, name: &str) -> Result<&Playbook, Error> {
        let playbook = self.known(name)?.as_ref();
        playbook.map_err(|mistakes| Error::Mistakes(mistakes.clone()))
    }

    fn known(&self, name: &str) -> Result<&Result<Playbook, Vec<Mistake>>, Error> {
        self.playbooks.get(name).ok_or_else(|| Error::UnknownPlaybook {
            name: name.to_owned(),
            known: self.playbooks.keys().cloned().collect(),
        })
    }
}

/// Our own runner: the whole playbook over one connection.
#[async_trait]
impl PlaybookRunner for Provisioner {
    async fn play(&self, target: &Target, request: &Request<'_>) -> Result<Report, Error> {
        // A name that is wrong is told without asking the machine.
        self.playbook(request.playbook)?;
        if let Some(connection) = &target.connection {
            return self.play_over(connection, request).await;
        }
        let begun = Instant::now();
        let default = Timeouts::default();
        let timeouts = Timeouts {
            handshake: default.handshake.min(request.limit),
            ..default
        };
        let opening = Connection::open(&target.endpoint, &target.key, &target.host_key, timeouts);
        let connection = opening.await.map_err(Error::Unreachable)?;
        let left = Request {
            limit: request.limit.saturating_sub(begun.elapsed()),
            ..*request
        };
        let played = self.play_over(&connection, &left).await;
        connection.close().await;
        played
    }
}

/// What templates see: the variables given, and the playbook's own where none is given.
fn template_variables(playbook: &Playbook, given: &Map<String, Value>) -> Result<Map<String, Value>, Error> {
    let given: value::Map = given
        .iter()
        .map(|(name, given)| (name.clone(), value::Value::from(given.clone())))
        .collect();
    let mut variables = given.clone().into_iter().collect();
    let mut all = value::Map::new();
    for play in &playbook.plays {
        // One that needs `staged` itself, which is not there yet, cannot be needed for rendering.
        let needs_staging = |value: &value::Value| value.to_string().contains("staged");
        let vars: Vec<_> = play
            .vars
            .iter()
            .filter(|(_, value)| !needs_staging(value))
            .cloned()
            .collect();
        let found = evaluated_vars(&vars, &given, &mut variables)
            .map_err(|message| Error::Mistakes(vec![Mistake::of_file(&playbook.file, message)]))?;
        all.extend(found);
    }
    all.extend(given);
    Ok(all
        .into_iter()
        .map(|(name, value)| (name, value.to_json()))
        .collect())
}

/// The playbooks among the files of their folder: those in the folder itself, by their names, with their texts.
fn playbooks_of<'a>(folder: &Path, files: &'a [File]) -> Result<Vec<(&'a str, &'a str)>, Error> {
    let is_playbook = |file: &&File| file.path.ends_with(".yml") && !file.path.contains('/');
    let texts = files.iter().filter(is_playbook).map(|file| {
        let text = std::str::from_utf8(&file.content);
        let text = text.map_err(|error| {
            let cause = io::Error::new(io::ErrorKind::InvalidData, error);
            folder::unreadable(&folder.join(&file.path), cause)
        })?;
        Ok((file.path.as_str(), text))
    });
    texts.collect()
}

#[cfg(test)]
mod tests;
