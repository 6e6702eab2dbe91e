//! What a role of PostgreSQL may do in the farm's database, and what it would need to. Each process of the farm may have a role
//! of its own, with no more rights than it uses; SQLite has no roles.

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

use crate::{
    Error, Result, Store,
    database::Tx,
    error::TxError,
    grant::{lacks_rights, quoted},
};

/// A process of the farm, as far as its rights in the database go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// `verdigris api`: everything but the signing keys, of which it deletes those of deleted projects.
    Api,
    /// `verdigris controller`: everything but the signing keys.
    Controller,
    /// `verdigris worker`: everything.
    Worker,
}

impl Process {
    /// All of them, the one that needs least first.
    pub const ALL: [Self; 3] = [Self::Controller, Self::Api, Self::Worker];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Controller => "controller",
            Self::Worker => "worker",
        }
    }
}

/// The table of migrations that were applied; only `verdigris migrate` changes it.
const MIGRATIONS: &str = "seaql_migrations";
/// The table of signing keys.
const KEYS: &str = "signing_key";
/// All other tables.
const TABLES: [&str; 32] = [
    "account",
    "allocation",
    "api_budget",
    "attempt",
    "build",
    "build_chroot",
    "builder",
    "builder_console",
    "chroot",
    "cloud_trouble",
    "collected_package",
    "event",
    "fleet_file",
    "fleet_lease",
    "hook_run",
    "host",
    "ignored_instance",
    "image_choice",
    "intent",
    "launch_attempt",
    "machine_hours",
    "other_machines",
    "package",
    "pool",
    "pool_version",
    "project",
    "project_chroot",
    "queue_change",
    "repository",
    "shortage",
    "sighting",
    "snapshot",
];

/// What can be done to a whole table.
const ALL: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// A right on a table, for all its columns or for some.
type Right = (&'static str, &'static str, &'static [&'static str]);

/// The rights of a process on tables.
fn wanted(process: Process) -> Vec<Right> {
    let mut rights: Vec<Right> = vec![(MIGRATIONS, "SELECT", &[])];
    for table in TABLES {
        rights.extend(ALL.map(|right| (table, right, &[] as &[_])));
    }
    match process {
        Process::Worker => rights.extend(ALL.map(|right| (KEYS, right, &[] as &[_]))),
        Process::Api => {
            rights.push((KEYS, "SELECT", &["project", "fingerprint"]));
            rights.push((KEYS, "DELETE", &[]));
        }
        Process::Controller => {}
    }
    rights
}

impl Store {
    /// Refuses a role that lacks rights which a process needs.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`], with the statements that give them; [`Error::Unavailable`].
    pub async fn check_rights(&self, process: Process) -> Result<()> {
        let statements = self.missing_rights(process).await?;
        if statements.is_empty() {
            return Ok(());
        }
        let role = self.read(|tx| async move { Ok(place(&tx).await?.map(|place| place.role)) });
        Err(Error::Forbidden {
            database: self.name().to_owned(),
            why: lacks_rights(&role.await?.unwrap_or_default(), "the tables", &statements),
        })
    }

    /// The statements that give this connection's role what it lacks to run a process; none on SQLite, and none before the first
    /// migration.
    async fn missing_rights(&self, process: Process) -> Result<Vec<String>> {
        self.read(|tx| async move {
            let Some(place) = place(&tx).await? else {
                return Ok(Vec::new());
            };
            if !place.may_use {
                return Ok(vec![place.grant_usage()]);
            }
            let mut missing = Vec::new();
            for right in wanted(process) {
                if !place.has(&tx, right).await? {
                    missing.push(right);
                }
            }
            let mut statements = place.grants(&missing);
            let closed = place.closed_sequences(&tx).await?;
            if !closed.is_empty() {
                statements.push(place.grant("USAGE", "SEQUENCE ", &closed));
            }
            Ok(statements)
        })
        .await
    }

