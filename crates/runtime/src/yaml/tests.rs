//! Each mistake in the words that an operator reads.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    FleetId,
    fleet::{Contradiction, FleetSpec},
    quantity::Span,
};
use serde::Deserialize;

use super::{mistake_at, parse, parse_and_check};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape matters")]
struct Fleet {
    #[serde(default)]
    fleet: Option<FleetId>,
    #[serde(default)]
    pools: BTreeMap<String, Pool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape matters")]
struct Pool {
    labels: BTreeSet<String>,
    #[serde(default)]
    size: Size,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    wait: Option<Span>,
    #[serde(default)]
    port: u16,
    #[serde(default)]
    quick: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(dead_code, reason = "only its shape matters")]
struct Size {
    max: u32,
    idle: i32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Aws,
    Eucalyptus,
}

fn said(text: &str) -> String {
    parse::<Fleet>(text, "f").unwrap_err().to_string()
}

/// What a pool says, and what is said of it.
const MISTAKES: &[(&str, &str)] = &[
    (
        "labels: [a]\nsize: {mx: 4}",
        "f:4:12: pools.x.size: there is no key `mx` here, did you mean `max`? There is `max`, `idle`",
    ),
    (
        "labels: [a]\nsize: {max: -4}",
        "f:4:17: pools.x.size.max: expected a whole number from 0 to 4294967295",
    ),
    ("labels: [a]\nsize: {max: 4.5}", "expected a whole number from 0"),
    (
        "labels: [a]\nsize: {max: 99999999999}",
        "expected a whole number from 0",
    ),
    ("labels: [a]\nsize: {max: many}", "expected a whole number from 0"),
    ("labels: [a]\nsize: {max: [1]}", "pools.x.size.max: expected a"),
    (
        "labels: [a]\nport: 70000",
        "pools.x.port: expected a whole number from 0 to 65535",
    ),
    ("labels: [a]\nsize: 4", "pools.x.size: expected a map"),
    ("labels: [a]\nsize: [4]", "pools.x.size: expected a map"),
    ("labels: a", "f:3:13: pools.x.labels: expected a list"),
    ("labels: {a: b}", "pools.x.labels: expected a list"),
    (
        "labels: [a]\nlabels: [b]",
        "f:4:5: pools.x: the key `labels` stands twice here",
    ),
    ("size: {max: 1}", "the key `labels` is missing"),
    (
        "labels: [a]\nkind: eucaliptus",
        "pools.x.kind: `eucaliptus` is not known, did you mean `eucalyptus`?",
    ),
    ("labels: [a]\nkind: [aws]", "pools.x.kind: expected one word"),
    ("labels: [a]\nwait: soon", "pools.x.wait: "),
    (
        "labels: [a]\nquick: yes",
        "pools.x.quick: expected `true` or `false`",
    ),
    ("labels: [a]\nsize: *big", "`*` refers to an anchor"),
    ("labels: [a]\nsize: {<<: 4}", "`<<` takes a map"),
    ("labels: [a\nport: 1", "f:4:"),
    ("labels: [a", "a list in `[ ]` or a map in `{ }` is not closed"),
    ("labels: [\"a]", "a text in quotation marks is not closed"),
    ("labels: [\"a\\q\"]", "begins an escape"),
    ("labels: [a]\n  size: {max: 1}", "f:4:"),
    ("labels: [a]\n\tport: 1", "a tab stands here"),
    ("labels: [a]\nport 1", "a key is followed by `: ` and its value"),
    (
        "labels: [a]\nkind: @aws",
        "a text that begins with this character belongs in quotation marks",
    ),
    ("labels: [a\nport: 1", "a `:` stands where none may"),
];

/// Words of libraries and of the language that the program is written in.
const FOREIGN: &[&str] = &[
    "u32",
    "u16",
    "usize",
    "i64",
    "struct",
    "enum",
    "variant",
    "Option",
    "Policy",
    "from_str",
    "scalar",
    "mapping",
    "sequence",
    "node",
    "parsing",
    "deserial",
    "<input>",
    "serde",
    "token",
    "unit value",
    "field",
];

#[test]
fn each_mistake_is_told_with_its_place_and_key_in_an_operators_words() {
    for (pool, expected) in MISTAKES {
        let lines: Vec<String> = pool.lines().map(|line| format!("    {line}\n")).collect();
        let said = said(&format!("pools:\n  x:\n{}", lines.concat()));
        assert!(said.contains(expected), "{pool}\n{said}");
        assert!(said.starts_with("f has mistakes:\nf:"), "{pool}\n{said}");
        // Not in the line of the file, which is shown below.
        let words = said.lines().nth(1).unwrap();
        let foreign: Vec<&&str> = FOREIGN.iter().filter(|word| words.contains(**word)).collect();
        assert!(foreign.is_empty(), "{foreign:?} in {said}");
    }
}

#[test]
fn whole_files_that_are_none_are_told_so() {
    for (text, expected) in [
        (
            "pools: {}\n---\npools: {}\n",
            "there is more than one document; take out the line `---`",
        ),
        (
            "fleet: 12\n",
            "fleet: `12` is no UUID, such as 019a0000-0000-7000-8000-000000000001",
        ),
        ("fleet: 019a0000-0000-7000-8000\n", "is no UUID"),
        (
            "fleet: 019a0000-0000-7000-8000-000000000001\npools: {}\npools: {}\n",
            "f:3:1: the key `pools` stands twice here",
        ),
        ("- a\n", "expected a map"),
        ("just words\n", "expected a map"),
    ] {
        let said = said(text);
        assert!(said.contains(expected), "{text}\n{said}");
        let words = said.lines().nth(1).unwrap();
        assert!(FOREIGN.iter().all(|word| !words.contains(word)), "{said}");
    }
}

#[test]
fn the_line_is_shown_with_a_mark_at_the_column() {
    let said = said("pools:\n  x:\n    labels: [a]\n    size: {mx: 4}\n");
    let shown = "\n  4 |     size: {mx: 4}\n    |            ^";
    assert!(said.ends_with(shown), "{said}");
}

#[test]
fn a_long_line_is_cut_around_the_column() {
    let long = format!("pools:\n  x: {{labels: [{}], mx: 4}}\n", "a, ".repeat(200));
    let said = said(&long);
    let lines: Vec<&str> = said.lines().collect();
    let [words, mark] = lines.as_slice()[lines.len() - 2..] else {
        panic!("{said}");
    };
    let at = mark.find('^').unwrap();
    assert!(words.len() < 140, "{words}");
    assert_eq!(words.get(at..at + 2), Some("mx"), "{said}");
}

#[test]
fn anchors_merges_and_plain_words_are_read() {
    let text = "pools:\n  x: &x\n    labels: [n, yes]\n    size: {max: 1}\n  y: {<<: *x, port: 2}\n";
    let fleet = parse::<Fleet>(text, "f").unwrap();
    assert_eq!(fleet.pools.len(), 2);
}

#[test]
fn a_mistake_that_shows_later_is_told_with_its_place_and_line() {
    let text = "pools:\n  x:\n    labels: [a]\n    size: {max: 1, idle: 2}\n";
    let too_many = |keys: &str| Contradiction::new(&keys.split('.').collect::<Vec<_>>(), "too many");
    for (keys, expected) in [
        (
            "pools.x.size.idle",
            "f:4:26: pools.x.size.idle: too many\n  4 |     size: {max: 1, idle: 2}\n    |                          ^",
        ),
        (
            "pools.x.labels.0",
            "f:3:14: pools.x.labels[0]: too many\n  3 |     labels: [a]\n    |              ^",
        ),
        ("pools.y", "f:2:3: pools.y: too many\n  2 |   x:\n    |   ^"),
    ] {
        assert_eq!(mistake_at(text, "f", &too_many(keys)), expected);
    }
    // What cannot be read has no places; the words stay.
    assert_eq!(mistake_at("a: [", "f", &too_many("a.0")), "f: a.0: too many");
}

#[test]
fn files_as_other_systems_write_them_are_read() {
    for text in [
        "\u{feff}pools:\n  x:\n    labels: [a]\n",
        "pools:\r\n  x:\r\n    labels: [a]\r\n",
        "---\npools: {x: {labels: [a]}}\n...\n",
        "# ours\n\npools: # all\n  x: {labels: [a]}",
        "%YAML 1.2\n---\npools: {x: {labels: [a]}}\n",
        "{\"pools\": {\"x\": {\"labels\": [\"a\"]}}}",
    ] {
        let fleet = parse::<Fleet>(text, "f").unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert!(fleet.pools["x"].labels.contains("a"), "{text:?}");
    }
}

#[test]
fn an_empty_file_is_told_so() {
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Needs {
        fleet: FleetId,
    }
    for (text, words) in [
        ("", "the file is empty"),
        (" \n\n", "the file is empty"),
        ("{}", "the key `fleet` is missing"),
    ] {
        let said = parse::<Needs>(text, "f").unwrap_err().to_string();
        assert!(said.contains(words), "{text:?}: {said}");
        assert!(FOREIGN.iter().all(|word| !said.contains(word)), "{said}");
    }
}

/// Of a text with several mistakes: where each is and what is said of it, in the order of the lines.
const SEVERAL: &[(&str, &[&str])] = &[
    // What is missing in one map, in several, and in an item of a list.
    (
        "pools:\n  x: {size: {}}\n  y:\n    port: 1\n",
        &[
            "f:2:6: pools.x: the key `labels` is missing",
            "f:4:5: pools.y: the key `labels` is missing",
        ],
    ),
    // One of each kind, in no order of kinds.
    (
        "fleet: 12\nfarm: 1\npools:\n  x:\n    size: {mx: 4, idle: a, mox: 3, max: -1}\n    kind: azure\n    quick: 4\n    labels: a\ncolour: red\n",
        &[
            "f:1:8: fleet: `12` is no UUID",
            "f:2:1: there is no key `farm` here",
            "f:5:12: pools.x.size: there is no key `mx` here",
            "f:5:25: pools.x.size.idle: expected a whole number",
            "f:5:28: pools.x.size: there is no key `mox` here",
            "f:5:41: pools.x.size.max: expected a whole number from 0",
            "f:6:11: pools.x.kind: `azure` is not known",
            "f:7:12: pools.x.quick: expected `true` or `false`",
            "f:8:13: pools.x.labels: expected a list",
            "f:9:1: there is no key `colour` here",
        ],
    ),
    // What is wrong in a part that cannot be read at all is not told beside it.
    (
        "pools:\n  x: [a, {b: c}]\n  y: {labels: [], wait: soon}\n",
        &["f:2:6: pools.x: expected a map", "f:3:25: pools.y.wait: "],
    ),
    // In a list, and of a value that an anchor repeats.
    (
        "pools:\n  x: &x {labels: [[], a, {}], wait: 5}\n  y: {<<: *x, port: -1}\n",
        &[
            "pools.x.labels[0]: expected a text",
            "pools.x.labels[2]: expected a text",
            "pools.x.wait: ",
            "pools.y.labels[0]: expected a text",
            "pools.y.labels[2]: expected a text",
            "pools.y.wait: ",
            "pools.y.port: expected a whole number",
        ],
    ),
    (
        "pools:\n  x: &x {port: 1}\n  y: *x\n  z: {quick: 1}\n",
        &[
            "f:2:9: pools.x: the key `labels` is missing",
            "f:3:6: pools.y: the key `labels` is missing",
            "f:4:6: pools.z: the key `labels` is missing",
            "f:4:14: pools.z.quick: expected",
        ],
    ),
    // A key that stands twice hides nothing behind it.
    (
        "pools:\n  x: {labels: [], port: 1, port: 2, wait: no}\n  y: {}\n",
        &[
            "f:2:28: pools.x: the key `port` stands twice",
            "f:2:43: pools.x.wait",
            "f:3:6: pools.y: the key `labels` is missing",
        ],
    ),
    // All that stand twice are told, in whatever map; what an alias repeats, once.
    (
        "pools:\n  x: &x {labels: [], port: 1, port: 2, port: 3, wait: no}\n  y: *x\n  z:\n    labels: []\n    \
         labels: []\nfarm: 1\npools: {}\npools: {}\n",
        &[
            "f:2:31: pools.x: the key `port` stands twice here",
            "f:2:40: pools.x: the key `port` stands twice here",
            "f:2:55: pools.x.wait",
            "f:3:6: pools.y.wait",
            "f:6:5: pools.z: the key `labels` stands twice here",
            "f:7:1: there is no key `farm`",
            "f:8:1: the key `pools` stands twice here",
            "f:9:1: the key `pools` stands twice here",
        ],
    ),
    // What is no YAML hides what is behind it, and nothing before it.
    (
        "farm: 1\npools:\n  x: {labels: a}\n  y: {wait: *none}\n  z: {}\n",
        &[
            "f:1:1: there is no key `farm`",
            "f:3:15: pools.x.labels: expected a list",
            "f:4:13: pools.y: `*` refers to an anchor",
        ],
    ),
];

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_lines() {
    for (text, expected) in SEVERAL {
        let said = said(text);
        let found: Vec<&str> = said.lines().filter(|line| line.starts_with("f:")).collect();
        let fit = found
            .iter()
            .zip(*expected)
            .filter(|(line, part)| line.contains(**part));
        let counts = (fit.count(), found.len());
        assert_eq!(counts, (expected.len(), expected.len()), "{text}\n{said}");
    }
}

#[test]
fn a_text_of_nothing_but_mistakes_ends_at_the_fiftieth() {
    let keys: String = (0..60).map(|number| format!("k{number}: 1\n")).collect();
    let said = said(&keys);
    assert_eq!(said.matches("there is no key").count(), 50, "{said}");
    assert!(said.contains("`k49`") && !said.contains("`k50`"), "{said}");
}

/// A fleet file that contradicts itself: a pool's `idle`, its image, and what a controller's lease says.
const FLEET: &str = "\
schema: 1
fleet: 019a0000-0000-7000-8000-000000000001
name: x
controller:
  lease: {ttl: 10s, renew: 9s}
clouds:
  c: {kind: ec2, region: eu-1, credentials: {source: environment}}
images:
  i: {cloud: c, id: ami-1}
provision:
  p: {}
pools:
  x:
    labels: [\"arch:x86_64\"]
    image: j
    provision: p
    size: {max: 1, idle: 2}
    offerings: [{types: [c7i.large]}]
";

/// What is written in the place of what, and where mistakes are then.
const WITH_CONTRADICTIONS: &[(&str, &str, &[&str])] = &[
    ("name: x", "name: x", &["5:28", "15:12", "17:26"]),
    // A mistake elsewhere settles nothing.
    ("name: x", "nam: x", &["1:1", "3:1", "5:28", "15:12", "17:26"]),
    ("name: x", "name: [x]", &["3:7", "5:28", "15:12", "17:26"]),
    ("eu-1", "[eu-1]", &["5:28", "7:26", "15:12", "17:26"]),
    (
        "provision: p\n",
        "provision: p\n    colour: red\n",
        &["5:28", "15:12", "17:5", "18:26"],
    ),
    // One in what a contradiction is about may: the other value, or the whole part in which a name was sought.
    ("ttl: 10s", "ttl: soon", &["5:16", "15:12", "17:26"]),
    ("ttl: 10s", "tll: 10s", &["5:11", "15:12", "17:26"]),
    ("max: 1", "max: one", &["5:28", "15:12", "17:17"]),
    ("image: j", "image: j\n    image: i", &["5:28", "16:5", "18:26"]),
    ("images:\n", "imags:\n", &["5:28", "8:1", "17:26"]),
    // A misspelt key hides what its map says, and no more.
    ("idle: 2", "idel: 2", &["5:28", "15:12", "17:20"]),
    (
        "  i: {cloud: c,",
        "  i: {cloud: d,",
        &["5:28", "9:14", "15:12", "17:26"],
    ),
    (
        "  i: {cloud: c,",
        "  j: {clod: c,",
        &["5:28", "9:6", "9:7", "17:26"],
    ),
];

#[test]
fn contradictions_are_told_with_the_other_mistakes_unless_one_of_these_may_settle_them() {
    for (from, to, places) in WITH_CONTRADICTIONS {
        assert_eq!(FLEET.matches(from).count(), 1, "{from}");
        let text = FLEET.replace(from, to);
        let refused = parse_and_check(&text, "f", FleetSpec::contradictions).unwrap_err();
        let said = refused.to_string();
        let found: Vec<&str> = said
            .lines()
            .filter_map(|line| line.strip_prefix("f:"))
            .filter_map(|line| line.split(": ").next())
            .collect();
        assert_eq!(found, *places, "{to}\n{said}");
    }
}
