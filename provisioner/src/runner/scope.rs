//! The variables of a run, in Ansible's order: the play's, then the task's, then facts and registered results, then
//! those the caller gave, and the loop's element above all.

use serde_json::{Map, Value, json};

use crate::expression::{self, Variables};
use crate::playbook::{Play, Task};
use crate::report::Mode;

/// All variables, and the merged view that expressions see.
pub(crate) struct Scope {
    given: Variables,
    play: Variables,
    facts: Variables,
    view: Variables,
}

impl Scope {
    pub(crate) fn new(given: Map<String, Value>, mode: Mode) -> Self {
        let mut given: Variables = given
            .iter()
            .map(|(name, value)| (name.clone(), expression::variable(value)))
            .collect();
        given.insert(
            "ansible_check_mode".to_owned(),
            expression::variable(&json!(mode == Mode::Check)),
        );
        Self {
            view: given.clone(),
            given,
            play: Variables::new(),
            facts: Variables::new(),
        }
    }

    /// What expressions see.
    pub(crate) fn variables(&self) -> &Variables {
        &self.view
    }

    /// Evaluates the play's variables, in their order.
    pub(crate) fn start_play(&mut self, play: &Play) -> Result<(), String> {
        self.play.clear();
        self.merge();
        for (name, value) in &play.vars {
            if !self.given.contains_key(name) {
                let value =
                    expression::evaluate(value, &self.view).map_err(|error| format!("{name}: {error}"))?;
                self.play.insert(name.clone(), expression::variable(&value));
                self.merge();
            }
        }
        Ok(())
    }

    /// Makes the view for one element of a task's loop, with the task's own variables.
    pub(crate) fn start_item(&mut self, task: &Task, item: Option<&Value>) -> Result<(), String> {
        self.merge();
        if let Some(item) = item {
            self.view.insert("item".to_owned(), expression::variable(item));
        }
        for (name, value) in &task.vars {
            if self.given.contains_key(name) || self.facts.contains_key(name) {
                continue;
            }
            match expression::evaluate(value, &self.view) {
                Ok(value) => drop(self.view.insert(name.clone(), expression::variable(&value))),
                // Before the loop's elements are known, one that needs `item` is not wanted yet.
                Err(_) if task.items.is_some() && item.is_none() => {}
                Err(error) => return Err(format!("{name}: {error}")),
            }
        }
        Ok(())
    }

    /// Forgets the task's own variables and the element.
    pub(crate) fn end_item(&mut self) {
        self.merge();
    }

    /// Sets a fact for the rest of the run.
    pub(crate) fn set(&mut self, name: &str, value: Value) {
        self.facts.insert(name.to_owned(), expression::variable(&value));
        if !self.given.contains_key(name) {
            self.view.insert(name.to_owned(), expression::variable(&value));
        }
    }

    /// Shows the result of an element under the task's `register` name, for its own conditions.
    pub(crate) fn set_for_item(&mut self, task: &Task, result: Value) {
        if let Some(name) = &task.register {
            self.view.insert(name.clone(), expression::variable(&result));
        }
    }

    fn merge(&mut self) {
        self.view = self.play.clone();
        self.view.extend(self.facts.clone());
        self.view.extend(self.given.clone());
    }
}

/// The values of a play's variables, in their order, without those that were given; `view` is what they see.
pub(crate) fn evaluated_vars(
    vars: &[(String, Value)],
    given: &Map<String, Value>,
    view: &mut Variables,
) -> Result<Map<String, Value>, String> {
    let mut values = Map::new();
    for (name, value) in vars {
        if !given.contains_key(name) {
            let value = expression::evaluate(value, view).map_err(|error| format!("{name}: {error}"))?;
            view.insert(name.clone(), expression::variable(&value));
            values.insert(name.clone(), value);
        }
    }
    Ok(values)
}
