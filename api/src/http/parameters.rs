//! The values that parameters of addresses take: numbers with bounds, and words out of a list. Each is described in the OpenAPI
//! document as it is read here, and what cannot be read is refused in words of ours.

use std::{borrow::Cow, str::FromStr};

use model::{BuildState, BuilderId};
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromParameter, ParseResult, Type},
};

/// Encloses our own words in an error of the framework, which puts its words around them.
const OURS: char = '\u{2}';

/// The words of ours in an error of the framework about a parameter.
pub(crate) fn own_words(reason: &str) -> Option<&str> {
    reason.split(OURS).nth(1)
}

/// A value that is read from a parameter.
pub(crate) trait Parameter: Sized + Send + Sync {
    /// How the OpenAPI document describes it.
    fn schema() -> MetaSchema;

    /// Reads it.
    ///
    /// # Errors
    /// What is wrong, as a sentence that follows the parameter's name.
    fn read(text: &str) -> Result<Self, String>;
}

/// What a handler takes: `Query<Option<Of<Count>>>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Of<P>(pub(crate) P);

impl<P: Parameter> Type for Of<P> {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "parameter".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(P::schema()))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl<P: Parameter> ParseFromParameter for Of<P> {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        P::read(value)
            .map(Self)
            .map_err(|mistake| ParseError::custom(format!("{OURS}{mistake}{OURS}")))
    }
}

/// The largest number that clients may send. Every language that reads JSON can hold it exactly.
pub(crate) const LARGEST: i64 = 1_000_000_000_000_000;

/// A whole number that is not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u64);

impl Parameter for Count {
    fn schema() -> MetaSchema {
        integers(0)
    }

    fn read(text: &str) -> Result<Self, String> {
        integer(text, 0).map(|number| Self(number.unsigned_abs()))
    }
}

/// A whole number, for what may count from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offset(pub(crate) i64);

impl Parameter for Offset {
    fn schema() -> MetaSchema {
        integers(-LARGEST)
    }

    fn read(text: &str) -> Result<Self, String> {
        integer(text, -LARGEST).map(Self)
    }
}

impl Of<Id> {
    /// The number.
    pub(crate) const fn number(&self) -> i64 {
        self.0.0
    }
}

/// The offset up to which a client has received a stream; an empty one says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastEvent(pub(crate) Option<u64>);

impl Parameter for LastEvent {
    fn schema() -> MetaSchema {
        Count::schema()
    }

    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        Count::read(text).map(|Count(offset)| Self(Some(offset)))
    }
}

/// The number of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) i64);

impl Parameter for Id {
    fn schema() -> MetaSchema {
        integers(1)
    }

    fn read(text: &str) -> Result<Self, String> {
        integer(text, 1).map(Self)
    }
}

/// Whole numbers from this one on.
#[expect(clippy::cast_precision_loss, reason = "no bound has more than 53 bits")]
fn integers(least: i64) -> MetaSchema {
    MetaSchema {
        minimum: Some(least as f64),
        maximum: Some(LARGEST as f64),
        ..MetaSchema::new_with_format("integer", "int64")
    }
}

/// A whole number, from the least on.
fn integer(text: &str, least: i64) -> Result<i64, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("Not a valid integer value.".to_owned());
    }
    // What has more digits than fit is beyond each bound.
    let beyond = if digits.len() < text.len() {
        i64::MIN
    } else {
        i64::MAX
    };
    let number = text.parse().unwrap_or(beyond);
    if number < least {
        return Err(format!("Number must be at least {least}."));
    }
    if number > LARGEST {
        return Err(format!("Number must be at most {LARGEST}."));
    }
    Ok(number)
}

/// The id of a builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BuilderNamed(pub(crate) BuilderId);

impl Parameter for BuilderNamed {
    fn schema() -> MetaSchema {
        MetaSchema {
            pattern: Some(id_pattern(BuilderId::PREFIX)),
            ..MetaSchema::new("string")
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("Must be {} and 32 hexadecimal digits.", BuilderId::PREFIX))
    }
}

