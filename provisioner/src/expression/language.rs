//! The filters, tests and functions that are understood, with their parameters. What is not in these lists, or has other
//! parameters, is a mistake found when the playbook is read.

/// One filter or test: its names, the names of its parameters, and how many of them it cannot do without.
pub(super) struct Callable {
    pub(super) names: &'static [&'static str],
    pub(super) parameters: &'static [&'static str],
    pub(super) required: usize,
}

/// Stands for any number of parameters more.
pub(super) const MORE: &str = "...";

const fn callable(
    names: &'static [&'static str],
    parameters: &'static [&'static str],
    required: usize,
) -> Callable {
    Callable {
        names,
        parameters,
        required,
    }
}

pub(super) const FILTERS: &[Callable] = &[
    callable(&["abs"], &[], 0),
    callable(&["basename"], &[], 0),
    callable(&["bool"], &[], 0),
    callable(&["combine"], &[MORE], 0),
    callable(&["default", "d"], &["default_value", "boolean"], 0),
    callable(&["dict2items"], &["key_name", "value_name"], 0),
    callable(&["dirname"], &[], 0),
    callable(&["first"], &[], 0),
    callable(&["flatten"], &["levels", "skip_nulls"], 0),
    callable(&["float"], &["default"], 0),
    callable(&["from_json"], &[], 0),
    callable(&["int"], &["default", "base"], 0),
    callable(&["items2dict"], &["key_name", "value_name"], 0),
    callable(&["join"], &["d", "attribute"], 0),
    callable(&["last"], &[], 0),
    callable(&["length", "count"], &[], 0),
    callable(&["list"], &[], 0),
    callable(&["lower"], &[], 0),
    callable(&["mandatory"], &["msg"], 0),
    callable(&["map"], &[MORE], 0),
    callable(&["max"], &["case_sensitive", "attribute"], 0),
    callable(&["min"], &["case_sensitive", "attribute"], 0),
    callable(&["quote"], &[], 0),
    callable(&["reject"], &[MORE], 0),
    callable(&["rejectattr"], &["attribute", MORE], 1),
    callable(&["replace"], &["old", "new", "count"], 2),
    callable(&["reverse"], &[], 0),
    callable(&["select"], &[MORE], 0),
    callable(&["selectattr"], &["attribute", MORE], 1),
    callable(&["sort"], &["reverse", "case_sensitive", "attribute"], 0),
    callable(&["split"], &["sep", "maxsplit"], 0),
    callable(&["string"], &[], 0),
    callable(&["sum"], &["attribute", "start"], 0),
    callable(&["ternary"], &["true_val", "false_val", "none_val"], 2),
    callable(&["to_json"], &[], 0),
    callable(&["trim"], &["chars"], 0),
    callable(&["unique"], &["case_sensitive"], 0),
    callable(&["upper"], &[], 0),
];

pub(super) const TESTS: &[Callable] = &[
    callable(&["all"], &[], 0),
    callable(&["any"], &[], 0),
    callable(&["boolean"], &[], 0),
    callable(&["changed"], &[], 0),
    callable(&["contains"], &["value"], 1),
    callable(&["defined"], &[], 0),
    callable(&["divisibleby"], &["num"], 1),
    callable(&["eq", "equalto", "=="], &["other"], 1),
    callable(&["even"], &[], 0),
    callable(&["failed"], &[], 0),
    callable(&["false"], &[], 0),
    callable(&["falsy"], &[], 0),
    callable(&["float"], &[], 0),
    callable(&["ge", ">="], &["other"], 1),
    callable(&["gt", "greaterthan", ">"], &["other"], 1),
    callable(&["in"], &["seq"], 1),
    callable(&["integer"], &[], 0),
    callable(&["iterable"], &[], 0),
    callable(&["le", "<="], &["other"], 1),
    callable(&["lower"], &[], 0),
    callable(&["lt", "lessthan", "<"], &["other"], 1),
    callable(&["mapping"], &[], 0),
    callable(&["ne", "!="], &["other"], 1),
    callable(&["none"], &[], 0),
    callable(&["number"], &[], 0),
    callable(&["odd"], &[], 0),
    callable(&["sequence"], &[], 0),
    callable(&["skipped"], &[], 0),
    callable(&["string"], &[], 0),
    callable(&["succeeded", "success"], &[], 0),
    callable(&["true"], &[], 0),
    callable(&["truthy"], &[], 0),
    callable(&["undefined"], &[], 0),
    callable(&["upper"], &[], 0),
    callable(
        &["version", "version_compare"],
        &["version", "operator", "version_type"],
        1,
    ),
];

/// Filters that take the name of another filter, or of a test, as a parameter: where it stands.
pub(super) fn callback(filter: &str) -> Option<(usize, &'static [Callable])> {
    match filter {
        "map" => Some((0, FILTERS)),
        "select" | "reject" => Some((0, TESTS)),
        "selectattr" | "rejectattr" => Some((1, TESTS)),
        _ => None,
    }
}

/// The one that is called `name`, if need be with the prefix of Ansible's own.
pub(super) fn find(list: &'static [Callable], name: &str) -> Option<&'static Callable> {
    let name = name.strip_prefix("ansible.builtin.").unwrap_or(name);
    list.iter().find(|one| one.names.contains(&name))
}

/// All names, for a complaint.
pub(super) fn names(list: &'static [Callable]) -> Vec<&'static str> {
    let words = list.iter().flat_map(|one| one.names.iter().copied());
    words
        .filter(|name| name.starts_with(|first: char| first.is_ascii_alphabetic()))
        .collect()
}
