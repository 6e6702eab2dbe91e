//! A farm with a long history, made by SQL on the tables themselves: a test of all this through the store would take hours.
//! Also what `cargo xtask bench plan` fills its databases with, by this commit and by an older one, whose tables lack some
//! columns.

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Many {
    /// Projects, each of an owner of its own; ids count from 1.
    pub(crate) projects: u64,
    /// Builds that are over, each with a chroot, an attempt, a builder with a launch, an allocation and an event. A fifth is
    /// the first project's.
    pub(crate) ended: u64,
    /// Packages that builds of the first project made, one each; the newest builds have them.
    pub(crate) made: u64,
    /// Builds after these that wait, spread over all projects but the first.
    pub(crate) waiting: u64,
    /// Builders that live; nine of ten are busy with an attempt.
    pub(crate) builders: u64,
}

/// Packages of each project.
const PACKAGES: u64 = 100;
/// When the first build was submitted, and how many microseconds lie between two.
const BEGINNING: i64 = 1_800_000_000_000_000;
const BETWEEN: i64 = 1_000_000;

/// In which language, and for which tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    pub(crate) is_postgres: bool,
    /// Whether attempts know their owner, builders their end and chroots their package.
    pub(crate) has_live_rows: bool,
    /// Whether chroots of builds know their project.
    pub(crate) has_chroots_of_repositories: bool,
}

impl Dialect {
    /// A table `n` with one column `i` of the numbers from the first to the last.
    fn series(self, first: u64, last: u64) -> String {
        if self.is_postgres {
            return format!("generate_series(CAST({first} AS BIGINT), {last}) AS n(i)");
        }
        format!(
            "(WITH RECURSIVE s(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM s WHERE i < {last}) SELECT i FROM s) AS n"
        )
    }

    /// The UUID that ends with a number, for things of a kind: a hexadecimal digit.
    fn uuid(self, kind: char, number: &str) -> String {
        if self.is_postgres {
            return format!("('{kind}' || lpad(to_hex({number}), 31, '0'))::uuid");
        }
        format!("unhex('{kind}' || printf('%031x', {number}))")
    }

    fn insert(self, table: &str, columns: &[(&str, String)], (first, last): (u64, u64)) -> Option<String> {
        if last < first {
            return None;
        }
        let (names, values): (Vec<&str>, Vec<&str>) = columns
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .unzip();
        Some(format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {}",
            names.join(", "),
            values.join(", "),
            self.series(first, last)
        ))
    }

    /// Columns, and those that only today's tables have.
    fn columns<'a>(self, old: Vec<(&'a str, String)>, new: Vec<(&'a str, String)>) -> Vec<(&'a str, String)> {
        let new = new.into_iter().filter(|_| self.has_live_rows);
        old.into_iter().chain(new).collect()
    }
}

impl Dialect {
    /// What only today's chroots of builds know of their build.
    fn newer_of_chroot(self, package: String, project: &str) -> Vec<(&'static str, String)> {
        let mut columns = vec![("package", package), ("directory", text("tools"))];
        if self.has_chroots_of_repositories {
            columns.push(("project", project.to_owned()));
        }
        columns
    }
}

fn text(word: &str) -> String {
    format!("'{word}'")
}

/// The project of the build `i`.
fn project(many: Many, is_over: bool) -> String {
    let others = many.projects.saturating_sub(1).max(1);
    if is_over {
        format!("CASE WHEN i % 5 = 0 THEN 1 ELSE 2 + i % {others} END")
    } else {
        format!("2 + i % {others}")
    }
}

/// When something of the build `i` happened.
fn moment() -> String {
    format!("{BEGINNING} + i * {BETWEEN}")
}

