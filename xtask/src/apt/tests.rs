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
