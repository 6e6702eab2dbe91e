//! The fleet and the queue.

use std::collections::BTreeMap;

use model::BuildState;
use poem_openapi::{OpenApi, param::Query, payload::Json};
use store::{BuildFilter, Builder};

use super::{Answer, Chapter};
use crate::{
    caller::Caller,
    paging::Paging,
    state::ApiState,
    view::{BuilderView, FleetView, PoolView, QueueEntry, QueueView},
};

/// The most entries of the queue that one answer shows.
const LONGEST_QUEUE: i64 = 1000;

/// For how long a builder that is gone is still shown, when it is asked for.
const SHOW_GONE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

pub(crate) struct FleetApi(pub(crate) ApiState);

#[OpenApi(tag = "Chapter::Farm")]
impl FleetApi {
    /// Counts the builders by pool and state, and what waits for one.
    #[oai(path = "/api/fleet", method = "get", operation_id = "get_fleet")]
    async fn fleet(&self) -> Answer<Json<FleetView>> {
        let builders = self.0.store().builders(None).await?;
        let mut pools: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
        for builder in &builders {
            let count = pools
                .entry(builder.pool.to_string())
                .or_default()
                .entry(builder.state.to_string())
                .or_default();
            *count = count.saturating_add(1);
        }
        let pools = pools
            .into_iter()
            .map(|(name, builders)| PoolView { name, builders })
            .collect();
        let (queue, _) = waiting(&self.0).await?;
        Ok(Json(FleetView {
            builders: by_state(&builders),
            pools,
            queue: i64::try_from(queue.len()).unwrap_or(i64::MAX),
        }))
    }

    /// Lists the builders; with `gone`, also those that ended in the last day.
    #[oai(path = "/api/builders", method = "get", operation_id = "list_builders")]
    async fn builders(
        &self,
        caller: Caller,
        /// Show also those that ended in the last day.
        gone: Query<Option<bool>>,
    ) -> Answer<Json<Vec<BuilderView>>> {
        let now = self.0.now();
        let since = gone.0.unwrap_or(false).then(|| now.minus(SHOW_GONE));
        let builders = self.0.store().builders(since).await?;
        let for_operator = caller.0.is_operator;
        Ok(Json(
            builders
                .into_iter()
                .map(|builder| BuilderView::new(builder, for_operator, now))
                .collect(),
        ))
    }

    /// Lists what waits for a builder, in the order in which it will get one, and why it waits.
    #[oai(path = "/api/queue", method = "get", operation_id = "get_queue")]
    async fn queue(&self) -> Answer<Json<QueueView>> {
        let (entries, truncated) = waiting(&self.0).await?;
        Ok(Json(QueueView { entries, truncated }))
    }
}

/// How many builders are in which state.
pub(crate) fn by_state(builders: &[Builder]) -> BTreeMap<String, i64> {
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
