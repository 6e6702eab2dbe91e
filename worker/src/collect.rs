//! From a builder's results to a signed set of packages in its place. The manifest says what there is; its
//! names, sizes and digests are checked before and while anything is written, and every RPM is read and
//! verified before it is signed.

use std::path::{Path, PathBuf};

use model::Blame;
use repository::{
    BuildDirectory, Manifest, Package, PackageMetadata, RepositoryId, SigningKey,
    manifest::{ManifestEntry, ManifestLimits},
};
use runtime::clock;
use serde_json::Value;
use store::{Allocation, Attempt, BuiltPackage, CollectedPackage, Outcome};
use tokio::fs::File;
use tracing::warn;

use crate::{
    Context, Error, archive, blocking,
    builder::{ANSWER_LIMIT, Builder, Verdict},
    signer::signing_key,
};

/// Collects what a finished build left and says what that means.
pub(crate) async fn collect(
    context: &Context,
    allocation: &Allocation,
    builder: &Builder,
    verdict: &Verdict,
) -> Result<Outcome, Error> {
    let attempt = &allocation.attempt;
    match verdict.result.as_str() {
        "succeeded" => {}
        // A wish of ours is heeded before this. It is how a build ends whose machine is shut down in good order.
        "cancelled" => {
            return Err(Error::Builder(
                "the build was ended on its builder, and nobody here wished it".to_owned(),
            ));
        }
        "skipped" => {
            return Ok(Outcome::Skipped {
                reason: verdict.reason.clone(),
            });
        }
        "failed" => return failed(context, allocation, builder, verdict).await,
        other => return Err(Error::Builder(format!("a verdict `{other}`"))),
    }
    let repository = repository_of(allocation);
    let build = build_directory(attempt)?;
    let (staged, manifest) = fetch(context, allocation, builder, Wanted::Everything).await?;
    let key = signing_key(context, attempt.project).await?;
    let publisher = context.publisher.clone();
    let architecture = attempt.chroot.architecture().to_owned();
    let account = archive::account(attempt, verdict, clock::now());
    let (placed_in, packages) = blocking(move || {
        let packages = sign_all(&staged, &manifest, &key, &build, &architecture)?;
        let whole = archive::complete(&staged, &manifest, &account)?;
        publisher.place_results(&repository, &build, &staged, &whole)?;
        Ok((build.to_string(), packages))
    })
    .await?;
    if packages.iter().all(|package| package.is_source) {
        return Ok(Outcome::Failed {
            blame: Blame::Package,
            reason: "the build succeeded and made no binary package".to_owned(),
            evidence: None,
            result_directory: Some(placed_in),
        });
    }
    Ok(Outcome::Collected {
        result_directory: placed_in,
        packages,
    })
}

fn repository_of(allocation: &Allocation) -> RepositoryId {
    let attempt = &allocation.attempt;
    RepositoryId {
        owner: attempt.owner.clone(),
        directory: attempt.directory.clone(),
        chroot: attempt.chroot.clone(),
    }
}

/// Where the results of an attempt go. Its package is known: only its source phase could lack one.
fn build_directory(attempt: &Attempt) -> Result<BuildDirectory, Error> {
    match &attempt.package {
        Some(package) => Ok(BuildDirectory {
            build: attempt.build,
            package: package.clone(),
        }),
        None => Err(Error::Lost(format!("attempt {} has no package", attempt.id))),
    }
}

/// The logs of a build that failed are kept as results are; its packages, if any, are not.
async fn failed(
    context: &Context,
    allocation: &Allocation,
    builder: &Builder,
    verdict: &Verdict,
) -> Result<Outcome, Error> {
    let attempt = &allocation.attempt;
    let repository = repository_of(allocation);
    let build = build_directory(attempt)?;
    let result_directory = match fetch(context, allocation, builder, Wanted::Logs).await {
        Ok((staged, manifest)) => {
            let publisher = context.publisher.clone();
            let directory = build.to_string();
            let account = archive::account(attempt, verdict, clock::now());
            blocking(move || {
                let whole = archive::complete(&staged, &manifest, &account)?;
                Ok(publisher.place_results(&repository, &build, &staged, &whole)?)
            })
            .await?;
            Some(directory)
        }
        Err(error @ Error::Connection(_)) => return Err(error),
        Err(error) => {
            warn!(attempt.id = %attempt.id, "The logs of a failed build were not taken: {error}");
            None
        }
    };
    let blame = match verdict.blame.as_deref().map(str::parse) {
        Some(Ok(blame)) => blame,
        _ => {
            return Err(Error::Builder(
                "a failure without a blame that is known".to_owned(),
            ));
        }
    };
    let evidence = verdict.evidence.clone();
    Ok(Outcome::Failed {
        blame,
        reason: verdict.reason.clone(),
        evidence,
        result_directory,
    })
}

