//! The fleet and the queue.

use std::collections::BTreeMap;

use poem_openapi::{OpenApi, param::Query, payload::Json};
use store::Page;

use super::Chapter;
use crate::{
    caller::Caller,
    http::{
        error::Answer,
        parameters::{Count, Flag, Of},
    },
    state::ApiState,
    view::{BuilderView, FleetView, PoolView, QueueEntry, QueueView, moment},
};

/// For how long a builder that is gone is still shown, when it is asked for.
const SHOW_GONE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

pub(crate) struct FleetApi(pub(crate) ApiState);

#[OpenApi(tag = "Chapter::Farm")]
impl FleetApi {
    /// Counts the builders, by pool and state, and what waits for a builder.
    #[oai(path = "/api/fleet", method = "get", operation_id = "get_fleet")]
    async fn fleet(&self) -> Answer<Json<FleetView>> {
        let now = self.0.now();
        let counts = self.0.store().counts().await?;
        let condition = self.0.condition().await?;
        let mut builders: BTreeMap<String, i64> = BTreeMap::new();
        let names = condition
            .pools
            .keys()
            .map(|name| (name.to_string(), BTreeMap::new()));
        let mut pools: BTreeMap<String, BTreeMap<String, i64>> = names.collect();
        for ((pool, state), count) in &counts.builders {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            pools
                .entry(pool.to_string())
                .or_default()
                .insert(state.to_string(), count);
            let sum = builders.entry(state.to_string()).or_default();
            *sum = sum.saturating_add(count);
        }
        let pools = pools
            .into_iter()
            .map(|(name, builders)| {
                let history = condition.pools.iter().find(|(pool, _)| pool.as_str() == name);
                let held_until = history.and_then(|(_, history)| history.held_until());
                PoolView {
                    held_until: moment(held_until),
                    name,
                    builders,
                }
            })
            .collect();
        let troubles = condition.troubles(now).into_iter().map(|it| it.words).collect();
        Ok(Json(FleetView {
            builders,
            pools,
            troubles,
            queue: i64::try_from(counts.waiting).unwrap_or(i64::MAX),
        }))
    }

    /// Lists the builders, with the state of each and the reason for it: the oldest first, and after them, the last one first,
    /// those that are gone.
    #[oai(path = "/api/builders", method = "get", operation_id = "list_builders")]
    async fn builders(
        &self,
        caller: Caller,
        /// Whether to list also the builders that were terminated in the last 24 hours; false unless given.
        gone: Query<Option<Of<Flag>>>,
        /// The most builders in the answer, 1000 unless given. Larger numbers count as 1000.
        limit: Query<Option<Of<Count>>>,
        /// How many builders to leave out at the front; none unless given.
        offset: Query<Option<Of<Count>>>,
    ) -> Answer<Json<Vec<BuilderView>>> {
        let now = self.0.now();
        let with_gone = gone.0.is_some_and(|Of(Flag(is_wanted))| is_wanted);
        let since = with_gone.then(|| now.minus(SHOW_GONE));
        let page = Page {
            limit: limit.0.map(|Of(Count(limit))| limit),
            offset: offset.0.map_or(0, |Of(Count(offset))| offset),
        };
        let builders = self.0.store().builders_page(since, page).await?;
        let for_operator = caller.0.is_operator;
        Ok(Json(
            builders
                .into_iter()
                .map(|builder| BuilderView::new(builder, for_operator, now))
                .collect(),
        ))
    }

    /// Lists the build chroots that wait for a builder, in the order in which they are served, with the reasons why they wait.
    #[oai(path = "/api/queue", method = "get", operation_id = "get_queue")]
    async fn queue(
        &self,
        /// The most entries in the answer, 1000 unless given. Larger numbers count as 1000.
        limit: Query<Option<Of<Count>>>,
        /// How many entries to leave out at the front of the queue; none unless given.
        offset: Query<Option<Of<Count>>>,
    ) -> Answer<Json<QueueView>> {
        let page = Page {
            limit: limit.0.map(|Of(Count(limit))| limit),
            offset: offset.0.map_or(0, |Of(Count(offset))| offset),
        };
        let queue = self.0.store().queue(page).await?;
        let entries: Vec<QueueEntry> = queue.entries.into_iter().map(QueueEntry::new).collect();
        let shown = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        Ok(Json(QueueView {
            entries,
            total: i64::try_from(queue.total).unwrap_or(i64::MAX),
            truncated: page.offset.saturating_add(shown) < queue.total,
        }))
    }
}
