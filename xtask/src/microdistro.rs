//! A small RPM distribution out of Debian's packages, for machines that can reach no RPM distribution's mirrors.
//!
//! A chroot builder needs a DNF repository to install a build root from. The Debian packages of a minimal one are
//! downloaded through apt, unpacked, folded into a merged /usr and packaged again, all by one rpmbuild run of one
//! generated spec: the same files, Debian's dependencies between them, the library provides that RPM finds itself, and
//! a table of the names that spec files use. No maintainer script is kept: what those would have made is a package of ours. Nothing here needs root.

mod debian;
mod spec;
mod stage;
mod tables;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::apt;
use crate::cache::{Cache, Scratch, make_current, short_digest};
use crate::process::Tool;
use crate::progress::{Count, Step};

/// The chroot that builds in this distribution ask for.
pub(crate) const CHROOT: &str = "microdistro-1-x86_64";

/// The package that requires all of a build root.
pub(crate) const GROUP: &str = "microdistro-buildroot";

/// Raised by hand when the code here makes other packages out of the same tables.
const VERSION: u32 = 1;

/// The repository's directory, made if it is missing.
pub(crate) fn make(cache: &Cache) -> Result<PathBuf> {
    let codename = apt::codename()?;
    if std::env::consts::ARCH != "x86_64" {
        bail!(
            "the micro-distribution is made on x86_64 only, and this is {}",
            std::env::consts::ARCH
        );
    }
    let _lock = cache.lock("microdistro")?;
    let digest = digest(&codename);
    let store = cache.path("microdistro");
    let place = store.join(&digest);
    let repository = place.join("repo");
    if !repository.exists() {
        let step = Step::start("micro-distribution: an RPM distribution out of Debian's packages");
        let scratch = Scratch::beside(&store)?;
        let log = store.join(format!("{digest}.log"));
        if log.exists() {
            fs_err::remove_file(&log)?;
        }
        let made = build(scratch.path(), &log, &step)?;
        // One that was killed in the middle may have left an empty place.
        fs_err::create_dir_all(&place)?;
        fs_err::rename(scratch.path().join("repo"), &repository)?;
        step.done(format!("{made} packages in {}", repository.display()));
    }
    make_current(&store.join("current"), &digest)?;
    Ok(repository)
}

/// The name of the distribution that is made out of a Debian release.
fn digest(codename: &str) -> String {
    short_digest(format!("{VERSION} {codename} {}", tables::all()))
}

/// Makes `repo` below `work`; how many packages are in it.
fn build(work: &Path, log: &Path, step: &Step) -> Result<usize> {
    // Lists first: on a fresh machine apt has none.
    apt::archives(log)?;
    let wanted = tables::BUILD_ROOT
        .iter()
        .chain(tables::ON_REQUEST)
        .copied()
        .collect::<Vec<_>>();
    let names = apt::closure(work, &wanted)?;
    step.note(format!("{} packages are needed", names.len()));
    apt::download(work, &wanted, names.len(), log)?;
    pack(work, &names, log, step)
}

/// Makes `repo` below `work` out of the Debian packages of these names in `debs`; how many packages are in it.
fn pack(work: &Path, names: &BTreeSet<String>, log: &Path, step: &Step) -> Result<usize> {
    let packages = debian::read_all(&work.join("debs"), names)?;
    step.note("unpacking");
    let staged = stage::unpack(work, &packages, log)?;
    let text = spec::write(&packages, &staged);
    let file = work.join("microdistro.spec");
    fs_err::write(&file, text)?;
    run_rpmbuild(work, &file, &staged.tree, log, packages.len() + 2)?;
    let repository = work.join("repo");
    Tool::new("createrepo_c")
        .args(["--quiet", "--no-database"])
        .arg(&repository)
        .log(log)?;
    let is_package = |entry: &fs_err::DirEntry| entry.path().extension().is_some_and(|end| end == "rpm");
    let made = fs_err::read_dir(&repository)?.flatten();
    Ok(made.filter(is_package).count())
}

fn run_rpmbuild(work: &Path, spec: &Path, tree: &Path, log: &Path, total: usize) -> Result<()> {
    let mut count = Count::of("packaged", total);
    let define = |name: &str, value: &Path| format!("{name} {}", value.display());
    Tool::new("rpmbuild")
        .arg("-bb")
        .args(["--define".to_owned(), define("_topdir", &work.join("rpmbuild"))])
        .args(["--define".to_owned(), define("_rpmdir", &work.join("repo"))])
        .args(["--define".to_owned(), define("staged_tree", tree)])
        .args([
            "--define",
            "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
        ])
        .arg(spec)
        // The caller's own macros must not change the packages.
        .env("HOME", work)
        .watch(log, |line| {
            if line.starts_with("Wrote:") {
                count.one_more();
            }
        })
        .context("packaging Debian's files as RPMs")
}

#[cfg(test)]
pub(crate) mod tests;
