//! The modules and keywords of Ansible's language that are understood here: the documented subset.
//!
//! Everything else is a mistake reported at load, so that a playbook never does less than it seems to say.

/// One module: its names, its parameters, and which of them it cannot do without.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) kind: Kind,
    /// The short name.
    pub(crate) name: &'static str,
    /// The collection of the full name, `ansible.builtin` for most.
    pub(crate) collection: &'static str,
    pub(crate) parameters: &'static [&'static str],
    pub(crate) required: &'static [&'static str],
}

/// What a module does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Assert,
    AuthorizedKey,
    Command,
    Copy,
    Debug,
    Fail,
    File,
    Group,
    LineInFile,
    Package,
    SetFact,
    Shell,
    Stat,
    User,
    WaitFor,
}

const BUILTIN: &str = "ansible.builtin";

/// All modules, by name.
pub(crate) const MODULES: &[Module] = &[
    Module {
        kind: Kind::Package,
        name: "apt",
        collection: BUILTIN,
        parameters: &["name", "state", "update_cache"],
        required: &["name"],
    },
    Module {
        kind: Kind::Assert,
        name: "assert",
        collection: BUILTIN,
        parameters: &["that", "fail_msg", "success_msg", "quiet"],
        required: &["that"],
    },
    Module {
        kind: Kind::AuthorizedKey,
        name: "authorized_key",
        collection: "ansible.posix",
        parameters: &["user", "key", "state", "exclusive"],
        required: &["user", "key"],
    },
    Module {
        kind: Kind::Command,
        name: "command",
        collection: BUILTIN,
        parameters: &[
            "cmd",
            "argv",
            "chdir",
            "creates",
            "removes",
            "stdin",
            "expand_argument_vars",
        ],
        required: &[],
    },
    Module {
        kind: Kind::Copy,
        name: "copy",
        collection: BUILTIN,
        parameters: &[
            "src",
            "content",
            "dest",
            "mode",
            "owner",
            "group",
            "force",
            "directory_mode",
        ],
        required: &["dest"],
    },
    Module {
        kind: Kind::Debug,
        name: "debug",
        collection: BUILTIN,
        parameters: &["msg", "var"],
        required: &[],
    },
    Module {
        kind: Kind::Package,
        name: "dnf",
        collection: BUILTIN,
        parameters: &["name", "state", "update_cache"],
        required: &["name"],
    },
    Module {
        kind: Kind::Fail,
        name: "fail",
        collection: BUILTIN,
        parameters: &["msg"],
        required: &[],
    },
    Module {
        kind: Kind::File,
        name: "file",
        collection: BUILTIN,
        parameters: &[
            "path",
            "dest",
            "src",
            "state",
            "mode",
            "owner",
            "group",
            "force",
            "modification_time",
            "access_time",
        ],
        required: &["path"],
    },
    Module {
        kind: Kind::Group,
        name: "group",
        collection: BUILTIN,
        parameters: &["name", "gid", "system", "state"],
        required: &["name"],
    },
    Module {
        kind: Kind::LineInFile,
        name: "lineinfile",
        collection: BUILTIN,
        parameters: &[
            "path",
            "line",
            "regexp",
            "state",
            "create",
            "insertafter",
            "insertbefore",
            "mode",
            "owner",
            "group",
        ],
        required: &["path"],
    },
    Module {
        kind: Kind::Package,
        name: "package",
        collection: BUILTIN,
        parameters: &["name", "state"],
        required: &["name"],
    },
    Module {
        kind: Kind::SetFact,
        name: "set_fact",
        collection: BUILTIN,
        parameters: &[],
        required: &[],
    },
    Module {
        kind: Kind::Shell,
        name: "shell",
        collection: BUILTIN,
        parameters: &["cmd", "chdir", "creates", "removes", "stdin"],
        required: &[],
    },
    Module {
        kind: Kind::Stat,
        name: "stat",
        collection: BUILTIN,
        parameters: &["path", "follow", "get_checksum", "checksum_algorithm"],
        required: &["path"],
    },
    Module {
        kind: Kind::User,
        name: "user",
        collection: BUILTIN,
        parameters: &[
            "name",
            "uid",
            "group",
            "groups",
            "append",
            "shell",
            "home",
            "system",
            "create_home",
            "password",
            "comment",
            "state",
        ],
        required: &["name"],
    },
    Module {
        kind: Kind::WaitFor,
        name: "wait_for",
        collection: BUILTIN,
        parameters: &["path", "port", "host", "state", "timeout", "delay", "sleep"],
        required: &[],
    },
];

/// Keywords of a play.
pub(crate) const PLAY_KEYWORDS: &[&str] = &["name", "hosts", "become", "gather_facts", "vars", "tasks"];

/// Keywords of a task, beside the module.
pub(crate) const TASK_KEYWORDS: &[&str] = &[
    "name",
    "when",
    "register",
    "loop",
    "loop_control",
    "vars",
    "tags",
    "changed_when",
    "failed_when",
    "ignore_errors",
    "no_log",
    "until",
    "retries",
    "delay",
    "become",
    "check_mode",
    "timeout",
    "environment",
];

/// The module called `name`, short or with its collection.
pub(crate) fn module(name: &str) -> Option<&'static Module> {
    MODULES.iter().find(|module| {
        name == module.name
            || name
                .strip_prefix(module.collection)
                .and_then(|rest| rest.strip_prefix('.'))
                == Some(module.name)
    })
}

/// The names of all modules, for a complaint.
pub(crate) fn module_names() -> String {
    MODULES
        .iter()
        .map(|module| module.name)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_of_playbooks_has_every_module_with_its_parameters() {
        let readme = include_str!("../../playbooks/README.md");
        for module in MODULES {
            let row = readme
                .lines()
                .find(|line| line.starts_with('|') && line.contains(&format!("`{}`", module.name)));
            let row = row.unwrap_or_else(|| panic!("no row for {}", module.name));
            for parameter in module.parameters {
                let has_it = row
                    .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
                    .any(|word| word == *parameter);
                assert!(has_it, "{}: {parameter} is not in {row}", module.name);
            }
        }
    }

    #[test]
    fn modules_are_found_by_both_of_their_names() {
        let name = |word: &str| module(word).map(|module| module.name);
        assert_eq!(name("copy"), Some("copy"));
        assert_eq!(name("ansible.builtin.copy"), Some("copy"));
        assert_eq!(name("ansible.posix.authorized_key"), Some("authorized_key"));
        for other in [
            "ansible.builtin.authorized_key",
            "ansible.builtincopy",
            "community.copy",
            "copi",
        ] {
            assert_eq!(name(other), None, "{other}");
        }
    }
}
