use model::{ChrootName, DirectoryName, OwnerName};

use super::{RepoDependency, RepoFile, address_as_id, chroot_pattern, host_of, repo_file};

fn plain<'a>(owner: &'a OwnerName, directory: &'a DirectoryName) -> RepoFile<'a> {
    RepoFile {
        host: "copr.example.org",
        owner,
        directory,
        results_url: "https://copr.example.org:8080/results/",
        chroot: "fedora-$releasever-$basearch",
        multilib: false,
        priority: None,
        module_hotfixes: false,
        dependencies: Vec::new(),
    }
}

#[test]
fn a_farm_is_named_by_its_host_alone() {
    for (url, host) in [
        ("https://copr.example.org:8080/farm", "copr.example.org"),
        ("http://127.0.0.1:5080", "127.0.0.1"),
        ("http://[fd00::1]:5080", "fd00__1"),
        ("http://[::1]", "__1"),
        ("farm", "farm"),
    ] {
        assert_eq!(host_of(url), host, "{url}");
    }
}

#[test]
fn the_id_of_an_address_is_short_enough_for_dnf_and_still_its_own() {
    assert_eq!(
        address_as_id("https://example.org/$basearch/"),
        "https_example_org_basearch"
    );
    let ids = ["a", "b"].map(|end| address_as_id(&format!("https://example.org/{}{end}/", "x/".repeat(800))));
    assert!(
        ids.iter()
            .all(|id| id.len() == 180 && id.starts_with("https_example_org_x_x")),
        "{ids:?}"
    );
    assert_ne!(ids[0], ids[1]);
    // dnf names a file by the id and this.
    assert!("coprdep:".len() + 180 + "-filenames.solvx.XXXXXX".len() <= 255);
}

#[test]
fn the_text_is_the_one_that_copr_serves() {
    let (owner, directory) = ("@copr".parse().unwrap(), "copr-dev".parse().unwrap());
    assert_eq!(
        repo_file(&plain(&owner, &directory)).unwrap(),
        "[copr:copr.example.org:group_copr:copr-dev]\n\
         name=Copr repo for copr-dev owned by @copr\n\
         baseurl=https://copr.example.org:8080/results/@copr/copr-dev/fedora-$releasever-$basearch/\n\
         type=rpm-md\n\
         skip_if_unavailable=True\n\
         gpgcheck=1\n\
         gpgkey=https://copr.example.org:8080/results/@copr/copr-dev/pubkey.gpg\n\
         repo_gpgcheck=0\n\
         enabled=1\n\
         enabled_metadata=1\n"
    );
}

#[test]
fn options_and_dependencies_follow() {
    let (owner, directory): (OwnerName, DirectoryName) =
        ("ann".parse().unwrap(), "demo:pr:1".parse().unwrap());
    let mut repo = plain(&owner, &directory);
    repo.multilib = true;
    repo.priority = Some(5);
    repo.module_hotfixes = true;
    repo.dependencies = vec![
        RepoDependency::parse("copr://bob/base").unwrap(),
        RepoDependency::parse("copr://@g/more?priority=3").unwrap(),
        RepoDependency::parse("https://repo.example.org/$releasever/").unwrap(),
        RepoDependency::parse("https://repo.example.org/$chroot/$distname/?priority=9&a=b").unwrap(),
    ];
    let text = repo_file(&repo).unwrap();
    assert!(
        text.starts_with("[copr:copr.example.org:ann:demo:pr:1:ml]\n"),
        "{text}"
    );
    assert!(text.contains(
        "repo_gpgcheck=0\ncost=1100\nenabled=1\nenabled_metadata=1\nmodule_hotfixes=1\npriority=5\n"
    ));
    for section in [
        "\n\n[coprdep:copr.example.org:bob:base]\n\
         name=Copr copr.example.org/ann/demo:pr:1 runtime dependency #1 - bob/base\n",
        "\n\n[coprdep:copr.example.org:group_g:more]\n\
         name=Copr copr.example.org/ann/demo:pr:1 runtime dependency #2 - @g/more\n",
        "\n\n[coprdep:https_repo_example_org_releasever]\n\
         name=Copr copr.example.org/ann/demo:pr:1 external runtime dependency #1 - \
         https_repo_example_org_releasever\n",
    ] {
        assert!(text.contains(section), "{section} is missing: {text}");
    }
    for line in [
        "baseurl=https://repo.example.org/$releasever/\n",
        "baseurl=https://repo.example.org/fedora-$releasever-$basearch/fedora/?a=b\n",
        "enabled_metadata=1\npriority=3\n",
        "enabled_metadata=1\npriority=9\n",
    ] {
        assert!(text.contains(line), "{line} is missing: {text}");
    }
}

#[test]
fn an_address_becomes_an_id_as_in_copr() {
    for (address, id) in [
        ("https://example.org/r/", "https_example_org_r"),
        ("copr://alice/lib", "copr_alice_lib"),
        ("http://x/$chroot//a--b", "http_x_chroot_a_b"),
        ("/__/", ""),
    ] {
        assert_eq!(address_as_id(address), id);
    }
}

#[test]
fn a_value_cannot_add_a_line() {
    let (owner, directory) = ("ann".parse().unwrap(), "demo".parse().unwrap());
    for url in [
        "https://x/\n[evil]",
        "https://x/ y",
        "file:///etc",
        "javascript:1",
        "",
    ] {
        let mut repo = plain(&owner, &directory);
        repo.dependencies = vec![RepoDependency::parse(url).unwrap()];
        assert!(repo_file(&repo).is_err(), "{url:?}");
    }
    let mut repo = plain(&owner, &directory);
    repo.chroot = "x\ngpgcheck=0";
    assert!(repo_file(&repo).is_err());
}

#[test]
fn releases_that_clients_know_become_a_variable() {
    for (chroot, pattern) in [
        ("fedora-43-x86_64", "fedora-$releasever-$basearch"),
        ("fedora-rawhide-aarch64", "fedora-$releasever-$basearch"),
        ("centos-stream-10-x86_64", "centos-stream-$releasever-$basearch"),
        ("opensuse-leap-15.6-x86_64", "opensuse-leap-$releasever-$basearch"),
        ("mageia-9-i586", "mageia-$releasever-$basearch"),
        ("mageia-cauldron-i586", "mageia-cauldron-$basearch"),
        ("epel-9-x86_64", "epel-9-$basearch"),
        ("opensuse-tumbleweed-x86_64", "opensuse-tumbleweed-$basearch"),
    ] {
        let chroot: ChrootName = chroot.parse().unwrap();
        assert_eq!(chroot_pattern(&chroot), pattern);
    }
}
