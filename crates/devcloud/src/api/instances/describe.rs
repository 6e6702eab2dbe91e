//! DescribeInstances: by ids, filters and pages, grouped by reservation.

use std::sync::Arc;

use devcloud_dialect::{ApiError, Filters, Page, Xml, request::DescribeInstances};

use super::{filters, find_all, view, visible};
use crate::{
    api::actions::{Call, Listing},
    faults::PageFault,
    ledger::Instance,
};

impl Listing for DescribeInstances {
    async fn list(self, call: Call<'_>) -> Result<Xml, ApiError> {
        let service = call.service;
        let ids = self.instance_id;
        let page = Page::check(
            "DescribeInstances",
            self.max_results,
            self.next_token.as_deref(),
            5,
        )?;
        if !ids.is_empty() && page.is_asked_for() {
            let message = "The parameter instancesSet cannot be used with the parameter maxResults";
            return Err(ApiError::new("InvalidParameterCombination", message));
        }
        let known = filters::known();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let filters = Filters::check(self.filter, &known)?;
        let state = service.ledger.snapshot();
        let mut found: Vec<Arc<Instance>> = if ids.is_empty() {
            visible(&state)
        } else {
            find_all(&state, &ids)?.into_iter().cloned().collect()
        };
        found.retain(|instance| filters.pass(|name| filters::values(service, &state, instance, name)));
        found.sort_by_key(|instance| instance.sequence);
        found.dedup_by_key(|instance| instance.sequence);
        let all: Vec<u64> = found.iter().map(|instance| instance.sequence).collect();
        let (found, next) = page.cut(found, |instance| key(instance.sequence));
        let next = match (call.work.page(), next, found.last()) {
            (Some(fault), Some(_), Some(last)) => {
                Some(page.token(&key(wrong_end(fault, &all, last.sequence))))
            }
            (_, next, _) => next,
        };
        let found = call.work.spoil(found);
        let mut xml = Xml::default();
        let reservations = found.chunk_by(|one, other| one.reservation_id == other.reservation_id);
        xml.list("reservationSet", reservations, |xml, instances| {
            view::reservation(xml, service, &state, instances);
        });
        xml.put_some("nextToken", next);
        Ok(xml)
    }
}

fn key(sequence: u64) -> String {
    format!("{sequence:020}")
}

/// The instance behind which the next page begins, instead of behind the `last` of this one.
fn wrong_end(fault: PageFault, all: &[u64], last: u64) -> u64 {
    match fault {
        PageFault::Repeat => last.saturating_sub(1),
        PageFault::Skip => all.iter().copied().find(|one| *one > last).unwrap_or(last),
    }
}
