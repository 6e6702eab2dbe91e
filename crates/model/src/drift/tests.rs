use super::*;

/// A recipe of parts that are told apart by one digit each, and of such chroots.
fn recipe([image, provision, files, programs]: [&str; 4], chroots: &[(&str, &str)]) -> Recipe {
    let digest = |part: &str| part.repeat(64);
    let chroots = chroots
        .iter()
        .map(|(name, part)| (name.parse().unwrap(), digest(part)))
        .collect();
    Recipe {
        image: digest(image),
        provision: digest(provision),
        files: digest(files),
        programs: digest(programs),
        chroots,
        first_version: None,
    }
}

const TWO: [(&str, &str); 2] = [("fedora-43-x86_64", "1"), ("fedora-44-x86_64", "2")];
const PARTS: [&str; 4] = ["a", "b", "c", "d"];

fn none() -> BTreeSet<DriftPart> {
    BTreeSet::new()
}

/// The names of what is lacking; `*` for everything.
fn lacking(lacks: &Lacks) -> Vec<&str> {
    match lacks {
        Lacks::Nothing => vec![],
        Lacks::Chroots(names) => names.iter().map(ChrootName::as_str).collect(),
        Lacks::Everything => vec!["*"],
    }
}

#[test]
fn a_recipe_is_kept_as_the_first_digits_of_its_digests() {
    let expected =
        "v2:aaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbb.cccccccccccccccc.dddddddddddddddd:1111111111,2222222222";
    assert_eq!(recipe(PARTS, &TWO).to_string(), expected);
    let expected = "v2:aaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbb.cccccccccccccccc.dddddddddddddddd:";
    assert_eq!(recipe(PARTS, &[]).to_string(), expected);
}

#[test]
fn no_builder_is_of_another_image_while_nobody_has_chosen_one() {
    let unknown = |parts| Recipe {
        image: String::new(),
        ..recipe(parts, &TWO)
    };
    let made = recipe(PARTS, &TWO).to_string();
    assert_eq!(unknown(PARTS).outdated(&made, &none()), None);
    let adopted = unknown(PARTS).to_string();
    assert_eq!(recipe(PARTS, &TWO).outdated(&adopted, &none()), None);
    assert_eq!(unknown(PARTS).outdated(&adopted, &none()), None);
    // All else is compared.
    let other = unknown(["a", "0", "c", "d"]).outdated(&made, &none());
    assert_eq!(other.map(|it| it.drift), Some(Drift::Provision));
}

#[test]
fn of_several_differences_the_most_urgent_one_is_told() {
    let now = recipe(PARTS, &TWO);
    for (made, expected) in [
        (PARTS, None),
        (["0", "b", "c", "d"], Some((Drift::Image, false))),
        (["a", "0", "c", "d"], Some((Drift::Provision, false))),
        (["0", "0", "c", "d"], Some((Drift::Provision, false))),
        (["a", "b", "0", "d"], Some((Drift::Files, false))),
        (["0", "b", "0", "d"], Some((Drift::Files, false))),
        (["a", "b", "c", "0"], Some((Drift::Programs, true))),
        (["0", "0", "0", "0"], Some((Drift::Programs, true))),
    ] {
        let found = now.outdated(&recipe(made, &TWO).to_string(), &none());
        let found = found.map(|it| (it.drift, it.lacks == Lacks::Everything));
        assert_eq!(found, expected, "{made:?}");
    }
    // A digest of the whole, as farms kept it before, and what nobody wrote.
    let whole = "5bec".repeat(16);
    for made in [
        whole.as_str(),
        "",
        "v2:a.b.c:1",
        "v2:a.b.c.d",
        "v1:a.b.c",
        "v1:a.b.c.d",
        "v3:a.b.c.d:1",
    ] {
        let expected = Outdated {
            drift: Drift::Unknown,
            lacks: Lacks::Everything,
        };
        assert_eq!(now.outdated(made, &none()), Some(expected), "{made}");
    }
}

