//! What the consoles of builders said that never got ready.

use model::{BuilderId, Timestamp};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, sea_query::OnConflict,
};
use uuid::Uuid;

use super::{events::Entry, leases::check_lease};
use crate::{
    Console, Lease,
    convert::check_text,
    database::{Store, Tx},
    entity::{builder, builder_console},
    error::{Error, Result, TxError},
};

/// Takes the consoles of builders away.
pub(super) async fn forget(tx: &Tx, builders: Vec<Uuid>) -> Result<(), TxError> {
    if !builders.is_empty() {
        builder_console::Entity::delete_many()
            .filter(builder_console::Column::Builder.is_in(builders))
            .exec(&**tx)
            .await?;
    }
    Ok(())
}

impl Store {
    /// Keeps the end of what a builder's machine wrote on its console, in the place of what was kept of it before.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`]; [`Error::NotFound`] when there is no such builder; [`Error::Invalid`].
    pub async fn keep_console(&self, lease: &Lease, id: BuilderId, console: &Console) -> Result<()> {
        check_text("console", &console.text)?;
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            if builder::Entity::find_by_id(id.0).one(&*tx).await?.is_none() {
                return Err(Error::not_found(format!("builder {id}")).into());
            }
            let mut on_conflict = OnConflict::column(builder_console::Column::Builder);
            on_conflict.update_columns([builder_console::Column::ReadAt, builder_console::Column::Text]);
            builder_console::Entity::insert(builder_console::ActiveModel {
                builder: Set(id.0),
                read_at: Set(console.at.as_micros()),
                text: Set(console.text.clone()),
            })
            .on_conflict(on_conflict)
            .exec_without_returning(&*tx)
            .await?;
            let words = match console.text.len() {
                0 => "its console was read before its end, and is empty".to_owned(),
                bytes => format!("its console was read before its end: {bytes} bytes of it are kept"),
            };
            Entry::of_builder(id, "controller", &words).write(&tx, console.at);
            Ok(())
        })
        .await
    }

    /// What is kept of a builder's console; `None` where it was not read.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn console_of(&self, id: BuilderId) -> Result<Option<Console>> {
        self.read(|tx| async move {
            let row = builder_console::Entity::find_by_id(id.0).one(&*tx).await?;
            Ok(row.map(|row| Console {
                at: Timestamp::from_micros(row.read_at),
                text: row.text,
            }))
        })
        .await
    }
}
