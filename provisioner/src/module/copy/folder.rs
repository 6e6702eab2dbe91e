//! A whole folder: everything is looked at in one round trip, and only what differs is sent, many files at once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};
use shell::Command;

use super::{Target, copy_bytes, kept_mode, local, read};
use crate::host::Host;
use crate::outcome::{Done, Failure, Problem};
use crate::scripts::{COPY_FILES, FILE, SURVEY};
use crate::value::Value;

/// How many files go in one command, and how many bytes: a command's words are limited, and what it sends is held in memory.
const FILES_AT_ONCE: usize = 100;
const BYTES_AT_ONCE: usize = 4 * 1024 * 1024;

/// What the host has under one name.
struct Found {
    is_folder: bool,
    is_file: bool,
    mode: String,
    /// The name and the number.
    owner: [String; 2],
    group: [String; 2],
    digest: String,
}

impl Found {
    /// What of it is not as wanted, as the script for one file says it. An empty word wants nothing.
    fn differences(&self, mode: &str, target: &Target<'_>) -> Vec<String> {
        let differs =
            |wanted: &str, have: &[String]| !wanted.is_empty() && have.iter().all(|it| it != wanted);
        let mut found = Vec::new();
        if differs(target.owner, &self.owner) {
            found.push(format!("owner {} -> {}", self.owner[0], target.owner));
        }
        if differs(target.group, &self.group) {
            found.push(format!("group {} -> {}", self.group[0], target.group));
        }
        if differs(mode, std::slice::from_ref(&self.mode)) {
            found.push(format!("mode {} -> {mode}", self.mode));
        }
        found
    }
}

/// What all files of one command have in common.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct Place {
    folder: String,
    mode: String,
    owner: String,
    group: String,
}

/// The files of one command.
#[derive(Default)]
struct Parcel {
    /// Size, digest and name of each.
    words: Vec<String>,
    bytes: Vec<u8>,
}

/// Copies what is in a folder, or with the folder's own name if the source has no slash at its end. The modes: whether files
/// keep theirs, and that of folders.
pub(super) async fn copy(
    host: &Host<'_>,
    source: &str,
    target: &Target<'_>,
    modes: (bool, &str),
) -> Result<Done, Failure> {
    let mut dest = target.dest.trim_end_matches('/').to_owned();
    if !source.ends_with('/') {
        let name = Path::new(source)
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        dest = format!("{dest}/{name}");
    }
    let mut entries = vec![(String::new(), None)];
    walk(Path::new(source), "", &mut entries)?;
    let names: Vec<String> = entries.iter().map(|(name, _)| format!("{dest}{name}")).collect();
    let mut copy = Copy {
        host,
        source: source.trim_end_matches('/'),
        target,
        found: survey(host, &names).await?,
        done: Done::default(),
        parcels: BTreeMap::new(),
    };
    let entries = || entries.iter().zip(&names);
    for (_, path) in entries().filter(|((_, file), _)| file.is_none()) {
        copy.folder(path, modes.1).await?;
    }
    for ((name, file), path) in entries() {
        if let Some(kept) = file {
            let mode = if modes.0 { kept } else { target.mode };
            copy.file(name, path, mode).await?;
        }
    }
    copy.send_all().await?;
    let mut done = copy.done;
    done.values
        .insert("dest".to_owned(), Value::Text(target.dest.to_owned()));
    Ok(done)
}

struct Copy<'a> {
    host: &'a Host<'a>,
    source: &'a str,
    target: &'a Target<'a>,
    found: BTreeMap<String, Found>,
    done: Done,
    parcels: BTreeMap<Place, Parcel>,
}

impl Copy<'_> {
    async fn folder(&mut self, path: &str, mode: &str) -> Result<(), Failure> {
        let target = self.target;
        let have = self.found.get(path).filter(|have| have.is_folder);
        if have.is_some_and(|have| have.differences(mode, target).is_empty()) {
            return Ok(());
        }
        let values = ["directory", path, mode, target.owner, target.group, "", "0", "0"];
        let lines = self.host.script("copy", FILE, &values, Vec::new()).await?;
        add(&mut self.done, path, lines.changes());
        Ok(())
    }

    async fn file(&mut self, name: &str, path: &str, mode: &str) -> Result<(), Failure> {
        let content = read(&format!("{}{name}", self.source))?;
        let digest = hex::encode(Sha256::digest(&content));
        let have = self.found.get(path);
        let differences = have.map_or_else(Vec::new, |have| have.differences(mode, self.target));
        let is_same = have.is_some_and(|have| have.is_file && have.digest == digest);
        if is_same && differences.is_empty() {
            return Ok(());
        }
        // One by one go what is not only new content of a file: the script for one says what is in the way, shows
        // differences, and leaves what is not to be replaced.
        let is_plain = have.is_none_or(|have| have.is_file && self.target.force == "1");
        if self.host.check || is_same || !is_plain || content.len() > BYTES_AT_ONCE {
            let one = Target {
                dest: path,
                mode,
                ..*self.target
            };
            let copied = copy_bytes(self.host, &one, content).await?;
            add(&mut self.done, path, copied.changes);
            if let Some(diff) = copied.diff {
                self.done.diff.get_or_insert_default().push_str(&diff);
            }
            return Ok(());
        }
        let place = place(path, mode, self.target, have);
        add(&mut self.done, path, vec![format!("content of {path}")]);
        add(&mut self.done, path, differences);
        // Of all places together: a folder may have very many below it.
        let held: usize = self.parcels.values().map(|parcel| parcel.bytes.len()).sum();
        let is_full = |parcel: &Parcel| parcel.words.len() / 3 >= FILES_AT_ONCE;
        if held + content.len() > BYTES_AT_ONCE || self.parcels.get(&place).is_some_and(is_full) {
            self.send_all().await?;
        }
        let base = path.rsplit('/').next().unwrap_or_default();
        let parcel = self.parcels.entry(place).or_default();
        parcel
            .words
            .extend([content.len().to_string(), digest, base.to_owned()]);
        parcel.bytes.extend(content);
        Ok(())
    }

    async fn send_all(&mut self) -> Result<(), Failure> {
        for (place, parcel) in std::mem::take(&mut self.parcels) {
            send(self.host, &place, parcel).await?;
        }
        Ok(())
    }
}

