//! What `image bake` tells when it is done.

use std::{collections::BTreeSet, fmt::Write as _};

use model::{
    Glob, PoolName,
    fleet::{FleetSpec, ImageChoices, PoolKind, SelectSpec},
};
use serde::Serialize;
use serde_json::json;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Baked {
    pub(super) pool: PoolName,
    pub(super) cloud: String,
    /// The id of the image.
    pub(super) image: String,
    /// The name that it has in the cloud.
    pub(super) name: String,
    /// Whether it was made by this command, and not there before.
    pub(super) is_new: bool,
    /// The image that its machine was launched from.
    pub(super) base: String,
    /// The playbook that made it, and the digest of all that decided what came of it.
    pub(super) playbook: String,
    pub(super) digest: String,
    /// Whether the playbook has tasks for each machine: without any, machines from the image play all of it.
    pub(super) has_boot_tasks: bool,
    /// Images that were baked for the pool before and that nobody uses.
    pub(super) older: Vec<String>,
    /// Those of them that were deleted.
    pub(super) deleted: Vec<String>,
    /// How long it took.
    pub(super) seconds: u64,
}

impl Baked {
    /// For programs.
    pub(super) fn as_json(&self, fleet: &FleetSpec) -> String {
        let (name, is_shared) = self.written_as(fleet);
        let image = json!({&name: {"cloud": self.cloud, "id": self.image}});
        let write = if is_shared {
            json!({"images": image, "pools": {self.pool.as_str(): {"image": name}}})
        } else {
            json!({"images": image})
        };
        let write = match self.selected(fleet) {
            Some((_, select)) if self.matches(select) => json!({}),
            _ => write,
        };
        let mut shown = json!(self);
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("write".to_owned(), write);
        }
        shown.to_string()
    }

    /// For people.
    pub(super) fn as_text(&self, fleet: &FleetSpec) -> String {
        let Self {
            pool,
            image,
            base,
            playbook,
            ..
        } = self;
        let mut text = String::new();
        if !self.is_new {
            text.push_str(&format!(
                "Nothing to do: image {image} of pool {pool} was made by {playbook} as it is. --again makes another one.\n"
            ));
        } else {
            let seconds = self.seconds;
            writeln!(
                text,
                "Image {image} of pool {pool} was made by {playbook} from {base} in {seconds} s."
            )
            .ok();
            text.push_str(&self.what_to_write(fleet));
        }
        if !self.has_boot_tasks {
            text.push_str(&format!(
                "\nNo task of {playbook} has the tag `boot`: machines from the image play all of it.\n"
            ));
        }
        let left: Vec<&str> = self
            .older
            .iter()
            .filter(|id| !self.deleted.contains(id))
            .map(String::as_str)
            .collect();
        if !self.deleted.is_empty() {
            writeln!(text, "\nDeleted: {}.", self.deleted.join(", ")).ok();
        }
        if !left.is_empty() {
            writeln!(
                text,
                "\nOlder images of the pool, which nobody uses: {}.",
                left.join(", ")
            )
            .ok();
        }
        text.trim_end().to_owned()
    }

    /// What an operator does with the image, if anything.
    fn what_to_write(&self, fleet: &FleetSpec) -> String {
        let (pool, image, cloud) = (&self.pool, &self.image, &self.cloud);
        let mut text = String::new();
        match self.selected(fleet) {
            Some((name, select)) if self.matches(select) => {
                let (own, age) = (&self.name, select.min_age);
                return format!(
                    "images.{name}.select matches its name, {own}: it is used when it is {age} old and the newest, and nothing is to be written.\n"
                );
            }
            Some((name, _)) => {
                let own = &self.name;
                writeln!(text, "images.{name}.select does not match its name, {own}.").ok();
            }
            None => {}
        }
        let (name, is_shared) = self.written_as(fleet);
        writeln!(
            text,
            "Write into the fleet file:\n\nimages:\n  {name}: {{cloud: {cloud}, id: {image}}}"
        )
        .ok();
        if is_shared {
            writeln!(text, "pools:\n  {pool}:\n    image: {name}").ok();
        }
        text
    }

    /// The name of the pool's image in the file, and which ones match, where the file says only that.
    fn selected<'a>(&self, fleet: &'a FleetSpec) -> Option<(&'a str, &'a SelectSpec)> {
        let PoolKind::Cloud { image } = fleet.pools.get(&self.pool)?.kind() else {
            return None;
        };
        Some((image, fleet.images.get(image)?.select.as_ref()?))
    }

    /// Whether it is one of those. It belongs to the account that the farm asks with.
    fn matches(&self, select: &SelectSpec) -> bool {
        select.owner == "self" && Glob::new(&select.name).matches(&self.name)
    }

    /// The name that the image has in the file, or is to have there: that of the pool's image, unless other pools use it, for which
    /// this one was not made. Then a new one.
    fn written_as(&self, fleet: &FleetSpec) -> (String, bool) {
        let image = |pool: &PoolName| match fleet.pools.get(pool)?.kind() {
            PoolKind::Cloud { image } => Some(image),
            PoolKind::Hosts(_) => None,
        };
        let named = image(&self.pool).unwrap_or_default();
        let mut others = fleet.pools.keys().filter(|pool| **pool != self.pool);
        let is_shared = others.any(|pool| image(pool) == Some(named));
        if !is_shared {
            return (named.to_owned(), false);
        }
        let mut name = format!("{}-baked", self.pool);
        while fleet.images.contains_key(&name) {
            name.push('x');
        }
        (name, true)
    }
}