    /// Refuses a role that could not apply the migrations that are due: on PostgreSQL they make tables in the schema that
    /// comes first, and change those that are there, which only their owner may.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`], with the statements that give the right; [`Error::Schema`]; [`Error::Unavailable`].
    pub async fn check_may_migrate(&self) -> Result<()> {
        self.read(|tx| async move {
            if tx.get_database_backend() != DbBackend::Postgres || self.pending(&tx).await?.is_empty() {
                return Ok(());
            }
            // The name of a schema that the role may not use is not among the current ones.
            let sql = format!(
                "SELECT current_user::text, n.name, coalesce(has_schema_privilege(to_regnamespace(quote_ident(n.name))::oid, \
                     'USAGE'), false),
                   coalesce(has_schema_privilege(to_regnamespace(quote_ident(n.name))::oid, 'CREATE'), false),
                   (SELECT pg_get_userbyid(c.relowner)::text FROM pg_class c
                     WHERE c.oid = to_regclass('{MIGRATIONS}') AND NOT pg_has_role(c.relowner, 'USAGE'))
                 FROM (SELECT coalesce(current_schema()::text, 'public') AS name) n"
            );
            let row = tx.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
            let Some(row) = row else { return Ok(()) };
            let (role, schema): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let (may_use, may_create): (bool, bool) = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
            let owner: Option<String> = row.try_get_by_index(4)?;
            let (schema, quoted_role) = (quoted(&schema), quoted(&role));
            let mut statements = Vec::new();
            match (may_use, may_create) {
                (true, true) => {}
                (true, false) => statements.push(format!("GRANT CREATE ON SCHEMA {schema} TO {quoted_role};")),
                (false, _) => statements.push(format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {quoted_role};")),
            }
            statements.extend(owner.map(|owner| format!("GRANT {} TO {quoted_role};", quoted(&owner))));
            if statements.is_empty() {
                return Ok(());
            }
            Err(Error::Forbidden {
                database: self.name().to_owned(),
                why: lacks_rights(&role, "the database", &statements),
            }
            .into())
        })
        .await
    }

    /// [`Error::Forbidden`] where the role may not read which migrations were applied.
    pub(crate) async fn check_that_migrations_are_readable(&self, tx: &Tx) -> Result<(), TxError> {
        let Some(place) = place(tx).await? else {
            return Ok(());
        };
        let statements = if !place.may_use {
            vec![place.grant_usage()]
        } else if place.has(tx, (MIGRATIONS, "SELECT", &[])).await? {
            return Ok(());
        } else {
            place.grants(&[(MIGRATIONS, "SELECT", &[])])
        };
        Err(Error::Forbidden {
            database: self.name().to_owned(),
            why: lacks_rights(&place.role, "the tables", &statements),
        }
        .into())
    }
}

/// Where the farm's tables are on a PostgreSQL server, and who looks at them.
struct Place {
    schema: String,
    role: String,
    may_use: bool,
}

/// Nothing on SQLite and before the first migration.
async fn place(tx: &Tx) -> Result<Option<Place>, TxError> {
    if tx.get_database_backend() != DbBackend::Postgres {
        return Ok(None);
    }
    // The catalogue may be read by every role, the information schema shows only what the role may use.
    let sql = format!(
        "SELECT n.nspname::text, current_user::text, has_schema_privilege(n.oid, 'USAGE')
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relname = '{MIGRATIONS}' AND c.relkind = 'r'
         ORDER BY n.nspname = ANY (current_schemas(true)) DESC, n.nspname LIMIT 1"
    );
    let row = tx
        .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Place {
        schema: row.try_get_by_index(0)?,
        role: row.try_get_by_index(1)?,
        may_use: row.try_get_by_index(2)?,
    }))
}

