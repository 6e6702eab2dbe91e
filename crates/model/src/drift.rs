//! Whether a builder is made as its pool's builders are made by now, and how urgent it is that it is replaced.

use std::fmt;

/// How many digits of each digest are kept: 64 bits, to tell one change from none.
const DIGITS: usize = 16;

/// What the builders of a pool are made from, as digests of its parts.
///
/// As text, which the database keeps with each builder, it is `v1:IMAGE.PROVISION.FILES.CHROOTS`, each the first 16 digits of a
/// digest in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Of the image.
    pub image: String,
    /// Of what the fleet file says of provisioning: user and port, names of playbooks, variables.
    pub provision: String,
    /// Of the playbooks and the files that they copy.
    pub files: String,
    /// Of the chroots that the pool offers, with their definitions.
    pub chroots: String,
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |digest: &str| digest.chars().take(DIGITS).collect::<String>();
        let [image, provision, files, chroots] =
            [&self.image, &self.provision, &self.files, &self.chroots].map(|digest| short(digest));
        write!(f, "v1:{image}.{provision}.{files}.{chroots}")
    }
}

/// How a builder differs from those that its pool would make now. Of several differences the most urgent one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drift {
    /// It came from another image.
    Image,
    /// Its provisioning was described otherwise.
    Provision,
    /// Other playbooks or files made it.
    Files,
    /// It was made for other chroots.
    Chroots,
    /// An older version of the farm made it, which kept no parts.
    Unknown,
}

impl Drift {
    /// How a builder that was made by `made` differs from one that is made by `now`; both as texts of [`Recipe`].
    #[must_use]
    pub fn between(made: &str, now: &str) -> Option<Self> {
        if made == now {
            return None;
        }
        let parts = |text: &str| -> Option<[String; 4]> {
            let parts = text.strip_prefix("v1:")?.split('.').map(str::to_owned);
            parts.collect::<Vec<_>>().try_into().ok()
        };
        let (Some(made), Some(now)) = (parts(made), parts(now)) else {
            return Some(Self::Unknown);
        };
        let kinds = [Self::Image, Self::Provision, Self::Files, Self::Chroots];
        let differences = kinds.into_iter().zip(made.iter().zip(&now));
        differences
            .filter(|(_, (made, now))| made != now)
            .map(|(kind, _)| kind)
            .max()
    }

    /// Whether no build may begin on the builder any more. Workers rely on the programs that they find there, and builds on the
    /// chroots; from another image, or described otherwise, it does its work until its turn comes.
    #[must_use]
    pub const fn is_urgent(self) -> bool {
        match self {
            Self::Image | Self::Provision => false,
            Self::Files | Self::Chroots | Self::Unknown => true,
        }
    }

    /// The difference, as the end of a sentence for people.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::Image => "from another image",
            Self::Provision => "with another provisioning",
            Self::Files => "by other playbooks or files",
            Self::Chroots => "for other chroots",
            Self::Unknown => "otherwise",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(parts: [&str; 4]) -> String {
        let [image, provision, files, chroots] = parts.map(|part| part.repeat(64));
        let recipe = Recipe {
            image,
            provision,
            files,
            chroots,
        };
        recipe.to_string()
    }

    #[test]
    fn a_recipe_is_kept_as_the_first_digits_of_its_digests() {
        let expected = "v1:aaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbb.cccccccccccccccc.dddddddddddddddd";
        assert_eq!(recipe(["a", "b", "c", "d"]), expected);
    }

    #[test]
    fn of_several_differences_the_most_urgent_one_is_told() {
        let now = recipe(["a", "b", "c", "d"]);
        for (made, expected, is_urgent) in [
            (["a", "b", "c", "d"], None, false),
            (["0", "b", "c", "d"], Some(Drift::Image), false),
            (["a", "0", "c", "d"], Some(Drift::Provision), false),
            (["0", "0", "c", "d"], Some(Drift::Provision), false),
            (["a", "b", "0", "d"], Some(Drift::Files), true),
            (["0", "b", "0", "d"], Some(Drift::Files), true),
            (["0", "0", "0", "0"], Some(Drift::Chroots), true),
        ] {
            let found = Drift::between(&recipe(made), &now);
            assert_eq!(found, expected, "{made:?}");
            assert_eq!(found.is_some_and(Drift::is_urgent), is_urgent, "{made:?}");
        }
        // A digest of the whole, as farms kept it before, and what nobody wrote.
        for made in [&"5bec".repeat(16), "", "v1:a.b.c", "v2:a.b.c.d"] {
            assert_eq!(Drift::between(made, &now), Some(Drift::Unknown), "{made}");
        }
    }
}
