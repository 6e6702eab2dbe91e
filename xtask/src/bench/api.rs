//! Requests to the API: what they cost beside an older commit on the same data, and how many there are in a second beside a
//! peer that serves the same list.

mod peer;
mod server;

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use self::server::Server;
use super::checkout;
use crate::{
    cache::{Cache, Scratch},
    http::Client,
    process::Tool,
    progress::{Step, say},
    setup, workspace,
};

/// What serves and what fills, also at an older commit.
const FILES: [&str; 3] = [
    "api/examples/serve/main.rs",
    "crates/store/examples/fill/main.rs",
    "crates/store/tests/it/many.rs",
];
const ERA: &str = "api/examples/serve/era.rs";
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

/// Requests before those that are measured.
const WARM_UP: usize = 50;
/// How long one request is measured on one server in a round, and how many there are at most.
const SPAN: Duration = Duration::from_secs(2);
const MOST: u32 = 10_000;
/// Connections at once that the servers are compared with.
const CONNECTIONS: usize = 8;

/// What is measured.
pub(super) struct Wanted<'a> {
    pub(super) projects: u64,
    pub(super) builds: u64,
    /// How often each request is measured.
    pub(super) rounds: u32,
    /// The commit beside which it is measured; none leaves that out.
    pub(super) older: Option<&'a str>,
}

/// A server's programs.
struct Programs {
    serve: PathBuf,
    fill: PathBuf,
}