/// The statements that fill an empty farm, in order.
pub(crate) fn statements(dialect: Dialect, many: Many) -> Vec<String> {
    let last = many.ended + many.waiting + many.builders;
    let ended = (1, many.ended);
    let waiting = (many.ended + 1, many.ended + many.waiting);
    let busy = (many.ended + many.waiting + 1, last);
    let mut out = projects(dialect, many);
    for (range, states, is_over) in [
        (ended, ("succeeded", "succeeded", "succeeded"), true),
        (waiting, ("pending", "pending", "waiting"), false),
        (busy, ("running", "running", "running"), false),
    ] {
        out.extend(builds(dialect, many, range, states, is_over));
    }
    out.extend(builders(dialect, ended, busy));
    out.push(events(dialect, ended));
    out.push((many.made > 0).then(|| made(many)));
    if dialect.is_postgres {
        for (table, column) in [
            ("account", "id"),
            ("project", "id"),
            ("package", "id"),
            ("build", "id"),
            ("allocation", "epoch"),
        ] {
            out.push(Some(format!(
                "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), (SELECT max({column}) FROM {table}))"
            )));
        }
        out.push(Some("VACUUM ANALYZE".to_owned()));
    }
    out.into_iter().flatten().collect()
}

/// Owners, projects, their packages, chroots and repositories.
fn projects(dialect: Dialect, many: Many) -> Vec<Option<String>> {
    let accounts = [
        ("id", "i".to_owned()),
        ("name", "'owner' || i".to_owned()),
        ("is_operator", "FALSE".to_owned()),
        ("created_at", BEGINNING.to_string()),
    ];
    let projects = [
        ("id", "i".to_owned()),
        ("owner", "'owner' || i".to_owned()),
        ("name", text("tools")),
        ("created_by", "i".to_owned()),
        ("settings", text("{}")),
        ("search", "'owner' || i || '/tools'".to_owned()),
        ("created_at", BEGINNING.to_string()),
    ];
    let packages = [
        ("id", "i".to_owned()),
        ("project", format!("1 + (i - 1) / {PACKAGES}")),
        ("name", "'package' || i".to_owned()),
    ];
    let mut out = vec![
        dialect.insert("account", &accounts, (1, many.projects)),
        dialect.insert("project", &projects, (1, many.projects)),
        dialect.insert("package", &packages, (1, many.projects * PACKAGES)),
    ];
    for chroot in ["fedora-43-x86_64", "fedora-44-x86_64"] {
        out.push(Some(format!(
            "INSERT INTO chroot (name, comment, is_active, definition, created_at, updated_at)
             VALUES ('{chroot}', '', TRUE, '{{}}', 0, 0)"
        )));
        out.push(Some(format!(
            "INSERT INTO project_chroot (project, chroot) SELECT id, '{chroot}' FROM project"
        )));
    }
    out.push(Some(
        "INSERT INTO repository (project, directory, chroot, wanted, published, next_number, failures)
         SELECT id, 'tools', 'fedora-43-x86_64', 2, 2, 3, 0 FROM project"
            .to_owned(),
    ));
    out
}

fn events(dialect: Dialect, ended: (u64, u64)) -> Option<String> {
    let columns = [
        ("at", moment()),
        ("actor", text("controller")),
        ("subject_kind", text("build")),
        ("subject_id", "CAST(i AS TEXT)".to_owned()),
        ("new_state", text("succeeded")),
        ("reason", text("derived from its chroots")),
        ("build", "i".to_owned()),
        ("builder", dialect.uuid('b', "i")),
    ];
    dialect.insert("event", &columns, ended)
}

/// Packages that the newest builds of the first project made.
fn made(many: Many) -> String {
    format!(
        "INSERT INTO collected_package (attempt, file_name, sha256, size, is_source, name, epoch, version, release,
            architecture, metadata_json)
         SELECT attempt.id, 'a-1-1.x86_64.rpm', '00', 1, FALSE, 'a', 0, '1', '1', 'x86_64', '{}'
         FROM attempt JOIN build ON build.id = attempt.build
         WHERE build.project = 1 AND build.id > {} - {} * 5 AND build.id <= {}",
        "x".repeat(300),
        many.ended,
        many.made,
        many.ended
    )
}

