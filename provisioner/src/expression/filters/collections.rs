//! Filters of lists and mappings.

use std::cmp::Ordering;

use crate::expression::given::Given;
use crate::expression::operators::{self, elements};
use crate::expression::predicates;
use crate::value::{Map, Value};

/// `a.b.0`: what elements have under this path; where it is missing, the default.
pub(super) fn attributes(
    items: Vec<Value>,
    path: Option<&Value>,
    otherwise: Option<&Value>,
) -> Result<Vec<Value>, String> {
    let Some(path) = path.filter(|path| !path.is_null()) else {
        return Ok(items);
    };
    let path = path.to_text()?;
    let found = items.into_iter().map(|item| {
        let found = path.split('.').fold(item, |value, part| {
            let key = part.parse().map_or_else(|_| Value::from(part), Value::Int);
            operators::item(value, &key)
        });
        match (found, otherwise) {
            (Value::Undefined(_), Some(otherwise)) => otherwise.clone(),
            (found, _) => found,
        }
    });
    Ok(found.collect())
}

/// The first or the last element; undefined where there is none.
pub(super) fn end(value: &Value, which: &str) -> Result<Value, String> {
    let items = elements(value)?;
    let end = if which == "first" {
        items.first()
    } else {
        items.last()
    };
    let none = || Value::Undefined(format!("there is no {which} element of what is empty"));
    Ok(end.cloned().unwrap_or_else(none))
}

/// How elements are put in order.
pub(super) struct Order {
    attribute: Option<Value>,
    is_case_sensitive: bool,
    is_reversed: bool,
}

impl Order {
    /// From the parameters `attribute`, `case_sensitive` and `reverse`, which stand at these places.
    pub(super) fn of(given: &Given, places: [usize; 3]) -> Result<Self, String> {
        let [attribute, case, reverse] = places;
        Ok(Self {
            attribute: given.parameter(attribute, "attribute").cloned(),
            is_case_sensitive: given.flag(case, "case_sensitive")?,
            is_reversed: given.flag(reverse, "reverse")?,
        })
    }

    /// Each element with what it is compared by.
    fn keyed(&self, value: &Value) -> Result<Vec<(Value, Value)>, String> {
        let items = elements(value)?;
        let keys = attributes(items.clone(), self.attribute.as_ref(), None)?;
        let folded = |key: Value| match key {
            Value::Text(text) if !self.is_case_sensitive => Value::Text(text.to_lowercase()),
            other => other,
        };
        keys.iter().try_for_each(|key| key.present().map(drop))?;
        Ok(keys.into_iter().map(folded).zip(items).collect())
    }
}

/// The elements in order; equal ones stay as they were.
pub(super) fn sorted(value: &Value, wanted: &Order) -> Result<Value, String> {
    let mut keyed = wanted.keyed(value)?;
    let mut problem = None;
    keyed.sort_by(|(one, _), (other, _)| {
        let (one, other) = if wanted.is_reversed {
            (other, one)
        } else {
            (one, other)
        };
        match operators::order(one, other) {
            Ok(order) => order.unwrap_or(Ordering::Equal),
            Err(why) => {
                problem.get_or_insert(why);
                Ordering::Equal
            }
        }
    });
    match problem {
        Some(why) => Err(why),
        None => Ok(Value::List(keyed.into_iter().map(|(_, item)| item).collect())),
    }
}

/// The smallest or the largest element, the first among equals.
pub(super) fn extreme(value: &Value, is_largest: bool, wanted: &Order) -> Result<Value, String> {
    let beats = if is_largest {
        Ordering::Greater
    } else {
        Ordering::Less
    };
    let mut best: Option<(Value, Value)> = None;
    for (key, item) in wanted.keyed(value)? {
        let wins = match &best {
            None => true,
            Some((best, _)) => operators::order(&key, best)? == Some(beats),
        };
        if wins {
            best = Some((key, item));
        }
    }
    let none = || Value::Undefined("nothing is the largest or smallest of what is empty".to_owned());
    Ok(best.map_or_else(none, |(_, item)| item))
}

/// All elements added up.
pub(super) fn sum(value: &Value, given: &Given) -> Result<Value, String> {
    let items = attributes(elements(value)?, given.parameter(0, "attribute"), None)?;
    let start = given.parameter(1, "start").cloned().unwrap_or(Value::Int(0));
    let add = minijinja::machinery::ast::BinOpKind::Add;
    items
        .iter()
        .try_fold(start, |sum, item| operators::calculated(add, &sum, item))
}

