//! Which of many keys there are.

use std::collections::BTreeSet;

use sea_orm::{ColumnTrait as _, EntityTrait, QueryFilter as _, QuerySelect as _, TryGetable, Value};

use crate::{database::Store, error::Result};

/// How many keys one statement asks for; databases bound the number of parameters.
const AT_ONCE: usize = 500;

impl Store {
    /// Which of `keys` stand in a column of an entity's table.
    pub(super) async fn present<E, K>(&self, column: E::Column, keys: &[K]) -> Result<BTreeSet<K>>
    where
        E: EntityTrait,
        K: Clone + Ord + Into<Value> + TryGetable + Send + Sync,
    {
        let mut found = BTreeSet::new();
        for some in keys.chunks(AT_ONCE) {
            let rows: Vec<K> = self
                .read(|tx| async move {
                    Ok(E::find()
                        .select_only()
                        .column(column)
                        .filter(column.is_in(some.iter().cloned()))
                        .into_tuple()
                        .all(&*tx)
                        .await?)
                })
                .await?;
            found.extend(rows);
        }
        Ok(found)
    }
}