fn builds(
    dialect: Dialect,
    many: Many,
    range: (u64, u64),
    (build, chroot, attempt): (&str, &str, &str),
    is_over: bool,
) -> Vec<Option<String>> {
    let project = project(many, is_over);
    let package = format!("({project} - 1) * {PACKAGES} + 1 + (i / 5) % {PACKAGES}")
        .replace(&project, &format!("({project})"));
    let if_over = |value: String| if is_over { value } else { "NULL".to_owned() };
    let begun = |value: String| {
        if attempt == "waiting" {
            "NULL".to_owned()
        } else {
            value
        }
    };
    let rows = dialect.insert(
        "build",
        &[
            ("id", "i".to_owned()),
            ("project", project.clone()),
            ("directory", text("tools")),
            ("package", package.clone()),
            ("version", text("1-1")),
            ("submitter", project.clone()),
            ("source_file", text("a-1-1.src.rpm")),
            ("source_sha256", "'digest' || i".to_owned()),
            ("source_size", "1".to_owned()),
            ("source_state", text("succeeded")),
            ("canceled", "FALSE".to_owned()),
            ("is_background", "FALSE".to_owned()),
            ("options", text(r#"{"timeout_seconds":18000,"background":false}"#)),
            ("state", text(build)),
            ("submitted_at", moment()),
        ],
        range,
    );
    let chroots = dialect.columns(
        vec![
            ("build", "i".to_owned()),
            ("chroot", text("fedora-43-x86_64")),
            ("state", text(chroot)),
            ("started_at", begun(moment())),
            ("ended_at", if_over(moment())),
            ("result_directory", if_over("CAST(i AS TEXT)".to_owned())),
            ("attempts", "1".to_owned()),
        ],
        dialect.newer_of_chroot(package, &project),
    );
    let attempts = dialect.columns(
        vec![
            ("id", dialect.uuid('a', "i")),
            ("build", "i".to_owned()),
            ("chroot", text("fedora-43-x86_64")),
            ("number", "1".to_owned()),
            ("state", text(attempt)),
            ("epoch", begun("i".to_owned())),
            ("builder", begun(dialect.uuid('b', "i"))),
            ("result_directory", if_over("CAST(i AS TEXT)".to_owned())),
            ("log_bytes", "0".to_owned()),
            ("cancel_requested", "FALSE".to_owned()),
            ("queued_at", moment()),
            ("started_at", begun(moment())),
            ("ended_at", if_over(moment())),
        ],
        vec![
            ("owner", format!("'owner' || ({project})")),
            ("is_background", "FALSE".to_owned()),
        ],
    );
    vec![
        rows,
        dialect.insert("build_chroot", &chroots, range),
        dialect.insert("attempt", &attempts, range),
    ]
}

fn builders(dialect: Dialect, ended: (u64, u64), busy: (u64, u64)) -> Vec<Option<String>> {
    let mut out = Vec::new();
    for (range, state, is_over) in [
        (ended, text("terminated"), true),
        (
            busy,
            "CASE WHEN i % 10 = 0 THEN 'booting' ELSE 'busy' END".to_owned(),
            false,
        ),
    ] {
        let at_end = |value: String| if is_over { value } else { "NULL".to_owned() };
        let columns = dialect.columns(
            vec![
                ("id", dialect.uuid('b', "i")),
                ("fleet", dialect.uuid('f', "1")),
                ("pool", text("small")),
                ("state", state),
                ("version", "7".to_owned()),
                ("cloud", text("dev")),
                ("instance_id", "'i-' || i".to_owned()),
                ("address", text("192.0.2.1")),
                ("port", "22".to_owned()),
                ("host_key", text("ssh-ed25519 AAAA")),
                ("image", text("img-1")),
                ("spec_hash", text("5bec")),
                ("cordoned", "FALSE".to_owned()),
                ("reason", text("an attempt runs")),
                ("entered_at", moment()),
                ("created_at", moment()),
                ("ready_at", moment()),
            ],
            vec![("ended_at", at_end(moment()))],
        );
        out.push(dialect.insert("builder", &columns, range));
        let launches = [
            ("id", dialect.uuid('c', "i")),
            ("builder", dialect.uuid('b', "i")),
            ("offering", text("small")),
            ("params_hash", text("9a7a")),
            ("asked_at", moment()),
            ("answered_at", moment()),
            ("outcome", text("running")),
        ];
        out.push(dialect.insert("launch_attempt", &launches, range));
        let allocations = [
            ("epoch", "i".to_owned()),
            ("builder", dialect.uuid('b', "i")),
            ("attempt", dialect.uuid('a', "i")),
            ("state", text(if is_over { "finished" } else { "accepted" })),
            ("worker", text("worker-1")),
            ("offered_at", moment()),
            ("renewed_at", moment()),
            ("ended_at", at_end(moment())),
        ];
        out.push(dialect.insert("allocation", &allocations, range));
    }
    out
}
