use super::*;

fn config(directory: &Path) -> HypervisorConfig {
    HypervisorConfig {
        state_dir: directory.join("state"),
        helper: vec!["/usr/bin/devcloud".into(), "guest".into()],
        cloud_id: "c-1".to_owned(),
        outside: false,
    }
}

/// The field and the reason of a refusal.
fn refused(change: impl FnOnce(&mut HypervisorConfig)) -> (String, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    change(&mut config);
    match Plan::new(&config) {
        Err(Error::InvalidConfig { field, reason }) => (field.to_owned(), reason),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it is taken"),
    }
}

#[test]
fn a_good_configuration_makes_its_directories_and_tells_the_process_all_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let plan = Plan::new(&config(directory.path())).unwrap();
    for name in ["disks", "console", "trash"] {
        assert!(plan.state_dir.join(name).is_dir(), "{name}");
    }
    assert_eq!(plan.program, Path::new("/usr/bin/devcloud"));
    let greeting = plan.greeting();
    assert_eq!(greeting.state_dir, plan.state_dir);
    assert_eq!((greeting.cloud_id.as_str(), greeting.outside), ("c-1", false));
    assert_eq!(greeting.helper_arguments, ["guest"]);
    assert_eq!(greeting.rootless, !rustix::process::geteuid().is_root());
}

#[test]
fn a_link_to_a_state_directory_is_followed_once_and_for_all() {
    let directory = tempfile::tempdir().unwrap();
    let (real, link) = (directory.path().join("real"), directory.path().join("state"));
    std::fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let plan = Plan::new(&config(directory.path())).unwrap();
    assert_eq!(plan.state_dir, real.canonicalize().unwrap());
}

#[test]
fn this_program_is_named_by_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut own = config(directory.path());
    own.helper = vec!["/proc/self/exe".into()];
    let plan = Plan::new(&own).unwrap();
    assert_eq!(plan.program, std::env::current_exe().unwrap());
    assert_eq!(plan.greeting().helper_arguments, [""; 0]);
}

#[test]
fn the_name_of_a_cloud_is_one_of_a_control_group() {
    let longest = "c".repeat(32);
    for name in ["c", "t-0123456789abcdef", "-", &longest] {
        let directory = tempfile::tempdir().unwrap();
        let mut named = config(directory.path());
        named.cloud_id = name.to_owned();
        assert!(Plan::new(&named).is_ok(), "{name}");
    }
    let too_long = "c".repeat(33);
    for name in ["", "C", "a_b", "a.b", "../x", "a b", "ü", &too_long] {
        assert_eq!(
            refused(|config| config.cloud_id = name.to_owned()),
            (
                "cloud_id".to_owned(),
                "it has 1 to 32 of a-z, 0-9 and `-`".to_owned()
            ),
            "{name:?}"
        );
    }
}

#[test]
fn a_state_directory_can_be_in_the_options_of_a_mount_and_is_not_hidden_from_machines() {
    for name in ["with,comma", "with:colon", "with\\backslash"] {
        let (field, reason) = refused(|config| config.state_dir.push(name));
        assert_eq!(field, "state_dir", "{name}");
        assert!(
            reason.contains("cannot be in a mount's options"),
            "{name}: {reason}"
        );
    }
    let name = std::ffi::OsStr::new("with blank and ü");
    let directory = tempfile::tempdir().unwrap();
    let mut odd = config(directory.path());
    odd.state_dir.push(name);
    assert!(Plan::new(&odd).is_ok());
}

#[test]
fn a_helper_is_a_program_with_arguments_of_text() {
    let (field, reason) = refused(|config| config.helper.clear());
    assert_eq!(
        (field.as_str(), reason.as_str()),
        ("helper", "it names no program")
    );
    let broken: OsString = std::os::unix::ffi::OsStringExt::from_vec(vec![0xff]);
    let (field, reason) = refused(|config| config.helper.push(broken));
    assert_eq!(
        (field.as_str(), reason.as_str()),
        ("helper", "an argument is not UTF-8")
    );
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("state"), "a file").unwrap();
    let Err(error) = Plan::new(&config(directory.path())) else {
        panic!("it is taken")
    };
    let said = error.to_string();
    assert!(
        said.starts_with("cannot make /") && said.ends_with("state/disks"),
        "{said}"
    );
}

#[tokio::test]
async fn one_hypervisor_at_a_time_uses_a_state_directory_and_the_next_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let plan = Plan::new(&config(directory.path())).unwrap();
    let first = plan.lock().await.unwrap();
    let waits = timeout(Duration::from_millis(200), plan.lock()).await;
    assert!(waits.is_err(), "it waits while the first one lives");
    drop(first);
    timeout(Duration::from_secs(5), plan.lock())
        .await
        .unwrap()
        .unwrap();
}

#[test]
fn the_last_three_lines_of_the_log_explain_an_early_end() {
    let directory = tempfile::tempdir().unwrap();
    let plan = Plan::new(&config(directory.path())).unwrap();
    let silent = plan.explain().to_string();
    assert!(
        silent.starts_with("machines cannot be made on this host: . "),
        "{silent}"
    );
    std::fs::write(plan.state_dir.join(LOG), "one\ntwo\nunshare: no\nfour \u{fc}\n").unwrap();
    let said = plan.explain().to_string();
    assert!(said.contains(": two; unshare: no; four ü. "), "{said}");
    let needs_ids = said.contains("/etc/subuid");
    assert_eq!(needs_ids, plan.rootless, "the advice is for this user: {said}");
}

#[test]
fn a_console_is_beside_the_disks() {
    assert_eq!(
        console_path(Path::new("/state"), "i-12345678"),
        Path::new("/state/console/i-12345678.log")
    );
    let path = tool_path().into_string().unwrap();
    assert!(path.ends_with("/usr/sbin:/usr/bin:/sbin:/bin"), "{path}");
}
