//! Builds and their chroots.

use std::collections::BTreeMap;

use model::{BuildState, Glob};
use poem_openapi::Object;
use store::{Build, BuildChroot};

use crate::{
    http::{
        arguments::FromFields,
        fields::{Fields, MistakeStyle},
    },
    settings::{ApiSettings, MAX_BUILD_TIMEOUT},
    view::chroot_url,
};

/// The source package of a build.
#[derive(Debug, Object)]
#[oai(rename = "SourcePackage")]
pub(crate) struct SourcePackageView {
    /// Its name, once known.
    pub(crate) name: Option<String>,
    /// Where it can be fetched.
    pub(crate) url: Option<String>,
    /// `version-release`, with the epoch if there is one.
    pub(crate) version: Option<String>,
}

/// A build.
#[derive(Debug, Object)]
#[oai(rename = "Build")]
pub(crate) struct BuildView {
    /// Its number.
    pub(crate) id: i64,
    /// Its state, derived from those of its source and its chroots.
    pub(crate) state: String,
    /// Whose project it is in.
    pub(crate) ownername: String,
    /// The project.
    pub(crate) projectname: String,
    /// The project's directory.
    pub(crate) project_dirname: String,
    /// Where the repositories of the directory lie.
    pub(crate) repo_url: String,
    /// Its chroots.
    pub(crate) chroots: Vec<String>,
    /// What is built.
    pub(crate) source_package: SourcePackageView,
    /// When it was submitted, in seconds since 1970.
    pub(crate) submitted_on: i64,
    /// When the first chroot began.
    pub(crate) started_on: Option<i64>,
    /// When the last chroot ended; null before all have.
    pub(crate) ended_on: Option<i64>,
    /// Who submitted it.
    pub(crate) submitter: Option<String>,
    /// Whether it yields to other builds.
    pub(crate) is_background: bool,
}

/// The path of a build's source below `/results`.
pub(crate) fn source_path(build: &Build) -> String {
    format!(
        "/results/{}/{}/srpm-builds/{:08}/",
        build.owner, build.directory, build.id.0
    )
}

impl BuildView {
    /// From the database's view.
    pub(crate) fn new(build: &Build, settings: &ApiSettings) -> Self {
        Self {
            id: build.id.0,
            state: build.state.to_string(),
            ownername: build.owner.to_string(),
            projectname: build.project_name.to_string(),
            project_dirname: build.directory.to_string(),
            repo_url: settings.url(&format!("/results/{}/{}", build.owner, build.directory)),
            chroots: build
                .chroots
                .iter()
                .map(|chroot| chroot.name.to_string())
                .collect(),
            source_package: SourcePackageView {
                name: build.package.as_ref().map(ToString::to_string),
                url: Some(settings.url(&format!("{}{}", source_path(build), build.source.file_name))),
                version: build.version.clone(),
            },
            submitted_on: build.submitted_at.as_seconds(),
            started_on: build.started_at.map(model::Timestamp::as_seconds),
            ended_on: build.ended_at.map(model::Timestamp::as_seconds),
            submitter: build.submitter.as_ref().map(ToString::to_string),
            is_background: build.is_background,
        }
    }
}

