use super::is_primary_file;

#[test]
fn files_of_the_primary_list_are_chosen_as_clients_expect() {
    for path in [
        "/etc/passwd",
        "/usr/bin/ls",
        "/opt/x/sbin/y",
        "/usr/lib/sendmail",
        "/srv/cgi-bin/x",
    ] {
        assert!(is_primary_file(path), "{path}");
    }
    for path in ["/usr/share/x", "/usr/lib/sendmail2", "/opt/etc/x", "/usr/bin"] {
        assert!(!is_primary_file(path), "{path}");
    }
}
