//! Reads the fleet file anew when it changes, and at SIGHUP, and hands what was read to the controller.

use std::{
    io::IsTerminal as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::ensure;
use controller::{Controller, Files, News};
use runtime::{CancellationToken, Settings, Supervisor};
use shell::ClientKey;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tracing::info;

use crate::{
    check, embedded,
    parts::{self, Embedded},
};

/// How often it is looked whether the file changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What tells one state of a file from another: when it was written, how long it is, and which file it is, since editors and
/// Kubernetes put another one in its place.
type Stamp = (i64, i64, u64, u64);

/// Where the files are read from.
pub(crate) struct Source {
    pub(crate) settings: Settings,
    pub(crate) key: Arc<ClientKey>,
    pub(crate) embedded: Option<Embedded>,
}

impl Source {
    /// The files as they stand now, if a farm could start with them.
    fn read(&self) -> anyhow::Result<Files> {
        let settings = &self.settings;
        let files = parts::files(settings, &self.key, self.embedded.as_ref())?;
        check::provisions(&files.fleet, &files.provisioner)?;
        if self.embedded.is_some() {
            let mistakes = embedded::mistakes(&files.fleet, &embedded::image(settings)?.id);
            let words = parts::in_fleet_file(settings, &mistakes).join("\n");
            ensure!(mistakes.is_empty(), "{words}");
        }
        Ok(files)
    }
}

/// Has the controller follow its files, and begins to look at them.
pub(crate) fn follow(
    controller: Controller,
    source: Source,
    supervisor: &Supervisor,
) -> anyhow::Result<Controller> {
    let (sender, news) = watch::channel(News::default());
    // In a terminal SIGHUP says that the terminal is gone, and ends the program as always.
    let hangup = if std::io::stdin().is_terminal() {
        None
    } else {
        Some(signal(SignalKind::hangup())?)
    };
    let stop = supervisor.stop_token();
    // What stands there now is what the controller was made from.
    let watch = Watch::new(parts::fleet_path(&source.settings));
    supervisor.spawn("fleet file", async move {
        look(source, watch, hangup, sender, stop).await;
        Ok::<(), std::convert::Infallible>(())
    });
    Ok(controller.following(news))
}

async fn look(
    source: Source,
    mut watch: Watch,
    mut hangup: Option<Signal>,
    sender: watch::Sender<News>,
    stop: CancellationToken,
) {
    let source = Arc::new(source);
    let told = async |hangup: &mut Option<Signal>| match hangup {
        Some(hangup) => hangup.recv().await,
        None => std::future::pending().await,
    };
    loop {
        let is_told = tokio::select! {
            () = stop.cancelled() => return,
            Some(()) = told(&mut hangup) => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        if is_told {
            info!("Told to read the fleet file anew.");
        }
        if !watch.has_changed() && !is_told {
            continue;
        }
        let source = Arc::clone(&source);
        let read = move || source.read().map_err(|error| format!("{error:#}"));
        let Ok(read) = tokio::task::spawn_blocking(read).await else {
            return;
        };
        sender.send_modify(|news| news.note(read));
    }
}

/// A file that is looked at again and again.
struct Watch {
    path: PathBuf,
    /// As it was when it was last read.
    read: Option<Stamp>,
    /// As it was at the last look.
    seen: Option<Stamp>,
}

impl Watch {
    fn new(path: PathBuf) -> Self {
        let stamp = stamp(&path);
        Self {
            path,
            read: stamp,
            seen: stamp,
        }
    }

    /// Whether it is to be read: it is another one than it was when it was read, and the same as at the last look, so that
    /// nobody is in the middle of writing it or of putting another one in its place.
    fn has_changed(&mut self) -> bool {
        let now = stamp(&self.path);
        let is_still = now == self.seen;
        self.seen = now;
        let is_due = is_still && now != self.read;
        if is_due {
            self.read = now;
        }
        is_due
    }
}

/// None where there is no file.
fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.mtime(), found.mtime_nsec(), found.len(), found.ino()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_read_once_for_each_change_when_it_has_come_to_rest() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fleet.yaml");
        let mut watch = Watch::new(path.clone());
        assert!(
            !watch.has_changed() && !watch.has_changed(),
            "there is none, as before"
        );
        let mut looks = |what: &str| {
            let looks = [watch.has_changed(), watch.has_changed(), watch.has_changed()];
            assert_eq!(looks, [false, true, false], "{what}");
        };
        std::fs::write(&path, "a: 1\n").unwrap();
        looks("it is new");
        std::fs::write(&path, "a: 12\n").unwrap();
        looks("it was written to");
        let other = directory.path().join("other");
        std::fs::write(&other, "a: 13\n").unwrap();
        std::fs::rename(&other, &path).unwrap();
        looks("another one took its place");
        // As Kubernetes changes a ConfigMap: the file is a link into a directory, whose name is a link to the present one.
        std::fs::remove_file(&path).unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["one", "two"] {
            std::fs::create_dir(at(name)).unwrap();
            std::fs::write(at(name).join("fleet.yaml"), "a: 14\n").unwrap();
        }
        symlink("one", at("..data")).unwrap();
        symlink("..data/fleet.yaml", &path).unwrap();
        looks("it is a link now");
        symlink("two", at("..new")).unwrap();
        std::fs::rename(at("..new"), at("..data")).unwrap();
        looks("the directory is another one");
        std::fs::remove_file(&path).unwrap();
        looks("it is gone");
    }
}
