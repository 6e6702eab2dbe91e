//! What a playbook asks for that is not understood, found when it is read.

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Stmt};

use super::language::{self, Callable, FILTERS, MORE, TESTS};
use crate::error::suggestion;

/// What a template's loop knows of itself.
const LOOP: [&str; 7] = [
    "index",
    "index0",
    "revindex",
    "revindex0",
    "first",
    "last",
    "length",
];

/// The statements of a template.
pub(super) fn statements(list: &[Stmt<'_>]) -> Result<(), String> {
    list.iter().try_for_each(statement)
}

fn statement(statement: &Stmt<'_>) -> Result<(), String> {
    match statement {
        Stmt::Template(template) => statements(&template.children),
        Stmt::EmitRaw(_) => Ok(()),
        Stmt::EmitExpr(emit) => expression(&emit.expr),
        Stmt::IfCond(condition) => {
            expression(&condition.expr)?;
            statements(&condition.true_body)?;
            statements(&condition.false_body)
        }
        Stmt::ForLoop(repeat) => {
            if repeat.recursive {
                return Err("a recursive loop is not supported".to_owned());
            }
            target(&repeat.target)?;
            source(&repeat.iter)?;
            repeat.filter_expr.as_ref().map_or(Ok(()), expression)?;
            statements(&repeat.body)?;
            statements(&repeat.else_body)
        }
        Stmt::Set(set) => {
            target(&set.target)?;
            expression(&set.expr)
        }
        _ => Err("this statement is not supported (supported: for, if, set, raw)".to_owned()),
    }
}

/// What is set by a loop or by `set`: a name, or several.
fn target(wanted: &Expr<'_>) -> Result<(), String> {
    let is_name = |one: &Expr<'_>| matches!(one, Expr::Var(_));
    match wanted {
        Expr::Var(_) => Ok(()),
        Expr::Tuple(names) if names.items.iter().all(is_name) => Ok(()),
        Expr::List(names) if names.items.iter().all(is_name) => Ok(()),
        _ => Err("only plain names can be set".to_owned()),
    }
}

/// Where the elements come from: here ranges and tuples are understood, which Ansible does not keep as values.
fn source(from: &Expr<'_>) -> Result<(), String> {
    match from {
        Expr::Call(call) => {
            let Expr::Var(name) = &call.expr else {
                return expression(from);
            };
            if name.id != "range" {
                return expression(from);
            }
            if call.args.is_empty() || call.args.len() > 3 {
                return Err("range takes one to three numbers".to_owned());
            }
            call.args.iter().try_for_each(positional)
        }
        Expr::Tuple(tuple) => tuple.items.iter().try_for_each(expression),
        other => expression(other),
    }
}

fn positional(argument: &CallArg<'_>) -> Result<(), String> {
    match argument {
        CallArg::Pos(value) => expression(value),
        _ => Err("range takes no named parameters".to_owned()),
    }
}

pub(super) fn expression(wanted: &Expr<'_>) -> Result<(), String> {
    match wanted {
        Expr::Var(_) | Expr::Const(_) => Ok(()),
        Expr::Slice(slice) => {
            expression(&slice.expr)?;
            let bounds = [&slice.start, &slice.stop, &slice.step];
            bounds.into_iter().flatten().try_for_each(expression)
        }
        Expr::UnaryOp(operation) => expression(&operation.expr),
        Expr::BinOp(operation) => {
            expression(&operation.left)?;
            match operation.op {
                BinOpKind::In => source(&operation.right),
                BinOpKind::Rem if is_text(&operation.left) => {
                    Err("formatting a text with % is not supported: join its parts with ~".to_owned())
                }
                _ => expression(&operation.right),
            }
        }
        Expr::Compare(chain) => {
            expression(&chain.expr)?;
            chain.ops.iter().try_for_each(|one| expression(&one.expr))
        }
        Expr::IfExpr(choice) => {
            expression(&choice.test_expr)?;
            expression(&choice.true_expr)?;
            choice.false_expr.as_ref().map_or(Ok(()), expression)
        }
        Expr::Filter(filter) => {
            filter.expr.as_ref().map_or(Ok(()), source)?;
            call("filter", FILTERS, filter.name, &filter.args)
        }
        Expr::Test(test) => {
            expression(&test.expr)?;
            call("test", TESTS, test.name, &test.args)
        }
        Expr::GetAttr(access) => match &access.expr {
            Expr::Var(name) if name.id == "loop" && !LOOP.contains(&access.name) => Err(format!(
                "loop.{} is not supported (supported: {})",
                access.name,
                LOOP.join(", ")
            )),
            other => expression(other),
        },
        Expr::GetItem(access) => {
            expression(&access.expr)?;
            expression(&access.subscript_expr)
        }
        Expr::List(list) => list.items.iter().try_for_each(expression),
        Expr::Map(map) => {
            if map
                .keys
                .iter()
                .any(|key| matches!(key, Expr::Const(key) if key.value.as_str().is_none()))
            {
                return Err("a key of a mapping must be text".to_owned());
            }
            map.keys.iter().chain(&map.values).try_for_each(expression)
        }
        Expr::Tuple(_) => Err("a tuple is not supported here: write a list, [a, b]".to_owned()),
        Expr::Call(call) => Err(refused(&call.expr)),
    }
}

fn is_text(operand: &Expr<'_>) -> bool {
    matches!(operand, Expr::Const(one) if one.value.as_str().is_some())
}

/// Why something cannot be called.
fn refused(what: &Expr<'_>) -> String {
    match what {
        Expr::Var(name) if name.id == "range" => {
            "range is supported only in a for loop, behind `in`, or before a filter: `range(3) | list`"
                .to_owned()
        }
        Expr::Var(name) => format!("the function {} is not supported (supported: range)", name.id),
        Expr::GetAttr(method) => format!(
            "the method {} is not supported: filters such as split, replace, default or dict2items do most of it",
            method.name
        ),
        _ => "a call is not supported".to_owned(),
    }
}

/// Whether a filter or test is known and takes these arguments.
fn call(what: &str, list: &'static [Callable], name: &str, arguments: &[CallArg<'_>]) -> Result<(), String> {
    let Some(callable) = language::find(list, name) else {
        let names = language::names(list);
        let near = suggestion(name, names.iter().copied());
        return Err(format!(
            "there is no {what} {name:?}{near} (supported: {})",
            names.join(", ")
        ));
    };
    let name = callable.names.first().copied().unwrap_or(name);
    let mut given = Vec::new();
    for argument in arguments {
        match argument {
            CallArg::Pos(value) => {
                // A list of the values to choose from may be a range.
                if name == "in" {
                    source(value)?
                } else {
                    expression(value)?
                }
                given.push(value);
            }
            CallArg::Kwarg(parameter, value) => named(what, callable, name, parameter, value)?,
            _ => return Err(format!("the {what} {name} cannot take * or **")),
        }
    }
    let names = || {
        arguments
            .iter()
            .filter(|argument| matches!(argument, CallArg::Kwarg(..)))
    };
    let takes_more = callable.parameters.contains(&MORE);
    if given.len() > callable.parameters.len() && !takes_more {
        let most = callable.parameters.len();
        return Err(format!("the {what} {name} takes at most {most} parameters"));
    }
    if given.len().saturating_add(names().count()) < callable.required {
        let wanted = callable.parameters.get(..callable.required).unwrap_or_default();
        return Err(format!("the {what} {name} needs {}", wanted.join(" and ")));
    }
    if let Some(Expr::Const(kind)) = given.get(2).filter(|_| name == "version") {
        version_type(kind.value.as_str())?;
    }
    if let Some((place, callbacks)) = language::callback(name).filter(|_| what == "filter") {
        return callback(
            name,
            callbacks,
            given.get(place..).unwrap_or_default(),
            names().count(),
        );
    }
    Ok(())
}

