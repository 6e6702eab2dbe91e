//! The call of a module: its parameters, and what is known of their values before the playbook runs.

use std::collections::BTreeSet;

use super::{Reader, listed};
use crate::arguments::Arguments;
use crate::catalogue::{Kind, Module};
use crate::error::suggestion;
use crate::expression;
use crate::module::check;
use crate::value::{Map, Value};
use crate::words;
use crate::yaml::{Key, Node, Tree};

/// Words that Ansible takes out of the command lines of `command` and `shell`.
const FREE_FORM: [&str; 8] = [
    "chdir",
    "creates",
    "executable",
    "removes",
    "stdin",
    "stdin_add_newline",
    "strip_empty_ends",
    "warn",
];

/// Whether the value is known only when the playbook runs.
fn is_open(node: &Node) -> bool {
    match &node.tree {
        Tree::Text(text) => !expression::is_plain(text),
        Tree::List(items) => items.iter().any(is_open),
        Tree::Map(entries) => entries.iter().any(|(_, value)| is_open(value)),
        _ => false,
    }
}

/// The parameter that a key means.
fn parameter<'a>(module: &Module, key: &'a str) -> &'a str {
    match (module.kind, key) {
        (Kind::File, "dest") => "path",
        (_, key) => key,
    }
}

impl Reader<'_> {
    /// The arguments of a call, as far as they are known checked by the module itself.
    pub(super) fn arguments(&mut self, module: &'static Module, at: &Key, node: &Node) -> Map {
        let mut arguments = Map::new();
        // What is known when the playbook runs, or has been complained about.
        let mut open = BTreeSet::new();
        let count = self.mistakes.len();
        if let (Tree::Text(text), Kind::Command | Kind::Shell) = (&node.tree, module.kind) {
            let before = self.mistakes.len();
            self.template(node);
            self.free_form(node, text);
            if self.mistakes.len() > before || is_open(node) {
                open.insert("cmd".to_owned());
            }
            let line = match module.kind {
                Kind::Command => words::without_continuations(text),
                _ => text.clone(),
            };
            arguments.insert("cmd".to_owned(), Value::Text(line));
        } else {
            let entries = self.entries(node, &format!("what {} takes", module.name));
            if !matches!(node.tree, Tree::Map(_) | Tree::Null) {
                return arguments;
            }
            for (key, value) in entries {
                let before = self.mistakes.len();
                if module.kind != Kind::SetFact && !module.parameters.contains(&key.text.as_str()) {
                    let near = suggestion(&key.text, module.parameters.iter().copied());
                    let (name, known) = (module.name, module.parameters.join(", "));
                    let message = format!(
                        "{name} has no parameter {:?}{near} (supported: {known})",
                        key.text
                    );
                    self.complain_about(key, message);
                }
                self.argument(module, key, value);
                arguments.insert(key.text.clone(), value.to_value());
                if self.mistakes.len() > before || is_open(value) || self.is_read_otherwise(value) {
                    open.insert(parameter(module, &key.text).to_owned());
                }
            }
        }
        if module.kind == Kind::File
            && let Some(path) = arguments.shift_remove("dest")
        {
            arguments.insert("path".to_owned(), path);
        }
        self.missing(module, at, &arguments, &mut open);
        let is_whole = self.mistakes.len() == count;
        self.wrong(
            module,
            (at, node, is_whole),
            Arguments::new(module.name, arguments.clone()).without(open),
        );
        arguments
    }

    /// Complains about what a module cannot do without.
    fn missing(&mut self, module: &'static Module, at: &Key, arguments: &Map, open: &mut BTreeSet<String>) {
        let missing = module
            .required
            .iter()
            .filter(|name| !arguments.contains_key(**name));
        for name in missing {
            self.complain_about(at, format!("{} needs the parameter {name:?}", module.name));
            open.insert((*name).to_owned());
        }
        if !matches!(module.kind, Kind::Command | Kind::Shell) {
            return;
        }
        let has_argv = arguments.contains_key("argv");
        if arguments.contains_key("cmd") == has_argv {
            self.complain_about(at, format!("{} needs either cmd or argv", module.name));
            open.extend(["cmd", "argv"].map(str::to_owned));
        }
        if module.kind == Kind::Shell && has_argv {
            // That it takes none has been said.
            open.insert("cmd".to_owned());
        }
    }

    /// Whether Ansible takes a bare value for another, which is told of it.
    fn is_read_otherwise(&self, node: &Node) -> bool {
        let mut otherwise = self.otherwise.iter();
        otherwise.any(|(line, column, _)| (*line, *column) == (node.line, node.column))
    }

    /// Complains about what the module refuses, each time where it is written; and whether the parameters fit together, where
    /// there is nothing else to complain about.
    fn wrong(
        &mut self,
        module: &'static Module,
        (at, node, is_whole): (&Key, &Node, bool),
        arguments: Arguments,
    ) {
        if !self.judges {
            return;
        }
        for problem in arguments.mistakes(|arguments| check(module.kind, arguments)) {
            let entries = match &node.tree {
                Tree::Map(entries) => entries.as_slice(),
                _ => &[],
            };
            let is_it = |name: &str| problem.parameter.as_deref() == Some(parameter(module, name));
            let found = entries.iter().find(|(key, _)| is_it(&key.text));
            match found {
                _ if problem.parameter.is_none() && !is_whole => {}
                Some((_, value)) => self.complain(value, problem.message),
                None if matches!(node.tree, Tree::Text(_)) => self.complain(node, problem.message),
                None => self.complain_about(at, problem.message),
            }
        }
    }

    /// Checks what is peculiar to single parameters.
    fn argument(&mut self, module: &'static Module, key: &Key, value: &Node) {
        match (module.kind, key.text.as_str(), &value.tree) {
            (Kind::Assert, "that", _) => {
                self.conditions(&listed(value), "that");
            }
            (Kind::Debug, "var", Tree::Text(text)) => self.expression(value, text),
            (_, "mode" | "directory_mode", Tree::Number(_)) => {
                let message =
                    "write the mode in quotes, as in \"0644\": bare numbers are read differently by others";
                self.complain(value, message.to_owned());
            }
            (_, "mode" | "directory_mode", Tree::Text(text))
                if !text.contains("{{")
                    && (text != "preserve" || module.kind != Kind::Copy || key.text != "mode")
                    && words::mode(text).is_none() =>
            {
                self.complain(value, format!("{text:?} is not an octal mode such as \"0644\""));
            }
            (_, "regexp", Tree::Text(text)) if !text.contains("{{") => {
                if let Err(why) = words::check_regexp(text) {
                    self.complain(value, why);
                }
            }
            (Kind::SetFact, "cacheable", _) => {
                self.complain_about(key, "set_fact cannot keep facts for later runs".to_owned());
            }
            (Kind::SetFact, name, _) if !words::is_identifier(name) => {
                self.complain_about(key, format!("{name:?} is not the name of a variable"));
            }
            _ => {
                self.template(value);
            }
        }
    }

    /// Ansible takes words such as `creates=/path` out of a command line, wherever they stand.
    fn free_form(&mut self, node: &Node, text: &str) {
        let is_parameter = |word: &&str| {
            let name = word.split_once('=').map(|(name, _)| name);
            name.is_some_and(|name| FREE_FORM.contains(&name))
        };
        if let Some(word) = text.split_whitespace().find(is_parameter) {
            let how = "write the command as cmd, and this as a parameter beside it";
            self.complain(node, format!("Ansible takes {word:?} for a parameter: {how}"));
        }
    }
}
