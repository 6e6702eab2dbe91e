//! Submitting builds.
//!
//! The order of an upload's checks is Copr's: login, project, permission, form, file. The arguments may come
//! before the file or after it (Copr's own client sends them after); when they come first, a file that nobody
//! may send is not written at all.

use model::{ChrootName, PackageName};
use poem_openapi::{OpenApi, param::Path, payload::Json};
use store::{Build, BuildOptions, NewUpload, Project};

use super::Chapter;
use crate::{
    caller::Caller,
    files::spool::{self, CheckedSource, Spooled},
    http::{
        arguments::{Arguments, FileForm, add, parse_object, read_part, too_large},
        error::{Answer, ApiError},
        written::Written,
    },
    lookup::{find_project, shown},
    settings::{DEFAULT_BUILD_TIMEOUT, MAX_BODY_BYTES},
    state::ApiState,
    view::{BuildArguments, BuildView, Message, UploadArguments},
};

/// The kinds of sources that Copr has and this farm does not build.
pub(crate) const KINDS: [&str; 7] = [
    "url",
    "scm",
    "distgit",
    "pypi",
    "rubygems",
    "custom",
    "rpm-upload",
];

pub(crate) struct BuildCreateApi(pub(crate) ApiState);

/// The arguments of a build that its caller may make.
struct Allowed {
    project: Project,
    arguments: BuildArguments,
    chroots: Vec<ChrootName>,
}

#[OpenApi(tag = "Chapter::Build")]
impl BuildCreateApi {
    /// Checks the settings of a build before its source package is uploaded.
    #[oai(
        path = "/api_3/build/check-before-build",
        method = "post",
        operation_id = "check_before_build"
    )]
    async fn check(&self, caller: Caller, arguments: Arguments<BuildArguments>) -> Answer<Json<Message>> {
        self.allow(&caller, arguments).await?;
        Ok(Json(Message {
            message: "It should be safe to submit a build like this".to_owned(),
        }))
    }

    /// Builds an uploaded source package.
    #[oai(
        path = "/api_3/build/create/upload",
        method = "post",
        operation_id = "create_build_from_upload"
    )]
    async fn upload(&self, caller: Caller, form: FileForm<UploadArguments>) -> Answer<Written<BuildView>> {
        let mut form = form;
        let outcome = self.take(&caller, &mut form).await;
        match outcome {
            Ok(build) => Ok(Written(BuildView::new(&build, self.0.settings()))),
            Err(error) => {
                form.drain().await;
                Err(error)
            }
        }
    }

    /// Refuses to build from any other kind of source: only uploaded source packages are built.
    #[oai(
        path = "/api_3/build/create/:kind",
        method = "post",
        operation_id = "create_build"
    )]
    async fn other(
        &self,
        caller: Caller,
        /// The kind of source: `url`, `scm`, `distgit`, `pypi`, `rubygems`, `custom` or `rpm-upload`.
        kind: Path<String>,
        arguments: Arguments<BuildArguments>,
    ) -> Answer<Written<BuildView>> {
        if !KINDS.contains(&kind.as_str()) {
            return Err(ApiError::NotFound("Such API endpoint doesn't exist".to_owned()));
        }
        self.allow(&caller, arguments).await?;
        Err(ApiError::Invalid(format!(
            "Builds from '{}' are not offered by this server yet. Upload a source package instead: \
             copr-cli build PROJECT FILE.src.rpm",
            shown(&kind)
        )))
    }
}

impl BuildCreateApi {
    /// Project, permission, form: in this order.
    async fn allow(&self, caller: &Caller, arguments: Arguments<BuildArguments>) -> Answer<Allowed> {
        let project = match (arguments.peek("ownername"), arguments.peek("projectname")) {
            (Some(owner), Some(name)) if !owner.is_empty() && !name.is_empty() => {
                Some(find_project(&self.0, owner, name).await?)
            }
            _ => None,
        };
        if let Some(project) = &project {
            caller.check_may_build(project)?;
        }
        let arguments = arguments.check()?;
        let project = match project {
            Some(project) => project,
            None => {
                let project = find_project(&self.0, &arguments.ownername, &arguments.projectname).await?;
                caller.check_may_build(&project)?;
                project
            }
        };
        let active = self.0.store().chroots().await?;
        let is_active = |name: &&ChrootName| {
            active
                .iter()
                .any(|chroot| chroot.is_active && chroot.name == **name)
        };
        let offered: Vec<ChrootName> = project.chroots.iter().filter(is_active).cloned().collect();
        let chroots = arguments.choose(&offered)?;
        Ok(Allowed {
            project,
            arguments,
            chroots,
        })
    }

    /// Refuses who may not build in the project that the arguments name so far.
    async fn may_build(
        &self,
        caller: &Caller,
        arguments: &serde_json::Map<String, serde_json::Value>,
    ) -> Answer<()> {
        let named = |name: &str| arguments.get(name).and_then(serde_json::Value::as_str);
        if let (Some(owner), Some(name)) = (named("ownername"), named("projectname")) {
            caller.check_may_build(&find_project(&self.0, owner, name).await?)?;
        }
        Ok(())
    }

