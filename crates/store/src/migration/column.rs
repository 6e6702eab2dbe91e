//! The kinds of columns that migrations use. Frozen like the migrations: a new kind is a new function.

use sea_orm_migration::sea_query::{ColumnDef, Expr, ExprTrait as _, SimpleExpr};

/// A key that the database counts up; never given out twice, not even after a deletion.
pub(super) fn identity(name: &'static str) -> ColumnDef {
    ColumnDef::new(name)
        .big_integer()
        .not_null()
        .auto_increment()
        .primary_key()
        .take()
}

/// A text.
pub(super) fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().not_null().take()
}

/// A text or nothing.
pub(super) fn maybe_text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().null().take()
}

/// A number or a moment.
pub(super) fn number(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().take()
}

/// A number, a moment, or nothing.
pub(super) fn maybe_number(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().null().take()
}

/// Yes or no.
pub(super) fn boolean(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).boolean().not_null().take()
}

/// A UUID.
pub(super) fn uuid(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).uuid().not_null().take()
}

/// A UUID or nothing.
pub(super) fn maybe_uuid(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).uuid().null().take()
}

/// The condition that a column holds one of these words.
pub(super) fn one_of(name: &'static str, words: &[&'static str]) -> SimpleExpr {
    Expr::col(name).is_in(words.iter().copied())
}
