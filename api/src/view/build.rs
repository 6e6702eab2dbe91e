//! Builds and their chroots.

use std::collections::BTreeMap;

use model::{BuildId, BuildState, DirectoryName, Glob, OwnerName};
use poem_openapi::Object;
use serde::Serialize;
use store::{Build, BuildChroot, BuildSummary};

use crate::{
    http::{
        arguments::FromFields,
        fields::{Fields, MistakeStyle},
    },
    settings::{ApiSettings, MAX_BUILD_TIMEOUT},
    view::chroot_url,
};

/// The source package of a build.
#[derive(Debug, Object, Serialize)]
#[oai(rename = "SourcePackage")]
pub(crate) struct SourcePackageView {
    /// The name of the source package, such as `hello`; null until it is known.
    pub(crate) name: Option<String>,
    /// The address from which the source package can be downloaded.
    pub(crate) url: Option<String>,
    /// Its version and release, such as `1.0-1`, or `2:1.0-1` with an epoch; null until it is known.
    pub(crate) version: Option<String>,
}

/// A build: one source package, built in one or more chroots of a project.
#[derive(Debug, Object, Serialize)]
#[oai(rename = "Build")]
pub(crate) struct BuildView {
    /// The names of the chroots that it is built in, such as `fedora-43-x86_64`.
    pub(crate) chroots: Vec<String>,
    /// When the last of its chroots ended, in seconds since 1970; null before all have.
    pub(crate) ended_on: Option<i64>,
    /// The build's number, unique on the farm. Later builds have higher numbers.
    pub(crate) id: i64,
    /// Whether it is in the background: all builds that are not are served before it.
    pub(crate) is_background: bool,
    /// The name of the project's owner: a user such as `alice`, or a group such as `@team`.
    pub(crate) ownername: String,
    /// The project's directory that the results go to: the project's name, or that with a suffix, such as `demo:pr:1`.
    pub(crate) project_dirname: String,
    /// The name of the project, such as `demo`.
    pub(crate) projectname: String,
    /// The address of the project's results, without a slash at its end. A chroot's name behind it gives the chroot's
    /// repository.
    pub(crate) repo_url: String,
    /// The source package that is built.
    pub(crate) source_package: SourcePackageView,
    /// When the first of its chroots started, in seconds since 1970; null before that.
    pub(crate) started_on: Option<i64>,
    /// The build's state: `importing`, `waiting`, `pending` (in the queue), `starting`, `running`, `succeeded`, `failed`,
    /// `canceled`, `skipped` or `forked`. It follows from the states of its chroots: it runs while one of them runs, and fails
    /// if one of them fails.
    pub(crate) state: String,
    /// When it was submitted, in seconds since 1970-01-01 00:00 UTC.
    pub(crate) submitted_on: i64,
    /// The name of the user who submitted it; null if no user did.
    pub(crate) submitter: Option<String>,
}

/// The path of a build's source below `/results`.
pub(crate) fn source_path(owner: &OwnerName, directory: &DirectoryName, id: BuildId) -> String {
    format!("/results/{owner}/{directory}/srpm-builds/{:08}/", id.0)
}

impl BuildView {
    /// One build.
    pub(crate) fn new(build: &Build, settings: &ApiSettings) -> Self {
        Self::of(build.summary(), settings)
    }

    /// One of a list.
    pub(crate) fn of(build: BuildSummary, settings: &ApiSettings) -> Self {
        let (owner, project) = (build.owner.as_str(), build.project_name.as_str());
        let source = source_path(&build.owner, &build.directory, build.id);
        let chroots = build.chroots.iter().map(|name| name.as_str().to_owned());
        Self {
            id: build.id.0,
            state: build.state.as_str().to_owned(),
            ownername: owner.to_owned(),
            projectname: project.to_owned(),
            project_dirname: build.directory.as_str().to_owned(),
            // Also of a build in another directory: Copr's clients know it so.
            repo_url: settings.url(format_args!("/results/{owner}/{project}")),
            chroots: chroots.collect(),
            source_package: SourcePackageView {
                name: build.package.as_ref().map(|name| name.as_str().to_owned()),
                url: Some(settings.url(format_args!("{source}{}", build.source_file))),
                version: build.version,
            },
            submitted_on: build.submitted_at.as_seconds(),
            started_on: build.started_at.map(model::Timestamp::as_seconds),
            ended_on: build.ended_at.map(model::Timestamp::as_seconds),
            submitter: build.submitter.as_ref().map(|name| name.as_str().to_owned()),
            is_background: build.is_background,
        }
    }
}

