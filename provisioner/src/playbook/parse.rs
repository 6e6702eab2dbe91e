//! From the YAML tree to typed plays and tasks, collecting mistakes on the way.

mod call;

use super::{Play, Playbook, Task, elements};
use crate::catalogue::{self, PLAY_KEYWORDS, TASK_KEYWORDS};
use crate::error::{Mistake, suggestion};
use crate::expression;
use crate::value::{Map, Value};
use crate::words;
use crate::yaml::{self, Key, Node, Tree};

/// Reads a playbook; `judges` tells whether constant values are judged as the modules will.
pub(super) fn playbook(file: &str, text: &str, judges: bool) -> Result<Playbook, Vec<Mistake>> {
    let root = yaml::parse(file, text).map_err(|mistake| vec![mistake])?;
    let mut reader = Reader {
        file,
        text,
        judges,
        otherwise: yaml::read_otherwise(&root, text),
        mistakes: Vec::new(),
    };
    let mut plays = Vec::new();
    match &root.tree {
        Tree::List(items) if !items.is_empty() => {
            plays.extend(items.iter().filter_map(|item| reader.play(item)));
        }
        _ => reader.complain(
            &root,
            format!("a playbook is a list of plays, not {}", root.kind()),
        ),
    }
    for (line, column, word) in std::mem::take(&mut reader.otherwise) {
        let is_known = |mistake: &Mistake| (mistake.line, mistake.column) == (line, column);
        if !reader.mistakes.iter().any(is_known) {
            let message = format!(
                "Ansible takes the bare {word} for another value: write it in quotes, or as a plain number"
            );
            reader.complain_at(line, column, message);
        }
    }
    if reader.mistakes.is_empty() {
        Ok(Playbook {
            file: file.to_owned(),
            plays,
            uses_staged: text.contains("staged"),
        })
    } else {
        Err(reader.mistakes)
    }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    judges: bool,
    /// Bare values that Ansible takes for others: line, column, and the value.
    otherwise: Vec<(u64, u64, &'a str)>,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn complain(&mut self, node: &Node, message: String) {
        self.complain_at(node.line, node.column, message);
    }

    fn complain_about(&mut self, key: &Key, message: String) {
        self.complain_at(key.line, key.column, message);
    }

    fn complain_at(&mut self, line: u64, column: u64, message: String) {
        self.mistakes.push(Mistake {
            file: self.file.to_owned(),
            line,
            column,
            message,
        });
    }

    fn entries<'n>(&mut self, node: &'n Node, what: &str) -> &'n [(Key, Node)] {
        match &node.tree {
            Tree::Map(entries) => entries,
            Tree::Null => &[],
            _ => {
                self.complain(node, format!("{what} is a mapping, not {}", node.kind()));
                &[]
            }
        }
    }

    fn play(&mut self, node: &Node) -> Option<Play> {
        let mut play = Play {
            name: String::new(),
            r#become: false,
            vars: Vec::new(),
            tasks: Vec::new(),
        };
        let (mut has_hosts, mut has_facts_off) = (false, false);
        for (key, value) in self.entries(node, "a play") {
            match key.text.as_str() {
                "name" => play.name = self.text(value, "name").unwrap_or_default(),
                "hosts" => has_hosts = self.text(value, "hosts").is_some(),
                "become" => play.r#become = self.boolean(value, "become").unwrap_or(false),
                "gather_facts" => has_facts_off = self.boolean(value, "gather_facts") == Some(false),
                "vars" => play.vars = self.vars(value, "vars"),
                "tasks" => match &value.tree {
                    Tree::List(items) => {
                        play.tasks = items.iter().filter_map(|item| self.task(item)).collect()
                    }
                    _ => self.complain(value, format!("tasks is a list, not {}", value.kind())),
                },
                other => {
                    let near = suggestion(other, PLAY_KEYWORDS.iter().copied());
                    let known = PLAY_KEYWORDS.join(", ");
                    self.complain_about(
                        key,
                        format!("a play has no keyword {other:?}{near} (supported: {known})"),
                    );
                }
            }
        }
        if !has_hosts {
            self.complain(node, "the play has no hosts".to_owned());
        }
        if !has_facts_off {
            self.complain(
                node,
                "the play needs `gather_facts: false`: facts are not gathered here".to_owned(),
            );
        }
        Some(play)
    }

    fn task(&mut self, node: &Node) -> Option<Task> {
        let entries = self.entries(node, "a task");
        let mut modules = entries
            .iter()
            .filter_map(|(key, value)| Some((key, value, catalogue::module(&key.text)?)));
        let Some((key, arguments, module)) = modules.next() else {
            self.no_module(node, entries);
            return None;
        };
        if let Some((second, ..)) = modules.next() {
            let message = format!(
                "a task has one module, but {:?} and {:?} are two",
                key.text, second.text
            );
            self.complain_about(second, message);
        }
        let mut task = Task {
            name: module.name.to_owned(),
            line: node.line,
            module,
            arguments: self.arguments(module, key, arguments),
            when: Vec::new(),
            register: None,
            items: None,
            vars: Vec::new(),
            changed_when: None,
            failed_when: None,
            until: None,
            retries: None,
            delay: 5,
            ignore_errors: false,
            no_log: false,
            r#become: None,
            check_mode: None,
            timeout: None,
            environment: Map::new(),
            tags: Vec::new(),
        };
        for (key, value) in entries {
            if catalogue::module(&key.text).is_none() {
                self.keyword(&mut task, key, value);
            }
        }
        Some(task)
    }

    /// A task whose module is missing: probably one of its keys was meant to be it.
    fn no_module(&mut self, node: &Node, entries: &[(Key, Node)]) {
        let unknown = entries
            .iter()
            .find(|(key, _)| !TASK_KEYWORDS.contains(&key.text.as_str()));
        match unknown {
            Some((key, _)) => {
                let word = key.text.rsplit('.').next().unwrap_or_default();
                let known = catalogue::MODULES.iter().map(|module| module.name);
                let near = suggestion(word, known.chain(TASK_KEYWORDS.iter().copied()));
                let names = catalogue::module_names();
                self.complain_about(
                    key,
                    format!("there is no module {:?}{near} (supported: {names})", key.text),
                );
            }
            // What is no mapping has been complained about.
            None if !matches!(node.tree, Tree::Null | Tree::Map(_)) => {}
            None => self.complain(
                node,
                format!(
                    "the task has no module (supported: {})",
                    catalogue::module_names()
                ),
            ),
        }
    }

    fn keyword(&mut self, task: &mut Task, key: &Key, value: &Node) {
        let word = key.text.as_str();
        match word {
            "name" => task.name = self.text(value, word).unwrap_or_default(),
            "when" => task.when = self.conditions(&said_once(value), word),
            "register" => task.register = self.identifier(value, word),
            // As in Ansible, no loop is none.
            "loop" => task.items = self.items(value),
            "tags" => task.tags = self.tags(value),
            "loop_control" => self.loop_control(value),
            "vars" => task.vars = self.vars(value, word),
            "changed_when" => task.changed_when = Some(self.conditions(&listed(value), word)),
            "failed_when" => task.failed_when = Some(self.conditions(&listed(value), word)),
            // As in Ansible, nothing is no condition here, but a mistake behind `changed_when`.
            "until" if value.to_value().is_null() => task.until = None,
            "until" => task.until = Some(self.conditions(&listed(value), word)),
            "retries" => task.retries = self.number(value, word, 1000).try_into().ok(),
            "delay" => task.delay = self.number(value, word, 600),
            "timeout" => task.timeout = Some(self.number(value, word, 86_400)),
            "ignore_errors" => task.ignore_errors = self.boolean(value, word).unwrap_or(false),
            "no_log" => task.no_log = self.boolean(value, word).unwrap_or(true),
            "become" => task.r#become = self.boolean(value, word),
            "check_mode" => task.check_mode = self.boolean(value, word),
            "environment" => task.environment = self.vars(value, word).into_iter().collect(),
            other => {
                let near = suggestion(other, TASK_KEYWORDS.iter().copied());
                let known = TASK_KEYWORDS.join(", ");
                self.complain_about(
                    key,
                    format!("a task has no keyword {other:?}{near} (supported: {known})"),
                );
            }
        }
    }

    /// They choose a part of the tasks; one of them means something where none is chosen.
    fn tags(&mut self, node: &Node) -> Vec<String> {
        let names = match node.to_value() {
            Value::List(names) => names,
            one => vec![one],
        };
        let words = names.iter().filter_map(Value::as_text);
        let words = words.flat_map(|words| words.split(','));
        let tags: Vec<String> = words.map(|word| word.trim().to_owned()).collect();
        if tags.iter().any(|tag| tag == "never") {
            self.complain(
                node,
                "the tag never is not supported: leave the task out".to_owned(),
            );
        }
        tags
    }

    /// What a loop goes through; a text may come to a list when the playbook runs.
    fn items(&mut self, node: &Node) -> Option<Value> {
        let items = self.template(node);
        let is_open = matches!(&node.tree, Tree::Text(text) if !expression::is_plain(text));
        let is_judged = self.judges && !is_open && !items.is_null();
        if let (true, Err(problem)) = (is_judged, elements(items.clone())) {
            self.complain(node, problem.message);
        }
        Some(items).filter(|items| !items.is_null())
    }

    /// What only decorates Ansible's output.
    fn loop_control(&mut self, node: &Node) {
        for (key, _) in self.entries(node, "loop_control") {
            if key.text != "label" {
                let message = format!("loop_control has no {:?} here (supported: label)", key.text);
                self.complain_about(key, message);
            }
        }
    }

    fn vars(&mut self, node: &Node, what: &str) -> Vec<(String, Value)> {
        let mut vars = Vec::new();
        for (key, value) in self.entries(node, what) {
            if !words::is_identifier(&key.text) {
                self.complain_about(key, format!("{:?} is not the name of a variable", key.text));
            }
            vars.push((key.text.clone(), self.template(value)));
        }
        vars
    }

    /// Where the piece of a template stands that is wrong, if it is written in the file as it is read.
    fn place_in(&self, node: &Node, text: &str) -> Option<(u64, u64)> {
        let piece = expression::wrong_piece(text)?.lines().next()?;
        let count = text.lines().count().saturating_add(1);
        let mut rows = (1..).zip(self.text.lines());
        let mut rows = rows.by_ref().skip_while(|(row, _)| *row < node.line).take(count);
        rows.find_map(|(row, line)| {
            let from = if row == node.line {
                node.column.saturating_sub(1)
            } else {
                0
            };
            let (at, _) = line.char_indices().nth(usize::try_from(from).ok()?)?;
            let (before, behind) = line.split_at_checked(at)?;
            let inside = behind.get(..behind.find(piece)?)?;
            let column = before.chars().chain(inside.chars()).count().saturating_add(1);
            Some((row, u64::try_from(column).ok()?))
        })
    }

    /// A value whose texts may hold `{{ }}`; their syntax is checked.
    fn template(&mut self, node: &Node) -> Value {
        match &node.tree {
            Tree::Text(text) => {
                if let Err(error) = expression::check_template(text) {
                    let (line, column) = self.place_in(node, text).unwrap_or((node.line, node.column));
                    self.complain_at(line, column, error);
                }
            }
            Tree::List(items) => items.iter().for_each(|item| drop(self.template(item))),
            Tree::Map(entries) => entries.iter().for_each(|(_, value)| drop(self.template(value))),
            _ => {}
        }
        node.to_value()
    }

    fn expression(&mut self, node: &Node, text: &str) {
        if let Err(error) = expression::check_expression(text) {
            self.complain(node, error);
        }
    }

    /// Conditions, all of which must hold.
    fn conditions(&mut self, nodes: &[&Node], what: &str) -> Vec<String> {
        let all = nodes.iter().enumerate();
        all.map(|(place, node)| self.condition(node, what, place == 0))
            .collect()
    }

    /// One condition. Ansible looks at one only after those before it hold, so that what can be none is a mistake only
    /// in the first place.
    fn condition(&mut self, node: &Node, what: &str, is_first: bool) -> String {
        match &node.tree {
            Tree::Text(text) if text.contains("{{") => {
                self.complain(
                    node,
                    format!("{what} is an expression already: leave the braces out"),
                );
            }
            Tree::Text(text) => {
                self.expression(node, text);
                return text.clone();
            }
            Tree::Bool(_) => {}
            Tree::List(_) if is_first => {
                self.complain(node, format!("{what} is a list of expressions, not of lists"));
            }
            _ if is_first => {
                self.complain(node, format!("{what} is an expression, not {}", node.kind()));
            }
            // By its name in expressions.
            Tree::Null => return "none".to_owned(),
            _ => {}
        }
        node.to_value().to_string()
    }

    fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        if let Tree::Text(text) = &node.tree {
            self.template(node);
            return Some(text.clone());
        }
        self.complain(node, format!("{what} is text, not {}", node.kind()));
        None
    }

    fn identifier(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.text(node, what)?;
        if !words::is_identifier(&text) {
            self.complain(node, format!("{text:?} is not the name of a variable"));
        }
        Some(text)
    }

    fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        if let Tree::Bool(value) = node.tree {
            return Some(value);
        }
        self.complain(node, format!("{what} is true or false, not {}", node.kind()));
        None
    }

    fn number(&mut self, node: &Node, what: &str, most: u64) -> u64 {
        let number = match &node.tree {
            Tree::Number(number) => number.as_u64().filter(|number| *number <= most),
            _ => None,
        };
        number.unwrap_or_else(|| {
            self.complain(node, format!("{what} is a whole number from 0 to {most}"));
            0
        })
    }
}

/// The elements of a list, or what stands in the place of one.
fn listed(node: &Node) -> Vec<&Node> {
    match &node.tree {
        Tree::List(items) => items.iter().collect(),
        _ => vec![node],
    }
}

/// What Ansible leaves of a list of conditions behind `when`: no nothing, and of equal ones in a row the first. To it, 1
/// equals `true`, so that `[true, 1]` is one condition.
fn said_once(node: &Node) -> Vec<&Node> {
    let mut nodes = listed(node);
    nodes.dedup_by(|later, earlier| {
        expression::equal(&later.to_value(), &earlier.to_value()).unwrap_or_default()
    });
    nodes.retain(|node| !node.to_value().is_null());
    nodes
}