/// One chroot of a build.
#[derive(Debug, Object)]
#[oai(rename = "BuildChroot")]
pub(crate) struct BuildChrootView {
    /// The chroot.
    pub(crate) name: String,
    /// Its state.
    pub(crate) state: String,
    /// When it began, in seconds since 1970.
    pub(crate) started_on: Option<i64>,
    /// When it ended.
    pub(crate) ended_on: Option<i64>,
    /// Where its log and results are; ends in a slash.
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

/// The address of a chroot's results, with a slash at its end; none while there can be nothing.
pub(crate) fn result_url(build: &Build, chroot: &BuildChroot, settings: &ApiSettings) -> Option<String> {
    if matches!(
        chroot.state,
        BuildState::Skipped | BuildState::Waiting | BuildState::Importing
    ) {
        return None;
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

/// The source phase of a build.
#[derive(Debug, Object)]
#[oai(rename = "SourceChroot")]
pub(crate) struct SourceChrootView {
    /// Its state.
    pub(crate) state: String,
    /// Where the source package is; ends in a slash.
    pub(crate) result_url: Option<String>,
}

/// A repository that a build uses.
#[derive(Debug, Object)]
#[oai(rename = "Repository")]
pub(crate) struct RepositoryView {
    /// Its id.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// Its address.
    pub(crate) baseurl: String,
    /// Its priority.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) priority: Option<i64>,
    /// Whether it wins over modules.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) module_hotfixes: Option<bool>,
}

/// How a chroot of a build is set up.
#[derive(Debug, Object)]
#[oai(rename = "BuildChrootConfig")]
pub(crate) struct BuildChrootConfigView {
    /// Further repositories.
    pub(crate) additional_repos: Vec<String>,
    /// Further packages in the build root.
    pub(crate) additional_packages: Vec<String>,
    /// `--with` options.
    pub(crate) with_opts: Vec<String>,
    /// `--without` options.
    pub(crate) without_opts: Vec<String>,
    /// Whether it may use the network.
    pub(crate) enable_net: bool,
    /// Whether it yields to others.
    pub(crate) is_background: bool,
    /// Not limited by us: null is left out.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) memory_limit: Option<i64>,
    /// How long it may take, in seconds.
    pub(crate) timeout: i64,
    /// How mock makes the chroot.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) bootstrap: Option<String>,
    /// How mock isolates.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) isolation: Option<String>,
    /// The repositories that it uses beside the distribution's.
    pub(crate) repos: Vec<RepositoryView>,
}

/// A package that a build made.
#[derive(Debug, Object)]
#[oai(rename = "BuiltPackage")]
pub(crate) struct BuiltPackageView {
    /// Name.
    pub(crate) name: String,
    /// Epoch; 0 if there is none.
    pub(crate) epoch: i64,
    /// Version.
    pub(crate) version: String,
    /// Release.
    pub(crate) release: String,
    /// Architecture; `src` for the source package.
    pub(crate) arch: String,
}

/// The packages of one chroot.
#[derive(Debug, Object)]
pub(crate) struct BuiltPackages {
    /// In the order of their names.
    pub(crate) packages: Vec<BuiltPackageView>,
}

/// A confirmation in words.
#[derive(Debug, Object)]
pub(crate) struct Message {
    /// The words.
    pub(crate) message: String,
}

/// Numbers of builds.
#[derive(Debug, Object)]
pub(crate) struct BuildIds {
    /// The numbers.
    pub(crate) builds: Vec<i64>,
}

impl FromFields for BuildIds {
    fn from_fields(fields: &mut Fields) -> Self {
        if !fields.has("builds") {
            fields.reject("builds", "This field is required.");
        }
        Self {
            builds: fields.numbers("builds"),
        }
    }
}

/// What every way to submit a build understands.
#[derive(Clone, Debug, Object)]
pub(crate) struct BuildArguments {
    /// Whose project.
    pub(crate) ownername: String,
    /// Which project.
    pub(crate) projectname: String,
    /// The project's directory; the main one if not given.
    pub(crate) project_dirname: Option<String>,
    /// How long it may take, in seconds; 18000 if not given, at most 108000.
    pub(crate) timeout: Option<i64>,
    /// The chroots, as names or patterns; all of the project's if not given.
    pub(crate) chroots: Option<Vec<String>>,
    /// Chroots to leave out, as names or patterns.
    pub(crate) exclude_chroots: Option<Vec<String>>,
    /// Yield to other builds.
    pub(crate) background: Option<bool>,
    /// Let it use the network; as the project says if not given.
    pub(crate) enable_net: Option<bool>,
    /// `unchanged`, `default`, `on`, `off` or `image`.
    pub(crate) bootstrap: Option<String>,
    /// `unchanged`, `default`, `simple` or `nspawn`.
    pub(crate) isolation: Option<String>,
    /// Build after the batch of this build.
    pub(crate) after_build_id: Option<i64>,
    /// Build in the batch of this build.
    pub(crate) with_build_id: Option<i64>,
}

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
            after_build_id: fields.number("after_build_id"),
            with_build_id: fields.number("with_build_id"),
        };
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
            (
                "bootstrap",
                &self.bootstrap,
                ["default", "on", "off", "image"].as_slice(),
            ),
            (
                "isolation",
                &self.isolation,
                ["default", "simple", "nspawn"].as_slice(),
            ),
        ] {
            if let Some(value) = value
                && !choices.contains(&value.as_str())
            {
                fields.reject(
                    name,
                    format!("Must be one of: unchanged, {}.", choices.join(", ")),
                );
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
            } else if let Err(error) = directory.parse::<model::DirectoryName>() {
                fields.reject("project_dirname", format!("{error}."));
            }
        }
        for name in ["after_build_id", "with_build_id"] {
            let value = if name == "after_build_id" {
                self.after_build_id
            } else {
                self.with_build_id
            };
            if value.is_some() {
                fields.reject(name, "Batches of builds are not offered by this server yet.");
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