/// A chroot of a build: what came of the build in this chroot.
#[derive(Debug, Object)]
#[oai(rename = "BuildChroot")]
pub(crate) struct BuildChrootView {
    /// The chroot's name, such as `fedora-43-x86_64`.
    pub(crate) name: String,
    /// The state of the build in this chroot: `importing`, `waiting`, `pending` (in the queue), `starting`, `running`,
    /// `succeeded`, `failed`, `canceled`, `skipped` or `forked`.
    pub(crate) state: String,
    /// When the build started in this chroot, in seconds since 1970; null before that.
    pub(crate) started_on: Option<i64>,
    /// When the build ended in this chroot, in seconds since 1970; null before that.
    pub(crate) ended_on: Option<i64>,
    /// The address of its log and results, with a slash at its end; null while there can be none, and for a chroot that was
    /// skipped.
    pub(crate) result_url: Option<String>,
}

/// The name of the directory that holds a chroot's results.
pub(crate) fn result_directory(build: &Build, chroot: &BuildChroot) -> Option<String> {
    chroot.result_directory.clone().or_else(|| {
        build
            .package
            .as_ref()
            .map(|package| format!("{:08}-{package}", build.id.0))
    })
}

/// The address of a chroot's results, with a slash at its end; none while there can be nothing. One that was skipped has a log
/// if it was a builder that said so.
pub(crate) fn result_url(build: &Build, chroot: &BuildChroot, settings: &ApiSettings) -> Option<String> {
    match chroot.state {
        BuildState::Waiting | BuildState::Importing => return None,
        BuildState::Skipped if chroot.result_directory.is_none() => return None,
        _ => {}
    }
    let directory = result_directory(build, chroot)?;
    let base = chroot_url(settings, &build.owner, &build.directory, &chroot.name);
    Some(format!("{base}{directory}/"))
}

impl BuildChrootView {
    /// From the database's view.
    pub(crate) fn new(build: &Build, chroot: &BuildChroot, settings: &ApiSettings) -> Self {
        Self {
            name: chroot.name.to_string(),
            state: chroot.state.to_string(),
            started_on: chroot.started_at.map(model::Timestamp::as_seconds),
            ended_on: chroot.ended_at.map(model::Timestamp::as_seconds),
            result_url: result_url(build, chroot, settings),
        }
    }
}

/// The source package of a build, as Copr shows it: a chroot of its own in which the source package was made.
#[derive(Debug, Object)]
#[oai(rename = "SourceChroot")]
pub(crate) struct SourceChrootView {
    /// The state of making the source package; `succeeded` for one that was uploaded.
    pub(crate) state: String,
    /// The address of the directory with the source package, with a slash at its end.
    pub(crate) result_url: Option<String>,
}

/// A repository that a build uses besides those of its chroot.
#[derive(Debug, Object)]
#[oai(rename = "Repository")]
pub(crate) struct RepositoryView {
    /// The repository's id in dnf's configuration, such as `copr_base`.
    pub(crate) id: String,
    /// The repository's name in dnf's configuration, for people.
    pub(crate) name: String,
    /// The repository's address, with all variables filled in but those that only dnf knows.
    pub(crate) baseurl: String,
    /// The repository's priority in dnf's configuration: 1 is the strongest. Left out where it is dnf's own default, 99.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) priority: Option<i64>,
    /// Whether the signature of the metadata is checked; left out where the client decides.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) repo_gpgcheck: Option<bool>,
    /// Whether its packages may replace those of a module; left out where not.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) module_hotfixes: Option<bool>,
}

