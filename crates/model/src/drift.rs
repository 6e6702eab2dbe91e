//! Whether a builder is made as its pool's builders are made by now, what it is not fit for any more, and how urgent it is that it is
//! replaced.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::ChrootName;

/// How many digits of each digest are kept: 64 bits, to tell one change from none.
const DIGITS: usize = 16;
/// The same of a chroot's digest: a pool may offer a hundred, and each builder has as many.
const CHROOT_DIGITS: usize = 10;

/// What the builders of a pool are made from, as digests of its parts.
///
/// As text, which the database keeps with each builder, it is `v2:IMAGE.PROVISION.FILES.PROGRAMS:CHROOT,CHROOT`, each the first
/// digits of a digest in hexadecimal. Builders of older farms have `v1:IMAGE.PROVISION.FILES.CHROOTS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Of the image, and of the root volume where the fleet file has another one; empty while nobody has chosen the image, from which
    /// no builder differs then.
    pub image: String,
    /// Of what the fleet file says of provisioning: user and port, names of playbooks, variables.
    pub provision: String,
    /// Of the playbooks and the files that they copy, but for the builder's own programs.
    pub files: String,
    /// Of the builder's own programs.
    pub programs: String,
    /// Of the definition, with the name, of each chroot that the pool offers.
    pub chroots: BTreeMap<ChrootName, String>,
    /// The same as the first version had it; `None` where no builder is compared that has such a text.
    pub first_version: Option<FirstVersion>,
}

/// The parts of a recipe of the first version that the next ones have otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstVersion {
    /// Of the playbooks and all files that they copy.
    pub files: String,
    /// Of all chroots together.
    pub chroots: String,
}

/// Whether the text of a recipe is of the first version.
#[must_use]
pub fn is_of_first_version(recipe: &str) -> bool {
    recipe.starts_with("v1:")
}

fn short(digest: &str) -> &str {
    digest.get(..DIGITS).unwrap_or(digest)
}

fn short_of_chroot(digest: &str) -> &str {
    digest.get(..CHROOT_DIGITS).unwrap_or(digest)
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [image, provision, files, programs] =
            [&self.image, &self.provision, &self.files, &self.programs].map(|digest| short(digest));
        let chroots: Vec<_> = self.chroots.values().map(|it| short_of_chroot(it)).collect();
        let chroots = chroots.join(",");
        write!(f, "v2:{image}.{provision}.{files}.{programs}:{chroots}")
    }
}

/// How a builder differs from those that its pool would make now. Of several differences the most urgent one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drift {
    /// It came from another image, or with another root volume.
    Image,
    /// Its provisioning was described otherwise.
    Provision,
    /// Other playbooks or files made it.
    Files,
    /// It was made for other chroots, and for some of those that are offered now.
    Chroots,
    /// It was made for none of the chroots that are offered now.
    NoChroot,
    /// Its own programs are others.
    Programs,
    /// An older version of the farm made it, which did not keep what has to be compared.
    Unknown,
}

/// A difference that an operator may call urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DriftPart {
    /// Another image, or another root volume.
    Image,
    /// Another entry under `provision`.
    Provision,
    /// Other playbooks or provision-files.
    Files,
    /// Chroots that are new, gone or defined otherwise.
    Chroots,
}

impl Drift {
    /// Whether no build may begin on the builder any more: workers rely on the programs that they find there, and builds on their
    /// chroot. In any other case it does its work until its turn comes, unless the operator wants it otherwise.
    fn is_urgent(self, urgent_on: &BTreeSet<DriftPart>) -> bool {
        match self {
            Self::Image => urgent_on.contains(&DriftPart::Image),
            Self::Provision => urgent_on.contains(&DriftPart::Provision),
            Self::Files => urgent_on.contains(&DriftPart::Files),
            Self::Chroots => urgent_on.contains(&DriftPart::Chroots),
            Self::NoChroot | Self::Programs | Self::Unknown => true,
        }
    }