#[test]
fn a_builder_lacks_the_chroots_that_were_added_or_changed_since_it_was_made() {
    let (old, new, changed) = (TWO[0], TWO[1], ("fedora-44-x86_64", "3"));
    let third = ("fedora-45-x86_64", "4");
    type Case<'a> = (
        &'a [(&'a str, &'a str)],
        &'a [(&'a str, &'a str)],
        Option<Drift>,
        &'a [&'a str],
    );
    let table: [Case<'_>; 9] = [
        (&[old], &[old], None, &[]),
        (&[], &[], None, &[]),
        (&[old], &[old, new], Some(Drift::Chroots), &["fedora-44-x86_64"]),
        (
            &[old, new],
            &[old, changed],
            Some(Drift::Chroots),
            &["fedora-44-x86_64"],
        ),
        (
            &[old],
            &[old, new, third],
            Some(Drift::Chroots),
            &["fedora-44-x86_64", "fedora-45-x86_64"],
        ),
        // What is gone is missed by nobody.
        (&[old, new], &[old], Some(Drift::Chroots), &[]),
        (&[old], &[], Some(Drift::Chroots), &[]),
        // Of all that is offered there is nothing that it was made for.
        (&[new], &[changed], Some(Drift::NoChroot), &["*"]),
        (&[], &[old, new], Some(Drift::NoChroot), &["*"]),
    ];
    for (made, now, drift, lacks) in table {
        let case = format!("{made:?}, {now:?}");
        let found = recipe(PARTS, now).outdated(&recipe(PARTS, made).to_string(), &none());
        assert_eq!(found.as_ref().map(|it| it.drift), drift, "{case}");
        let found = found.map_or(Lacks::Nothing, |it| it.lacks);
        assert_eq!(lacking(&found), lacks, "{case}");
    }
    // Beside another difference it lacks them as well.
    let made = recipe(["0", "b", "c", "d"], &[old]).to_string();
    let found = recipe(PARTS, &TWO).outdated(&made, &none()).unwrap();
    assert_eq!(lacking(&found.lacks), ["fedora-44-x86_64"]);
    for (name, is_blocked) in [("fedora-44-x86_64", true), ("fedora-43-x86_64", false)] {
        assert_eq!(found.lacks.blocks(&name.parse().unwrap()), is_blocked);
    }
    assert!(Lacks::Everything.blocks(&"fedora-43-x86_64".parse().unwrap()));
}

#[test]
fn an_operator_may_call_any_difference_urgent() {
    let now = recipe(PARTS, &TWO);
    let made = |parts, chroots: &[(&str, &str)]| recipe(parts, chroots).to_string();
    for (part, drift, made) in [
        (DriftPart::Image, Drift::Image, made(["0", "b", "0", "d"], &TWO)),
        (
            DriftPart::Provision,
            Drift::Provision,
            made(["a", "0", "c", "d"], &TWO),
        ),
        (DriftPart::Files, Drift::Files, made(["0", "b", "0", "d"], &TWO)),
        (DriftPart::Chroots, Drift::Chroots, made(PARTS, &TWO[..1])),
    ] {
        let urgent = now.outdated(&made, &[part].into()).unwrap();
        assert_eq!(
            (urgent.drift, urgent.lacks),
            (drift, Lacks::Everything),
            "{part:?}"
        );
        let not = now.outdated(&made, &none()).unwrap();
        assert_ne!(not.lacks, Lacks::Everything, "{part:?}");
    }
    // One that is urgent for another difference only is not urgent.
    let found = now.outdated(&made(["0", "b", "c", "d"], &TWO), &[DriftPart::Files].into());
    assert_eq!(found.unwrap().lacks, Lacks::Nothing);
}

#[test]
fn a_recipe_of_the_first_version_is_compared_by_what_it_has() {
    let first_version = FirstVersion {
        files: "e".repeat(64),
        chroots: "f".repeat(64),
    };
    let now = Recipe {
        first_version: Some(first_version),
        ..recipe(PARTS, &TWO)
    };
    for ([image, provision, files, chroots], expected) in [
        (["a", "b", "e", "f"], None),
        (["0", "b", "e", "f"], Some((Drift::Image, false))),
        (["a", "0", "e", "f"], Some((Drift::Provision, false))),
        (["a", "b", "0", "f"], Some((Drift::Programs, true))),
        (["a", "b", "e", "0"], Some((Drift::Unknown, true))),
    ] {
        let [image, provision, files, chroots] = [image, provision, files, chroots].map(|it| it.repeat(16));
        let made = format!("v1:{image}.{provision}.{files}.{chroots}");
        assert!(is_of_first_version(&made) && !is_of_first_version(&now.to_string()));
        let found = now.outdated(&made, &none());
        let found = found.map(|it| (it.drift, it.lacks == Lacks::Everything));
        assert_eq!(found, expected, "{made}");
    }
}
