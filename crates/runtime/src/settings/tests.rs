use std::collections::BTreeSet;

use super::*;

mod places;

fn read(text: &str) -> Result<Settings, Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("verdigris.toml");
    std::fs::write(&path, text).unwrap();
    Settings::load(Some(&path))
}

/// The mistakes without the lines that are shown, each from its place in the file on.
pub(super) fn told(error: &Error) -> Vec<String> {
    let said = error.to_string();
    let lines = said.lines().skip(1).filter(|line| !line.contains(" | "));
    lines
        .map(|line| line.split_once("verdigris.toml:").map_or(line, |(_, told)| told))
        .map(|line| line.trim().to_owned())
        .collect()
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
    assert_eq!(
        message,
        "cannot read /nowhere/verdigris.toml: there is no such file"
    );
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

fn from_environment(variables: &[(&str, &str)]) -> Result<Settings, Error> {
    let variables = variables
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Settings::load_with(None, variables)
}

#[test]
fn a_text_in_the_environment_is_a_text_whatever_it_looks_like() {
    for name in [
        "007",
        "12345678",
        "true",
        "1e3",
        "[x]",
        "{a=b}",
        "\"quoted\"",
        "a,b",
    ] {
        let settings = from_environment(&[
            ("VERDIGRIS_WORKER__NAME", name),
            ("VERDIGRIS_STORAGE__DIRECTORY", name),
            ("VERDIGRIS_HTTP__MIRRORS__OLD", name),
        ])
        .unwrap();
        assert_eq!(settings.worker.name.as_deref(), Some(name));
        assert_eq!(settings.storage.directory, Path::new(name));
        assert_eq!(
            settings.http.mirrors.get("old").map(PathBuf::as_path),
            Some(Path::new(name))
        );
    }
    let password = from_environment(&[("VERDIGRIS_DATABASE__URL", "postgres://a:12345678@b/c")]);
    assert_eq!(
        password.unwrap().database.url.unwrap(),
        "postgres://a:12345678@b/c"
    );
}

/// Settings that can be read and not work: key, value, and what is said.
const OUT_OF_BOUNDS: &[(&str, &str, &str)] = &[
    (
        "database.url",
        "\"mysql://a/b\"",
        "it is no address of a database",
    ),
    ("database.max_connections", "0", "0 is not from 2 to 1000"),
    ("database.max_connections", "5000", "5000 is not from 2 to 1000"),
    ("database.keep_history", "\"0s\"", "0s is not from 1h to 36500d"),
    (
        "http.public_url",
        "\"ftp://x\"",
        "`ftp://x` does not begin with http:// or https://",
    ),
    ("http.builder_url", "\"10.0.0.5:5080\"", "`10.0.0.5:5080` "),
    ("http.max_upload", "\"0B\"", "0B is not from 1KiB to 1TiB"),
    (
        "http.mirrors",
        "{ \"../x\" = \"/srv\" }",
        "a mirror's name is at most 64 letters",
    ),
    ("http.mirrors", "{ x = \"\" }", "the path is empty"),
    ("http.max_connections", "0", "0 is not from 8 to 1000000"),
    ("http.max_connections_per_client", "0", "0 is not from 1 to"),
    ("http.head_timeout", "\"0s\"", "0s is not from 1s to 1h"),
    ("http.body_timeout", "\"2h\"", "2h is not from 1s to 1h"),
    ("http.min_rate", "\"1GiB\"", "1GiB is not from 1B to 10MiB"),
    ("http.request_timeout", "\"59s\"", "59s is not from 1m to 1d"),
    ("http.max_log_streams", "0", "0 is not from 1 to"),
    ("http.max_log_streams_per_client", "0", "0 is not from 1 to"),
    ("storage.directory", "\"\"", "the path is empty"),
    ("storage.results", "\"\"", "the path is empty"),
    ("storage.min_free", "\"0B\"", "0B is not from 1KiB to 1024TiB"),
    ("fleet.file", "\"\"", "the path is empty"),
    ("worker.parallel", "0", "0 is not from 1 to 1000000"),
    ("worker.max_log", "\"1B\"", "1B is not from 64KiB to 1TiB"),
    ("worker.max_results", "\"0B\"", "0B is not from 64KiB to 1TiB"),
    ("devcloud.image", "\"\"", "the path is empty"),
];

#[test]
fn what_could_not_work_is_told_with_its_bounds_and_where_it_was_set() {
    for (setting, value, words) in OUT_OF_BOUNDS {
        let (section, key) = setting.split_once('.').unwrap();
        let said = read(&format!("[{section}]\n{key} = {value}\n")).unwrap_err();
        let line = told(&said).remove(0);
        let (place, line) = line.split_once(": ").unwrap();
        assert!(place.starts_with("2:"), "{said}");
        assert!(
            line.starts_with(&format!("[{section}] {key}")) && line.contains(words),
            "{said}"
        );
        let variable = format!("VERDIGRIS_{section}__{key}").to_uppercase();
        let said = from_environment(&[(&variable, value.trim_matches('"'))])
            .unwrap_err()
            .to_string();
        let line = said.lines().nth(1).unwrap();
        assert!(
            line.starts_with(&format!("  {variable}: ")) && line.contains(words),
            "{said}"
        );
    }
    let both = read("[http]\nmax_connections = 0\n[worker]\nparallel = 0\n").unwrap_err();
    assert_eq!(told(&both).len(), 2, "all at once: {both}");
}

#[test]
fn a_variable_with_a_sections_name_or_one_line_too_few_is_told_what_is_meant() {
    for (name, words) in [
        (
            "VERDIGRIS_HTTP",
            "[http] is a section; each of its settings has a variable, such as VERDIGRIS_HTTP__",
        ),
        ("VERDIGRIS_HTTP_LISTEN", "as in VERDIGRIS_HTTP__LISTEN"),
        ("VERDIGRIS_WORKER_MAX_LOG", "as in VERDIGRIS_WORKER__MAX_LOG"),
        ("VERDIGRIS_DATABASE_URL", "as in VERDIGRIS_DATABASE__URL"),
    ] {
        let said = from_environment(&[(name, "x")]).unwrap_err().to_string();
        let line = said.lines().nth(1).unwrap();
        assert!(
            line.starts_with(&format!("  {name}: ")) && line.contains(words),
            "{said}"
        );
    }
    for not_ours in [
        "VERDIGRIS_CACHE",
        "VERDIGRIS_CONFIG",
        "VERDIGRIS_DIRECTORY",
        "VERDIGRIS_HTTPD",
    ] {
        assert!(from_environment(&[(not_ours, "x")]).is_ok(), "{not_ours}");
    }
}

#[test]
fn numbers_and_tables_in_the_environment_are_what_the_setting_is() {
    let settings = from_environment(&[
        ("VERDIGRIS_WORKER__PARALLEL", " 64 "),
        ("VERDIGRIS_HTTP__MIRRORS", "{base = \"/srv/base\"}"),
        ("VERDIGRIS_HTTP__MAX_UPLOAD", "3GiB"),
        ("VERDIGRIS_HTTP__TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7"),
        ("VERDIGRIS_HEALTH__LISTEN", "0.0.0.0:5081"),
        ("VERDIGRIS_LOG__FORMAT", "json"),
        ("VERDIGRIS_CACHE", "not ours"),
        ("VERDIGRISH__WORKER__PARALLEL", "not ours"),
    ])
    .unwrap();
    assert_eq!(settings.worker.parallel, 64);
    assert_eq!(settings.http.mirrors["base"], Path::new("/srv/base"));
    assert_eq!(settings.http.max_upload, ByteSize::mebibytes(3072));
    assert_eq!(settings.http.trusted_proxies.len(), 2);
    assert_eq!(settings.health.listen.unwrap().port(), 5081);
    assert_eq!(settings.log.format, LogFormat::Json);
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    for (name, value, words) in [
        ("VERDIGRIS_WORKER__PARALLEL", "many", "`many` is no whole number"),
        (
            "VERDIGRIS_WORKER__PARALLEL",
            "-4",
            "expected a whole number that is not negative and not too large, found the number -4",
        ),
        ("VERDIGRIS_HTTP__MAX_UPLOAD", "12", "is not a size with a unit"),
        (
            "VERDIGRIS_HTTP__LISTEN",
            "localhost:5080",
            "LISTEN: it is no address with a port",
        ),
        (
            "VERDIGRIS_LOG__FILTER",
            "store=loud",
            "`store=loud` is no filter, such as `info`",
        ),
        ("VERDIGRIS_HTTP__MIRRORS", "base", "is no table"),
        ("VERDIGRIS_LOG__FORMAT", "xml", "`xml` is none of `text`, `json`"),
        (
            "VERDIGRIS_WORKER__PARALEL",
            "4",
            "there is no setting `paralel`, did you mean `parallel`?",
        ),
        (
            "VERDIGRIS_DATABSE__URL",
            "x",
            "there is no section `[databse]`, did you mean `[database]`?",
        ),
    ] {
        let message = from_environment(&[(name, value)]).unwrap_err().to_string();
        let line = message.lines().nth(1).unwrap();
        assert!(line.starts_with(&format!("  {name}: ")), "{message}");
        assert!(line.contains(words), "{message}");
    }
}

#[test]
fn what_is_not_set_lies_in_the_directory_of_the_farm() {
    let settings = read("[storage]\ndirectory = \"/srv/farm\"\nsources = \"/big/sources\"\n").unwrap();
    let storage = &settings.storage;
    assert_eq!(storage.results(), Path::new("/srv/farm/results"));
    assert_eq!(storage.sources(), Path::new("/big/sources"));
    assert_eq!(storage.secrets(), Path::new("/srv/farm/secrets"));
    assert_eq!(settings.database_url(), "sqlite:///srv/farm/verdigris.db");
}

#[test]
fn builders_reach_the_farm_where_people_do_unless_it_is_said() {
    for (text, url) in [
        ("", "http://127.0.0.1:5080"),
        (
            "public_url = \"https://farm.example.org//\"",
            "https://farm.example.org",
        ),
        (
            "public_url = \"https://farm.example.org\"\nbuilder_url = \"http://10.88.0.1:5080/\"",
            "http://10.88.0.1:5080",
        ),
    ] {
        assert_eq!(
            read(&format!("[http]\n{text}\n")).unwrap().http.builder_url(),
            url,
            "{text}"
        );
    }
}

#[test]
fn the_defaults_are_within_their_own_bounds_and_written_as_they_are_read() {
    let settings = read("").unwrap();
    assert_eq!(settings, Settings::default());
    let written = toml::to_string(&settings).unwrap();
    assert_eq!(read(&written).unwrap(), settings);
}

#[test]
fn each_bound_itself_is_taken_and_the_next_value_is_not() {
    for (setting, least, below, most, above) in [
        ("database.max_connections", "2", "1", "1000", "1001"),
        (
            "database.keep_history",
            "\"1h\"",
            "\"3599s\"",
            "\"36500d\"",
            "\"36501d\"",
        ),
        (
            "http.max_upload",
            "\"1KiB\"",
            "\"1023B\"",
            "\"1TiB\"",
            "\"1025GiB\"",
        ),
        ("http.max_connections", "8", "7", "1000000", "1000001"),
        ("http.head_timeout", "\"1s\"", "\"999ms\"", "\"1h\"", "\"3601s\""),
        ("http.body_timeout", "\"1s\"", "\"999ms\"", "\"1h\"", "\"3601s\""),
        ("http.min_rate", "\"1B\"", "\"0B\"", "\"10MiB\"", "\"11MiB\""),
        ("http.request_timeout", "\"1m\"", "\"59s\"", "\"1d\"", "\"25h\""),
        ("http.max_log_streams", "1", "0", "1000000", "1000001"),
        ("worker.parallel", "1", "0", "1000000", "1000001"),
        (
            "worker.max_log",
            "\"64KiB\"",
            "\"65535B\"",
            "\"1TiB\"",
            "\"1025GiB\"",
        ),
        (
            "storage.min_free",
            "\"1KiB\"",
            "\"1023B\"",
            "\"1024TiB\"",
            "\"1025TiB\"",
        ),
    ] {
        let (section, key) = setting.split_once('.').unwrap();
        let with = |value: &str| read(&format!("[{section}]\n{key} = {value}\n"));
        for good in [least, most] {
            assert!(with(good).is_ok(), "{setting} = {good}: {:?}", with(good));
        }
        for bad in [below, above] {
            let said = with(bad).unwrap_err();
            let line = told(&said).remove(0);
            let words = format!(": [{section}] {key}: {} is not from ", bad.trim_matches('"'));
            assert!(line.starts_with("2:") && line.contains(&words), "{said}");
        }
    }
}

#[test]
fn another_file_of_an_operators_is_read_with_the_same_words() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Key {
        access_key: String,
    }
    let read = |text: &str| parse_toml::<Key>(text, "key.toml").map(|key| key.access_key);
    assert_eq!(read("access_key = \"AKIA\"").unwrap(), "AKIA");
    for (text, expected) in [
        (
            "access_key = 7",
            "key.toml has mistakes:\nkey.toml:1:14: access_key: expected a text, found the number 7",
        ),
        (
            "acess_key = \"x\"",
            "key.toml has mistakes:\nkey.toml:1:1: acess_key: there is no setting `acess_key`, did you mean `access_key`?",
        ),
        (
            "access_key = AKIA",
            "key.toml has mistakes:\nkey.toml:1:14: a text stands in quotation marks, which are closed on the same line\n  1 | access_key = AKIA\n    |              ^",
        ),
    ] {
        assert_eq!(read(text).unwrap_err().to_string(), expected);
    }
}