/// The settings of a build in one chroot.
#[derive(Debug, Object)]
#[oai(rename = "BuildChrootConfig")]
pub(crate) struct BuildChrootConfigView {
    /// The repositories that the build may use besides the distribution's, as the project names them.
    pub(crate) additional_repos: Vec<String>,
    /// Names of packages that are installed in the chroot besides the usual ones.
    pub(crate) additional_packages: Vec<String>,
    /// What is given to rpmbuild as `--with`, one entry for each.
    pub(crate) with_opts: Vec<String>,
    /// What is given to rpmbuild as `--without`, one entry for each.
    pub(crate) without_opts: Vec<String>,
    /// Whether the programs of the build reach the network.
    pub(crate) enable_net: bool,
    /// Whether it is in the background: all builds that are not are served before it.
    pub(crate) is_background: bool,
    /// Always 2048, Copr's usual number of MiB: its clients expect the field. This farm sets no limit by it.
    pub(crate) memory_limit: i64,
    /// How long the build may take in this chroot, in seconds. It is ended then, and fails.
    pub(crate) timeout: i64,
    /// How mock is asked to make the chroot; left out for mock's default. It is stored only: this farm does not act on it.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) bootstrap: Option<String>,
    /// How mock isolates the build from its machine; left out for mock's default.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) isolation: Option<String>,
    /// The same repositories with their addresses filled in, those of the project first.
    pub(crate) repos: Vec<RepositoryView>,
}

/// A package that a build made, by the parts of its name.
#[derive(Debug, Object)]
#[oai(rename = "BuiltPackage")]
pub(crate) struct BuiltPackageView {
    /// The package's name, such as `hello-devel`.
    pub(crate) name: String,
    /// The package's epoch; 0 if it has none.
    pub(crate) epoch: i64,
    /// The package's version, such as `1.0`.
    pub(crate) version: String,
    /// The package's release, such as `1.fc43`.
    pub(crate) release: String,
    /// The package's architecture, such as `x86_64` or `noarch`; `src` for a source package.
    pub(crate) arch: String,
}

/// The packages that a build made in one chroot.
#[derive(Debug, Object)]
pub(crate) struct BuiltPackages {
    /// The packages, sorted by name.
    pub(crate) packages: Vec<BuiltPackageView>,
}

/// An answer that only has something to say.
#[derive(Debug, Object)]
pub(crate) struct Message {
    /// A sentence for people; programs should not read it.
    pub(crate) message: String,
}

/// How many builds one request may delete: they go in one transaction.
const MOST_BUILDS: usize = 200;

/// The builds that are meant, by number.
#[derive(Debug, Object)]
pub(crate) struct BuildIds {
    /// The numbers of the builds: from 1 to 200 of them. All have to be of projects that the caller may change.
    #[oai(validator(min_items = 1, max_items = 200))]
    pub(crate) builds: Vec<i64>,
}

impl FromFields for BuildIds {
    fn from_fields(fields: &mut Fields) -> Self {
        let [missing, empty] = ["This field is required.", "At least one build must be named."];
        let mistake = if fields.has("builds") { empty } else { missing };
        let builds = fields.numbers("builds");
        if builds.is_empty() && fields.is_good() {
            fields.reject("builds", mistake);
        }
        if builds.len() > MOST_BUILDS {
            fields.reject(
                "builds",
                format!("At most {MOST_BUILDS} builds can be deleted at once."),
            );
        }
        Self { builds }
    }
}