/// Which results are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// All there are; packages that cannot be taken make the build a failure.
    Everything,
    /// All but packages.
    Logs,
}

/// Copies the wanted files of the manifest into an empty directory here; what is there then.
async fn fetch(
    context: &Context,
    allocation: &Allocation,
    builder: &Builder,
    wanted: Wanted,
) -> Result<(PathBuf, Manifest), Error> {
    let offer = builder.manifest(context.limits.result_bytes).await?;
    check_refused(&offer.refused, wanted)?;
    let limits = ManifestLimits {
        files: context.limits.result_files,
        total_bytes: context.limits.result_bytes,
        manifest_bytes: ANSWER_LIMIT,
    };
    let all = Manifest::parse(offer.files.to_string().as_bytes(), &limits)?;
    let free = free_bytes(context.publisher.root())?;
    if free < context.limits.min_free_bytes.saturating_add(all.total_bytes()) {
        return Err(Error::File {
            what: format!(
                "collecting {} bytes of results with {free} bytes of disk free",
                all.total_bytes()
            ),
            source: std::io::ErrorKind::StorageFull.into(),
        });
    }
    let (publisher, id) = (context.publisher.clone(), repository_of(allocation));
    let (directory, epoch) = (build_directory(&allocation.attempt)?, allocation.epoch);
    let staged = blocking(move || Ok(publisher.stage(&id, &directory, epoch)?)).await?;
    let mut taken = Vec::new();
    for entry in all.entries() {
        if wanted == Wanted::Everything || !entry.name.ends_with(".rpm") {
            take(builder, &staged, entry).await?;
            taken.push(entry.clone());
        }
    }
    Ok((staged, Manifest::new(taken, &limits)?))
}

/// A package that the builder holds and will not hand over would be missing from a build that succeeded.
fn check_refused(refused: &[Value], wanted: Wanted) -> Result<(), Error> {
    for one in refused {
        let field = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default();
        let words = format!("the result {} cannot be taken: {}", field("name"), field("why"));
        if wanted == Wanted::Everything && field("name").ends_with(".rpm") {
            return Err(Error::Refused(words));
        }
        warn!("{words}");
    }
    Ok(())
}

async fn take(builder: &Builder, staged: &Path, entry: &ManifestEntry) -> Result<(), Error> {
    let path = staged.join(&entry.name);
    let failed = |source| Error::File {
        what: format!("writing {}", path.display()),
        source,
    };
    let mut file = File::create_new(&path).await.map_err(failed)?;
    let got = builder.fetch(&entry.name, entry.size, &mut file).await?;
    file.sync_all().await.map_err(failed)?;
    if got.size != entry.size || got.sha256 != entry.sha256 {
        return Err(Error::Builder(format!(
            "{} is not what its manifest says",
            entry.name
        )));
    }
    Ok(())
}