/// Where a file goes and how. What is not asked for stays as it is; a new file is readable for all, and the user's.
fn place(path: &str, mode: &str, target: &Target<'_>, have: Option<&Found>) -> Place {
    let or = |wanted: &str, have: Option<&String>, new: &str| match (wanted, have) {
        ("", Some(have)) => have.clone(),
        ("", None) => new.to_owned(),
        (wanted, _) => wanted.to_owned(),
    };
    Place {
        folder: path.rsplit_once('/').unwrap_or_default().0.to_owned(),
        mode: or(mode, have.map(|have| &have.mode), "644"),
        owner: or(target.owner, have.map(|have| &have.owner[1]), ""),
        group: or(target.group, have.map(|have| &have.group[1]), ""),
    }
}

async fn send(host: &Host<'_>, place: &Place, parcel: Parcel) -> Result<(), Failure> {
    let values: Vec<&str> = [&place.folder, &place.mode, &place.owner, &place.group]
        .into_iter()
        .chain(&parcel.words)
        .map(String::as_str)
        .collect();
    host.script("copy", COPY_FILES, &values, parcel.bytes).await?;
    Ok(())
}

/// Adds what was changed of one path of many: the path is said where the change does not name it, and a folder that check
/// mode would make for each thing in it is said once.
fn add(done: &mut Done, path: &str, changes: Vec<String>) {
    for change in changes {
        let change = match change.split_once(' ') {
            Some(("mode" | "owner" | "group", _)) => format!("{change} of {path}"),
            _ => change,
        };
        if !done.changes.contains(&change) {
            done.changes.push(change);
        }
    }
}

/// All folders (without a mode) and files (with theirs) below, folders before what is in them.
fn walk(folder: &Path, prefix: &str, entries: &mut Vec<(String, Option<String>)>) -> Result<(), Problem> {
    let shown = folder.display().to_string();
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| local(&shown, &error))? {
        names.push(entry.map_err(|error| local(&shown, &error))?.file_name());
    }
    names.sort();
    for name in names {
        let Some(text) = name.to_str().filter(|text| !text.contains(['\n', '\\'])) else {
            return Err(Problem::new(format!(
                "{shown} holds the name {name:?}, which cannot be copied"
            )));
        };
        let path = folder.join(&name);
        let metadata = fs::metadata(&path).map_err(|error| local(&path.display().to_string(), &error))?;
        let relative = format!("{prefix}/{text}");
        if metadata.is_dir() {
            entries.push((relative.clone(), None));
            walk(&path, &relative, entries)?;
        } else {
            entries.push((relative, Some(kept_mode(&metadata))));
        }
    }
    Ok(())
}

/// Looks at all names in one round trip.
async fn survey(host: &Host<'_>, names: &[String]) -> Result<BTreeMap<String, Found>, Failure> {
    let input = names.iter().map(|name| format!("{name}\n")).collect::<String>();
    let output = host
        .run(
            Command::script("copy", SURVEY, [""; 0]).contained(),
            input.into_bytes(),
        )
        .await?;
    if !output.exit.is_success() || output.truncated {
        return Err(
            Problem::from_output("the files on the host cannot be looked at".to_owned(), &output).into(),
        );
    }
    let mut found = BTreeMap::new();
    for line in output.stdout_text().lines() {
        if let Some((digest, name)) = line.split_once("  ").filter(|(digest, _)| digest.len() == 64) {
            if let Some(Found { digest: known, .. }) = found.get_mut(name) {
                digest.clone_into(known);
            }
            continue;
        }
        let fields: Vec<&str> = line.splitn(7, '|').collect();
        if let [kind, mode, user, uid, group, gid, name] = fields.as_slice() {
            let owned = |pair: [&&str; 2]| pair.map(|text| (*text).to_owned());
            let entry = Found {
                is_folder: *kind == "directory",
                is_file: kind.starts_with("regular"),
                mode: (*mode).to_owned(),
                owner: owned([user, uid]),
                group: owned([group, gid]),
                digest: String::new(),
            };
            found.insert((*name).to_owned(), entry);
        }
    }
    Ok(found)
}