/// The ids of images that a fleet file names, and of those that were chosen where it says only which ones match.
pub(super) fn named(fleet: &FleetSpec, choices: &ImageChoices) -> BTreeSet<String> {
    let ids = fleet
        .images
        .keys()
        .filter_map(|name| fleet.image_id(name, choices));
    ids.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use model::fleet::{ChosenImage, ImageChoice};

    use super::*;

    fn fleet(pools: &str) -> FleetSpec {
        let text = format!(
            "schema: 1\nfleet: 019a0000-0000-7000-8000-000000000001\nname: test\n\
             clouds: {{aws: {{kind: ec2, region: r, credentials: {{source: environment}}}}}}\n\
             images: {{builder: {{cloud: aws, id: ami-0}}, arm-baked: {{cloud: aws, id: ami-1}}}}\n\
             provision: {{base: {{}}}}\npools:\n{pools}"
        );
        runtime::yaml::parse(&text, "fleet.yaml").unwrap()
    }

    fn pool(name: &str) -> String {
        format!(
            "  {name}: {{labels: [\"arch:x86_64\"], image: builder, provision: base, size: {{max: 1}}, offerings: [{{types: [a]}}]}}\n"
        )
    }

    fn baked(pool: &str) -> Baked {
        Baked {
            pool: pool.parse().unwrap(),
            cloud: "aws".to_owned(),
            image: "ami-9".to_owned(),
            name: format!("verdigris-{pool}-1"),
            is_new: true,
            base: "ami-0".to_owned(),
            playbook: "builder.yml".to_owned(),
            digest: "ab".to_owned(),
            has_boot_tasks: true,
            older: vec!["ami-7".to_owned(), "ami-8".to_owned()],
            deleted: vec!["ami-7".to_owned()],
            seconds: 41,
        }
    }

    #[test]
    fn people_read_what_to_write_and_what_else_there_is() {
        let own = fleet(&pool("x86"));
        assert_eq!(
            baked("x86").as_text(&own),
            "Image ami-9 of pool x86 was made by builder.yml from ami-0 in 41 s.\nWrite into the fleet file:\n\n\
             images:\n  builder: {cloud: aws, id: ami-9}\n\nDeleted: ami-7.\n\n\
             Older images of the pool, which nobody uses: ami-8."
        );
        let there = Baked {
            is_new: false,
            has_boot_tasks: false,
            older: Vec::new(),
            deleted: Vec::new(),
            ..baked("x86")
        };
        assert_eq!(
            there.as_text(&own),
            "Nothing to do: image ami-9 of pool x86 was made by builder.yml as it is. --again makes another one.\n\n\
             No task of builder.yml has the tag `boot`: machines from the image play all of it."
        );
        assert_eq!(
            named(&own, &ImageChoices::new()).into_iter().collect::<Vec<_>>(),
            ["ami-0", "ami-1"]
        );
    }

    #[test]
    fn an_image_that_other_pools_use_stays_theirs() {
        let shared = fleet(&(pool("arm") + &pool("x86")));
        // That name is another image's already.
        let text = baked("arm").as_text(&shared);
        let write = "images:\n  arm-bakedx: {cloud: aws, id: ami-9}\npools:\n  arm:\n    image: arm-bakedx\n";
        assert!(text.contains(write), "{text}");
        let shown: serde_json::Value = serde_json::from_str(&baked("x86").as_json(&shared)).unwrap();
        assert_eq!(shown["write"]["images"]["x86-baked"]["id"], "ami-9");
        assert_eq!(shown["write"]["pools"]["x86"]["image"], "x86-baked");
        let alone: serde_json::Value =
            serde_json::from_str(&baked("x86").as_json(&fleet(&pool("x86")))).unwrap();
        assert_eq!(alone["write"]["images"]["builder"]["id"], "ami-9");
        assert_eq!(alone["write"].get("pools"), None);
        assert_eq!((&alone["is_new"], &alone["digest"]), (&json!(true), &json!("ab")));
    }

    #[test]
    fn an_image_that_is_selected_by_its_name_needs_no_word_in_the_file() {
        let mut fleet = fleet(&pool("x86"));
        let image = fleet.images.get_mut("builder").unwrap();
        image.id = None;
        for (owner, name, is_selected) in [
            ("self", "verdigris-x86-*", true),
            ("self", "verdigris-arm-*", false),
            // Whoever has that number: nobody knows whether it is this account.
            ("012345678901", "verdigris-x86-*", false),
        ] {
            let select = json!({"owner": owner, "name": name, "min_age": "1h"});
            fleet.images.get_mut("builder").unwrap().select = serde_json::from_value(select).unwrap();
            let text = baked("x86").as_text(&fleet);
            let own = "images.builder.select matches its name, verdigris-x86-1: it is used when it is 1h old and the newest";
            assert_eq!(text.contains(own), is_selected, "{text}");
            let not =
                "images.builder.select does not match its name, verdigris-x86-1.\nWrite into the fleet file:";
            assert_eq!(text.contains(not), !is_selected, "{text}");
            let shown: serde_json::Value = serde_json::from_str(&baked("x86").as_json(&fleet)).unwrap();
            let write = &shown["write"]["images"]["builder"]["id"];
            assert_eq!(write.as_str(), (!is_selected).then_some("ami-9"));
        }
        let choice = ImageChoice {
            asked: fleet.image_question("builder").unwrap(),
            chosen: Some(ChosenImage {
                id: "ami-5".to_owned(),
                name: String::new(),
                created: None,
                chosen_at: model::Timestamp::from_micros(0),
            }),
            failure: None,
        };
        let choices = ImageChoices::from([("builder".to_owned(), choice)]);
        assert_eq!(
            named(&fleet, &choices).into_iter().collect::<Vec<_>>(),
            ["ami-1", "ami-5"]
        );
    }
}
