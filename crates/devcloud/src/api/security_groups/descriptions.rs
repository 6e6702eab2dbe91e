//! UpdateSecurityGroupRuleDescriptionsIngress and UpdateSecurityGroupRuleDescriptionsEgress: what rules say for people.

use devcloud_dialect::{
    ApiError, Xml,
    request::{
        GroupRules, RuleDescriptions, UpdateSecurityGroupRuleDescriptionsEgress,
        UpdateSecurityGroupRuleDescriptionsIngress,
    },
};

use super::{
    by_id, named, outgoing,
    rules::{permissions, same, sentence, unknown_id, unknown_rule},
};
use crate::{
    api::actions::{Call, Change},
    ledger::{Permission, SecurityGroup, State},
};

/// A rule, as it is named, and what it is to say.
enum Wanted {
    ById(String, Option<String>),
    ByRule(Permission),
}

impl Change for UpdateSecurityGroupRuleDescriptionsIngress {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        update(call, self.0, incoming_says).await
    }
}

impl Change for UpdateSecurityGroupRuleDescriptionsEgress {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        update(call, self.0, outgoing_says).await
    }
}

/// Has all the rules that are named say what they are to say, or none.
async fn update(
    call: Call<'_>,
    asked: RuleDescriptions,
    says: fn(&mut SecurityGroup, Wanted) -> Result<(), ApiError>,
) -> Result<Xml, ApiError> {
    let (service, dry_run) = (call.service, call.dry_run);
    let state = service.ledger.snapshot();
    let id = named(&state, asked.group_id.as_deref(), asked.group_name.as_deref())?;
    let wanted = wanted(&state, asked)?;
    service
        .ledger
        .commit(move |state| {
            by_id(state, &id)?;
            let group = state.security_groups.get_mut(&id);
            let group = group.ok_or_else(ApiError::internal)?;
            for one in wanted {
                says(group, one)?;
            }
            dry_run.end()
        })
        .await?;
    let mut xml = Xml::default();
    xml.put("return", true);
    Ok(xml)
}

fn wanted(state: &State, asked: RuleDescriptions) -> Result<Vec<Wanted>, ApiError> {
    let by_id = asked.security_group_rule_description;
    if by_id.is_empty() {
        let rules = GroupRules {
            ip_permissions: asked.ip_permissions,
            ..GroupRules::default()
        };
        let rules = permissions(state, &rules)?;
        return Ok(rules.into_iter().map(Wanted::ByRule).collect());
    }
    if !asked.ip_permissions.is_empty() {
        let message = "Rules are named by their ids or by what they say, not by both";
        return Err(ApiError::new("InvalidParameterCombination", message));
    }
    let by_id = by_id.into_iter().map(|rule| {
        let text = sentence(rule.description.as_ref());
        Wanted::ById(rule.security_group_rule_id, text)
    });
    Ok(by_id.collect())
}

fn incoming_says(group: &mut SecurityGroup, wanted: Wanted) -> Result<(), ApiError> {
    let (rule, text) = match wanted {
        Wanted::ById(id, text) => {
            let rule = group.ingress.iter_mut().find(|old| old.rule_id == id);
            (rule.ok_or_else(|| unknown_id(&id))?, text)
        }
        Wanted::ByRule(rule) => {
            let old = group.ingress.iter_mut().find(|old| same(old, &rule));
            (old.ok_or_else(unknown_rule)?, rule.description)
        }
    };
    rule.description = text;
    Ok(())
}

/// There is one rule for what goes out, and it is shown without an id.
fn outgoing_says(group: &mut SecurityGroup, wanted: Wanted) -> Result<(), ApiError> {
    match wanted {
        Wanted::ById(id, _) => Err(unknown_id(&id)),
        Wanted::ByRule(rule) if same(&rule, &outgoing()) => {
            group.egress_description = rule.description;
            Ok(())
        }
        Wanted::ByRule(_) => Err(unknown_rule()),
    }
}
