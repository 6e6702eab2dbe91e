//! Operators as Python has them: numbers of two kinds, whole ones of which `true` is 1; texts and lists that grow by
//! `+` and `*`; no order between values of different kinds.

use std::cmp::Ordering;

use minijinja::machinery::ast::{BinOpKind, CompareOpKind};

use crate::value::Value;

/// A number, exact where it is whole.
#[derive(Clone, Copy)]
enum Number {
    Whole(i128),
    Fraction(f64),
}

impl Number {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(Self::Whole(i128::from(*value))),
            Value::Int(number) => Some(Self::Whole(i128::from(*number))),
            Value::Float(number) => Some(Self::Fraction(*number)),
            _ => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "Python rounds whole numbers so, too")]
    fn fraction(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Fraction(number) => number,
        }
    }
}

fn whole(number: Option<i128>) -> Result<Value, String> {
    let number = number.and_then(|number| i64::try_from(number).ok());
    number
        .map(Value::Int)
        .ok_or_else(|| "the number does not fit into 64 bits".to_owned())
}

/// `-value`.
pub(super) fn negated(value: &Value) -> Result<Value, String> {
    match Number::of(value.present()?) {
        Some(Number::Whole(number)) => whole(number.checked_neg()),
        Some(Number::Fraction(number)) => Ok(Value::Float(-number)),
        None => Err(format!("{} cannot be negative", value.kind())),
    }
}

/// All operators but `and`, `or` and the comparisons.
pub(super) fn calculated(kind: BinOpKind, left: &Value, right: &Value) -> Result<Value, String> {
    let (left, right) = (left.present()?, right.present()?);
    if matches!(kind, BinOpKind::Concat) {
        return Ok(Value::Text(left.to_text()? + &right.to_text()?));
    }
    match (kind, left, right) {
        (BinOpKind::Add, Value::Text(one), Value::Text(other)) => {
            return Ok(Value::Text(one.clone() + other));
        }
        (BinOpKind::Add, Value::List(one), Value::List(other)) => {
            return Ok(Value::List([one.as_slice(), other].concat()));
        }
        (BinOpKind::Mul, many @ (Value::Text(_) | Value::List(_)), times)
        | (BinOpKind::Mul, times, many @ (Value::Text(_) | Value::List(_))) => {
            if let Some(Number::Whole(times)) = Number::of(times) {
                return repeated(many, times);
            }
        }
        _ => {}
    }
    let (Some(one), Some(other)) = (Number::of(left), Number::of(right)) else {
        let what = (left.kind(), right.kind());
        return Err(format!(
            "{} does not work with {} and {}",
            symbol(kind),
            what.0,
            what.1
        ));
    };
    match (one, other) {
        (Number::Whole(one), Number::Whole(other)) => whole_result(kind, one, other),
        _ => fraction_result(kind, one.fraction(), other.fraction()),
    }
}

fn repeated(value: &Value, times: i128) -> Result<Value, String> {
    let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        _ => 0,
    };
    if length.saturating_mul(times) > 1_000_000 {
        return Err("the result has more than 1,000,000 elements".to_owned());
    }
    Ok(match value {
        Value::Text(text) => Value::Text(text.repeat(times)),
        Value::List(items) => Value::List(std::iter::repeat_n(items, times).flatten().cloned().collect()),
        other => other.clone(),
    })
}

fn whole_result(kind: BinOpKind, one: i128, other: i128) -> Result<Value, String> {
    let rest = |one: i128, other: i128| {
        let rest = one.checked_rem(other)?;
        Some(if rest != 0 && (rest < 0) != (other < 0) {
            rest + other
        } else {
            rest
        })
    };
    if matches!(kind, BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem) && other == 0 {
        return Err("division by zero".to_owned());
    }
    match kind {
        BinOpKind::Add => whole(one.checked_add(other)),
        BinOpKind::Sub => whole(one.checked_sub(other)),
        BinOpKind::Mul => whole(one.checked_mul(other)),
        BinOpKind::FloorDiv => {
            whole(rest(one, other).and_then(|rest| one.checked_sub(rest)?.checked_div(other)))
        }
        BinOpKind::Rem => whole(rest(one, other)),
        BinOpKind::Pow if other >= 0 => {
            whole(u32::try_from(other).ok().and_then(|power| one.checked_pow(power)))
        }
        _ => fraction_result(
            kind,
            Number::Whole(one).fraction(),
            Number::Whole(other).fraction(),
        ),
    }
}