fn free_bytes(path: &Path) -> Result<u64, Error> {
    let found = rustix::fs::statvfs(path).map_err(|cause| Error::File {
        what: format!("asking {} for free space", path.display()),
        source: cause.into(),
    })?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

fn digest(path: &Path) -> Result<(u64, String), Error> {
    use sha2::Digest as _;
    let failed = |source| Error::File {
        what: format!("reading {}", path.display()),
        source,
    };
    let mut digest = sha2::Sha256::new();
    let mut file = fs_err::File::open(path).map_err(failed)?;
    let size = std::io::copy(&mut file, &mut digest).map_err(failed)?;
    Ok((size, hex::encode(digest.finalize())))
}

/// Verifies and signs every RPM, and describes it for the repository.
fn sign_all(
    staged: &Path,
    manifest: &Manifest,
    key: &SigningKey,
    build: &BuildDirectory,
    architecture: &str,
) -> Result<Vec<CollectedPackage>, Error> {
    let installed = match manifest.get(INSTALLED) {
        Some(entry) => fs_err::read(staged.join(&entry.name)).map_err(|source| Error::File {
            what: format!("reading {INSTALLED}"),
            source,
        })?,
        None => Vec::new(),
    };
    let installed = String::from_utf8_lossy(&installed);
    let mut packages = Vec::new();
    for entry in manifest.entries().filter(|entry| entry.name.ends_with(".rpm")) {
        let path = staged.join(&entry.name);
        let found = repository::read_package(&path)?;
        if let Some(why) = objection(&found, &entry.name, architecture, &installed) {
            return Err(Error::Refused(format!("{} {why}", entry.name)));
        }
        repository::sign_package(&path, key, clock::now())?;
        let signed = repository::read_package(&path)?;
        let (size, sha256) = digest(&path)?;
        let metadata = PackageMetadata::new(&signed, &build.href(&entry.name));
        packages.push(CollectedPackage {
            file_name: entry.name.clone(),
            sha256,
            size,
            is_source: signed.is_source(),
            package: BuiltPackage {
                name: signed.name.clone(),
                epoch: i64::from(signed.epoch),
                version: signed.version.clone(),
                release: signed.release.clone(),
                architecture: signed.arch.clone(),
            },
            metadata_json: serde_json::to_string(&metadata)
                .map_err(|cause| Error::Lost(cause.to_string()))?,
        });
    }
    Ok(packages)
}

/// The name of the list of packages that the build root had, which the builder writes.
const INSTALLED: &str = "installed_pkgs.log";

/// Why a package is not taken, behind its name.
fn objection(found: &Package, file_name: &str, architecture: &str, installed: &str) -> Option<String> {
    if found.file_name() != file_name {
        return Some(format!("holds the package {}", found.file_name()));
    }
    if found.format >= 6 && !reads_format_6(installed) {
        return Some(format!(
            "has the package format {}, which clients of the chroot may not verify: by {INSTALLED} its rpm is not version 6",
            found.format
        ));
    }
    if !found.is_source() && !repository::belongs(&found.arch, architecture) {
        return Some(format!("is not for {architecture}"));
    }
    None
}

/// Whether the chroot's own rpm, by the list of its packages, reads and verifies packages of format 6: rpm 6 does.
fn reads_format_6(installed: &str) -> bool {
    let names = installed.lines().filter_map(|line| line.split(' ').next());
    let mut majors = names.filter_map(|name| {
        let version = name.strip_prefix("rpm-")?;
        let version = version
            .split_once(':')
            .map_or(version, |(_epoch, version)| version);
        version.split_once('.')?.0.parse::<u32>().ok()
    });
    majors.any(|major| major >= 6)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Error, Wanted, check_refused, reads_format_6};

    #[test]
    fn only_a_chroot_with_rpm_6_reads_format_6() {
        for (installed, reads) in [
            (
                "bash-5.2-1.x86_64 1 2 3 installed\nrpm-6.0.1-1.fc44.x86_64 1 2 3 installed\n",
                true,
            ),
            ("rpm-1:10.1-1.x86_64 1 2 3 installed\n", true),
            (
                "rpm-4.18.0+dfsg-1.x86_64 1 2 3 installed\nrpm-libs-6.0-1.x86_64 1 2 3 installed\n",
                false,
            ),
            ("", false),
        ] {
            assert_eq!(reads_format_6(installed), reads, "{installed}");
        }
    }

    #[test]
    fn a_package_that_is_not_handed_over_fails_a_build_that_succeeded_and_no_other() {
        let link = [json!({"name": "evil-1-1.noarch.rpm", "why": "it is a symbolic link"})];
        let refused = check_refused(&link, Wanted::Everything).unwrap_err();
        assert!(matches!(&refused, Error::Refused(words) if words.contains("evil-1-1.noarch.rpm")));
        assert!(check_refused(&link, Wanted::Logs).is_ok());
        let log = [json!({"name": "core\\x00", "why": "its name"})];
        assert!(check_refused(&log, Wanted::Everything).is_ok());
    }
}