/// Measures and prints.
pub(super) fn run(cache: &Cache, install: bool, wanted: &Wanted<'_>) -> Result<()> {
    setup::run(cache, setup::Purpose::Farm, install)?;
    peer::install(cache, install)?;
    let _lock = cache.lock("bench-api")?;
    let place = Scratch::beside(&cache.path("bench-api"))?;
    let place = place.path();
    let root = workspace::root()?;
    let step = Step::start("the API alone");
    let own = build(&root, &place.join("own"))?;
    step.done("built, in release");
    let older = wanted.older.and_then(|commit| match at(&root, place, commit) {
        Ok(programs) => Some((commit, programs)),
        Err(error) => {
            say(format!("    not measured at {commit}: {error:#}"));
            None
        }
    });
    let filler = older.as_ref().map_or(&own, |(_, older)| older);
    let data = Data::fill(place, filler, wanted)?;
    let this = data.serve("this", &own)?;
    let before = match &older {
        Some((commit, programs)) => Some((*commit, data.serve("older", programs)?)),
        None => None,
    };
    say(format!(
        "\n  {} projects, {} builds, SQLite; {} rounds of at most {} s or {MOST} requests, in turn",
        wanted.projects,
        wanted.builds,
        wanted.rounds,
        SPAN.as_secs()
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

/// Builds the programs in a checkout.
fn build(checkout: &Path, copies: &Path) -> Result<Programs> {
    checkout::examples(checkout, &["serve", "fill"], copies)?;
    Ok(Programs {
        serve: copies.join("serve"),
        fill: copies.join("fill"),
    })
}

/// The programs, built at another commit.
fn at(root: &Path, place: &Path, commit: &str) -> Result<Programs> {
    let step = Step::start(format!("the same at {commit}"));
    let built = checkout::of(root, place, commit, |older| {
        checkout::copy(root, older, &FILES)?;
        fs_err::write(older.join(ERA), OLDER_ERA)?;
        build(older, &place.join("older-programs"))
    });
    step.done("built, in release");
    built
}

/// A database for each server, with the same content.
struct Data<'a> {
    place: &'a Path,
}

impl<'a> Data<'a> {
    fn fill(place: &'a Path, programs: &Programs, wanted: &Wanted<'_>) -> Result<Self> {
        let step = Step::start("a database");
        let data = Self { place };
        let first = data.database("older");
        Tool::new(&programs.fill)
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
    fn serve(&self, name: &str, programs: &Programs) -> Result<Server> {
        let directory = self.place.join(format!("{name}-files"));
        let file = directory.join(REPOMD.trim_start_matches('/'));
        fs_err::create_dir_all(file.parent().context("no directory")?)?;
        fs_err::write(file, "<data/>\n".repeat(400))?;
        Server::farm(&programs.serve, &url(&self.database(name)), &directory)
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

/// What was measured of one request on one server.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    requests: u32,
    cpu: f64,
    elapsed: f64,
    bytes: usize,
}

impl Measured {
    fn add(&mut self, more: Self) {
        self.requests += more.requests;
        self.cpu += more.cpu;
        self.elapsed += more.elapsed;
        self.bytes = more.bytes;
    }

    /// Milliseconds of CPU time for each request.
    fn cost(&self) -> f64 {
        1e3 * self.cpu / f64::from(self.requests)
    }

    fn in_a_second(&self) -> f64 {
        f64::from(self.requests) / self.elapsed
    }
}

/// Asks again and again over one connection.
fn ask(server: &Server, wish: Wish<'_>) -> Result<Measured> {
    let mut client = Client::connect(&server.address)?;
    for _ in 0..WARM_UP {
        client.get(wish.path, wish.headers)?;
    }
    let (cpu, begun) = (server.cpu()?, Instant::now());
    let mut measured = Measured::default();
    while measured.requests < MOST && begun.elapsed() < SPAN {
        measured.bytes = client.get(wish.path, wish.headers)?.len();
        measured.requests += 1;
    }
    measured.elapsed = begun.elapsed().as_secs_f64();
    measured.cpu = server.cpu()? - cpu;
    Ok(measured)
}

/// Asks over several connections at once.
fn ask_together(server: &Server, wish: Wish<'_>) -> Result<Measured> {
    ask(server, wish)?;
    let (cpu, begun) = (server.cpu()?, Instant::now());
    let counts = std::thread::scope(|scope| {
        let one = || -> Result<(u32, usize)> {
            let mut client = Client::connect(&server.address)?;
            let (mut requests, mut bytes) = (0, 0);
            while requests < MOST && begun.elapsed() < SPAN {
                bytes = client.get(wish.path, wish.headers)?.len();
                requests += 1;
            }
            Ok((requests, bytes))
        };
        let clients: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(one)).collect();
        let joined = clients.into_iter().map(std::thread::ScopedJoinHandle::join);
        let counts: Vec<Result<(u32, usize)>> = joined.flatten().collect();
        counts.into_iter().collect::<Result<Vec<_>>>()
    })?;
    let mut measured = Measured {
        elapsed: begun.elapsed().as_secs_f64(),
        cpu: server.cpu()? - cpu,
        ..Measured::default()
    };
    for (requests, bytes) in counts {
        measured.requests += requests;
        measured.bytes = bytes;
    }
    Ok(measured)
}

fn costs(rounds: u32, this: &Server, before: Option<(&str, &Server)>) -> Result<()> {
    let step = Step::start("requests over one connection");
    let mut figures = [(Measured::default(), Measured::default()); REQUESTS.len()];
    for _ in 0..rounds {
        for ((_, wish), (after, older)) in REQUESTS.iter().zip(&mut figures) {
            after.add(ask(this, *wish)?);
            if let Some((_, server)) = before {
                older.add(ask(server, *wish)?);
            }
        }
    }
    step.done("measured");
    let mut head = format!(
        "\n  {:<24} {:>7} {:>12} {:>8}",
        "one connection", "bytes", "CPU ms each", "a second"
    );
    if let Some((commit, _)) = before {
        write!(
            head,
            "   {:>12} {:>8} {:>9}",
            format!("at {commit}"),
            "a second",
            "CPU less"
        )?;
    }
    say(head);
    for ((what, _), (after, older)) in REQUESTS.iter().zip(figures) {
        let mut line = format!(
            "  {what:<24} {:>7} {:>12.3} {:>8.0}",
            after.bytes,
            after.cost(),
            after.in_a_second()
        );
        if before.is_some() {
            let ratio = older.cost() / after.cost();
            write!(
                line,
                "   {:>12.3} {:>8.0}   x {ratio:>5.1}",
                older.cost(),
                older.in_a_second()
            )?;
        }
        say(line);
    }
    Ok(())
}

fn beside_peer(rounds: u32, this: &Server, peer: &Server) -> Result<()> {
    let step = Step::start("the list of 50 builds, beside the peer");
    let (kept, anew) = (Wish::of(LIST), Wish::anew(LIST));
    let mut figures = [Measured::default(); 6];
    for _ in 0..rounds {
        for (sum, more) in figures.iter_mut().zip([
            ask(this, kept)?,
            ask(this, anew)?,
            ask(peer, kept)?,
            ask_together(this, kept)?,
            ask_together(this, anew)?,
            ask_together(peer, kept)?,
        ]) {
            sum.add(more);
        }
    }
    step.done("measured");
    say(format!(
        "\n  {:<28} {:>14} {:>14} {:>8}   {:>12} {:>12} {:>8}",
        "list of 50 builds", "CPU ms, farm", "CPU ms, peer", "", "farm, 1/s", "peer, 1/s", ""
    ));
    let [one, one_anew, peer_one, many, many_anew, peer_many] = figures;
    let together = format!("{CONNECTIONS} connections");
    for (connections, what, own, other) in [
        ("1 connection", "", one, peer_one),
        ("1 connection", ", made anew", one_anew, peer_one),
        (together.as_str(), "", many, peer_many),
        (together.as_str(), ", made anew", many_anew, peer_many),
    ] {
        say(format!(
            "  {:<28} {:>14.3} {:>14.3} x {:>6.1}   {:>12.0} {:>12.0} x {:>6.1}",
            format!("{connections}{what}"),
            own.cost(),
            other.cost(),
            other.cost() / own.cost(),
            own.in_a_second(),
            other.in_a_second(),
            own.in_a_second() / other.in_a_second()
        ));
    }
    say(
        "\n  The peer: Flask, SQLAlchemy and gunicorn (as many workers as processors) on the same database; its answers are the same. \
         The client shares the machine with the servers: what others do there, too, changes requests per second, and CPU time little.",
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Measured;

    #[test]
    fn rounds_add_up() {
        let mut sum = Measured::default();
        for (requests, cpu, elapsed, bytes) in [(100, 0.05, 1.0, 7), (300, 0.15, 3.0, 8)] {
            sum.add(Measured {
                requests,
                cpu,
                elapsed,
                bytes,
            });
        }
        assert!((sum.cost() - 0.5).abs() < 1e-9, "{}", sum.cost());
        assert!((sum.in_a_second() - 100.0).abs() < 1e-9, "{}", sum.in_a_second());
        assert_eq!(sum.bytes, 8);
    }
}