impl Place {
    /// Whether the role has a right. A table that is not there is none to complain of here: a migration is due then.
    async fn has(&self, tx: &Tx, (table, right, columns): Right) -> Result<bool, TxError> {
        let name = format!("{}.{}", quoted(&self.schema), quoted(table));
        let has = |of: &str, column: Option<&str>| {
            let column = column.map_or_else(String::new, |column| format!("'{column}', "));
            format!("has_{of}_privilege(to_regclass($1)::oid, {column}'{right}')")
        };
        let condition = if columns.is_empty() {
            has("table", None)
        } else {
            let each: Vec<String> = columns.iter().map(|column| has("column", Some(column))).collect();
            each.join(" AND ")
        };
        let sql = format!("SELECT coalesce({condition}, true)");
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [name.into()]);
        let row = tx.query_one_raw(statement).await?;
        Ok(row.map_or(Ok(true), |row| row.try_get_by_index(0))?)
    }

    /// The sequences that number rows of the farm's tables and that the role may not use.
    async fn closed_sequences(&self, tx: &Tx) -> Result<Vec<String>, TxError> {
        let sql = "SELECT s.relname::text FROM pg_class s
            JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'a'
            JOIN pg_class t ON t.oid = d.refobjid
            JOIN pg_namespace n ON n.oid = t.relnamespace
            WHERE n.nspname = $1 AND t.relname = ANY ($2)
            AND CASE WHEN s.relkind = 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE') ELSE false END ORDER BY 1";
        let tables: Vec<String> = TABLES.map(str::to_owned).to_vec();
        let values = [self.schema.clone().into(), tables.into()];
        let rows = tx
            .query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values))
            .await?;
        let names = rows.iter().map(|row| row.try_get_by_index(0));
        Ok(names.collect::<Result<_, _>>()?)
    }

    fn grant_usage(&self) -> String {
        format!(
            "GRANT USAGE ON SCHEMA {} TO {};",
            quoted(&self.schema),
            quoted(&self.role)
        )
    }

    /// One statement for all tables that lack the same rights.
    fn grants(&self, missing: &[Right]) -> Vec<String> {
        let mut by_table: Vec<(String, Vec<String>)> = Vec::new();
        for (table, right, columns) in missing {
            let right = match columns {
                [] => (*right).to_owned(),
                columns => format!("{right} ({})", columns.join(", ")),
            };
            match by_table.last_mut() {
                Some((last, rights)) if last == table => rights.push(right),
                _ => by_table.push(((*table).to_owned(), vec![right])),
            }
        }
        let mut by_rights: Vec<(String, Vec<String>)> = Vec::new();
        for (table, rights) in by_table {
            let rights = rights.join(", ");
            match by_rights.iter_mut().find(|(others, _)| *others == rights) {
                Some((_, tables)) => tables.push(table),
                None => by_rights.push((rights, vec![table])),
            }
        }
        let statements = by_rights
            .iter()
            .map(|(rights, tables)| self.grant(rights, "", tables));
        statements.collect()
    }

    fn grant(&self, rights: &str, kind: &str, names: &[String]) -> String {
        let names: Vec<String> = names
            .iter()
            .map(|name| format!("{}.{}", quoted(&self.schema), quoted(name)))
            .collect();
        format!(
            "GRANT {rights} ON {kind}{} TO {};",
            names.join(", "),
            quoted(&self.role)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{KEYS, Place, Process, wanted};

    #[test]
    fn tables_that_lack_the_same_rights_share_a_statement() {
        let place = Place {
            schema: "public".to_owned(),
            role: "Farm".to_owned(),
            may_use: true,
        };
        let missing = [
            ("build", "SELECT", &[] as &[_]),
            ("build", "INSERT", &[]),
            ("chroot", "SELECT", &[]),
            ("event", "SELECT", &[]),
            ("event", "INSERT", &[]),
            (KEYS, "SELECT", &["project", "fingerprint"]),
        ];
        assert_eq!(
            place.grants(&missing),
            [
                "GRANT SELECT, INSERT ON public.build, public.event TO \"Farm\";",
                "GRANT SELECT ON public.chroot TO \"Farm\";",
                "GRANT SELECT (project, fingerprint) ON public.signing_key TO \"Farm\";",
            ]
        );
    }

    #[test]
    fn only_the_worker_reads_secret_keys() {
        let reads = |process| {
            let rights = wanted(process);
            let of_keys = rights.iter().filter(|(table, _, _)| *table == KEYS);
            of_keys
                .filter(|(_, right, columns)| *right == "SELECT" && columns.is_empty())
                .count()
        };
        assert_eq!(Process::ALL.map(reads), [0, 0, 1]);
    }
}
