use std::collections::BTreeSet;

use super::*;

#[test]
fn an_image_has_another_name_when_its_recipe_changes() {
    let builder = Image::builder();
    let mut digests = BTreeSet::from([
        builder.digest("bookworm"),
        builder.digest("trixie"),
        Image::test_minimal().digest("bookworm"),
    ]);
    let mut more = Image::builder();
    more.packages.push("vim");
    digests.insert(more.digest("bookworm"));
    assert_eq!(digests.len(), 4, "{digests:?}");
    assert!(digests.iter().all(|digest| digest.len() == 16));
    assert_eq!(builder.digest("bookworm"), Image::builder().digest("bookworm"));
}

#[test]
fn the_builder_has_all_that_an_instance_has_and_no_compiler() {
    let packages = Image::builder().packages;
    let distinct: BTreeSet<_> = packages.iter().collect();
    assert_eq!(distinct.len(), packages.len(), "a package twice: {packages:?}");
    assert!(INSTANCE.iter().all(|package| distinct.contains(package)));
    for tool in ["gcc", "make", "clang"] {
        assert!(
            !distinct.contains(&tool),
            "builds happen in the chroot, not beside {tool}"
        );
    }
}

#[test]
fn the_description_names_the_layers_and_is_written_anew_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let image = Image::builder();
    assert!(!is_described(dir.path(), &["root"]), "there is none");
    for layers in [&["root"][..], &["roots-0123", "root"]] {
        image.write_description(dir.path(), "abc", layers).unwrap();
        assert!(is_described(dir.path(), layers));
        assert!(
            !is_described(dir.path(), &["roots-0", "root"]),
            "the beginning of a name is no name"
        );
    }
    let text = fs_err::read_to_string(dir.path().join("image.json")).unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    let architecture = std::env::consts::ARCH;
    let expected = json!({
        "name": format!("builder-{architecture}"),
        "architecture": architecture,
        "layers": ["roots-0123", "root"],
        "recipe": "abc",
    });
    assert_eq!(found, expected);
    fs_err::write(dir.path().join("image.json"), "[\"roots-0123\", \"root\"").unwrap();
    assert!(!is_described(dir.path(), &["roots-0123", "root"]), "cut off");
}

