//! Requests to the API: what they cost beside an older commit on the same data, and how many there are in a second beside a
//! peer that serves the same list.

mod peer;
mod server;
mod table;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use self::{server::Server, table::Measured};
use super::checkout::{Beside, Programs};
use crate::{
    cache::{Cache, Scratch},
    http::Client,
    process::Tool,
    progress::{Step, say},
    setup,
};

/// What serves and what fills.
pub(super) const PROGRAMS: Programs = Programs {
    names: &["serve", "fill"],
    files: &[
        "api/examples/serve/main.rs",
        "crates/store/examples/fill/main.rs",
        "crates/store/tests/it/many.rs",
    ],
    era: ("api/examples/serve/era.rs", OLDER_ERA),
};
/// What differs in commits before the server had limits of its own.
const OLDER_ERA: &str = r#"use std::{collections::BTreeMap, path::Path};

use api::{ApiSettings, DEFAULT_BODY_TIMEOUT, DEFAULT_MAX_LOG_STREAMS, DEFAULT_TOKEN_LIFETIME};

pub(crate) fn settings(public_url: &str, directory: &Path) -> ApiSettings {
    ApiSettings {
        public_url: public_url.to_owned(),
        results_root: directory.join("results"),
        spool_dir: directory.join("spool"),
        source_root: directory.join("sources"),
        mirrors: BTreeMap::new(),
        max_upload_bytes: 1 << 30,
        min_free_bytes: 0,
        token_lifetime: DEFAULT_TOKEN_LIFETIME,
        body_timeout: DEFAULT_BODY_TIMEOUT,
        max_log_streams: DEFAULT_MAX_LOG_STREAMS,
    }
}
"#;

/// What a client asks for.
#[derive(Clone, Copy)]
struct Wish<'a> {
    path: &'a str,
    headers: &'a str,
}

impl<'a> Wish<'a> {
    const fn of(path: &'a str) -> Self {
        Self { path, headers: "" }
    }

    /// The server is not to answer with what it keeps.
    const fn anew(path: &'a str) -> Self {
        let headers = "Cache-Control: no-cache\r\n";
        Self { path, headers }
    }
}

const LIST: &str = "/api_3/build/list?ownername=owner1&projectname=tools&limit=50";
const REPOMD: &str = "/results/owner1/tools/fedora-43-x86_64/repodata/repomd.xml";
const MONITOR: &str = "/api_3/monitor?ownername=owner1&projectname=tools";
/// What is asked for. What the server keeps of its answers it must make anew once anything is committed to the database.
const REQUESTS: [(&str, Wish<'_>); 7] = [
    ("list of 50 builds", Wish::of(LIST)),
    ("the same, made anew", Wish::anew(LIST)),
    ("one build", Wish::of("/api_3/build/1000")),
    ("monitor, 100 packages", Wish::of(MONITOR)),
    ("the same, made anew", Wish::anew(MONITOR)),
    ("project page", Wish::of("/coprs/owner1/tools/")),
    ("repomd.xml", Wish::of(REPOMD)),
];

/// Requests of each connection before those that are measured.
const WARM_UP: usize = 50;
/// How long one request is measured on one server in a round, and how many there are on a connection at most.
const LIMITS: (Duration, u32) = (Duration::from_secs(2), 10_000);
/// Connections at once that the servers are compared with.
const CONNECTIONS: usize = 8;

/// What is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Wanted {
    /// How many projects there are.
    #[arg(long, default_value_t = 1000)]
    projects: u64,
    /// How many builds there are.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1000..))]
    builds: u64,
    /// How often each request is measured, by turns.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    #[command(flatten)]
    beside: Beside,
    /// Install nothing; fail where something is missing.
    #[arg(long)]
    no_install: bool,
}

/// Measures and prints.
pub(super) fn run(cache: &Cache, wanted: &Wanted) -> Result<()> {
    setup::run(cache, setup::Purpose::Farm, !wanted.no_install)?;
    peer::install(cache, !wanted.no_install)?;
    let _lock = cache.lock("bench-api")?;
    let place = Scratch::beside(&cache.path("bench-api"))?;
    let place = place.path();
    let (own, older) = PROGRAMS.build(place, &wanted.beside)?;
    let filler = older.as_ref().map_or(&own, |(_, older)| older);
    let data = Data::fill(place, filler, wanted)?;
    let this = data.serve("this", &own)?;
    let before = match &older {
        Some((commit, programs)) => Some((commit.as_str(), data.serve("older", programs)?)),
        None => None,
    };
    let (span, most) = LIMITS;
    say(format!(
        "\n  {} projects, {} builds, SQLite; {} rounds of at most {} s or {most} requests, in turn",
        wanted.projects,
        wanted.builds,
        wanted.rounds,
        span.as_secs()
    ));
    costs(
        wanted.rounds,
        &this,
        before.as_ref().map(|(commit, server)| (*commit, server)),
    )?;
    drop(before);
    let public_url = format!("http://{}", this.address);
    let peer = peer::start(cache, place, &data.database("this"), &public_url)?;
    ensure!(
        list(&this)? == list(&peer)?,
        "the peer's list of builds is not the farm's: it would be measured at something else"
    );
    beside_peer(wanted.rounds, &this, &peer)
}

