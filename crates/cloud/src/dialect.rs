//! Whose dialect of EC2 an endpoint speaks, as far as its own words tell.

use model::fleet::CloudProfile;

/// A dialect that an endpoint has shown to speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    pub profile: CloudProfile,
    /// What showed it, as a part of a sentence.
    signs: String,
}

impl Dialect {
    /// The dialect that two answers show, if they show one: what became of `DryRun`, and the form in which instance types are
    /// described. Many services speak parts of EC2's API and are neither; so nothing is said where the signs do not agree, and
    /// `DryRun` alone, which newer Eucalyptus may learn, makes no Amazon.
    #[must_use]
    pub fn shown_by(dry_run: Option<CloudProfile>, types: Option<CloudProfile>) -> Option<Self> {
        use CloudProfile::{Aws, Eucalyptus};
        let (profile, signs) = match (dry_run, types) {
            (Some(Aws), Some(Aws)) => (
                Aws,
                "it knows `DryRun`, and describes instance types as Amazon does",
            ),
            (Some(Eucalyptus), Some(Eucalyptus)) => (
                Eucalyptus,
                "it does not know `DryRun`, and describes instance types as only Eucalyptus does",
            ),
            (None, Some(Eucalyptus)) => (Eucalyptus, "it describes instance types as only Eucalyptus does"),
            (Some(Eucalyptus), None) => (
                Eucalyptus,
                "it does not know `DryRun`, and says so as Eucalyptus does",
            ),
            (None, None | Some(Aws))
            | (Some(Aws), None | Some(Eucalyptus))
            | (Some(Eucalyptus), Some(Aws)) => {
                return None;
            }
        };
        Some(Self {
            profile,
            signs: signs.to_owned(),
        })
    }

    /// Why a cloud cannot be used with that `profile` in the fleet file; `None` where it is the right one.
    #[must_use]
    pub fn contradicts(&self, profile: CloudProfile) -> Option<String> {
        let (shown, signs) = (self.profile, &self.signs);
        (shown != profile).then(|| {
            format!(
                "it is `{profile}`, but the endpoint speaks the dialect of `{shown}`: {signs}. Write `profile: {shown}`, or the \
                 endpoint that is meant"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        CloudProfile::{self, Aws, Eucalyptus},
        Dialect,
    };

    #[test]
    fn only_signs_that_agree_show_a_dialect() {
        for (dry_run, types, expected) in [
            (Some(Aws), Some(Aws), Some(Aws)),
            (Some(Eucalyptus), Some(Eucalyptus), Some(Eucalyptus)),
            // The account may not ask for types; or unknown parameters are passed over.
            (Some(Eucalyptus), None, Some(Eucalyptus)),
            (None, Some(Eucalyptus), Some(Eucalyptus)),
            // Half an Amazon is anybody.
            (Some(Aws), None, None),
            (None, Some(Aws), None),
            (None, None, None),
            (Some(Aws), Some(Eucalyptus), None),
            (Some(Eucalyptus), Some(Aws), None),
        ] {
            let shown = Dialect::shown_by(dry_run, types);
            assert_eq!(shown.map(|it| it.profile), expected, "{dry_run:?} {types:?}");
        }
    }

    #[test]
    fn a_profile_is_contradicted_by_the_other_and_the_words_say_what_to_write() {
        let shown = |by: CloudProfile| Dialect::shown_by(Some(by), Some(by)).unwrap();
        assert_eq!(shown(Aws).contradicts(Aws), None);
        assert_eq!(shown(Eucalyptus).contradicts(Eucalyptus), None);
        assert_eq!(
            shown(Eucalyptus).contradicts(Aws).unwrap(),
            "it is `aws`, but the endpoint speaks the dialect of `eucalyptus`: it does not know `DryRun`, and describes instance \
             types as only Eucalyptus does. Write `profile: eucalyptus`, or the endpoint that is meant"
        );
        let words = shown(Aws).contradicts(Eucalyptus).unwrap();
        assert!(
            words.starts_with("it is `eucalyptus`, but the endpoint speaks the dialect of `aws`: it knows"),
            "{words}"
        );
    }
}
