//! Where a mistake stands, in the file and in words.

use super::{read, told};

#[test]
fn a_mistake_names_no_type_of_this_program_and_tells_its_place_and_the_words_that_are_right() {
    for (text, expected) in [
        (
            "[log]\nformat = 3\n",
            "2:10: [log] format: expected one of `text`, `json`, found the number 3",
        ),
        (
            "[log]\nformat = {text = 1}\n",
            "2:10: [log] format: expected one of `text`, `json`, found a table",
        ),
        (
            "[log]\nformat = [\"text\"]\n",
            "2:10: [log] format: expected one of `text`, `json`, found a list",
        ),
        (
            "[log]\nformat = \"xml\"\n",
            "2:10: [log] format: `xml` is none of `text`, `json`",
        ),
        (
            "[worker]\n# ours\n  signing_keys = 3\n",
            "3:18: [worker] signing_keys: expected one of `ed25519`, `rsa4096`, found the number 3",
        ),
        (
            "[[http]]\nlisten = \"127.0.0.1:1\"\n",
            "1:1: [http]: its settings stand below the line `[http]`, found a list",
        ),
        (
            "http = 5\n",
            "1:8: [http]: its settings stand below the line `[http]`, found the number 5",
        ),
        (
            "http.listen = {a = 1}\n",
            "1:15: [http] listen: expected an address with a port, found a table",
        ),
        (
            "[http]\ntrusted_proxies = [\n  \"10.0.0.0/8\",\n  7,\n]\n",
            "4:3: [http] trusted_proxies[1]: expected a text, found the number 7",
        ),
        (
            "[http]\nmirrors = 1979-05-27\n",
            "2:11: [http] mirrors: a date means nothing here; a text stands in quotation marks",
        ),
        (
            "[httpx]\n",
            "1:2: there is no section `[httpx]`, did you mean `[http]`?",
        ),
        (
            "[worker]\nparalel = 1\n",
            "2:1: [worker] paralel: there is no setting `paralel`, did you mean `parallel`?",
        ),
    ] {
        let said = read(text).unwrap_err();
        assert_eq!(told(&said), [expected], "{text}\n{said}");
    }
}

#[test]
fn a_mistake_in_the_file_names_section_and_key_without_the_readers_words() {
    let message =
        read("[http]\nmax_upload = 12\ntrusted_proxies = \"10.0.0.0/8\"\n[worker]\nparallel = \"4\"\n[storage]\ndirectory = [\"a\"]\n\
            [devcloud]\npublic_network = \"yes\"\n[log]\nfilter = \"=\"\n")
            .unwrap_err();
    let lines = told(&message);
    let message = message.to_string();
    for line in [
        "5:12: [worker] parallel: expected a whole number that is not negative and not too large, found `4`",
        "7:13: [storage] directory: expected a path, found a list",
        "3:19: [http] trusted_proxies: expected a list, such as [\"a\", \"b\"], found `10.0.0.0/8`",
        "9:18: [devcloud] public_network: expected true or false, found `yes`",
        // A mistake of another kind waits for none of these.
        "11:10: [log] filter: `=` is no filter, such as `info` or `info,store=debug`",
    ] {
        assert!(lines.iter().any(|found| found == line), "{lines:#?}");
    }
    assert!(message.contains("2:14: [http] max_upload: "), "{message}");
    for theirs in ["default.", "TOML", "for key", "unsigned int", "usize"] {
        assert!(!message.contains(theirs), "{message}");
    }
}