/// What to build where, and how.
#[derive(Clone, Debug, Object)]
pub(crate) struct BuildArguments {
    /// The name of the project's owner: a user such as `alice`, or a group such as `@team`.
    pub(crate) ownername: String,
    /// The name of the project to build in.
    pub(crate) projectname: String,
    /// The project's directory that the results go to: the project's name, or that with a suffix, such as `demo:pr:1`. The
    /// project's name unless given.
    pub(crate) project_dirname: Option<String>,
    /// How long the build may take in each chroot, in seconds: from 0 to 108000. 0 means 18000, and so does leaving it out.
    #[oai(validator(minimum(value = "0"), maximum(value = "108000")))]
    pub(crate) timeout: Option<i64>,
    /// The project's chroots to build in, as names or patterns with `*` and `?`, such as `fedora-43-*`; all of them unless
    /// given.
    pub(crate) chroots: Option<Vec<String>>,
    /// Chroots to leave out of those, as names or patterns with `*` and `?`; none unless given.
    pub(crate) exclude_chroots: Option<Vec<String>>,
    /// Whether the build is put into the background: all builds that are not are served before it. False unless given.
    pub(crate) background: Option<bool>,
    /// Whether the programs of the build reach the network; as the project says unless given.
    pub(crate) enable_net: Option<bool>,
    /// How mock is asked to make the chroot; `unchanged`, as the project says, unless given. It is stored only: this farm does
    /// not act on it.
    pub(crate) bootstrap: Option<String>,
    /// How mock isolates the build from its machine; `unchanged`, as the project says, unless given.
    pub(crate) isolation: Option<String>,
}

/// What a build's or a project's `bootstrap` can be.
pub(crate) const BOOTSTRAPS: [&str; 5] = ["unchanged", "default", "on", "off", "image"];

/// What a build's or a project's `isolation` can be.
pub(crate) const ISOLATIONS: [&str; 4] = ["unchanged", "default", "simple", "nspawn"];

impl FromFields for BuildArguments {
    const STYLE: MistakeStyle = MistakeStyle::Dictionary;

    fn from_fields(fields: &mut Fields) -> Self {
        let read = Self {
            ownername: fields.required_text("ownername"),
            projectname: fields.required_text("projectname"),
            project_dirname: fields.text("project_dirname").filter(|name| !name.is_empty()),
            timeout: fields.number("timeout"),
            chroots: fields.texts("chroots"),
            exclude_chroots: fields.texts("exclude_chroots"),
            background: fields.flag("background"),
            enable_net: fields.flag("enable_net"),
            bootstrap: fields.text("bootstrap").filter(|word| word != "unchanged"),
            isolation: fields.text("isolation").filter(|word| word != "unchanged"),
        };
        for name in ["after_build_id", "with_build_id"] {
            if fields.number(name).is_some() {
                fields.reject(name, "Batches of builds are not offered by this server yet.");
            }
        }
        read.check(fields);
        read
    }
}

impl BuildArguments {
    fn check(&self, fields: &mut Fields) {
        let longest = i64::try_from(MAX_BUILD_TIMEOUT).unwrap_or(i64::MAX);
        if self
            .timeout
            .is_some_and(|timeout| !(0..=longest).contains(&timeout))
        {
            fields.reject("timeout", format!("Number must be between 0 and {longest}."));
        }
        for (name, value, choices) in [
            ("bootstrap", &self.bootstrap, BOOTSTRAPS.as_slice()),
            ("isolation", &self.isolation, ISOLATIONS.as_slice()),
        ] {
            if let Some(value) = value
                && !choices.contains(&value.as_str())
            {
                fields.reject(name, format!("Must be one of: {}.", choices.join(", ")));
            }
        }
        if let Some(directory) = self.project_dirname.as_deref() {
            let main = directory.split(':').next().unwrap_or_default();
            if main != self.projectname {
                fields.reject(
                    "project_dirname",
                    format!(
                        "'{directory}' is neither '{0}' nor '{0}:SUFFIX'.",
                        self.projectname
                    ),
                );
            } else if let Err(error) = directory.parse::<DirectoryName>() {
                fields.reject("project_dirname", format!("{error}."));
            }
        }
    }