fn fraction_result(kind: BinOpKind, one: f64, other: f64) -> Result<Value, String> {
    let is_division = matches!(kind, BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem);
    if is_division && other == 0.0 || matches!(kind, BinOpKind::Pow) && one == 0.0 && other < 0.0 {
        return Err("division by zero".to_owned());
    }
    let result = match kind {
        BinOpKind::Add => one + other,
        BinOpKind::Sub => one - other,
        BinOpKind::Mul => one * other,
        BinOpKind::Div => one / other,
        BinOpKind::FloorDiv => (one / other).floor(),
        BinOpKind::Rem => {
            let rest = one % other;
            if rest != 0.0 && (rest < 0.0) != (other < 0.0) {
                rest + other
            } else {
                rest.copysign(other)
            }
        }
        BinOpKind::Pow if one < 0.0 && other.fract() != 0.0 => {
            return Err("a root of a negative number".to_owned());
        }
        BinOpKind::Pow => one.powf(other),
        _ => return Err(format!("{} does not work with numbers", symbol(kind))),
    };
    Ok(Value::Float(result))
}

fn symbol(kind: BinOpKind) -> &'static str {
    match kind {
        BinOpKind::Add => "+",
        BinOpKind::Sub => "-",
        BinOpKind::Mul => "*",
        BinOpKind::Div => "/",
        BinOpKind::FloorDiv => "//",
        BinOpKind::Rem => "%",
        BinOpKind::Pow => "**",
        _ => "the operator",
    }
}

/// One comparison.
pub(super) fn compared(kind: CompareOpKind, left: &Value, right: &Value) -> Result<bool, String> {
    match kind {
        CompareOpKind::Eq => equal(left, right),
        CompareOpKind::Ne => Ok(!equal(left, right)?),
        CompareOpKind::Lt => ordered(left, right, &[Ordering::Less]),
        CompareOpKind::Lte => ordered(left, right, &[Ordering::Less, Ordering::Equal]),
        CompareOpKind::Gt => ordered(left, right, &[Ordering::Greater]),
        CompareOpKind::Gte => ordered(left, right, &[Ordering::Greater, Ordering::Equal]),
        CompareOpKind::In => contains(right, left),
        CompareOpKind::NotIn => Ok(!contains(right, left)?),
    }
}

fn ordered(left: &Value, right: &Value, wanted: &[Ordering]) -> Result<bool, String> {
    Ok(order(left, right)?.is_some_and(|order| wanted.contains(&order)))
}

