//! The table of actions: the parameters each one knows, and its handler.

use super::{
    Service, error::ApiError, images, instances, key_pairs, parameters::Parameters, places, security_groups,
    tags, types, xml::Xml,
};

/// The parameters that an action knows, by their first part; `None` for an action that is not there.
fn known(action: &str) -> Option<&'static [&'static str]> {
    Some(match action {
        "RunInstances" => instances::run::PARAMETERS,
        "DescribeInstances" => instances::describe::PARAMETERS,
        "TerminateInstances" | "StopInstances" | "StartInstances" | "RebootInstances" => {
            instances::change::PARAMETERS
        }
        "DescribeInstanceStatus" => instances::status::PARAMETERS,
        "GetConsoleOutput" => instances::console::PARAMETERS,
        "DescribeInstanceAttribute" => instances::attributes::DESCRIBE,
        "ModifyInstanceAttribute" => instances::attributes::MODIFY,
        "ImportKeyPair" => key_pairs::IMPORT,
        "CreateKeyPair" => key_pairs::CREATE,
        "DescribeKeyPairs" => key_pairs::DESCRIBE,
        "DeleteKeyPair" => key_pairs::DELETE,
        "CreateTags" | "DeleteTags" => tags::CHANGE,
        "DescribeTags" => tags::DESCRIBE,
        "DescribeImages" => images::PARAMETERS,
        "DescribeInstanceTypes" => types::PARAMETERS,
        "DescribeRegions" => places::REGIONS,
        "DescribeAvailabilityZones" => places::ZONES,
        "DescribeAccountAttributes" => places::ATTRIBUTES,
        "CreateSecurityGroup" => security_groups::CREATE,
        "DescribeSecurityGroups" => security_groups::DESCRIBE,
        "DeleteSecurityGroup" => security_groups::DELETE,
        "AuthorizeSecurityGroupIngress" | "RevokeSecurityGroupIngress" => security_groups::RULES,
        _ => return None,
    })
}

/// Answers one action.
pub(super) async fn dispatch(
    service: &Service,
    action: &str,
    parameters: &Parameters,
) -> Result<Xml, ApiError> {
    let Some(known) = known(action) else {
        let message = format!("The action {action} is not valid for this web service.");
        return Err(ApiError::new("InvalidAction", message));
    };
    parameters.check_names(known)?;
    match action {
        "RunInstances" => instances::run::run(service, parameters).await,
        "DescribeInstances" => instances::describe::describe(service, parameters),
        "TerminateInstances" => instances::change::terminate(service, parameters).await,
        "StopInstances" => instances::change::stop(service, parameters).await,
        "StartInstances" => instances::change::start(service, parameters).await,
        "RebootInstances" => instances::change::reboot(service, parameters).await,
        "DescribeInstanceStatus" => instances::status::describe(service, parameters),
        "GetConsoleOutput" => instances::console::get(service, parameters).await,
        "DescribeInstanceAttribute" => instances::attributes::describe(service, parameters),
        "ModifyInstanceAttribute" => instances::attributes::modify(service, parameters).await,
        "ImportKeyPair" => key_pairs::import(service, parameters).await,
        "CreateKeyPair" => key_pairs::create(service, parameters).await,
        "DescribeKeyPairs" => key_pairs::describe(service, parameters),
        "DeleteKeyPair" => key_pairs::delete(service, parameters).await,
        "CreateTags" => tags::create(service, parameters).await,
        "DeleteTags" => tags::delete(service, parameters).await,
        "DescribeTags" => tags::describe(service, parameters),
        "DescribeImages" => images::describe(service, parameters),
        "DescribeInstanceTypes" => types::describe(service, parameters),
        "DescribeRegions" => places::regions(service, parameters),
        "DescribeAvailabilityZones" => places::zones(service, parameters),
        "DescribeAccountAttributes" => places::attributes(service, parameters),
        "CreateSecurityGroup" => security_groups::create(service, parameters).await,
        "DescribeSecurityGroups" => security_groups::describe(service, parameters),
        "DeleteSecurityGroup" => security_groups::delete(service, parameters).await,
        "AuthorizeSecurityGroupIngress" => security_groups::rules::authorize(service, parameters).await,
        "RevokeSecurityGroupIngress" => security_groups::rules::revoke(service, parameters).await,
        _ => Err(ApiError::internal()),
    }
}

/// Answers `DryRun=true` once everything else was checked.
pub(super) fn refuse_dry_run(parameters: &Parameters) -> Result<(), ApiError> {
    if parameters.boolean("DryRun")? == Some(true) {
        let message = "Request would have succeeded, but DryRun flag is set.";
        let error = ApiError::new("DryRunOperation", message);
        return Err(error.with_status(poem::http::StatusCode::PRECONDITION_FAILED));
    }
    Ok(())
}
