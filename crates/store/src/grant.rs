//! What a role of PostgreSQL is told when it lacks a right, with the statement that gives it.

use crate::Error;

/// That a role may not connect to a database, and what allows it; both are in the address, which has no password any more.
pub(crate) fn may_not_connect(address: &str, error: &sqlx::Error) -> Error {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let role = rest.split_once('@').map_or("", |(role, _)| role);
    let database = rest.rsplit_once('/').map_or("", |(_, database)| database);
    let said = error.as_database_error().map_or("", |error| error.message());
    Error::Forbidden {
        database: address.to_owned(),
        why: format!(
            "{said}; who owns the database allows it with\n  GRANT CONNECT ON DATABASE {} TO {};",
            quoted(database),
            quoted(role)
        ),
    }
}

/// That a role lacks rights on `what`, such as the tables, and what gives them to it.
pub(crate) fn lacks_rights(role: &str, what: &str, statements: &[String]) -> String {
    format!(
        "the role {role} lacks rights; who owns {what} gives them with\n  {}",
        statements.join("\n  ")
    )
}

/// A name as SQL takes it, in quotation marks where it needs them.
pub(crate) fn quoted(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn names_are_quoted_where_they_need_it() {
        for (name, expected) in [
            ("farm_api", "farm_api"),
            ("Farm", "\"Farm\""),
            ("farm-api", "\"farm-api\""),
            ("1st", "\"1st\""),
            ("a\"b", "\"a\"\"b\""),
        ] {
            assert_eq!(quoted(name), expected);
        }
    }
}
