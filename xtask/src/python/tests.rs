use super::*;

const REQUIREMENTS: &str = "# a comment: a==1\nFlask==3.1.3\nruamel.yaml==0.18\ntyping-extensions==4.16.0\n";

#[test]
fn packages_are_found_by_what_pip_leaves() {
    let venv = tempfile::tempdir().unwrap();
    let environment = Environment {
        place: venv.path(),
        requirements: REQUIREMENTS,
    };
    assert!(!environment.is_complete());
    let packages = venv.path().join("lib/python3.11/site-packages");
    fs_err::create_dir_all(&packages).unwrap();
    fs_err::create_dir_all(venv.path().join("bin")).unwrap();
    fs_err::write(environment.program("python3"), "").unwrap();
    // pip writes some names as they are and some in small letters.
    for (directory, is_complete) in [
        ("flask-3.1.3.dist-info", false),
        ("ruamel_yaml-0.17.dist-info", false),
        ("ruamel_yaml-0.18.dist-info", false),
        ("typing_extensions.py", false),
        ("Typing_Extensions-4.16.0.dist-info", true),
    ] {
        fs_err::create_dir(packages.join(directory)).unwrap();
        assert_eq!(environment.is_complete(), is_complete, "with {directory}");
    }
    fs_err::remove_file(environment.program("python3")).unwrap();
    assert!(!environment.is_complete(), "without its Python");
}

#[test]
fn an_environment_that_works_stays_and_is_brought_up_to_date() {
    let place = tempfile::tempdir().unwrap();
    let venv = place.path().join("venv");
    let environment = Environment {
        place: &venv,
        requirements: REQUIREMENTS,
    };
    let python = "#!/bin/sh\necho \"Installing $*\"\necho done\n";
    crate::process::tests::program(&environment.program("python3"), python);
    fs_err::write(venv.join("in-use"), "").unwrap();
    let (log, mut lines) = (place.path().join("log"), Vec::new());
    environment
        .install(&log, |line| lines.push(line.to_owned()))
        .unwrap();
    let list = place.path().join("venv.requirements.txt");
    assert_eq!(
        lines,
        [
            format!(
                "Installing -m pip install --progress-bar=off --requirement {}",
                list.display()
            ),
            "done".to_owned()
        ]
    );
    assert_eq!(fs_err::read_to_string(list).unwrap(), REQUIREMENTS);
    assert!(venv.join("in-use").exists());
}

#[test]
fn an_environment_without_a_working_pip_is_made_anew() {
    let place = tempfile::tempdir().unwrap();
    let venv = place.path().join("venv");
    fs_err::create_dir_all(venv.join("lib/broken")).unwrap();
    let environment = Environment {
        place: &venv,
        requirements: "",
    };
    let log = place.path().join("log");
    environment.install(&log, |_| {}).unwrap();
    assert!(!venv.join("lib/broken").exists());
    assert!(environment.is_complete(), "no package is asked for");
    let said = Tool::new(environment.program("python3"))
        .args(["-c", "import sys; print(sys.prefix)"])
        .output();
    assert_eq!(said.unwrap().trim(), venv.display().to_string());
}

#[test]
fn every_package_of_ours_has_one_exact_version() {
    let lists = [
        include_str!("../../python-requirements.txt"),
        include_str!("../bench/api/peer-requirements.txt"),
    ];
    for requirements in lists {
        let place = Path::new("");
        let environment = Environment { place, requirements };
        let names: Vec<_> = environment
            .packages()
            .map(|(name, _)| name.to_lowercase())
            .collect();
        let lines = requirements.lines().filter(|line| !line.starts_with('#'));
        assert_eq!(lines.count(), names.len(), "a line without a version");
        let distinct: BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "a package twice: {names:?}");
        for (name, version) in environment.packages() {
            let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
            assert!(name.chars().chain(version.chars()).all(plain), "{name} {version}");
        }
    }
}
