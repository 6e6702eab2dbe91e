//! Expressions: Jinja, as ansible-core 2.19 evaluates it, within the subset that [`language`] lists.
//!
//! minijinja's parser reads them; values, operators, filters and tests are ours, because Ansible's are Python's: numbers
//! that keep their kind, no order between a number and a text, undefined things that may be asked for their members.
//! A template that writes one value keeps the type of that value; anything else becomes a text.

mod check;
mod evaluation;
mod filters;
mod given;
mod language;
mod literals;
mod operators;
mod predicates;
mod syntax;
mod version;

use std::collections::BTreeMap;

use minijinja::machinery;
use minijinja::syntax::SyntaxConfig;

use crate::value::Value;

use evaluation::Evaluation;
pub(crate) use operators::equal;
use syntax::explained;

/// The variables an expression sees.
pub(crate) type Variables = BTreeMap<String, Value>;

/// Checks a text that may hold `{{ }}`: its syntax, and that everything in it is supported.
pub(crate) fn check_template(text: &str) -> Result<(), String> {
    if is_plain(text) {
        return Ok(());
    }
    let whole = || {
        let source = literals::in_template(text)?;
        check::statements(std::slice::from_ref(&parsed(&source)?))
    };
    whole().map_err(|why| about(text, &why))
}

/// The first piece of a template, from `{{` to `}}`, in which there is a mistake; none where that is in a statement.
pub(crate) fn wrong_piece(text: &str) -> Option<&str> {
    let mut pieces = literals::variables(text).into_iter();
    pieces.find(|piece| check_template(piece).is_err())
}

/// Checks a bare expression in the same way.
pub(crate) fn check_expression(text: &str) -> Result<(), String> {
    let whole = || {
        let source = literals::in_expression(text.trim())?;
        check::expression(&machinery::parse_expr(&source).map_err(|error| explained(&error))?)
    };
    whole().map_err(|why| about(text, &why))
}

/// Evaluates all texts in a value. What is `omit` is left out of lists and mappings.
pub(crate) fn evaluate(value: &Value, variables: &Variables) -> Result<Value, String> {
    let value = match value {
        Value::Text(text) => return evaluate_text(text, variables),
        Value::List(items) => Value::List(
            items
                .iter()
                .map(|item| evaluate(item, variables))
                .collect::<Result<_, _>>()?,
        ),
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .map(|(key, value)| Ok((key.clone(), evaluate(value, variables)?)))
                .collect::<Result<_, String>>()?,
        ),
        other => other.clone(),
    };
    value.finished()
}

/// Evaluates one text to a value of any type, which may be `omit`.
pub(crate) fn evaluate_text(text: &str, variables: &Variables) -> Result<Value, String> {
    written(text, variables).and_then(|value| value.finished().map_err(|why| about(text, &why)))
}

/// Evaluates the value of a variable, which matters only where it is used: what is undefined or wrong stays so.
pub(crate) fn evaluate_variable(value: &Value, variables: &Variables) -> Value {
    let value = match value {
        Value::Text(text) => written(text, variables),
        other => evaluate(other, variables),
    };
    value.unwrap_or_else(Value::Broken)
}

/// What a text comes to before anybody asks whether all of it is there.
fn written(text: &str, variables: &Variables) -> Result<Value, String> {
    if is_plain(text) {
        return Ok(Value::from(text));
    }
    let whole = || {
        let source = literals::in_template(text)?;
        let statements = parsed(&source)?;
        Evaluation::new(variables).template(std::slice::from_ref(&statements))
    };
    match whole().map_err(|why| about(text, &why))? {
        // The parser drops the last line end, which is given back to texts that have none.
        Value::Text(mut written) => {
            let wanted = line_ends(text).saturating_sub(line_ends(&written));
            written.extend(std::iter::repeat_n('\n', wanted));
            Ok(Value::Text(written))
        }
        other => Ok(other),
    }
}

/// Evaluates a bare expression.
pub(crate) fn evaluate_expression(text: &str, variables: &Variables) -> Result<Value, String> {
    let whole = || {
        let source = literals::in_expression(text.trim())?;
        let expression = machinery::parse_expr(&source).map_err(|error| explained(&error))?;
        Evaluation::new(variables).expression(&expression)?.finished()
    };
    whole().map_err(|why| about(text, &why))
}

/// Whether all conditions hold. Each must be true or false: Ansible 2.19 refuses others too.
pub(crate) fn holds(conditions: &[String], variables: &Variables) -> Result<bool, String> {
    for condition in conditions {
        match evaluate_expression(condition, variables)? {
            Value::Bool(true) => {}
            Value::Bool(false) => return Ok(false),
            other => {
                let kind = other.kind();
                return Err(format!(
                    "`{condition}` is {kind}, not true or false: write a comparison, or `| bool`"
                ));
            }
        }
    }
    Ok(true)
}

fn parsed(source: &str) -> Result<machinery::ast::Stmt<'_>, String> {
    // The delimiters are the usual ones, which is the only thing that could be wrong.
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .build()
        .unwrap_or_default();
    machinery::parse(source, "text", syntax).map_err(|error| explained(&error))
}

/// Whether a text is what it says, without anything to be evaluated.
pub(crate) fn is_plain(text: &str) -> bool {
    !["{{", "{%", "{#"].iter().any(|opening| text.contains(opening))
}

fn line_ends(text: &str) -> usize {
    text.chars().rev().take_while(|letter| *letter == '\n').count()
}

fn about(text: &str, why: &str) -> String {
    let shown: String = text.trim().chars().take(200).collect();
    let shown = format!("`{shown}`");
    // An expression that is one name is said once.
    if why.starts_with(&shown) {
        why.to_owned()
    } else {
        format!("{shown}: {why}")
    }
}

#[cfg(test)]
mod tests;
