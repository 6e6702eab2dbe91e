use super::*;

/// Archives of these components.
pub(crate) fn archives(components: &[&str]) -> Vec<Archive> {
    let archive = |component: &&str| Archive {
        uri: "http://mirror.example/debian/".to_owned(),
        suite: "bookworm".to_owned(),
        component: (*component).to_owned(),
    };
    components.iter().map(archive).collect()
}

#[test]
fn the_system_says_which_debian_it_is() {
    const DEBIAN: &str =
        "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n";
    for (release, expected) in [
        (DEBIAN, Ok("bookworm")),
        ("ID=\"debian\"\nVERSION_CODENAME=\"trixie\"\n", Ok("trixie")),
        ("ID=debian\nVERSION_ID=\"12\"\n", Err("names no VERSION_CODENAME")),
        (
            "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n",
            Err("this system is \"ubuntu\""),
        ),
        (
            "VARIANT_ID=debian\nVERSION_CODENAME=x\n",
            Err("this system is \"\""),
        ),
        ("", Err("this system is \"\"")),
    ] {
        match (codename_in(release), expected) {
            (Ok(found), Ok(name)) => assert_eq!(found, name),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (found, _) => panic!("{release}: {found:?}"),
        }
    }
}

#[test]
fn only_debians_own_archives_with_a_fetched_list_count() {
    const URI: &str = "http://mirror.example/debian/";
    let line = |origin: &str, suite: &str, component: &str, list: &str| {
        format!("{origin}|{URI}|{suite}|{component}|{list}\n")
    };
    let text = [
        line("Debian", "bookworm", "main", "/lists/a"),
        line("Debian", "bookworm", "main", "/lists/a"),
        line("Debian", "bookworm", "contrib", "/lists/a"),
        line("Debian", "bookworm-updates", "main", "/lists/missing"),
        line("Debian Backports", "bookworm-backports", "main", "/lists/a"),
        line("Other", "stable", "main", "/lists/a"),
        "nonsense\nDebian|too|few\n".to_owned(),
    ];
    let found = parse_archives(&text.concat(), |list| list == "/lists/a");
    assert_eq!(found, archives(&["contrib", "main"]), "each once");
    assert_eq!(found[1].line("deb-src"), format!("deb-src {URI} bookworm main"));
    assert_eq!(parse_archives("", |_| true), []);
}

#[test]
fn apt_works_in_a_directory_of_its_own() {
    let work = tempfile::tempdir().unwrap();
    let options = bare_system(work.path()).unwrap();
    // What apt makes of them, it says itself.
    let said = Tool::new("apt-config")
        .args(&options)
        .arg("dump")
        .output()
        .unwrap();
    let path = |name: &str| work.path().join(name).display().to_string();
    for (setting, value) in [
        ("Dir::State::status", path("state/status")),
        ("Dir::State::extended_states", path("state/extended_states")),
        ("Dir::Cache::archives", path("debs")),
        ("APT::Install-Recommends", "false".to_owned()),
        ("APT::Sandbox::User", String::new()),
    ] {
        let line = format!("{setting} \"{value}\";");
        assert!(said.lines().any(|found| found == line), "{line}: {said}");
    }
    assert!(work.path().join("debs/partial").is_dir() && work.path().join("state/status").is_file());
}

#[test]
fn a_simulated_installation_lists_the_packages() {
    let text = "Reading package lists...\nInst gcc-12-base (12.2.0-14 Debian:12.8/stable [amd64])\nInst libc6 (2.36) []\n\
                Conf gcc-12-base (12.2.0-14)\n";
    let names = parse_simulation(text).into_iter().collect::<Vec<_>>();
    assert_eq!(names, ["gcc-12-base", "libc6"]);
}

#[test]
fn what_apt_tells_programs_becomes_per_cent_of_fetching_and_installing() {
    for (line, expected) in [
        ("dlstatus:1:0.0000:Retrieving file 1 of 48", Some(0)),
        ("dlstatus:48:99.8:Retrieving file 48 of 48", Some(49)),
        ("pmstatus:dpkg-exec:0.0000:Running dpkg", Some(50)),
        (
            "pmstatus:libwrap0:amd64:20.0000:Installing libwrap0 (amd64)",
            Some(60),
        ),
        ("pmstatus:rpm:100.0000:Installed rpm (amd64)", Some(100)),
        ("Setting up rpm (4.18.0+dfsg-1+deb12u1) ...", None),
        ("pmstatus:rpm", None),
    ] {
        assert_eq!(progress_of(line), expected, "{line}");
    }
}