    /// The difference, as the end of a sentence for people.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::Image => "from another image or disk",
            Self::Provision => "with another provisioning",
            Self::Files => "by other playbooks or files",
            Self::Chroots | Self::NoChroot => "for other chroots",
            Self::Programs => "with other programs",
            Self::Unknown => "otherwise",
        }
    }
}

/// For which builds a builder is not fit, since it was made before what they need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Lacks {
    /// It is fit for every build that its pool offers.
    #[default]
    Nothing,
    /// For builds in these chroots: they were added or changed since.
    Chroots(Arc<BTreeSet<ChrootName>>),
    /// For any build.
    Everything,
}

impl Lacks {
    /// Whether no build in a chroot may begin on the builder.
    #[must_use]
    pub fn blocks(&self, chroot: &ChrootName) -> bool {
        match self {
            Self::Nothing => false,
            Self::Chroots(chroots) => chroots.contains(chroot),
            Self::Everything => true,
        }
    }
}

/// That a builder is not made as its pool's builders are made by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outdated {
    pub drift: Drift,
    pub lacks: Lacks,
}

impl Recipe {
    /// How a builder that was `made`, as the text of a recipe, differs from one that this recipe makes; `None` where it does not.
    /// `urgent_on`: the differences that leave it fit for no build, beside those that always do.
    #[must_use]
    pub fn outdated(&self, made: &str, urgent_on: &BTreeSet<DriftPart>) -> Option<Outdated> {
        let (found, lacking) = match self.compare(made) {
            Some(compared) => compared,
            None => (vec![Drift::Unknown], BTreeSet::new()),
        };
        let urgent = found.iter().copied().filter(|it| it.is_urgent(urgent_on)).max();
        let drift = urgent.or_else(|| found.into_iter().max())?;
        let lacks = match urgent {
            Some(_) => Lacks::Everything,
            None if lacking.is_empty() => Lacks::Nothing,
            None => Lacks::Chroots(Arc::new(lacking)),
        };
        Some(Outdated { drift, lacks })
    }

    /// All differences, and the chroots that were added or changed since; `None` for a text that says too little.
    fn compare(&self, made: &str) -> Option<(Vec<Drift>, BTreeSet<ChrootName>)> {
        let (version, text) = made.split_once(':')?;
        let (parts, chroots) = match version {
            "v1" => (text, None),
            "v2" => text
                .split_once(':')
                .map(|(parts, chroots)| (parts, Some(chroots)))?,
            _ => return None,
        };
        let parts: [&str; 4] = parts.split('.').collect::<Vec<_>>().try_into().ok()?;
        let [image, provision, files, last] = parts;
        let mut found = Vec::new();
        let mut differ = |drift, made: &str, now: &str| {
            // An image that nobody has chosen yet is no other one.
            let is_unknown = drift == Drift::Image && (made.is_empty() || now.is_empty());
            if !is_unknown && made != short(now) {
                found.push(drift);
            }
        };
        differ(Drift::Image, image, &self.image);
        differ(Drift::Provision, provision, &self.provision);
        let Some(chroots) = chroots else {
            // Which of the files are others, and which of the chroots, nobody kept.
            let first = self.first_version.as_ref()?;
            differ(Drift::Programs, files, &first.files);
            differ(Drift::Unknown, last, &first.chroots);
            return Some((found, BTreeSet::new()));
        };
        differ(Drift::Files, files, &self.files);
        differ(Drift::Programs, last, &self.programs);
        let made: BTreeSet<&str> = chroots.split(',').filter(|it| !it.is_empty()).collect();
        let is_new = |digest: &str| !made.contains(short_of_chroot(digest));
        let lacking: BTreeSet<ChrootName> = self
            .chroots
            .iter()
            .filter(|(_, digest)| is_new(digest))
            .map(|(name, _)| name.clone())
            .collect();
        if !lacking.is_empty() && lacking.len() == self.chroots.len() {
            found.push(Drift::NoChroot);
        } else if !lacking.is_empty() || made.len() != self.chroots.len() {
            found.push(Drift::Chroots);
        }
        Some((found, lacking))
    }
}

#[cfg(test)]
mod tests;
