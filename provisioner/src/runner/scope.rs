//! The variables of a run, in Ansible's order: the play's, then the task's, then facts and registered results, then
//! those the caller gave, and the loop's element above all. One that is wrong matters only where it is used.

use crate::expression::{self, Variables};
use crate::playbook::{Play, Task};
use crate::report::Mode;
use crate::value::{Map, Value};

/// All variables, and the merged view that expressions see.
pub(crate) struct Scope {
    given: Variables,
    /// The play's, as they are written: they are evaluated whenever something they may use has changed.
    play: Vec<(String, Value)>,
    facts: Variables,
    view: Variables,
}

impl Scope {
    pub(crate) fn new(given: Map, mode: Mode) -> Self {
        let mut given: Variables = given.into_iter().collect();
        given.insert("ansible_check_mode".to_owned(), Value::Bool(mode == Mode::Check));
        Self {
            view: given.clone(),
            given,
            play: Vec::new(),
            facts: Variables::new(),
        }
    }

    /// What expressions see.
    pub(crate) fn variables(&self) -> &Variables {
        &self.view
    }

    /// Takes the play's variables.
    pub(crate) fn start_play(&mut self, play: &Play) {
        self.play = in_order(&play.vars);
        self.merge();
    }

    /// Makes the view for one element of a task's loop, with the task's own variables.
    pub(crate) fn start_item(&mut self, task: &Task, item: Option<&Value>) {
        self.merge();
        if let Some(item) = item {
            self.view.insert("item".to_owned(), item.clone());
        }
        for (name, value) in in_order(&task.vars) {
            if !self.given.contains_key(&name) && !self.facts.contains_key(&name) {
                let value = expression::evaluate_variable(&value, &self.view);
                self.view.insert(name, value);
            }
        }
    }

    /// Sets a fact for the rest of the run.
    pub(crate) fn set(&mut self, name: &str, value: Value) {
        if !self.given.contains_key(name) {
            self.view.insert(name.to_owned(), value.clone());
        }
        self.facts.insert(name.to_owned(), value);
    }

    /// Makes the result of the present element of a loop visible under the task's `register` name, so that conditions of the same task
    /// can read it.
    pub(crate) fn set_for_item(&mut self, task: &Task, result: &Map) {
        if let Some(name) = &task.register {
            self.view.insert(name.clone(), Value::Map(result.clone()));
        }
    }

    fn merge(&mut self) {
        self.view = self.facts.clone();
        self.view.extend(self.given.clone());
        for (name, value) in &self.play {
            if !self.view.contains_key(name) {
                let value = expression::evaluate_variable(value, &self.view);
                self.view.insert(name.clone(), value);
            }
        }
    }
}

/// Variables so that each comes after those that it names, as far as they do not go in a circle.
pub(crate) fn in_order(vars: &[(String, Value)]) -> Vec<(String, Value)> {
    let mut left: Vec<&(String, Value)> = vars.iter().collect();
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let names_none = |one: &&(String, Value)| {
            let text = one.1.to_string();
            let mut words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            !words.any(|word| left.iter().any(|other| other.0 == word && other.0 != one.0))
        };
        let next = left.iter().position(names_none).unwrap_or_default();
        ordered.push(left.remove(next).clone());
    }
    ordered
}

/// The values of a play's variables, in their order, without those that were given; `view` is what they see.
pub(crate) fn evaluated_vars(
    vars: &[(String, Value)],
    given: &Map,
    view: &mut Variables,
) -> Result<Map, String> {
    let mut values = Map::new();
    for (name, value) in &in_order(vars) {
        if !given.contains_key(name) {
            let value = expression::evaluate(value, view).map_err(|error| format!("{name}: {error}"))?;
            view.insert(name.clone(), value.clone());
            values.insert(name.clone(), value);
        }
    }
    Ok(values)
}
