//! The actions: for each one what it is asked for, and what answers it, in one table.

use std::{future::Future, time::Duration};

use devcloud_dialect::{Api, ApiError, Form, Xml, request::*, whole_number};
use futures_util::future::BoxFuture;
use poem::http::StatusCode;
use serde::de::DeserializeOwned;

use super::service::Service;
use crate::{
    faults::{LostAnswer, Work},
    profile::no_action,
};

/// One request on its way to its action.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) service: &'a Service,
    pub(super) form: &'a Form,
    pub(super) dry_run: DryRun,
    /// What is to go wrong with it.
    pub(super) work: &'a Work,
}

/// Whether a request is only to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DryRun(pub(super) bool);

impl DryRun {
    /// Ends a trial. To be called when everything else was checked and nothing was changed.
    pub(super) fn end(self) -> Result<(), ApiError> {
        if self.0 {
            let message = "Request would have succeeded, but DryRun flag is set.";
            let error = ApiError::new("DryRunOperation", message);
            return Err(error.with_status(StatusCode::PRECONDITION_FAILED));
        }
        Ok(())
    }
}

/// A request that changes nothing.
pub(super) trait Question: DeserializeOwned + Send {
    /// Answers it.
    fn answer(self, service: &Service) -> impl Future<Output = Result<Xml, ApiError>> + Send;
}