#[test]
fn mmdebstrap_is_told_all_that_makes_the_image() {
    let image = Image::test_minimal();
    let archives = apt::tests::archives(&["main", "contrib"]);
    for (place, mode, format) in [
        ("/x/root", "root", "directory"),
        ("/x/root.tar", "unshare", "tar"),
    ] {
        let tool = mmdebstrap(&image, "bookworm", &archives, (Path::new(place), mode, format));
        let shown = tool.shown();
        let made = format!("--mode={mode} --format={format} --include=openssh-server,iproute2,procps ");
        for part in [
            "mmdebstrap --variant=minbase '--aptopt=APT::Install-Recommends \"false\"' ",
            &made,
            " '--dpkgopt=path-include=/usr/share/doc/*/copyright'",
            " '--customize-hook=: >\"$1\"/etc/machine-id'",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        let end = format!(
            " bookworm {place} 'deb http://mirror.example/debian/ bookworm main' \
             'deb http://mirror.example/debian/ bookworm contrib'"
        );
        assert!(shown.ends_with(&end), "{shown}");
    }
}

#[test]
fn the_hooks_take_away_what_belongs_to_one_machine() {
    let dir = tempfile::tempdir().unwrap();
    // A root whose path has a space and a quote.
    let root = dir.path().join("it's a root");
    for (file, text) in [
        ("etc/ssh/ssh_host_ed25519_key", "secret"),
        ("etc/ssh/sshd_config", "kept"),
        ("etc/hostname", "maker"),
        ("etc/machine-id", "0123"),
        ("var/lib/apt/lists/mirror_Packages", "list"),
        ("var/cache/apt/pkgcache.bin", "cache"),
        ("var/log/apt/term.log", "log"),
        ("var/log/dpkg.log", "log"),
        ("var/log/journal/kept", "kept"),
    ] {
        let path = root.join(file);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    fs_err::os::unix::fs::symlink("/run/resolv.conf", root.join("etc/resolv.conf")).unwrap();
    for hook in hooks() {
        let run = Tool::new("sh").args(["-euc", &hook, "hook"]).arg(&root);
        assert_eq!(run.output().unwrap(), "", "{hook}");
    }
    for (file, text) in [
        ("etc/ssh/sshd_config", Some("kept")),
        ("var/log/journal/kept", Some("kept")),
        ("etc/machine-id", Some("")),
        ("etc/resolv.conf", Some("")),
        ("etc/rpm/macros.verdigris", Some(RPM_MACROS)),
        ("etc/ssh/ssh_host_ed25519_key", None),
        ("etc/hostname", None),
        ("var/lib/apt/lists/mirror_Packages", None),
        ("var/cache/apt/pkgcache.bin", None),
        ("var/log/apt", None),
        ("var/log/dpkg.log", None),
    ] {
        assert_eq!(
            fs_err::read_to_string(root.join(file)).ok().as_deref(),
            text,
            "{file}"
        );
    }
    assert!(
        !root.join("etc/resolv.conf").is_symlink(),
        "it would lead out of the image"
    );
}

#[test]
fn a_test_image_that_somebody_put_there_is_taken_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    let cache = Cache::at(place.path()).unwrap();
    let own = cache.path("images/test-minimal");
    Image::test_minimal()
        .write_description(&own, "own", &["root"])
        .unwrap();
    assert_eq!(test_minimal(&cache).unwrap(), own);
    assert!(!cache.path("images/test-minimal.d").exists(), "nothing is made");
}

#[test]
fn a_new_build_root_is_laid_over_an_image_that_is_there() {
    let place = tempfile::tempdir().unwrap();
    let cache = Cache::at(place.path()).unwrap();
    let repository = microdistro::tests::made(&cache);
    let digest = Image::builder().digest(&apt::codename().unwrap());
    let dir = cache.path("images/builder").join(&digest);
    let repomd = crate::cache::sha256_file(&repository.join("repodata/repomd.xml")).unwrap();
    let layer = seed::layer_of(&repomd);
    for name in ["root", "roots-older", "roots-oldest", &layer] {
        fs_err::create_dir_all(dir.join(name)).unwrap();
    }
    assert_eq!(builder(&cache).unwrap(), dir);
    assert!(
        is_described(&dir, &[&layer, "root"]),
        "the build root lies over the base"
    );
    assert_eq!(cache.path("images/builder/current").canonicalize().unwrap(), dir);
    let names = |dir: &Path| {
        let entries = fs_err::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        entries
            .map(|name| name.into_string().unwrap())
            .collect::<BTreeSet<_>>()
    };
    let left = names(&dir);
    assert!(left.contains("root") && left.contains(&layer), "{left:?}");
    assert_eq!(left.len(), 4, "one older build root is kept: {left:?}");

    fs_err::write(dir.join("image.json"), "{}").unwrap();
    builder(&cache).unwrap();
    assert!(
        is_described(&dir, &[&layer, "root"]),
        "a description that is broken is written anew"
    );
}

#[test]
fn the_test_image_of_this_recipe_takes_the_place_of_another() {
    let place = tempfile::tempdir().unwrap();
    let cache = Cache::at(place.path()).unwrap();
    let digest = Image::test_minimal().digest(&apt::codename().unwrap());
    let store = cache.path("images/test-minimal.d");
    fs_err::create_dir_all(store.join(&digest)).unwrap();
    let link = cache.path("images/test-minimal");
    // Half of an image is nobody's.
    fs_err::create_dir_all(link.join("root")).unwrap();
    for _ in 0..2 {
        assert_eq!(test_minimal(&cache).unwrap(), link);
        let target = fs_err::read_link(&link).unwrap();
        assert_eq!(target, Path::new("test-minimal.d").join(&digest));
    }
}
