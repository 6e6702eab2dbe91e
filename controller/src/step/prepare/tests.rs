use model::{ChrootDefinition, chroot::BaseRepository};
use serde_json::json;
use store::Chroot;

use super::definition;

#[test]
fn packages_of_a_repository_with_a_key_are_verified() {
    let repository = |id: &str, gpgkey: Option<&str>| BaseRepository {
        id: id.to_owned(),
        baseurl: format!("{{farm}}/mirrors/{id}/"),
        gpgkey: gpgkey.map(str::to_owned),
    };
    let chroot = Chroot {
        name: "fedora-43-x86_64".parse().unwrap(),
        comment: String::new(),
        is_active: true,
        definition: ChrootDefinition {
            repositories: vec![
                repository("one", Some("{farm}/keys/one")),
                repository("two", None),
            ],
            ..ChrootDefinition::default()
        },
    };
    assert_eq!(
        definition(&chroot, "http://10.0.0.1:5080"),
        json!({
            "name": "fedora-43-x86_64", "os": "fedora", "release": "43", "arch": "x86_64",
            "base": [
                {"id": "one", "name": "one", "baseurl": "http://10.0.0.1:5080/mirrors/one/", "gpgcheck": true,
                 "gpgkey": "http://10.0.0.1:5080/keys/one"},
                {"id": "two", "name": "two", "baseurl": "http://10.0.0.1:5080/mirrors/two/", "gpgcheck": false,
                 "gpgkey": null},
            ],
            "buildroot_packages": [], "macros": {},
        })
    );
}
