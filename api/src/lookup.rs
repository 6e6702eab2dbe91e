//! Finding what an address or an argument names, and what several answers count. Operations and pages use it alike.

use std::collections::BTreeMap;

use model::{BuildId, BuildState, ChrootName};
use store::{Build, BuildChroot, BuildFilter, Builder, Project};

use crate::{
    http::{
        error::{Answer, ApiError},
        paging::Paging,
    },
    state::ApiState,
    view::QueueEntry,
};

/// The most entries of the queue that one answer shows.
const LONGEST_QUEUE: i64 = 1000;

/// The project of that name.
pub(crate) async fn find_project(state: &ApiState, owner: &str, name: &str) -> Answer<Project> {
    // A name that cannot be a name names nothing.
    let (Ok(owner_name), Ok(project_name)) = (owner.parse(), name.parse()) else {
        return Err(ApiError::no_project(&shown(owner), &shown(name)));
    };
    state
        .store()
        .project(&owner_name, &project_name)
        .await?
        .ok_or_else(|| ApiError::no_project(owner, name))
}

/// The build of that number.
pub(crate) async fn find_build(state: &ApiState, id: i64) -> Answer<Build> {
    state
        .store()
        .build(BuildId(id))
        .await?
        .ok_or_else(|| ApiError::no_build(id))
}

/// The chroot of that name of a build.
pub(crate) fn find_build_chroot<'a>(build: &'a Build, name: &str) -> Answer<&'a BuildChroot> {
    build
        .chroots
        .iter()
        .find(|chroot| chroot.name.as_str() == name)
        .ok_or_else(|| ApiError::NotFound(format!("Build {} has no chroot '{}'.", build.id, shown(name))))
}

/// The chroot of that name of a project.
pub(crate) fn find_project_chroot<'a>(project: &'a Project, name: &str) -> Answer<&'a ChrootName> {
    project
        .chroots
        .iter()
        .find(|chroot| chroot.as_str() == name)
        .ok_or_else(|| {
            ApiError::NotFound(format!(
                "No mock chroot '{}' in project {}/{}",
                shown(name),
                project.owner,
                project.name
            ))
        })
}

/// A hostile text as it may stand in a message.
pub(crate) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        out.push('…');
    }
    out
}

/// How many builders are in which state.
pub(crate) fn builders_by_state(builders: &[Builder]) -> BTreeMap<String, i64> {
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for builder in builders {
        let count = counts.entry(builder.state.to_string()).or_default();
        *count = count.saturating_add(1);
    }
    counts
}

/// The build chroots that wait, and whether there are more.
pub(crate) async fn waiting(state: &ApiState) -> Answer<(Vec<QueueEntry>, bool)> {
    let mut entries = Vec::new();
    let mut truncated = false;
    // A build of which one chroot runs counts as running while others still wait.
    for wanted in [BuildState::Pending, BuildState::Running, BuildState::Starting] {
        let filter = BuildFilter {
            state: Some(wanted),
            ..BuildFilter::default()
        };
        let page = Paging::read(Some(LONGEST_QUEUE), None, None, None)?;
        let builds = page.builds(state.store(), &filter).await?;
        truncated |= i64::try_from(builds.len()).is_ok_and(|count| count >= LONGEST_QUEUE);
        for build in &builds {
            let chroots = build
                .chroots
                .iter()
                .filter(|chroot| chroot.state == BuildState::Pending);
            entries.extend(chroots.map(|chroot| QueueEntry::new(build, chroot)));
        }
    }
    entries.sort_by_key(|entry| (entry.position.unwrap_or(i64::MAX), entry.build));
    Ok((entries, truncated))
}
