use super::*;

fn read(text: &str) -> Result<Settings, Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("verdigris.toml");
    std::fs::write(&path, text).unwrap();
    Settings::load(Some(&path))
}

#[test]
fn what_is_left_out_has_its_default() {
    let settings = read("[http]\nlisten = \"127.0.0.1:9000\"\n").unwrap();
    assert_eq!(settings.http.public_url(), "http://127.0.0.1:9000");
    assert_eq!(settings.database, DatabaseSettings::default());
    let moved = read("[storage]\ndirectory = \"/srv/50%?\"\n").unwrap();
    assert_eq!(moved.database_url(), "sqlite:///srv/50%25%3F/verdigris.db");
    let named = "[storage]\ndirectory = \"/srv/farm\"\n[database]\nurl = \"sqlite:///var/lib/verdigris/verdigris.db\"\n";
    assert_eq!(
        read(named).unwrap().database_url(),
        "sqlite:///var/lib/verdigris/verdigris.db"
    );
    assert_eq!(
        settings.storage.results(),
        Path::new("/var/lib/verdigris/results")
    );
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let text = "[databse]\nurl = \"x\"\n[http]\nlisten = \"nowhere\"\n[storage]\nmin_free = \"12\"\n[worker]\nparalel = 3\n";
    let message = read(text).unwrap_err().to_string();
    assert!(message.contains("`[databse]`"), "{message}");
    assert!(
        message.contains("[http]") && message.contains("listen"),
        "{message}"
    );
    assert!(
        message.contains("[storage]") && message.contains("is not a size with a unit"),
        "{message}"
    );
    assert!(
        message.contains("[worker]") && message.contains("did you mean `parallel`?"),
        "{message}"
    );
}

#[test]
fn the_algorithm_of_signing_keys_is_chosen_by_its_name() {
    assert_eq!(read("").unwrap().worker.signing_keys, SigningKeys::Ed25519);
    let old = read("[worker]\nsigning_keys = \"rsa4096\"\n").unwrap();
    assert_eq!(old.worker.signing_keys, SigningKeys::Rsa4096);
    let message = read("[worker]\nsigning_keys = \"dsa\"\n")
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("[worker]") && message.contains("rsa4096"),
        "{message}"
    );
}

#[test]
fn a_section_that_does_not_exist_is_named_with_the_nearest_one() {
    let message = read("[databse]\nurl = \"x\"\n").unwrap_err().to_string();
    assert!(
        message.contains("there is no section `[databse]`, did you mean `[database]`?"),
        "{message}"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let message = Settings::load(Some(Path::new("/nowhere/verdigris.toml")))
        .unwrap_err()
        .to_string();
    assert_eq!(message, "cannot read /nowhere/verdigris.toml");
}

#[test]
fn a_farm_that_listens_everywhere_is_reached_on_its_own_machine_or_where_it_says() {
    for (text, url) in [
        ("[http]\nlisten = \"0.0.0.0:5080\"\n", "http://127.0.0.1:5080"),
        ("[http]\nlisten = \"[::]:5080\"\n", "http://[::1]:5080"),
        ("[http]\nlisten = \"192.0.2.1:80\"\n", "http://192.0.2.1:80"),
        (
            "[http]\nlisten = \"0.0.0.0:5080\"\npublic_url = \"https://farm.example.org/\"\n",
            "https://farm.example.org",
        ),
    ] {
        assert_eq!(read(text).unwrap().http.public_url(), url, "{text}");
    }
}
