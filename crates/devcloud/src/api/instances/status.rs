//! DescribeInstanceStatus: running instances, or all with `IncludeAllInstances`.

use std::sync::Arc;

use devcloud_dialect::{ApiError, Filters, Page, Xml, request::DescribeInstanceStatus};

use super::{find_all, view, visible};
use crate::{
    api::{actions::Question, service::Service},
    ledger::{Instance, InstanceState},
};

const FILTERS: &[&str] = &[
    "availability-zone",
    "instance-state-code",
    "instance-state-name",
    "instance-status.status",
    "instance-status.reachability",
    "system-status.status",
    "system-status.reachability",
];

impl Question for DescribeInstanceStatus {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        let ids = self.instance_id;
        let page = Page::check(
            "DescribeInstanceStatus",
            self.max_results,
            self.next_token.as_deref(),
            5,
        )?;
        let all = self.include_all_instances.unwrap_or(false);
        let filters = Filters::check(self.filter, FILTERS)?;
        let state = service.ledger.snapshot();
        let mut found: Vec<Arc<Instance>> = if ids.is_empty() {
            visible(&state)
        } else {
            find_all(&state, &ids)?.into_iter().cloned().collect()
        };
        found.retain(|instance| all || instance.state == InstanceState::Running);
        found.retain(|instance| {
            filters.pass(|name| {
                vec![match name {
                    "availability-zone" => instance.zone.clone(),
                    "instance-state-code" => instance.state.code().to_string(),
                    "instance-state-name" => instance.state.name().to_owned(),
                    name if name.ends_with(".status") => status(instance).to_owned(),
                    _ => reachability(instance).to_owned(),
                }]
            })
        });
        found.sort_by_key(|instance| instance.sequence);
        let (found, next) = page.cut(found, |instance| format!("{:020}", instance.sequence));
        let mut xml = Xml::default();
        xml.list("instanceStatusSet", &found, |xml, instance| {
            xml.put("instanceId", &instance.id);
            xml.put("availabilityZone", &instance.zone);
            view::instance_state(xml, "instanceState", instance.state);
            for name in ["systemStatus", "instanceStatus"] {
                xml.element(name, |xml| {
                    xml.put("status", status(instance));
                    xml.list("details", [reachability(instance)], |xml, value| {
                        xml.put("name", "reachability");
                        xml.put("status", value);
                    });
                });
            }
        });
        xml.put_some("nextToken", next);
        Ok(xml)
    }
}

fn status(instance: &Instance) -> &'static str {
    if instance.state == InstanceState::Running {
        "ok"
    } else {
        "not-applicable"
    }
}

fn reachability(instance: &Instance) -> &'static str {
    if instance.state == InstanceState::Running {
        "passed"
    } else {
        "not-applicable"
    }
}
