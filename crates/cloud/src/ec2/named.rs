//! Images that are looked for by their owner and their name.

use model::Glob;

use super::{
    Ec2,
    answer::classify,
    images::{filter, image},
};
use crate::{Error, Image, ImageState};

/// How many images of one name, and how many pages of them, are read at most.
const MOST_IMAGES: usize = 1000;
const MOST_PAGES: usize = 20;

impl Ec2 {
    /// The available images of an owner with such names. Without a size of pages, which Eucalyptus does not know; where the endpoint has pages all the same, they are read.
    pub(super) async fn find_images(&self, owner: &str, name: &str) -> Result<Vec<Image>, Error> {
        let wanted = Glob::new(name);
        let (mut found, mut token) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let question = self.client.describe_images().owners(owner);
            let question = question.filters(filter("name", name));
            let question = question
                .filters(filter("state", "available"))
                .set_next_token(token);
            let page = question.send().await.map_err(|error| classify(&error))?;
            // Whatever the endpoint makes of the question: an account's images are those that it says are its own.
            let is_account = owner.bytes().all(|byte| byte.is_ascii_digit());
            let is_theirs = |it: &&aws_sdk_ec2::types::Image| !is_account || it.owner_id() == Some(owner);
            let images = page.images().iter().filter(is_theirs).filter_map(image);
            found.extend(images.filter(|it| it.state == ImageState::Available && wanted.matches(&it.name)));
            token = page
                .next_token()
                .filter(|token| !token.is_empty())
                .map(str::to_owned);
            if found.len() > MOST_IMAGES {
                break;
            }
            if token.is_none() {
                return Ok(found);
            }
        }
        Err(Error::Unclear {
            what: format!("more than {MOST_IMAGES} images of {owner} are named {name}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            images::tests::{described, in_turn, item},
            tests::endpoint,
        },
        *,
    };
    use crate::Cloud as _;

    #[tokio::test]
    async fn images_are_found_by_owner_and_name_on_all_pages_whatever_the_endpoint_makes_of_the_question() {
        let of = |owner: &str, item: String| {
            item.replace("<item>", &format!("<item><imageOwnerId>{owner}</imageOwnerId>"))
        };
        let (own, strange) = ("012345678901", "999999999999");
        let first = described(&format!(
            "{}{}{}{}",
            of(own, item("ami-1", "b-1", "available", "")),
            of(own, item("ami-2", "c-1", "available", "")),
            of(own, item("ami-3", "b-3", "pending", "")),
            of(strange, item("ami-4", "b-4", "available", ""))
        ))
        .replace("</imagesSet>", "</imagesSet><nextToken>more</nextToken>");
        let last = described(&of(own, item("ami-5", "b-5", "available", "")));
        for (owner, expected) in [
            ("self", &["ami-1", "ami-4", "ami-5"][..]),
            (own, &["ami-1", "ami-5"]),
        ] {
            let (cloud, server) = in_turn(vec![("200 OK", first.clone()), ("200 OK", last.clone())]);
            let found = cloud.images_named(owner, "b-*").await.unwrap();
            let ids: Vec<_> = found.iter().map(|image| image.id.as_str()).collect();
            assert_eq!(ids, expected, "{owner}");
            let asked = server.join().unwrap();
            let question =
                "Filter.1.Name=name&Filter.1.Value.1=b-%2A&Filter.2.Name=state&Filter.2.Value.1=available";
            assert!(
                asked[0].contains(question) && asked[0].contains(&format!("Owner.1={owner}")),
                "{asked:?}"
            );
            // Eucalyptus does not know the parameter.
            assert!(
                !asked[0].contains("MaxResults") && asked[1].contains("NextToken=more"),
                "{asked:?}"
            );
        }
        let many: String = (0..=MOST_IMAGES)
            .map(|at| item(&format!("ami-{at}"), "b-1", "available", ""))
            .collect();
        let (cloud, server) = endpoint("200 OK", &described(&many));
        let said = cloud.images_named("self", "b-*").await.unwrap_err().to_string();
        server.join().unwrap();
        assert!(
            said.contains("more than 1000 images of self are named b-*"),
            "{said}"
        );
    }
}
