//! Evaluating what was parsed, as Ansible does: what is not there stays so through attributes and filters until
//! something needs it, and a template of one expression keeps the type of its value.

use std::collections::BTreeMap;

use minijinja::machinery::ast::{self, BinOpKind, CallArg, CompareOpKind, Expr, ForLoop, Stmt, UnaryOpKind};

use super::Variables;
use super::filters;
use super::given::Given;
use super::operators;
use super::predicates;
use crate::value::{Map, Value};

/// The variables of the playbook, and those that the template sets itself.
pub(super) struct Evaluation<'v> {
    variables: &'v Variables,
    locals: Vec<BTreeMap<String, Value>>,
}

/// How many elements a template may write.
const MAX_NODES: usize = 1_000_000;

impl<'v> Evaluation<'v> {
    pub(super) fn new(variables: &'v Variables) -> Self {
        Self {
            variables,
            locals: vec![BTreeMap::new()],
        }
    }

    /// A whole template: the value if it writes only one, otherwise all that it writes as a text.
    pub(super) fn template(&mut self, statements: &[Stmt<'_>]) -> Result<Value, String> {
        let mut nodes = Vec::new();
        self.statements(statements, &mut nodes)?;
        if nodes.len() <= 1 {
            return Ok(nodes.pop().unwrap_or_default());
        }
        let mut text = String::new();
        for node in nodes {
            match node {
                Value::NoElse | Value::Omit => {}
                node => text.push_str(&node.finished()?.to_text()?),
            }
        }
        Ok(Value::Text(text))
    }

    fn statements(&mut self, statements: &[Stmt<'_>], nodes: &mut Vec<Value>) -> Result<(), String> {
        statements.iter().try_for_each(|one| self.statement(one, nodes))
    }

    fn statement(&mut self, statement: &Stmt<'_>, nodes: &mut Vec<Value>) -> Result<(), String> {
        if nodes.len() > MAX_NODES {
            return Err(format!("it writes more than {MAX_NODES} pieces"));
        }
        match statement {
            Stmt::Template(template) => self.statements(&template.children, nodes),
            Stmt::EmitRaw(raw) => {
                // An empty `raw` is no piece, so that what stands beside it keeps its kind.
                nodes.extend(Some(raw.raw).filter(|text| !text.is_empty()).map(Value::from));
                Ok(())
            }
            Stmt::EmitExpr(emit) => {
                let value = self.expression(&emit.expr)?;
                // Python's None writes nothing.
                nodes.extend(Some(value).filter(|value| !value.is_null()));
                Ok(())
            }
            Stmt::IfCond(condition) => {
                let holds = self.expression(&condition.expr)?.is_true()?;
                let body = if holds {
                    &condition.true_body
                } else {
                    &condition.false_body
                };
                self.statements(body, nodes)
            }
            Stmt::Set(set) => {
                let value = self.expression(&set.expr)?;
                self.assign(&set.target, value)
            }
            Stmt::ForLoop(repeat) => self.repeat(repeat, nodes),
            _ => Err("this statement is not supported".to_owned()),
        }
    }

    fn repeat(&mut self, repeat: &ForLoop<'_>, nodes: &mut Vec<Value>) -> Result<(), String> {
        let mut chosen = Vec::new();
        for element in operators::elements(&self.source(&repeat.iter)?)? {
            let Some(condition) = &repeat.filter_expr else {
                chosen.push(element);
                continue;
            };
            self.locals.push(BTreeMap::new());
            let holds = self
                .assign(&repeat.target, element.clone())
                .and_then(|()| self.expression(condition)?.is_true());
            self.locals.pop();
            if holds? {
                chosen.push(element);
            }
        }
        if chosen.is_empty() {
            return self.statements(&repeat.else_body, nodes);
        }
        let count = chosen.len();
        for (at, element) in chosen.into_iter().enumerate() {
            self.locals
                .push(BTreeMap::from([("loop".to_owned(), place(at, count))]));
            let done = self
                .assign(&repeat.target, element)
                .and_then(|()| self.statements(&repeat.body, nodes));
            self.locals.pop();
            done?;
        }
        Ok(())
    }

    fn assign(&mut self, target: &Expr<'_>, value: Value) -> Result<(), String> {
        let names = match target {
            Expr::Var(name) => {
                let locals = self.locals.last_mut();
                locals.map(|locals| locals.insert(name.id.to_owned(), value));
                return Ok(());
            }
            Expr::Tuple(names) => &names.items,
            Expr::List(names) => &names.items,
            _ => return Err("only plain names can be set".to_owned()),
        };
        let values = operators::elements(&value)?;
        if values.len() != names.len() {
            return Err(format!(
                "{} values do not fit {} names",
                values.len(),
                names.len()
            ));
        }
        names
            .iter()
            .zip(values)
            .try_for_each(|(name, value)| self.assign(name, value))
    }

    pub(super) fn expression(&self, wanted: &Expr<'_>) -> Result<Value, String> {
        match wanted {
            Expr::Var(name) => Ok(self.variable(name.id)),
            Expr::Const(constant) => constant_value(&constant.value),
            Expr::List(list) => Ok(Value::List(self.all(&list.items)?)),
            Expr::Tuple(tuple) => Ok(Value::List(self.all(&tuple.items)?)),
            Expr::Map(map) => self.mapping(map),
            Expr::UnaryOp(operation) => {
                let value = self.expression(&operation.expr)?;
                match operation.op {
                    UnaryOpKind::Not => Ok(Value::Bool(!value.is_true()?)),
                    UnaryOpKind::Neg => operators::negated(&value),
                }
            }
            Expr::BinOp(operation) => self.operation(operation.op, &operation.left, &operation.right),
            Expr::Compare(chain) => self.comparisons(chain),
            Expr::IfExpr(choice) => {
                match (self.expression(&choice.test_expr)?.is_true()?, &choice.false_expr) {
                    (true, _) => self.expression(&choice.true_expr),
                    (false, Some(other)) => self.expression(other),
                    (false, None) => Ok(Value::NoElse),
                }
            }
            Expr::Filter(filter) => {
                let value = filter
                    .expr
                    .as_ref()
                    .map_or(Ok(Value::Null), |from| self.source(from))?;
                filters::apply(filter.name, value, &self.given(&filter.args)?)
            }
            Expr::Test(test) => {
                let value = self.expression(&test.expr)?;
                predicates::apply(test.name, &value, &self.given(&test.args)?)
            }
            Expr::GetAttr(access) => attribute(self.expression(&access.expr)?, access.name),
            Expr::GetItem(access) => {
                let (value, key) = (
                    self.expression(&access.expr)?,
                    self.expression(&access.subscript_expr)?,
                );
                Ok(operators::item(value, &key))
            }
            Expr::Slice(slice) => self.slice(slice),
            Expr::Call(_) => self.source(wanted),
        }
    }

    fn mapping(&self, map: &ast::Map<'_>) -> Result<Value, String> {
        let mut entries = Map::new();
        for (key, value) in map.keys.iter().zip(&map.values) {
            let key = self.expression(key)?;
            let key = key
                .present()?
                .as_text()
                .ok_or("a key of a mapping must be text")?;
            entries.insert(key.to_owned(), self.expression(value)?);
        }
        Ok(Value::Map(entries))
    }

    /// `a < b < c`: each with the next.
    fn comparisons(&self, chain: &ast::Compare<'_>) -> Result<Value, String> {
        let mut left = self.expression(&chain.expr)?;
        for step in &chain.ops {
            let right = self.expression(&step.expr)?;
            if !operators::compared(step.op, &left, &right)? {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    fn slice(&self, slice: &ast::Slice<'_>) -> Result<Value, String> {
        let value = self.expression(&slice.expr)?;
        let bound = |wanted: &Option<Expr<'_>>| match wanted {
            None => Ok(None),
            Some(wanted) => match self.expression(wanted)?.present()? {
                Value::Null => Ok(None),
                Value::Int(number) => Ok(Some(*number)),
                other => Err(format!("the bound of a slice is {}", other.kind())),
            },
        };
        let bounds = [bound(&slice.start)?, bound(&slice.stop)?, bound(&slice.step)?];
        operators::slice(&value, bounds)
    }

    fn all(&self, wanted: &[Expr<'_>]) -> Result<Vec<Value>, String> {
        wanted.iter().map(|one| self.expression(one)).collect()
    }

    fn variable(&self, name: &str) -> Value {
        let local = self.locals.iter().rev().find_map(|locals| locals.get(name));
        match local.or_else(|| self.variables.get(name)) {
            Some(value) => value.clone(),
            None if name == "omit" => Value::Omit,
            None => Value::Undefined(format!("`{name}` is undefined")),
        }
    }

    fn operation(&self, kind: BinOpKind, left: &Expr<'_>, right: &Expr<'_>) -> Result<Value, String> {
        let comparison = match kind {
            BinOpKind::ScAnd | BinOpKind::ScOr => {
                let first = self.expression(left)?;
                let decides = first.is_true()? == matches!(kind, BinOpKind::ScOr);
                return if decides {
                    Ok(first)
                } else {
                    self.expression(right)
                };
            }
            BinOpKind::Eq => CompareOpKind::Eq,
            BinOpKind::Ne => CompareOpKind::Ne,
            BinOpKind::Lt => CompareOpKind::Lt,
            BinOpKind::Lte => CompareOpKind::Lte,
            BinOpKind::Gt => CompareOpKind::Gt,
            BinOpKind::Gte => CompareOpKind::Gte,
            BinOpKind::In => CompareOpKind::In,
            kind => return operators::calculated(kind, &self.expression(left)?, &self.expression(right)?),
        };
        let (left, right) = (self.expression(left)?, self.source(right)?);
        operators::compared(comparison, &left, &right).map(Value::Bool)
    }

    /// A value, or the numbers of a range.
    fn source(&self, wanted: &Expr<'_>) -> Result<Value, String> {
        let Expr::Call(call) = wanted else {
            return self.expression(wanted);
        };
        let given = self.given(&call.args)?;
        let number = |value: &Value| match value.present()? {
            Value::Int(number) => Ok(*number),
            other => Err(format!("range takes whole numbers, not {}", other.kind())),
        };
        let numbers = given
            .positional
            .iter()
            .map(number)
            .collect::<Result<Vec<_>, String>>()?;
        let (start, stop, step) = match numbers.as_slice() {
            [stop] => (0, *stop, 1),
            [start, stop] => (*start, *stop, 1),
            [start, stop, step] if *step != 0 => (*start, *stop, *step),
            _ => return Err("range takes one to three numbers, of which the third is not zero".to_owned()),
        };
        let mut items = Vec::new();
        let mut at = start;
        while if step > 0 { at < stop } else { at > stop } {
            if items.len() >= MAX_NODES {
                return Err(format!("a range has more than {MAX_NODES} numbers"));
            }
            items.push(Value::Int(at));
            at = at.saturating_add(step);
        }
        Ok(Value::List(items))
    }

    fn given(&self, arguments: &[CallArg<'_>]) -> Result<Given, String> {
        let mut given = Given::default();
        for argument in arguments {
            match argument {
                CallArg::Pos(value) => given.positional.push(self.source(value)?),
                CallArg::Kwarg(name, value) => {
                    given.named.insert((*name).to_owned(), self.expression(value)?);
                }
                _ => return Err("* and ** are not supported".to_owned()),
            }
        }
        Ok(given)
    }
}

/// What `loop` is at one element.
fn place(at: usize, count: usize) -> Value {
    let number = |number: usize| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let entries = [
        ("index", number(at.saturating_add(1))),
        ("index0", number(at)),
        ("revindex", number(count.saturating_sub(at))),
        ("revindex0", number(count.saturating_sub(at).saturating_sub(1))),
        ("first", Value::Bool(at == 0)),
        ("last", Value::Bool(at.saturating_add(1) == count)),
        ("length", number(count)),
    ];
    Value::Map(
        entries
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

fn constant_value(constant: &minijinja::Value) -> Result<Value, String> {
    use minijinja::value::ValueKind;
    match constant.kind() {
        ValueKind::None => Ok(Value::Null),
        ValueKind::Bool => Ok(Value::Bool(constant.is_true())),
        ValueKind::String => Ok(Value::from(constant.as_str().unwrap_or_default())),
        ValueKind::Number if constant.is_integer() => i64::try_from(constant.clone())
            .map(Value::Int)
            .map_err(|_| format!("the number {constant} does not fit into 64 bits")),
        ValueKind::Number => f64::try_from(constant.clone())
            .map(Value::Float)
            .map_err(|error| error.to_string()),
        other => Err(format!("a constant {other}")),
    }
}

/// What Python's own values have under these names is no member of theirs.
const METHODS: &[(&str, &[&str])] = &[
    (
        "a mapping",
        &[
            "clear",
            "copy",
            "fromkeys",
            "get",
            "items",
            "keys",
            "pop",
            "popitem",
            "setdefault",
            "update",
            "values",
        ],
    ),
    (
        "a list",
        &[
            "append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse",
            "sort",
        ],
    ),
    (
        "text",
        &[
            "capitalize",
            "casefold",
            "center",
            "count",
            "encode",
            "endswith",
            "expandtabs",
            "find",
            "format",
            "format_map",
            "index",
            "isalnum",
            "isalpha",
            "isascii",
            "isdecimal",
            "isdigit",
            "isidentifier",
            "islower",
            "isnumeric",
            "isprintable",
            "isspace",
            "istitle",
            "isupper",
            "join",
            "ljust",
            "lower",
            "lstrip",
            "maketrans",
            "partition",
            "removeprefix",
            "removesuffix",
            "replace",
            "rfind",
            "rindex",
            "rjust",
            "rpartition",
            "rsplit",
            "rstrip",
            "split",
            "splitlines",
            "startswith",
            "strip",
            "swapcase",
            "title",
            "translate",
            "upper",
            "zfill",
        ],
    ),
];

/// `value.name`.
fn attribute(value: Value, name: &str) -> Result<Value, String> {
    let is_method = METHODS
        .iter()
        .any(|(kind, names)| *kind == value.kind() && names.contains(&name));
    if is_method {
        return Err(format!(
            "`.{name}` of {} is a method of Python: write [\"{name}\"] for a member",
            value.kind()
        ));
    }
    Ok(operators::item(value, &Value::from(name)))
}
