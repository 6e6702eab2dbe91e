//! What a cloud has of what a fleet file asks it for: questions before anything is launched.

use aws_sdk_ec2::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    types::InstanceType,
};

use super::{Ec2, MOST_PAGES, answer::classify};
use crate::Error;

/// How many types one question names, and one page holds: EC2 allows 100.
const TYPES_AT_ONCE: usize = 100;
const TYPES_PER_PAGE: i32 = 100;

/// Instance types that a cloud does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownTypes {
    /// Those that were asked for.
    pub unknown: Vec<String>,
    /// All that the cloud has, if any is unknown.
    pub offered: Vec<String>,
}

impl Ec2 {
    /// Whether the cloud has a machine image that this account may use.
    ///
    /// # Errors
    /// When the cloud does not answer, or refuses the question.
    pub async fn has_image(&self, id: &str) -> Result<bool, Error> {
        let sent = self.client.describe_images().image_ids(id).send().await;
        is_there(sent.map(|answer| !answer.images().is_empty()), "InvalidAMIID")
    }

    /// Whether the cloud has a subnet that this account may use.
    ///
    /// # Errors
    /// When the cloud does not answer, or refuses the question.
    pub async fn has_subnet(&self, id: &str) -> Result<bool, Error> {
        let sent = self.client.describe_subnets().subnet_ids(id).send().await;
        is_there(sent.map(|answer| !answer.subnets().is_empty()), "InvalidSubnet")
    }

    /// Whether the cloud has a security group that this account may use.
    ///
    /// # Errors
    /// When the cloud does not answer, or refuses the question.
    pub async fn has_security_group(&self, id: &str) -> Result<bool, Error> {
        let sent = self.client.describe_security_groups().group_ids(id).send().await;
        is_there(
            sent.map(|answer| !answer.security_groups().is_empty()),
            "InvalidGroup",
        )
    }

    /// The availability zones that this account may use.
    ///
    /// # Errors
    /// When the cloud does not answer, or refuses the question.
    pub async fn zones(&self) -> Result<Vec<String>, Error> {
        let sent = self.client.describe_availability_zones().send().await;
        let answer = sent.map_err(|error| classify(&error))?;
        let zones = answer.availability_zones().iter();
        Ok(zones
            .filter_map(|zone| zone.zone_name())
            .map(str::to_owned)
            .collect())
    }

    /// Which of some instance types the cloud does not have.
    ///
    /// # Errors
    /// When the cloud does not answer, or refuses the question. Eucalyptus answers in a form of its own, which says nothing here.
    pub async fn unknown_types(&self, asked: &[String]) -> Result<UnknownTypes, Error> {
        let mut found = UnknownTypes::default();
        for some in asked.chunks(TYPES_AT_ONCE) {
            let types = some.iter().map(|name| InstanceType::from(name.as_str()));
            let question = self.client.describe_instance_types();
            let sent = question.set_instance_types(Some(types.collect())).send().await;
            match sent {
                Ok(_) => {}
                // The answer names one or all of them, in words for people: what is offered is asked for instead.
                Err(error)
                    if error
                        .code()
                        .is_some_and(|code| code.ends_with("InvalidInstanceType")) =>
                {
                    if found.offered.is_empty() {
                        found.offered = self.types().await?;
                    }
                    let is_offered = |name: &&String| found.offered.contains(name);
                    found
                        .unknown
                        .extend(some.iter().filter(|name| !is_offered(name)).cloned());
                }
                Err(error) => return Err(classify(&error)),
            }
        }
        Ok(found)
    }

    async fn types(&self) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let question = self.client.describe_instance_types().max_results(TYPES_PER_PAGE);
            let sent = question.set_next_token(token).send().await;
            let page = sent.map_err(|error| classify(&error))?;
            let names = page.instance_types().iter().filter_map(|one| one.instance_type());
            found.extend(names.map(|name| name.as_str().to_owned()));
            token = page
                .next_token()
                .filter(|token| !token.is_empty())
                .map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        Ok(found)
    }
}

/// Whether something is there: it is not where the answer is empty, or a refusal that begins with that word.
fn is_there<E: ProvideErrorMetadata + std::error::Error + 'static>(
    sent: Result<bool, SdkError<E, HttpResponse>>,
    refusal: &str,
) -> Result<bool, Error> {
    match sent {
        Ok(is_there) => Ok(is_there),
        Err(error) if error.code().is_some_and(|code| code.contains(refusal)) => Ok(false),
        Err(error) => Err(classify(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{endpoint, error_body},
        Error,
    };

    #[tokio::test]
    async fn an_image_is_known_only_when_the_cloud_shows_it() {
        let images = |items: &str| {
            format!("<DescribeImagesResponse><imagesSet>{items}</imagesSet></DescribeImagesResponse>")
        };
        for (status, body, expected) in [
            (
                "200 OK",
                images("<item><imageId>ami-1</imageId></item>"),
                Some(true),
            ),
            ("200 OK", images(""), Some(false)),
            ("400 No", error_body("InvalidAMIID.NotFound"), Some(false)),
            ("400 No", error_body("InvalidAMIID.Malformed"), Some(false)),
            ("401 No", error_body("AuthFailure"), None),
        ] {
            let (cloud, server) = endpoint(status, &body);
            assert_eq!(cloud.has_image("ami-1").await.ok(), expected, "{body}");
            assert!(server.join().unwrap().contains("ami-1"));
        }
    }

    #[tokio::test]
    async fn networks_are_known_by_the_clouds_answer_or_its_refusal() {
        for (status, body, expected) in [
            ("400 No", error_body("InvalidSubnetID.NotFound"), Some(false)),
            ("400 No", error_body("InvalidGroup.NotFound"), None),
            ("401 No", error_body("UnauthorizedOperation"), None),
        ] {
            let (cloud, server) = endpoint(status, &body);
            assert_eq!(cloud.has_subnet("subnet-1").await.ok(), expected, "{body}");
            assert!(server.join().unwrap().contains("subnet-1"));
        }
        let (cloud, server) = endpoint("400 No", &error_body("InvalidGroup.NotFound"));
        assert_eq!(cloud.has_security_group("sg-1").await, Ok(false));
        assert!(server.join().unwrap().contains("sg-1"));
    }

    #[tokio::test]
    async fn a_cloud_that_does_not_say_which_types_it_has_is_not_taken_to_lack_any() {
        let asked = ["m1.small".to_owned()];
        let body =
            "<DescribeInstanceTypesResponseType><instanceTypeDetails/></DescribeInstanceTypesResponseType>";
        let (cloud, server) = endpoint("200 OK", body);
        let error = cloud.unknown_types(&asked).await.unwrap_err();
        assert!(matches!(error, Error::Unclear { .. }), "{error}");
        assert!(server.join().unwrap().contains("InstanceType.1=m1.small"));
        let (cloud, server) = endpoint("400 No", &error_body("InvalidAction"));
        let error = cloud.unknown_types(&asked).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        server.join().unwrap();
    }
}