/// A database for each server, with the same content.
struct Data<'a> {
    place: &'a Path,
}

impl<'a> Data<'a> {
    fn fill(place: &'a Path, programs: &Path, wanted: &Wanted) -> Result<Self> {
        let step = Step::start("a database");
        let data = Self { place };
        let first = data.database("older");
        Tool::new(programs.join("fill"))
            .arg(url(&first))
            .args([wanted.projects.to_string(), wanted.builds.to_string()])
            .output()?;
        fs_err::copy(&first, data.database("this"))?;
        step.done(format!("{} MB", fs_err::metadata(&first)?.len() >> 20));
        Ok(data)
    }

    fn database(&self, name: &str) -> PathBuf {
        self.place.join(format!("{name}.sqlite"))
    }

    /// A server over its database, which it migrates, and a repository's metadata.
    fn serve(&self, name: &str, programs: &Path) -> Result<Server> {
        let directory = self.place.join(format!("{name}-files"));
        let file = directory.join(REPOMD.trim_start_matches('/'));
        fs_err::create_dir_all(file.parent().context("no directory")?)?;
        fs_err::write(file, "<data/>\n".repeat(400))?;
        Server::farm(&programs.join("serve"), &url(&self.database(name)), &directory)
    }
}

fn url(database: &Path) -> String {
    format!("sqlite://{}", database.display())
}

fn list(server: &Server) -> Result<Value> {
    let list: Value = serde_json::from_slice(&Client::connect(&server.address)?.get(LIST, "")?)?;
    let count = list.get("items").and_then(Value::as_array).map_or(0, Vec::len);
    ensure!(count == 50, "the list has {count} builds");
    Ok(list)
}

/// Asks again and again, over so many connections at once, until a time is over or the most was asked on each.
fn ask(
    server: &Server,
    wish: Wish<'_>,
    connections: usize,
    (span, most): (Duration, u32),
) -> Result<Measured> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        let mut client = Client::connect(&server.address)?;
        for _ in 0..WARM_UP {
            client.get(wish.path, wish.headers)?;
        }
        clients.push(client);
    }
    let (cpu, begun) = (server.cpu()?, Instant::now());
    let counts = std::thread::scope(|scope| {
        let one = |mut client: Client| -> Result<(u32, usize)> {
            let (mut requests, mut bytes) = (0, 0);
            while requests < most && begun.elapsed() < span {
                bytes = client.get(wish.path, wish.headers)?.len();
                requests += 1;
            }
            Ok((requests, bytes))
        };
        let threads: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(move || one(client)))
            .collect();
        let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        let counts: Vec<Result<(u32, usize)>> = joined.flatten().collect();
        counts.into_iter().collect::<Result<Vec<_>>>()
    })?;
    Ok(Measured {
        requests: counts.iter().map(|(requests, _)| requests).sum(),
        cpu: server.cpu()? - cpu,
        elapsed: begun.elapsed().as_secs_f64(),
        bytes: counts.last().map_or(0, |(_, bytes)| *bytes),
    })
}

fn costs(rounds: u32, this: &Server, before: Option<(&str, &Server)>) -> Result<()> {
    let step = Step::start("requests over one connection");
    let mut figures = [(Measured::default(), Measured::default()); REQUESTS.len()];
    for _ in 0..rounds {
        for ((_, wish), (after, older)) in REQUESTS.iter().zip(&mut figures) {
            after.add(ask(this, *wish, 1, LIMITS)?);
            if let Some((_, server)) = before {
                older.add(ask(server, *wish, 1, LIMITS)?);
            }
        }
    }
    step.done("measured");
    say(table::costs(
        &REQUESTS.map(|(what, _)| what),
        &figures,
        before.map(|(commit, _)| commit),
    ));
    Ok(())
}

fn beside_peer(rounds: u32, this: &Server, peer: &Server) -> Result<()> {
    let step = Step::start("the list of 50 builds, beside the peer");
    let (kept, anew) = (Wish::of(LIST), Wish::anew(LIST));
    let mut figures = [[Measured::default(); 3]; 2];
    for _ in 0..rounds {
        for (sums, connections) in figures.iter_mut().zip([1, CONNECTIONS]) {
            for (sum, (server, wish)) in sums.iter_mut().zip([(this, kept), (this, anew), (peer, kept)]) {
                sum.add(ask(server, wish, connections, LIMITS)?);
            }
        }
    }
    step.done("measured");
    let [one, many] = figures;
    say(table::beside_peer(&[
        ("1 connection".to_owned(), one),
        (format!("{CONNECTIONS} connections"), many),
    ]));
    say(
        "\n  The peer: Flask, SQLAlchemy and gunicorn (as many workers as processors) on the same database; its answers are the same. \
         The client shares the machine with the servers: what others do there, too, changes requests per second, and CPU time little.",
    );
    Ok(())
}

#[cfg(test)]
mod tests;
