//! Two questions that change nothing, and whose answers tell Amazon's dialect from that of Eucalyptus.

use aws_sdk_ec2::{
    error::ProvideErrorMetadata as _,
    types::{Filter, InstanceType},
};
use model::fleet::CloudProfile;

use super::{Ec2, answer::classify};
use crate::{Dialect, Error};

/// An instance that nobody has: where `DryRun` is passed over, the answer is to be short.
const NOBODY: &str = "i-00000000";
/// A type of instance that old clouds have, of either kind.
const TYPE: &str = "m1.small";
/// What is in every answer of a form of Eucalyptus's own: the address of its namespaces.
const NAMESPACE: &str = "http://msgs.eucalyptus.com/";

impl Ec2 {
    /// The dialect that the endpoint shows to speak, if it shows one.
    ///
    /// # Errors
    /// When it did not answer.
    pub(super) async fn dialect_by_signs(&self) -> Result<Option<Dialect>, Error> {
        let dry_run = self.sign_of_dry_run().await?;
        let types = self.sign_of_types().await?;
        Ok(Dialect::shown_by(dry_run, types))
    }

    /// Whose way it is to answer `DryRun`: Amazon says that it would have done it; to Eucalyptus no action has such a parameter, and
    /// what it refuses before an action has the line of the status as its code.
    async fn sign_of_dry_run(&self) -> Result<Option<CloudProfile>, Error> {
        let nobody = Filter::builder().name("instance-id").values(NOBODY).build();
        let question = self.client.describe_instances().dry_run(true).filters(nobody);
        let Err(error) = question.send().await else {
            return Ok(None);
        };
        match error.code() {
            Some("DryRunOperation") => Ok(Some(CloudProfile::Aws)),
            Some("400 Bad Request") => Ok(Some(CloudProfile::Eucalyptus)),
            _ => no_sign(classify(&error)),
        }
    }

    /// Whose form the description of an instance type has.
    async fn sign_of_types(&self) -> Result<Option<CloudProfile>, Error> {
        let question = self.client.describe_instance_types();
        let sent = question.instance_types(InstanceType::from(TYPE)).send().await;
        match sent {
            Ok(_) => Ok(Some(CloudProfile::Aws)),
            // Newer regions have no old types, and name what they lack as Amazon does.
            Err(error) if error.code() == Some("InvalidInstanceType") => Ok(Some(CloudProfile::Aws)),
            Err(error) => match error.raw_response() {
                Some(answer) if is_eucalyptus_s(answer.body().bytes()) => Ok(Some(CloudProfile::Eucalyptus)),
                // A success in no form of EC2's.
                Some(answer) if answer.status().is_success() => Ok(None),
                _ => no_sign(classify(&error)),
            },
        }
    }
}

/// Whether an answer has a form of Eucalyptus's own.
fn is_eucalyptus_s(body: Option<&[u8]>) -> bool {
    String::from_utf8_lossy(body.unwrap_or_default()).contains(NAMESPACE)
}

/// Whatever else is refused tells nothing; without an answer the question is still open.
fn no_sign(error: Error) -> Result<Option<CloudProfile>, Error> {
    match error {
        Error::Refused { .. } | Error::Ended => Ok(None),
        Error::Throttled { .. }
        | Error::Rationed { .. }
        | Error::Unreachable { .. }
        | Error::NoAccess { .. }
        | Error::Unclear { .. } => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use CloudProfile::{Aws, Eucalyptus};

    use super::{
        super::tests::{endpoint, error_body},
        *,
    };

    #[tokio::test]
    async fn a_dry_run_is_amazons_where_it_is_known_and_eucalyptus_s_where_the_status_is_the_code() {
        let list = "<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>";
        for (status, body, expected) in [
            ("412 No", error_body("DryRunOperation"), Some(Some(Aws))),
            ("400 No", error_body("400 Bad Request"), Some(Some(Eucalyptus))),
            // Somebody else's way to say that.
            ("400 No", error_body("UnknownParameter"), Some(None)),
            ("403 No", error_body("UnauthorizedOperation"), Some(None)),
            ("403 No", error_body("403 Forbidden"), Some(None)),
            ("200 OK", list.to_owned(), Some(None)),
            ("429 No", error_body("TooManyRequestsException"), None),
        ] {
            let (cloud, server) = endpoint(status, &body);
            assert_eq!(cloud.sign_of_dry_run().await.ok(), expected, "{body}");
            let asked = server.join().unwrap();
            let is_harmless = asked.contains("Action=DescribeInstances&") && asked.contains("DryRun=true");
            assert!(is_harmless && asked.contains(NOBODY), "{asked}");
        }
    }

    #[tokio::test]
    async fn types_are_eucalyptus_s_where_its_own_namespace_is_in_the_answer() {
        let form = |root: &str, space: &str| format!("<{root} xmlns=\"{space}\"></{root}>");
        let amazons = "http://ec2.amazonaws.com/doc/2016-11-15/";
        for (status, body, expected) in [
            (
                "200 OK",
                form("DescribeInstanceTypesResponse", amazons),
                Some(Some(Aws)),
            ),
            ("400 No", error_body("InvalidInstanceType"), Some(Some(Aws))),
            (
                "200 OK",
                form(
                    "DescribeInstanceTypesResponseType",
                    "http://msgs.eucalyptus.com/3.3.0",
                ),
                Some(Some(Eucalyptus)),
            ),
            // A page of a proxy, and a cloud that has no such action.
            ("200 OK", "<html>hello</html>".to_owned(), Some(None)),
            ("400 No", error_body("InvalidAction"), Some(None)),
            ("429 No", error_body("Throttling"), None),
        ] {
            let (cloud, server) = endpoint(status, &body);
            assert_eq!(cloud.sign_of_types().await.ok(), expected, "{body}");
            assert!(server.join().unwrap().contains("InstanceType.1=m1.small"));
        }
    }
}