    /// The project's chroots that are meant, or the form's mistakes.
    pub(crate) fn choose(
        &self,
        offered: &[model::ChrootName],
    ) -> Result<Vec<model::ChrootName>, crate::http::error::ApiError> {
        let mut mistakes = Fields::new(serde_json::Map::new(), Self::STYLE);
        let mut chosen: Vec<_> = offered.to_vec();
        if let Some(patterns) = self.chroots.as_ref().filter(|patterns| !patterns.is_empty()) {
            for pattern in patterns {
                if !offered
                    .iter()
                    .any(|chroot| Glob::new(pattern).matches(chroot.as_str()))
                {
                    mistakes.reject(
                        "chroots",
                        format!("'{pattern}' is not a valid choice for this field."),
                    );
                }
            }
            chosen.retain(|chroot| {
                patterns
                    .iter()
                    .any(|pattern| Glob::new(pattern).matches(chroot.as_str()))
            });
        }
        for pattern in self.exclude_chroots.iter().flatten() {
            chosen.retain(|chroot| !Glob::new(pattern).matches(chroot.as_str()));
        }
        let all_are_known = mistakes.is_good();
        if chosen.is_empty() && all_are_known && !offered.is_empty() {
            mistakes.reject("exclude_chroots", "No chroot is left to build in.");
        }
        if offered.is_empty() {
            mistakes.reject("chroots", "The project has no chroots that are active.");
        }
        mistakes.finish()?;
        Ok(chosen)
    }
}

/// The part `json` of an upload.
pub(crate) type UploadArguments = BuildArguments;

/// The packages of a build, by chroot.
pub(crate) fn built_packages(
    packages: Vec<(model::ChrootName, Vec<store::BuiltPackage>)>,
) -> BTreeMap<String, BuiltPackages> {
    packages
        .into_iter()
        .map(|(chroot, packages)| {
            let packages = packages
                .into_iter()
                .map(|package| BuiltPackageView {
                    name: package.name,
                    epoch: package.epoch,
                    version: package.version,
                    release: package.release,
                    arch: package.architecture,
                })
                .collect();
            (chroot.to_string(), BuiltPackages { packages })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::ToJSON as _;

    use super::{BuildView, SourcePackageView};
    use crate::{
        http::paging::{Items, Paging, Sorting, Wanted},
        view::{MonitorChroot, MonitorPackage},
    };

    fn build(is_over: bool) -> BuildView {
        let text = |text: &str| is_over.then(|| text.to_owned());
        BuildView {
            chroots: vec!["fedora-43-x86_64".to_owned()],
            ended_on: is_over.then_some(7),
            id: 12,
            is_background: is_over,
            ownername: "ünïcode \"quoted\" \\ \u{7f}\u{1}".to_owned(),
            project_dirname: "tools:next".to_owned(),
            projectname: "tools".to_owned(),
            repo_url: "https://farm.example.org/results/alice/tools".to_owned(),
            source_package: SourcePackageView {
                name: text("hello"),
                url: text("https://farm.example.org/</script>"),
                version: text("1.0-1"),
            },
            started_on: is_over.then_some(-1),
            state: "succeeded".to_owned(),
            submitted_on: i64::MAX,
            submitter: text("alice"),
        }
    }

    /// Two libraries write the same types: one describes them in the OpenAPI document, the other is fast.
    #[test]
    fn an_answer_is_written_as_its_schema_says_and_with_its_fields_in_order() {
        let builds = Items {
            items: vec![build(true), build(false)],
            meta: Paging::new(Wanted::default(), Sorting::read(None, None)),
        };
        assert_eq!(serde_json::to_string(&builds).unwrap(), builds.to_json_string());
        for address in [None, Some("https://farm.example.org/".to_owned())] {
            let chroot = MonitorChroot {
                build_id: 12,
                pkg_version: address.clone(),
                state: "failed".to_owned(),
                status: 0,
                url_backend_log: address.clone(),
                url_build: address.clone(),
                url_build_log: address,
            };
            let package = MonitorPackage {
                chroots: [("fedora-43-x86_64".to_owned(), chroot)].into(),
                name: "hello".to_owned(),
            };
            assert_eq!(serde_json::to_string(&package).unwrap(), package.to_json_string());
        }
    }
}