/// The elements without those that came before; capital letters do not count unless they shall.
pub(super) fn unique(value: &Value, case_sensitive: Option<&Value>) -> Result<Value, String> {
    let items = elements(value)?;
    let has_collections = items
        .iter()
        .any(|item| matches!(item, Value::List(_) | Value::Map(_)));
    if has_collections && case_sensitive.is_some() {
        return Err("case_sensitive does not go with lists and mappings".to_owned());
    }
    let is_exact = has_collections || case_sensitive.map_or(Ok(false), Value::is_true)?;
    let (mut seen, mut kept) = (Vec::new(), Vec::new());
    for item in items {
        let key = match &item {
            Value::Text(text) if !is_exact => Value::Text(text.to_lowercase()),
            other => other.clone(),
        };
        let mut is_known = false;
        for earlier in &seen {
            is_known = is_known || operators::equal(earlier, &key)?;
        }
        if !is_known {
            kept.push(item);
        }
        seen.push(key);
    }
    Ok(Value::List(kept))
}

/// Lists in lists, so many levels deep, as one list. What is nothing is left out, the words for it too.
pub(super) fn flat(items: &[Value], levels: Option<i64>, skips_nothing: bool) -> Vec<Value> {
    let mut found = Vec::new();
    for item in items {
        match item {
            Value::Null if skips_nothing => {}
            Value::Text(word) if skips_nothing && matches!(word.as_str(), "None" | "null") => {}
            Value::List(inner) if levels.is_none_or(|levels| levels >= 1) => {
                found.extend(flat(inner, levels.map(|levels| levels - 1), skips_nothing));
            }
            other => found.push(other.clone()),
        }
    }
    found
}

/// Mappings laid over each other, the later ones on top.
pub(super) fn combined(value: &Value, given: &Given) -> Result<Value, String> {
    if !given.named.is_empty() {
        return Err("it takes mappings and nothing else".to_owned());
    }
    let mut all = Map::new();
    for layer in [value].into_iter().chain(&given.positional) {
        let layers = match layer {
            Value::List(layers) => layers.as_slice(),
            one => std::slice::from_ref(one),
        };
        for layer in layers {
            match layer.present()? {
                Value::Map(entries) => all.extend(entries.clone()),
                other => return Err(format!("{} is no mapping", other.kind())),
            }
        }
    }
    Ok(Value::Map(all))
}

/// A mapping as a list of its members.
pub(super) fn items(value: Value, key_name: &str, value_name: &str) -> Result<Value, String> {
    let Value::Map(entries) = value else {
        return Err(format!("{} is no mapping", value.kind()));
    };
    let item = |(key, value)| {
        let members = [
            (key_name.to_owned(), Value::Text(key)),
            (value_name.to_owned(), value),
        ];
        Value::Map(Map::from(members))
    };
    Ok(Value::List(entries.into_iter().map(item).collect()))
}

/// A list of members as a mapping.
pub(super) fn mapping(value: &Value, key_name: &str, value_name: &str) -> Result<Value, String> {
    let Value::List(items) = value else {
        return Err(format!("{} is no list of members", value.kind()));
    };
    let mut entries = Map::new();
    for item in items {
        let (Some(key), Some(entry)) = (item.present()?.get(key_name), item.get(value_name)) else {
            return Err(format!("a member needs {key_name} and {value_name}"));
        };
        let key = key
            .present()?
            .as_text()
            .ok_or("a key of a mapping must be text")?;
        entries.insert(key.to_owned(), entry.clone());
    }
    Ok(Value::Map(entries))
}

/// Each element's attribute, or what a filter makes of it.
pub(super) fn mapped(value: &Value, given: &Given) -> Result<Value, String> {
    let items = elements(value)?;
    if let Some(path) = given.named.get("attribute") {
        // A default that is none is no default, in Jinja.
        let otherwise = given.named.get("default").filter(|one| !one.is_null());
        let found = attributes(items, Some(path), otherwise)?;
        return Ok(Value::List(found));
    }
    let name = given
        .positional
        .first()
        .and_then(Value::as_text)
        .unwrap_or_default();
    let behind = given.behind(1);
    let made = items.into_iter().map(|item| super::apply(name, item, &behind));
    made.collect::<Result<_, _>>().map(Value::List)
}

/// The elements of which a test holds, or does not; with `by_attribute` the test is of one of their attributes.
pub(super) fn chosen(
    value: &Value,
    given: &Given,
    wanted: bool,
    by_attribute: bool,
) -> Result<Value, String> {
    let items = elements(value)?;
    let (subjects, rest) = match by_attribute {
        true => {
            let path = given.parameter(0, "attribute");
            (attributes(items.clone(), path, None)?, given.behind(1))
        }
        false => (items.clone(), given.behind(0)),
    };
    let mut kept = Vec::new();
    for (item, subject) in items.into_iter().zip(subjects) {
        let holds = match rest.positional.first() {
            None => subject.is_true()?,
            Some(test) => {
                let name = test.as_text().unwrap_or_default();
                predicates::apply(name, &subject, &rest.behind(1))?.is_true()?
            }
        };
        if holds == wanted {
            kept.push(item);
        }
    }
    Ok(Value::List(kept))
}
