use crate::{Error, Settings, settings::tests::told};

/// The settings of a file with this text, and of these variables.
fn load(text: &str, variables: &[(&str, &str)]) -> Result<Settings, Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("verdigris.toml");
    std::fs::write(&path, text).unwrap();
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
    Settings::load_with(Some(&path), variables)
}

#[test]
fn one_mistake_hides_no_other_of_its_file_its_section_or_its_list() {
    let text = "[databse]\nurl = \"x\"\n\
                [http]\nlisten = \"nowhere\"\nmax_connections = 3\nheadtimeout = \"1s\"\nmax_upload = true\n\
                trusted_proxies = [\"10.0.0.0/8\", \"ten\", \"10.0.0.0/99\"]\n\
                [http.mirrors]\ngood = \"/srv/mirror\"\none = 1\ntwo = 2\n\".odd\" = \"/srv/odd\"\n\
                [storage]\nmin_free = \"0B\"\nresults = \"\"\n\
                [worker]\nparallel = 0\nparalel = 3\nmax_log = \"1B\"\n\
                [log]\nformat = \"xml\"\nfilter = [3, 4]\n";
    let said = load(text, &[]).unwrap_err();
    let told = told(&said);
    let expected = [
        "there is no section `[databse]`",
        "[http] listen: it is no address with a port",
        "[http] max_connections: 3 is not from 8 to",
        "there is no setting `headtimeout`, did you mean `head_timeout`?",
        "[http] max_upload: ",
        "[http] trusted_proxies[1]: `ten`",
        "[http] trusted_proxies[2]: `10.0.0.0/99`",
        "[http] mirrors.one: expected a path, found the number 1",
        "[http] mirrors.two: expected a path, found the number 2",
        "[http] mirrors..odd: a mirror's name",
        "[storage] min_free: 0B is not from",
        "[storage] results: the path is empty",
        "[worker] parallel: 0 is not from",
        "there is no setting `paralel`, did you mean `parallel`?",
        "[worker] max_log: 1B is not from",
        "[log] format: `xml` is none of `text`, `json`",
        "[log] filter: expected a text, found a list",
    ];
    for words in expected {
        let count = told.iter().filter(|line| line.contains(words)).count();
        assert_eq!(count, 1, "{words}: {said}");
    }
    assert_eq!(told.len(), expected.len(), "{said}");
}

#[test]
fn mistakes_of_the_environment_and_of_the_file_are_told_together_each_with_its_place() {
    let text = "[http]\nmax_connections = 3\nlisten = 5\n[log]\nformat = \"xml\"\n";
    let variables = [
        ("VERDIGRIS_HTTP__LISTEN", "nowhere"),
        ("VERDIGRIS_WORKER__PARALLEL", "0"),
        ("VERDIGRIS_WORKER__MAX_LOG", "much"),
        ("VERDIGRIS_DATABASE__MAX_CONNECTIONS", "few"),
    ];
    let said = load(text, &variables).unwrap_err();
    let told = told(&said);
    let mut places: Vec<&str> = told.iter().map(|line| line.split(": ").next().unwrap()).collect();
    places.sort_unstable();
    let expected = [
        "VERDIGRIS_DATABASE__MAX_CONNECTIONS",
        "VERDIGRIS_HTTP__LISTEN",
        "VERDIGRIS_WORKER__MAX_LOG",
        "VERDIGRIS_WORKER__PARALLEL",
    ];
    let expected = [&["2:19", "5:10"][..], &expected].concat();
    assert_eq!(places, expected, "{said}");
}
