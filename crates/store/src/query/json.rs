//! Rows as one text of JSON, which the database puts together: an array of arrays, each with the columns of a row in order.

use std::{borrow::Cow, ops::Deref};

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use serde::Deserialize;

use crate::{
    database::Tx,
    error::{Error, Result, TxError},
};

/// What the database calls its functions.
pub(super) struct Functions {
    /// Its arguments as an array.
    pub(super) array: &'static str,
    /// The values of a group as an array. Of no values it is an empty array on SQLite, and nothing on PostgreSQL.
    pub(super) group: &'static str,
}

pub(super) fn functions(backend: DbBackend) -> Functions {
    match backend {
        DbBackend::Postgres => Functions {
            array: "json_build_array",
            group: "json_agg",
        },
        _ => Functions {
            array: "json_array",
            group: "json_group_array",
        },
    }
}

/// A column of UUIDs as text.
pub(super) fn id(backend: DbBackend, column: &str) -> String {
    match backend {
        DbBackend::Postgres => format!("CAST({column} AS TEXT)"),
        _ => format!("hex({column})"),
    }
}

/// A query for the numbers in a value that is an array of them.
pub(super) fn numbers(backend: DbBackend, column: &str, value: &str) -> String {
    match backend {
        DbBackend::Postgres => {
            format!(
                "SELECT CAST(value AS BIGINT) AS {column} FROM json_array_elements_text(CAST({value} AS JSON))"
            )
        }
        _ => format!("SELECT value AS {column} FROM json_each({value})"),
    }
}

/// The value of such a query.
pub(super) fn text_of(numbers: impl IntoIterator<Item = i64>) -> String {
    let words: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
    format!("[{}]", words.join(","))
}

/// A text within a row that is borrowed from it, which serde does by itself only outside of `Option`.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// The text that a statement answers, in a transaction.
pub(super) async fn ask(tx: &Tx, statement: Statement) -> Result<Option<String>, TxError> {
    match tx.query_one_raw(statement).await? {
        Some(row) => Ok(row.try_get_by_index(0)?),
        None => Ok(None),
    }
}

/// The rows of a table in a text.
pub(super) fn rows<'a, T: Deserialize<'a>>(table: &'static str, text: Option<&'a str>) -> Result<Vec<T>> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    // The text of a column that is no number, say: nothing tells which row it is.
    serde_json::from_str(text).map_err(|error| Error::corrupt(table, "unknown", error))
}