fn named(
    what: &str,
    callable: &Callable,
    name: &str,
    parameter: &str,
    value: &Expr<'_>,
) -> Result<(), String> {
    let is_known = match name {
        "map" => matches!(parameter, "attribute" | "default"),
        _ => parameter != MORE && callable.parameters.contains(&parameter),
    };
    if !is_known {
        return Err(format!(
            "the {what} {name} has no parameter {parameter:?} that is supported"
        ));
    }
    if let ("version_type", Expr::Const(kind)) = (parameter, value) {
        version_type(kind.value.as_str())?;
    }
    expression(value)
}

fn version_type(kind: Option<&str>) -> Result<(), String> {
    match kind {
        Some("loose") => Ok(()),
        _ => Err("the test version compares as version_type='loose' only".to_owned()),
    }
}

/// The filter or test that another filter calls for each element.
fn callback(name: &str, list: &'static [Callable], given: &[&Expr<'_>], named: usize) -> Result<(), String> {
    let Some((callback, arguments)) = given.split_first() else {
        return match (name, named) {
            ("map", 0) => Err("the filter map needs the name of a filter, or attribute=".to_owned()),
            _ => Ok(()),
        };
    };
    let what = if name == "map" { "filter" } else { "test" };
    let Expr::Const(callback) = callback else {
        return Err(format!(
            "the filter {name} needs the name of a {what} as a plain text"
        ));
    };
    let word = callback.value.as_str().unwrap_or_default();
    let Some(callable) = language::find(list, word) else {
        let names = language::names(list).join(", ");
        return Err(format!(
            "there is no {what} {word:?} for the filter {name} (supported: {names})"
        ));
    };
    let takes_more = callable.parameters.contains(&MORE);
    let fits =
        arguments.len() >= callable.required && (takes_more || arguments.len() <= callable.parameters.len());
    if !fits || takes_more && what == "filter" {
        return Err(format!("the filter {name} cannot give {word} these parameters"));
    }
    Ok(())
}
