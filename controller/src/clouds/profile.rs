//! Whether a cloud's endpoint is what the fleet file says: asked once, and again for as long as it is not.

use std::time::Duration;

use model::fleet::CloudProfile;

use crate::observe::Seen;

/// How long after a question without an answer the next one is asked.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// What is known of a cloud's `profile`.
#[derive(Debug)]
pub(super) struct Profile {
    /// From when on it is to be asked, by the clock's elapsed time; `None`: it need not be any more.
    due: Option<Duration>,
    /// Why the cloud cannot be used with the `profile` of the file.
    pub(super) refusal: Option<String>,
}

impl Default for Profile {
    /// Nobody has asked.
    fn default() -> Self {
        Self {
            due: Some(Duration::ZERO),
            refusal: None,
        }
    }
}

impl Profile {
    /// Whether the next look asks.
    pub(super) fn is_due(&self, elapsed: Duration) -> bool {
        self.due.is_some_and(|due| due <= elapsed)
    }

    /// Draws the conclusion of a look. An endpoint that shows neither dialect is taken as the file says, and so is one that has not
    /// answered yet; one that was refused stays so until it shows that it is another. `of_file`: the profile in the file.
    pub(super) fn heed(&mut self, of_file: Option<CloudProfile>, seen: &Seen, elapsed: Duration) {
        match &seen.dialect {
            Some(shown) => {
                let shown = shown.as_ref();
                let words = shown.and_then(|dialect| dialect.contradicts(of_file?));
                self.refusal = words.map(|words| format!("clouds.{}.profile: {words}", seen.cloud));
                self.due = self.refusal.is_some().then_some(elapsed);
            }
            None if self.is_due(elapsed) => self.due = Some(elapsed.saturating_add(AGAIN_AFTER)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use cloud::Dialect;

    use super::*;

    #[test]
    fn a_cloud_is_asked_until_it_answers_and_goes_on_being_asked_while_it_is_refused() {
        let shown = |profile| Dialect::shown_by(Some(profile), Some(profile));
        let (aws, eucalyptus) = (CloudProfile::Aws, CloudProfile::Eucalyptus);
        let mut profile = Profile::default();
        // What each look is told, at which second; whether the cloud is refused then, and the second in which it is asked again.
        for (second, told, is_refused, again) in [
            (0, None, false, Some(30)),
            (29, None, false, Some(30)),
            (30, Some(shown(eucalyptus)), true, Some(30)),
            // Silence takes nothing back.
            (31, None, true, Some(61)),
            (61, Some(shown(eucalyptus)), true, Some(61)),
            (62, Some(shown(aws)), false, None),
            (99, None, false, None),
        ] {
            let seen = Seen::of_dialect("lab", told);
            profile.heed(Some(aws), &seen, Duration::from_secs(second));
            assert_eq!(profile.refusal.is_some(), is_refused, "{second}");
            assert_eq!(profile.due, again.map(Duration::from_secs), "{second}");
        }
        let mut neither = Profile::default();
        neither.heed(
            Some(eucalyptus),
            &Seen::of_dialect("lab", Some(None)),
            Duration::ZERO,
        );
        assert!(neither.refusal.is_none() && !neither.is_due(Duration::from_secs(9)));
    }

    #[test]
    fn a_refusal_names_the_key_what_was_shown_and_what_to_write() {
        let mut profile = Profile::default();
        let shown = Dialect::shown_by(None, Some(CloudProfile::Eucalyptus));
        let seen = Seen::of_dialect("lab", Some(shown));
        profile.heed(Some(CloudProfile::Aws), &seen, Duration::ZERO);
        assert_eq!(
            profile.refusal.as_deref().unwrap_or_default(),
            "clouds.lab.profile: it is `aws`, but the endpoint speaks the dialect of `eucalyptus`: it describes instance types as \
             only Eucalyptus does. Write `profile: eucalyptus`, or the endpoint that is meant"
        );
        // Of fixed hosts the file says nothing.
        profile.heed(None, &seen, Duration::ZERO);
        assert_eq!(profile.refusal, None);
    }
}