#[test]
fn files_of_settings_as_other_systems_write_them_are_read() {
    for text in [
        "\u{feff}[worker]\nparallel = 7\n",
        "[worker]\r\nparallel = 7\r\n",
        "# ours\nworker.parallel = 7",
        "worker = { parallel = 7 }\n",
        "[worker]\n\"parallel\" = 0x7\n",
    ] {
        let settings = read(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(settings.worker.parallel, 7, "{text:?}");
    }
}

/// The keys of each section that an object has.
fn keys(sections: &serde_json::Map<String, serde_json::Value>, inside: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (section, value) in sections {
        let keys = if inside.is_empty() { value } else { &value[inside] };
        for key in keys.as_object().unwrap().keys() {
            found.insert((section.clone(), key.clone()));
        }
    }
    found
}

#[test]
fn the_chart_takes_the_settings_that_there_are_but_for_those_that_it_sets() {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/verdigris/values.schema.json");
    let schema: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(chart).unwrap()).unwrap();
    let taken = schema["properties"]["settings"]["properties"]
        .as_object()
        .unwrap();
    let known = serde_json::to_value(Settings::default()).unwrap();
    let mut wanted = keys(known.as_object().unwrap(), "");
    for (section, key) in [
        ("database", "url"),
        ("http", "listen"),
        ("http", "public_url"),
        ("http", "builder_url"),
        ("http", "mirrors"), // a table, which no environment variable of the chart holds
        ("storage", "directory"),
        ("storage", "results"),
        ("storage", "sources"),
        ("storage", "secrets"),
        ("fleet", "file"),
        ("worker", "name"),
        ("devcloud", "image"),
        ("devcloud", "public_network"),
        ("health", "listen"),
    ] {
        assert!(
            wanted.remove(&(section.to_owned(), key.to_owned())),
            "{section}.{key}"
        );
    }
    assert_eq!(keys(taken, "properties"), wanted);
}