/// Whether two values are equal; numbers are, whatever their kind.
pub(crate) fn equal(left: &Value, right: &Value) -> Result<bool, String> {
    let (left, right) = (left.present()?, right.present()?);
    if let (Some(one), Some(other)) = (Number::of(left), Number::of(right)) {
        return Ok(number_order(one, other) == Some(Ordering::Equal));
    }
    match (left, right) {
        (Value::List(one), Value::List(other)) => {
            if one.len() != other.len() {
                return Ok(false);
            }
            for (one, other) in one.iter().zip(other) {
                if !equal(one, other)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Map(one), Value::Map(other)) => {
            if one.len() != other.len() {
                return Ok(false);
            }
            for (key, value) in one {
                match other.get(key) {
                    Some(other) if equal(value, other)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        (left, right) => Ok(left == right),
    }
}

fn number_order(one: Number, other: Number) -> Option<Ordering> {
    match (one, other) {
        (Number::Whole(one), Number::Whole(other)) => Some(one.cmp(&other)),
        _ => one.fraction().partial_cmp(&other.fraction()),
    }
}

/// The order of two numbers, texts or lists; none where one is no number at all (`nan`).
pub(super) fn order(left: &Value, right: &Value) -> Result<Option<Ordering>, String> {
    let (left, right) = (left.present()?, right.present()?);
    if let (Some(one), Some(other)) = (Number::of(left), Number::of(right)) {
        return Ok(number_order(one, other));
    }
    match (left, right) {
        (Value::Text(one), Value::Text(other)) => Ok(Some(one.cmp(other))),
        (Value::List(one), Value::List(other)) => {
            for (one, other) in one.iter().zip(other) {
                if !equal(one, other)? {
                    return order(one, other);
                }
            }
            Ok(Some(one.len().cmp(&other.len())))
        }
        _ => Err(format!("{} and {} have no order", left.kind(), right.kind())),
    }
}

/// Whether `item in container` holds.
pub(super) fn contains(container: &Value, item: &Value) -> Result<bool, String> {
    match (container.present()?, item) {
        (Value::Text(text), Value::Text(part)) => Ok(text.contains(part.as_str())),
        (Value::Text(_), other) => Err(format!("only text can be in text, not {}", other.kind())),
        (Value::List(items), item) => {
            for one in items {
                if equal(one, item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (Value::Map(_), item @ (Value::List(_) | Value::Map(_))) => {
            Err(format!("{} cannot be the key of a mapping", item.kind()))
        }
        (Value::Map(entries), item) => Ok(item
            .present()?
            .as_text()
            .is_some_and(|key| entries.contains_key(key))),
        (other, _) => Err(format!("nothing can be in {}", other.kind())),
    }
}

/// The elements of a list, the letters of a text, the keys of a mapping.
pub(super) fn elements(value: &Value) -> Result<Vec<Value>, String> {
    match value.present()? {
        Value::List(items) => Ok(items.clone()),
        Value::Text(text) => Ok(text
            .chars()
            .map(|letter| Value::Text(letter.to_string()))
            .collect()),
        Value::Map(entries) => Ok(entries.keys().map(|key| Value::Text(key.clone())).collect()),
        other => Err(format!("{} has no elements", other.kind())),
    }
}

/// `value[start:stop:step]` of a list or a text.
pub(super) fn slice(value: &Value, bounds: [Option<i64>; 3]) -> Result<Value, String> {
    if !matches!(value.present()?, Value::List(_) | Value::Text(_)) {
        return Err(format!("{} has no slices", value.kind()));
    }
    let items = elements(value)?;
    let [start, stop, step] = bounds;
    let (length, step) = (i64::try_from(items.len()).unwrap_or(i64::MAX), step.unwrap_or(1));
    if step == 0 {
        return Err("the step of a slice cannot be zero".to_owned());
    }
    let (lowest, highest) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let place = |at: i64| {
        let from_start = if at < 0 { at.saturating_add(length) } else { at };
        from_start.clamp(lowest, highest)
    };
    let (first, last) = if step > 0 {
        (lowest, highest)
    } else {
        (highest, lowest)
    };
    let (mut at, end) = (start.map_or(first, place), stop.map_or(last, place));
    let mut chosen = Vec::new();
    while if step > 0 { at < end } else { at > end } {
        chosen.extend(usize::try_from(at).ok().and_then(|at| items.get(at)).cloned());
        at = at.saturating_add(step);
    }
    if matches!(value, Value::List(_)) {
        return Ok(Value::List(chosen));
    }
    let text: String = chosen.iter().filter_map(Value::as_text).collect();
    Ok(Value::Text(text))
}

/// `value[key]`; what is not there is undefined, of what is undefined everything.
pub(super) fn item(value: Value, key: &Value) -> Value {
    if let Value::Undefined(_) | Value::Broken(_) | Value::NoElse = value {
        return value;
    }
    if let Value::Undefined(_) | Value::Broken(_) | Value::NoElse = key {
        return key.clone();
    }
    let found = match (&value, key) {
        (Value::Map(entries), Value::Text(name)) => entries.get(name).cloned(),
        (Value::List(_) | Value::Text(_), Value::Int(_) | Value::Bool(_)) => {
            let at = match key {
                Value::Int(at) => *at,
                other => i64::from(*other == Value::Bool(true)),
            };
            let items = elements(&value).unwrap_or_default();
            let from_end = |at: i64| {
                usize::try_from(at.unsigned_abs())
                    .ok()
                    .and_then(|at| items.len().checked_sub(at))
            };
            let place = if at < 0 {
                from_end(at)
            } else {
                usize::try_from(at).ok()
            };
            place.and_then(|at| items.get(at)).cloned()
        }
        _ => None,
    };
    let shown = key.to_text().unwrap_or_default();
    found.unwrap_or_else(|| Value::Undefined(format!("{} has no member `{shown}`", value.kind())))
}