/// A request that changes nothing, for something that faults can spoil.
pub(super) trait Listing: DeserializeOwned + Send {
    /// Answers it.
    fn list(self, call: Call<'_>) -> impl Future<Output = Result<Xml, ApiError>> + Send;
}

/// A request that changes something, unless it is a trial.
pub(super) trait Change: DeserializeOwned + Send {
    /// Makes the change, or refuses it without having changed anything.
    fn make(self, call: Call<'_>) -> impl Future<Output = Result<Xml, ApiError>> + Send;
}

type Handler = for<'a> fn(Call<'a>) -> BoxFuture<'a, Result<Xml, ApiError>>;

fn question<R: Question>(call: Call<'_>) -> BoxFuture<'_, Result<Xml, ApiError>> {
    Box::pin(async move {
        let xml = call.form.decode::<R>()?.answer(call.service).await?;
        call.dry_run.end()?;
        Ok(xml)
    })
}

fn listing<R: Listing>(call: Call<'_>) -> BoxFuture<'_, Result<Xml, ApiError>> {
    Box::pin(async move {
        let xml = call.form.decode::<R>()?.list(call).await?;
        call.dry_run.end()?;
        Ok(xml)
    })
}

fn change<R: Change>(call: Call<'_>) -> BoxFuture<'_, Result<Xml, ApiError>> {
    Box::pin(async move { call.form.decode::<R>()?.make(call).await })
}

/// All actions, by service and name.
#[rustfmt::skip]
pub(super) const ACTIONS: &[(Api, &str, Handler)] = &[
    (Api::Ec2, "AuthorizeSecurityGroupIngress", change::<AuthorizeSecurityGroupIngress>),
    (Api::Ec2, "CreateImage", change::<CreateImage>),
    (Api::Ec2, "CreateKeyPair", change::<CreateKeyPair>),
    (Api::Ec2, "CreateSecurityGroup", change::<CreateSecurityGroup>),
    (Api::Ec2, "CreateTags", change::<CreateTags>),
    (Api::Ec2, "DeleteKeyPair", change::<DeleteKeyPair>),
    (Api::Ec2, "DeleteSecurityGroup", change::<DeleteSecurityGroup>),
    (Api::Ec2, "DeleteTags", change::<DeleteTags>),
    (Api::Ec2, "DeregisterImage", change::<DeregisterImage>),
    (Api::Ec2, "DescribeAccountAttributes", question::<DescribeAccountAttributes>),
    (Api::Ec2, "DescribeAddresses", question::<DescribeAddresses>),
    (Api::Ec2, "DescribeAvailabilityZones", question::<DescribeAvailabilityZones>),
    (Api::Ec2, "DescribeImages", question::<DescribeImages>),
    (Api::Ec2, "DescribeInstanceAttribute", question::<DescribeInstanceAttribute>),
    (Api::Ec2, "DescribeInstanceStatus", question::<DescribeInstanceStatus>),
    (Api::Ec2, "DescribeInstanceTypeOfferings", question::<DescribeInstanceTypeOfferings>),
    (Api::Ec2, "DescribeInstanceTypes", question::<DescribeInstanceTypes>),
    (Api::Ec2, "DescribeInstances", listing::<DescribeInstances>),
    (Api::Ec2, "DescribeKeyPairs", question::<DescribeKeyPairs>),
    (Api::Ec2, "DescribeNetworkInterfaces", question::<DescribeNetworkInterfaces>),
    (Api::Ec2, "DescribePlacementGroups", question::<DescribePlacementGroups>),
    (Api::Ec2, "DescribeRegions", question::<DescribeRegions>),
    (Api::Ec2, "DescribeSecurityGroups", question::<DescribeSecurityGroups>),
    (Api::Ec2, "DescribeSubnets", question::<DescribeSubnets>),
    (Api::Ec2, "DescribeTags", question::<DescribeTags>),
    (Api::Ec2, "DescribeVpcAttribute", question::<DescribeVpcAttribute>),
    (Api::Ec2, "DescribeVpcs", question::<DescribeVpcs>),
    (Api::Ec2, "GetConsoleOutput", listing::<GetConsoleOutput>),
    (Api::Ec2, "ImportKeyPair", change::<ImportKeyPair>),
    (Api::Ec2, "ModifyInstanceAttribute", change::<ModifyInstanceAttribute>),
    (Api::Ec2, "RebootInstances", change::<RebootInstances>),
    (Api::Ec2, "RevokeSecurityGroupIngress", change::<RevokeSecurityGroupIngress>),
    (Api::Ec2, "RunInstances", change::<RunInstances>),
    (Api::Ec2, "StartInstances", change::<StartInstances>),
    (Api::Ec2, "StopInstances", change::<StopInstances>),
    (Api::Ec2, "TerminateInstances", change::<TerminateInstances>),
    (Api::Ec2, "UpdateSecurityGroupRuleDescriptionsEgress", change::<UpdateSecurityGroupRuleDescriptionsEgress>),
    (Api::Ec2, "UpdateSecurityGroupRuleDescriptionsIngress", change::<UpdateSecurityGroupRuleDescriptionsIngress>),
    (Api::Iam, "GetUser", question::<GetUser>),
    (Api::Sts, "GetCallerIdentity", question::<GetCallerIdentity>),
];

/// Answers one action, and says whether the answer is to be lost.
pub(super) async fn dispatch(
    service: &Service,
    api: Api,
    action: &str,
    form: &Form,
) -> Result<(Xml, Option<LostAnswer>), ApiError> {
    let handler = ACTIONS
        .iter()
        .find(|(owner, name, _)| (*owner, *name) == (api, action))
        .map(|(_, _, handler)| handler);
    let Some(handler) = handler else {
        return Err(no_action(action));
    };
    let profile = &service.config.profile;
    profile.check(action, form)?;
    let form = &*profile.asked(form);
    let dry_run = DryRun(form.dry_run()?);
    if let Some(code) = service.faults.throttle(action, instances(form)) {
        return Err(failure(service, code));
    }
    let struck = service.faults.before(action);
    wait(struck.pause).await;
    if let Some(code) = struck.failure {
        return Err(failure(service, code));
    }
    let xml = handler(Call {
        service,
        form,
        dry_run,
        work: &struck.work,
    })
    .await?;
    let struck = service.faults.after(action);
    wait(struck.pause).await;
    match struck.failure {
        Some(code) => Err(failure(service, code)),
        None => Ok((xml, struck.lost)),
    }
}

async fn wait(pause: Option<Duration>) {
    if let Some(pause) = pause {
        tokio::time::sleep(pause).await;
    }
}

/// How many instances a call is for, as far as its parameters say it.
fn instances(form: &Form) -> u64 {
    let most = form.get("MaxCount").and_then(whole_number);
    let most = most.and_then(|most| u64::try_from(most).ok());
    let named = form.asked().filter(|(name, _)| name.starts_with("InstanceId"));
    most.unwrap_or_else(|| named.fold(0, |count, _| count + 1))
}

/// Whether there is an action of this name.
pub(super) fn is_action(name: &str) -> bool {
    ACTIONS.iter().any(|(_, action, _)| *action == name)
}

/// A failure that was asked for, with the status that the cloud gives its code.
fn failure(service: &Service, code: String) -> ApiError {
    let message = "This failure was asked for at the control endpoint".to_owned();
    let status = match code.as_str() {
        // The cloud reports a lack of room as a failure of its own.
        "InsufficientInstanceCapacity" => return service.config.profile.no_room(message),
        "RequestLimitExceeded" | "ServiceUnavailable" | "Unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        "AuthFailure" => StatusCode::UNAUTHORIZED,
        code if code.starts_with("Insufficient") || code.starts_with("Internal") => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        _ => StatusCode::BAD_REQUEST,
    };
    ApiError::new(code, message).with_status(status)
}