    /// Reads the parts, in any order, and submits. Clients that know no part `json` send each argument as a part of its own.
    async fn take(&self, caller: &Caller, form: &mut FileForm<UploadArguments>) -> Answer<Build> {
        let mut has_json = false;
        let mut arguments = serde_json::Map::new();
        let mut room = usize::try_from(MAX_BODY_BYTES).unwrap_or(usize::MAX);
        let mut file: Option<(Spooled, String)> = None;
        while let Some(field) = form.next_part().await? {
            match field.name() {
                Some("json") if !has_json => {
                    has_json = true;
                    let object = parse_object(&read_part(field).await?)?;
                    self.allow(caller, Arguments::from_object(object.clone())).await?;
                    for (name, value) in object {
                        if arguments.insert(name.clone(), value).is_some() {
                            return Err(twice(&name));
                        }
                    }
                }
                Some("pkgs") if file.is_none() => {
                    self.may_build(caller, &arguments).await?;
                    let name = spool::check_file_name(field.file_name())?;
                    let reader = field.into_async_read();
                    file = Some((spool::receive(&self.0, reader, form.expected).await?, name));
                }
                Some("json" | "pkgs") => {
                    return Err(ApiError::Invalid(
                        "The parts 'json' and 'pkgs' may be there once each.".to_owned(),
                    ));
                }
                name => {
                    let name = name.unwrap_or_default().to_owned();
                    let bytes = read_part(field).await?;
                    room = room
                        .checked_sub(bytes.len())
                        .ok_or_else(|| too_large(MAX_BODY_BYTES))?;
                    if has_json && arguments.contains_key(&name) {
                        return Err(twice(&name));
                    }
                    add(&mut arguments, name, String::from_utf8_lossy(&bytes).into_owned());
                }
            }
        }
        let allowed = self.allow(caller, Arguments::from_object(arguments)).await?;
        let Some((spooled, name)) = file else {
            return Err(ApiError::Invalid(
                "Bad request parameters: {'pkgs': ['This field is required.']}".to_owned(),
            ));
        };
        let checked = spool::inspect(spooled, &name).await?;
        self.submit(caller, allowed, checked).await
    }

    /// Puts the source into its place, then the build into the database.
    async fn submit(&self, caller: &Caller, allowed: Allowed, checked: CheckedSource) -> Answer<Build> {
        let state = &self.0;
        let CheckedSource {
            spooled,
            header,
            stored,
        } = checked;
        let new = new_upload(caller, allowed, &header, stored.clone())?;
        // When this fails the file stays: another process may just be taking the same upload. The worker's sweep removes sources
        // that no build refers to and that are an hour old.
        spool::place(&state.settings().source_root, spooled, &stored).await?;
        let build = state.store().submit_upload(&new, state.now()).await?;
        tracing::info!(build = build.id.0, package = %new.package, version = new.version, "Took a build.");
        Ok(build)
    }
}

/// The answer to an argument that stands in the part `json` and in a part of its own.
fn twice(name: &str) -> ApiError {
    ApiError::Invalid(format!(
        "The argument '{}' stands in the part 'json' and in a part of its own.",
        shown(name)
    ))
}

fn new_upload(
    caller: &Caller,
    allowed: Allowed,
    header: &repository::SourcePackage,
    srpm: store::StoredSource,
) -> Answer<NewUpload> {
    let Allowed {
        project,
        arguments,
        chroots,
    } = allowed;
    let package: PackageName = header
        .name
        .parse()
        .map_err(|error| ApiError::Invalid(format!("pkgs: {error}.")))?;
    let directory_name = arguments
        .project_dirname
        .as_deref()
        .unwrap_or(project.name.as_str());
    let directory = directory_name
        .parse()
        .map_err(|error| ApiError::Invalid(format!("project_dirname: {error}.")))?;
    let (mut wanted, mut skipped) = (Vec::new(), Vec::new());
    for chroot in chroots {
        let architecture = chroot.architecture();
        match header.restrictions.objection(architecture) {
            None => wanted.push(chroot),
            Some(why) => {
                let reason = format!("The spec file excludes the architecture {architecture}: {why}.");
                skipped.push((chroot, reason));
            }
        }
    }
    let timeout = arguments
        .timeout
        .and_then(|seconds| u64::try_from(seconds).ok())
        .filter(|seconds| *seconds > 0);
    Ok(NewUpload {
        project: project.id,
        submitter: caller.0.id,
        directory,
        package,
        version: header.evr(),
        srpm,
        chroots: wanted,
        skipped,
        options: BuildOptions {
            timeout_seconds: timeout.unwrap_or(DEFAULT_BUILD_TIMEOUT),
            background: arguments.background.unwrap_or(false),
            enable_net: arguments.enable_net,
            isolation: arguments.isolation,
            bootstrap: arguments.bootstrap,
        },
    })
}
