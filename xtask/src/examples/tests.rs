use super::*;

/// The descriptions of the examples, by their names.
fn descriptions() -> Vec<(String, PathBuf)> {
    let examples = workspace::root().unwrap().join("examples");
    let folders = fs_err::read_dir(examples).unwrap().map(|entry| entry.unwrap());
    let named = folders.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    named.collect()
}

#[test]
fn every_example_describes_the_tarball_that_its_spec_file_names() {
    let mut count = 0;
    for (name, folder) in descriptions() {
        let spec = fs_err::read_to_string(folder.join(format!("{name}.spec"))).expect(&name);
        let Ok(text) = fs_err::read_to_string(folder.join("source.toml")) else {
            assert!(!spec.contains("Source0"), "{name} has no source");
            continue;
        };
        let source: Source = toml::from_str(&text).expect(&name);
        // rpm itself says what the spec file asks for.
        let said = Tool::new("rpmspec")
            .args(["--parse"])
            .arg(folder.join(format!("{name}.spec")));
        let said = said.output().expect(&name);
        let of = |tag: &str| {
            let found = said.lines().find_map(|line| line.strip_prefix(tag));
            found.expect(&name).trim().rsplit('/').next().unwrap().to_owned()
        };
        assert_eq!(of("Source0:"), source.source, "{name}");
        assert_eq!(of("Version:"), source.version, "{name}");
        assert!(source.tarball.contains(&source.version), "{name}");
        count += 1;
    }
    assert!(count >= 3, "{count} examples have sources");
}

fn source(sha256: &str) -> Source {
    Source {
        debian_source: "hello".to_owned(),
        version: "2.10".to_owned(),
        tarball: "hello_2.10.orig.tar.gz".to_owned(),
        source: "hello-2.10.tar.gz".to_owned(),
        sha256: sha256.to_owned(),
    }
}

#[test]
fn a_tarball_is_taken_when_it_is_the_one_that_is_meant() {
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let place = tempfile::tempdir().unwrap();
    let (kept, sources) = (place.path().join("kept"), place.path().join("SOURCES"));
    fs_err::create_dir(&sources).unwrap();
    let error = take(&source(ABC), &kept, &sources).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Debian's source package hello no longer holds hello_2.10.orig.tar.gz: name a newer release"
    );
    fs_err::write(&kept, "abc").unwrap();
    let error = take(&source("0123"), &kept, &sources).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{} has the digest {ABC}, and another is wanted", kept.display())
    );
    assert_eq!(fs_err::read_dir(&sources).unwrap().count(), 0);
    take(&source(ABC), &kept, &sources).unwrap();
    let taken = sources.join("hello-2.10.tar.gz");
    assert_eq!(fs_err::read_to_string(taken).unwrap(), "abc");
}

#[test]
fn a_description_with_a_fault_is_named() {
    let place = tempfile::tempdir().unwrap();
    let cache = Cache::at(&place.path().join("cache")).unwrap();
    let description = place.path().join("source.toml");
    for text in [
        "debian_source = \"hello\"\n",
        "version = 2.10\n",
        "digest = \"x\"\n",
        "= ",
    ] {
        fs_err::write(&description, text).unwrap();
        let error = tarball(&cache, &description, place.path()).unwrap_err();
        assert_eq!(error.to_string(), description.display().to_string(), "{text}");
    }
}

#[test]
fn a_source_package_is_made_once_for_each_spec_file() {
    let place = tempfile::tempdir().unwrap();
    let cache = Cache::at(place.path()).unwrap();
    let made = source_package(&cache, "broken").unwrap();
    assert!(made.to_string_lossy().ends_with(".src.rpm"), "{}", made.display());
    let name = Tool::new("rpm")
        .args(["-qp", "--queryformat", "%{NAME}"])
        .arg(&made);
    assert_eq!(name.output().unwrap(), "broken");
    let written = fs_err::metadata(&made).unwrap().modified().unwrap();
    assert_eq!(source_package(&cache, "broken").unwrap(), made);
    assert_eq!(
        fs_err::metadata(&made).unwrap().modified().unwrap(),
        written,
        "not made anew"
    );
    assert!(source_package(&cache, "no-such-example").is_err());
}
