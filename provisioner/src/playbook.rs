//! Playbooks, typed: what is left of the YAML once every key is known to be right.

mod parse;

use crate::catalogue::Module;
use crate::error::Mistake;
use crate::outcome::Problem;
use crate::value::{Map, Value};

/// The most elements of a loop.
const MAX_ITEMS: usize = 1000;

/// One playbook file.
#[derive(Debug)]
pub(crate) struct Playbook {
    /// The file's name.
    pub(crate) file: String,
    pub(crate) plays: Vec<Play>,
    /// Whether anything in it uses the variable `staged`, that is, needs `provision-files/` rendered.
    pub(crate) uses_staged: bool,
}

/// One play. It runs on the one host the connection goes to; `hosts` only has to be there for Ansible.
#[derive(Debug)]
pub(crate) struct Play {
    pub(crate) name: String,
    pub(crate) r#become: bool,
    /// In the order of the file: later ones may use earlier ones.
    pub(crate) vars: Vec<(String, Value)>,
    pub(crate) tasks: Vec<Task>,
}

/// One task.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) line: u64,
    pub(crate) module: &'static Module,
    pub(crate) arguments: Map,
    pub(crate) when: Vec<String>,
    pub(crate) register: Option<String>,
    pub(crate) items: Option<Value>,
    pub(crate) vars: Vec<(String, Value)>,
    pub(crate) changed_when: Option<Vec<String>>,
    pub(crate) failed_when: Option<Vec<String>>,
    pub(crate) until: Option<Vec<String>>,
    /// How often it is tried again; `until` without a number means three times.
    pub(crate) retries: Option<u32>,
    /// Seconds between tries.
    pub(crate) delay: u64,
    pub(crate) ignore_errors: bool,
    pub(crate) no_log: bool,
    pub(crate) r#become: Option<bool>,
    /// `check_mode: false` runs the task even in check mode: for commands that only look.
    pub(crate) check_mode: Option<bool>,
    /// Seconds one try may take.
    pub(crate) timeout: Option<u64>,
    pub(crate) environment: Map,
    /// By which a part of the playbook can be chosen.
    pub(crate) tags: Vec<String>,
}

/// The tag of tasks that are played whatever part of a playbook is chosen, as in Ansible.
const ALWAYS: &str = "always";

impl Task {
    /// Whether it belongs to the part of its playbook that a tag chooses; without one, all do.
    pub(crate) fn is_in(&self, part: Option<&str>) -> bool {
        part.is_none_or(|part| self.tags.iter().any(|tag| tag == part || tag == ALWAYS))
    }

    /// How often it is run at most.
    pub(crate) fn tries(&self) -> u32 {
        let default = if self.until.is_some() { 3 } else { 0 };
        self.retries.unwrap_or(default).saturating_add(1)
    }
}

/// The elements of a loop, of what `loop` comes to.
pub(crate) fn elements(items: Value) -> Result<Vec<Value>, Problem> {
    match items {
        Value::List(items) if items.len() <= MAX_ITEMS => Ok(items),
        Value::List(_) => Err(Problem::new(format!("loop has more than {MAX_ITEMS} elements"))),
        other => Err(Problem::new(format!("loop is {other}, expected a list"))),
    }
}

impl Playbook {
    /// Whether any of its tasks has a tag.
    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        let mut tasks = self.plays.iter().flat_map(|play| &play.tasks);
        tasks.any(|task| task.tags.iter().any(|it| it == tag))
    }

    /// Reads a playbook; all mistakes that can be told apart are reported at once.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, Vec<Mistake>> {
        parse::playbook(file, text, true)
    }

    /// Reads a playbook of which no value is judged before it runs, so that tests see what modules say of it then.
    #[cfg(test)]
    pub(crate) fn parse_open(file: &str, text: &str) -> Result<Self, Vec<Mistake>> {
        parse::playbook(file, text, false)
    }
}

#[cfg(test)]
mod tests;
