use super::*;

#[test]
fn only_debians_own_archives_with_a_fetched_list_count() {
    let text = "Debian|http://mirror.example/debian/|bookworm|main|/lists/a\n\
                Debian|http://mirror.example/debian/|bookworm|main|/lists/a\n\
                Debian|http://mirror.example/debian/|bookworm-updates|main|/lists/missing\n\
                Other|http://other.example/|stable|main|/lists/c\n\
                nonsense\n";
    let found = parse_archives(text, |list| list == "/lists/a");
    let [archive] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(archive.uri, "http://mirror.example/debian/");
    assert_eq!(archive.suite, "bookworm");
    assert_eq!(archive.component, "main");
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
