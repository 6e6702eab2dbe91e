//! From a seed in which a rule is broken to the few faults that it takes.

use std::collections::BTreeSet;

use crate::{Fault, Scene, Violation};

/// The world of a scene in which a rule is broken, with as few faults as the same rule takes to be broken, and how it is then.
/// `None` where no rule is. Without a fault all that comes after it is another story, so that what is found need not be the one
/// that was asked about.
#[must_use]
pub fn shrink(scene: &Scene) -> Option<(Scene, Violation)> {
    let report = scene.run();
    let mut found = report.violation?;
    let struck = Fault::ALL.iter().zip(&report.met).filter(|(_, met)| **met > 0);
    let mut least = Scene {
        only: Some(struck.map(|(fault, _)| *fault).collect()),
        ..scene.clone()
    };
    // Half of all that are left, a quarter of them, and so on, to each one by itself.
    let mut size = least.only.as_ref().map_or(0, BTreeSet::len);
    while size > 0 {
        size = size.div_ceil(2);
        let all: Vec<Fault> = least.only.iter().flatten().copied().collect();
        for part in all.chunks(size) {
            let mut fewer = least.clone();
            fewer
                .only
                .iter_mut()
                .for_each(|only| only.retain(|fault| !part.contains(fault)));
            let violation = fewer.run().violation;
            if let Some(violation) = violation.filter(|it| it.rule == found.rule) {
                (least, found) = (fewer, violation);
            }
        }
        if size == 1 {
            break;
        }
    }
    Some((least, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Guards, Report, Rule};

    /// A world in which a launch without an answer is asked for again by another token.
    fn forgetful() -> Scene {
        let mut scenes = (0..40).map(|seed| Scene {
            guards: Guards {
                tokens: false,
                ..Guards::default()
            },
            ..Scene::of(seed)
        });
        let forgets = |scene: &Scene| scene.run().violation.is_some_and(|it| it.rule == Rule::Record);
        scenes.find(forgets).expect("some answers are lost in 40 seeds")
    }

    #[test]
    fn what_is_left_breaks_the_same_rule_and_takes_no_fewer_faults() {
        let scene = forgetful();
        let (least, violation) = shrink(&scene).unwrap();
        assert_eq!((violation.rule, violation.seed), (Rule::Record, scene.seed));
        let only = least.only.clone().unwrap();
        // One that is lost, and what leads there. How many that are depends on what the first such world draws.
        assert!(only.len() * 8 < Fault::ALL.len(), "{only:?}");
        let again = least.run().violation.unwrap();
        assert_eq!((again.at, again.words), (violation.at, violation.words));
        for fault in &only {
            let mut fewer = only.clone();
            fewer.remove(fault);
            let scene = Scene {
                only: Some(fewer),
                ..least.clone()
            };
            let rule = scene.run().violation.map(|it| it.rule);
            assert_ne!(rule, Some(Rule::Record), "without {fault:?}");
        }
    }

    #[test]
    fn a_world_goes_on_as_it_did_without_the_faults_that_have_not_struck_in_it() {
        let scene = forgetful();
        let whole = scene.run();
        let struck = Fault::ALL.iter().zip(&whole.met).filter(|(_, met)| **met > 0);
        let only: BTreeSet<Fault> = struck.map(|(fault, _)| *fault).collect();
        assert!(only.len() < Fault::ALL.len());
        let again = Scene {
            only: Some(only),
            ..scene
        };
        let again = again.run();
        let broken = |report: &Report| report.violation.as_ref().map(|it| (it.at, it.words.clone()));
        assert_eq!((broken(&again), again.met), (broken(&whole), whole.met));
    }

    #[test]
    fn what_breaks_no_rule_cannot_be_made_smaller() {
        assert!(shrink(&Scene::of(0)).is_none());
    }

    #[test]
    fn a_world_has_no_other_faults_than_those_that_are_wanted() {
        let whole = Scene::of(3);
        assert!(whole.run().met.iter().filter(|met| **met > 0).count() > 5);
        let only: BTreeSet<Fault> = [Fault::Dies, Fault::Slow].into();
        let some = Scene {
            only: Some(only.clone()),
            ..whole.clone()
        };
        let met = some.run().met;
        let struck = Fault::ALL.iter().zip(&met).filter(|(_, met)| **met > 0);
        let struck: BTreeSet<Fault> = struck.map(|(fault, _)| *fault).collect();
        assert!(struck.is_subset(&only), "{struck:?}");
        let none = Scene {
            only: Some(BTreeSet::new()),
            ..whole
        };
        assert_eq!(none.run().met.iter().sum::<u64>(), 0);
    }
}
