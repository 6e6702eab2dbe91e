//! Between rows and domain types. Every conversion is total: what does not convert is [`Error::Corrupt`]
//! with the table, the row and the column, or, on the way in, [`Error::Invalid`].

use std::{fmt::Display, str::FromStr};

use model::Timestamp;
use sea_orm::DbErr;
use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Error, Result, TxError};

/// The longest reason that is kept, in characters. Reasons may quote what builders and clouds say.
const LONGEST_REASON: usize = 4000;
/// The most bytes of evidence that are kept.
const MOST_EVIDENCE: usize = 256 * 1024;

/// Names the row that is being converted.
pub(crate) struct Row<'a> {
    table: &'static str,
    id: &'a (dyn Display + Sync),
}

impl<'a> Row<'a> {
    pub(crate) fn new(table: &'static str, id: &'a (dyn Display + Sync)) -> Self {
        Self { table, id }
    }

    fn corrupt(&self, column: &str, why: impl Display) -> Error {
        Error::corrupt(self.table, self.id, format!("column {column}: {why}"))
    }

    /// A column that holds a word or a name.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&self, column: &str, text: &str) -> Result<T> {
        text.parse().map_err(|error| self.corrupt(column, error))
    }

    /// A column that holds a word, a name, or nothing.
    pub(crate) fn parse_maybe<T: FromStr<Err: Display>>(
        &self,
        column: &str,
        text: Option<&str>,
    ) -> Result<Option<T>> {
        text.map(|text| self.parse(column, text)).transpose()
    }

    /// A column that holds JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self, column: &str, text: &str) -> Result<T> {
        serde_json::from_str(text).map_err(|error| self.corrupt(column, error))
    }

    /// A column that holds JSON or nothing.
    pub(crate) fn json_maybe<T: DeserializeOwned>(
        &self,
        column: &str,
        text: Option<&str>,
    ) -> Result<Option<T>> {
        text.map(|text| self.json(column, text)).transpose()
    }

    /// A column that holds a number of a smaller range.
    pub(crate) fn number<N: Copy + Display, T: TryFrom<N>>(&self, column: &str, number: N) -> Result<T> {
        T::try_from(number).map_err(|_| self.corrupt(column, format!("{number} is out of range")))
    }
}

/// The rows that can be read. Of each other row the log says what is wrong with it. Used where one bad row must not keep the
/// others from being served.
pub(crate) fn readable<T>(rows: impl Iterator<Item = Result<T>>) -> impl Iterator<Item = T> {
    rows.filter_map(|row| {
        row.inspect_err(|error| tracing::error!(%error, "A row is left out."))
            .ok()
    })
}

/// A moment or nothing.
pub(crate) fn moment(micros: Option<i64>) -> Option<Timestamp> {
    micros.map(Timestamp::from_micros)
}

/// JSON for a column.
pub(crate) fn to_json(what: &str, value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::invalid(format!("{what}: {error}")))
}

/// A number that has to fit into a column.
pub(crate) fn to_number<N: Copy + Display>(what: &str, number: N) -> Result<i64>
where
    i64: TryFrom<N>,
{
    i64::try_from(number).map_err(|_| Error::invalid(format!("{what}: {number} is too big")))
}

/// A reason as it is kept: bounded, and without the one character that PostgreSQL's texts cannot hold.
pub(crate) fn reason(text: &str) -> String {
    text.chars()
        .take(LONGEST_REASON)
        .map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// Evidence as it is kept: too much of it is left out rather than refused, since an attempt's end must be
/// written down whatever its builder said.
pub(crate) fn evidence(value: Option<&serde_json::Value>) -> Option<String> {
    let text = value?.to_string();
    if text.len() > MOST_EVIDENCE {
        return Some(format!(r#"{{"omitted":"{} bytes"}}"#, text.len()));
    }
    Some(text)
}

/// Refuses what PostgreSQL's texts cannot hold, with the name of the field.
pub(crate) fn check_text(what: &str, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::invalid(format!("{what}: it holds a NUL character")));
    }
    Ok(())
}

/// Gives a violated uniqueness the words that a caller understands.
pub(crate) fn or_conflict<T>(result: Result<T, DbErr>, what: impl FnOnce() -> String) -> Result<T, TxError> {
    result.map_err(|error| match error.sql_err() {
        Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) => Error::conflict(what()).into(),
        _ => error.into(),
    })
}