/// A regular expression for the ids with this beginning.
pub(crate) fn id_pattern(prefix: &str) -> String {
    format!("^{prefix}[0-9a-f]{{32}}$")
}

/// Yes or no, in any of the words that Python, forms and shells write for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flag(pub(crate) bool);

impl Parameter for Flag {
    fn schema() -> MetaSchema {
        MetaSchema::new("boolean")
    }

    fn read(text: &str) -> Result<Self, String> {
        read_flag(text)
            .map(Self)
            .ok_or_else(|| "Not a valid boolean.".to_owned())
    }
}

/// A boolean as Python, HTML forms and people write it.
pub(crate) fn read_flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "y" | "yes" | "on" => Some(true),
        "" | "false" | "0" | "n" | "no" | "off" | "none" => Some(false),
        _ => None,
    }
}

/// One of a list of words.
fn words(words: impl IntoIterator<Item = &'static str>) -> MetaSchema {
    MetaSchema {
        enum_items: words.into_iter().map(Into::into).collect(),
        ..MetaSchema::new("string")
    }
}

fn one_of<T: Copy>(text: &str, choices: &[(&'static str, T)]) -> Result<T, String> {
    choices
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            format!("Must be one of: {}.", words.join(", "))
        })
}

/// By which field a list is in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrderBy {
    /// By number, which is the order in which things were made.
    Id,
    /// By name.
    Name,
}

const ORDERS: [(&str, OrderBy); 2] = [("id", OrderBy::Id), ("name", OrderBy::Name)];

impl OrderBy {
    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
        }
    }
}

impl Parameter for OrderBy {
    fn schema() -> MetaSchema {
        words(ORDERS.map(|(word, _)| word))
    }

    fn read(text: &str) -> Result<Self, String> {
        one_of(text, &ORDERS)
    }
}

/// The order of what has no name of its own: by number only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrderById;

impl Parameter for OrderById {
    fn schema() -> MetaSchema {
        words(["id"])
    }

    fn read(text: &str) -> Result<Self, String> {
        one_of(text, &[("id", Self)])
    }
}

/// In which direction a list is in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The smallest first.
    Ascending,
    /// The largest first.
    Descending,
}

const DIRECTIONS: [(&str, Direction); 2] = [("ASC", Direction::Ascending), ("DESC", Direction::Descending)];

impl Direction {
    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Ascending => "ASC",
            Self::Descending => "DESC",
        }
    }
}

impl Parameter for Direction {
    fn schema() -> MetaSchema {
        words(DIRECTIONS.map(|(word, _)| word))
    }

    fn read(text: &str) -> Result<Self, String> {
        one_of(text, &DIRECTIONS)
    }
}

/// The state of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State(pub(crate) BuildState);

impl Parameter for State {
    fn schema() -> MetaSchema {
        words(BuildState::ALL.into_iter().map(BuildState::as_str))
    }

    fn read(text: &str) -> Result<Self, String> {
        BuildState::from_str(text).map(Self).map_err(|_| {
            let all: Vec<&str> = BuildState::ALL.into_iter().map(BuildState::as_str).collect();
            format!("Must be one of: {}.", all.join(", "))
        })
    }
}

/// What the monitor can show besides the usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MonitorField {
    /// The address of the build's log.
    BuildLog,
    /// The address of the farm's account of the build.
    BackendLog,
    /// The address of the build's page.
    Build,
}

const MONITOR_FIELDS: [(&str, MonitorField); 3] = [
    ("url_build_log", MonitorField::BuildLog),
    ("url_backend_log", MonitorField::BackendLog),
    ("url_build", MonitorField::Build),
];

impl Parameter for MonitorField {
    fn schema() -> MetaSchema {
        words(MONITOR_FIELDS.map(|(word, _)| word))
    }

    fn read(text: &str) -> Result<Self, String> {
        one_of(text, &MONITOR_FIELDS)
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::ParseFromParameter as _;

    use super::{
        BuilderNamed, Count, Direction, Flag, Id, LARGEST, LastEvent, MonitorField, Of, Offset, OrderBy,
        Parameter, State, own_words,
    };

    #[test]
    fn numbers_are_whole_and_inside_their_bounds() {
        let most = u64::try_from(LARGEST).unwrap();
        for (text, number) in [("0", 0), ("-0", 0), ("007", 7), ("1000000000000000", most)] {
            assert_eq!(Count::read(text), Ok(Count(number)), "{text}");
        }
        for bad in ["", "-", "+5", " 5", "5.0", "1e3", "x", "٣", "0x10"] {
            let said = "Not a valid integer value.";
            assert_eq!(Count::read(bad).unwrap_err(), said, "{bad}");
            assert_eq!(Id::read(bad).unwrap_err(), said, "{bad}");
        }
        for large in ["1000000000000001", "9223372036854775808", &"9".repeat(99)] {
            let said = "Number must be at most 1000000000000000.";
            assert_eq!(Count::read(large).unwrap_err(), said, "{large}");
            assert_eq!(Id::read(large).unwrap_err(), said, "{large}");
            assert_eq!(Offset::read(large).unwrap_err(), said, "{large}");
            assert_eq!(LastEvent::read(large).unwrap_err(), said, "{large}");
        }
        assert_eq!(Count::read("-1").unwrap_err(), "Number must be at least 0.");
        assert_eq!(Id::read("0").unwrap_err(), "Number must be at least 1.");
        assert_eq!(Id::read("1"), Ok(Id(1)));
        assert_eq!(LastEvent::read(""), Ok(LastEvent(None)));
        assert_eq!(LastEvent::read("12"), Ok(LastEvent(Some(12))));
        assert!(LastEvent::read("x").is_err());
        assert_eq!(Offset::read("-12"), Ok(Offset(-12)));
        assert_eq!(
            Offset::read("-99999999999999999999").unwrap_err(),
            "Number must be at least -1000000000000000."
        );
    }

    #[test]
    fn a_builder_is_named_by_its_id() {
        let id = model::BuilderId(uuid::Uuid::from_u128(7));
        assert_eq!(BuilderNamed::read(&id.to_string()), Ok(BuilderNamed(id)));
        for bad in ["", "bdr_", "att_1", "7"] {
            assert_eq!(
                BuilderNamed::read(bad).unwrap_err(),
                "Must be bdr_ and 32 hexadecimal digits.",
                "{bad}"
            );
        }
    }

    #[test]
    fn words_are_those_of_the_list_and_the_list_is_named_otherwise() {
        assert_eq!(OrderBy::read("name"), Ok(OrderBy::Name));
        assert_eq!(OrderBy::read("Name").unwrap_err(), "Must be one of: id, name.");
        assert_eq!(Direction::read("DESC"), Ok(Direction::Descending));
        assert_eq!(Direction::read("desc").unwrap_err(), "Must be one of: ASC, DESC.");
        assert_eq!(State::read("forked"), Ok(State(model::BuildState::Forked)));
        assert!(State::read("done").unwrap_err().starts_with("Must be one of: "));
        assert_eq!(MonitorField::read("url_build"), Ok(MonitorField::Build));
        for (text, flag) in [("True", true), ("on", true), ("0", false), ("", false)] {
            assert_eq!(Flag::read(text), Ok(Flag(flag)), "{text}");
        }
        assert_eq!(Flag::read("maybe").unwrap_err(), "Not a valid boolean.");
    }

    #[test]
    fn our_words_are_found_in_what_the_framework_makes_of_them() {
        let refused = Option::<Of<OrderBy>>::parse_from_parameters(["colour"]).unwrap_err();
        assert_ne!(refused.message(), "Must be one of: id, name.");
        assert_eq!(own_words(refused.message()), Some("Must be one of: id, name."));
        assert_eq!(own_words("failed to parse"), None);
    }
}
