use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
};

use super::*;
use crate::process::tests::program;

/// A server that answers every request of every connection with one body.
fn server(body: String) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let body = body.clone();
            std::thread::spawn(move || answer(stream.unwrap(), &body));
        }
    });
    // What is measured is the CPU time of a process.
    let mut sleep = Command::new("sleep");
    sleep.arg("60");
    Server::spawn(sleep, address).unwrap()
}

fn answer(stream: TcpStream, body: &str) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).is_ok_and(|length| length > 0) {
        if line == "\r\n" {
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
        line.clear();
    }
}

#[test]
fn every_connection_asks_as_often_as_it_may() {
    let server = server("five!".to_owned());
    for (connections, most, requests) in [(1, 20, 20), (3, 10, 30), (2, 0, 0)] {
        let limits = (Duration::from_secs(60), most);
        let measured = ask(&server, Wish::of("/x"), connections, limits).unwrap();
        assert_eq!(measured.requests, requests);
        assert_eq!(measured.bytes, if requests == 0 { 0 } else { 5 });
        assert!(
            (0.0..1.0).contains(&measured.cpu),
            "a process that sleeps costs nothing"
        );
    }
    let limits = (Duration::from_millis(50), u32::MAX);
    let measured = ask(&server, Wish::anew("/x"), 2, limits).unwrap();
    assert!(measured.elapsed >= 0.05 && measured.requests > 0, "{measured:?}");
}

#[test]
fn a_list_that_is_no_list_of_50_builds_is_not_compared() {
    for (count, told) in [
        (50, None),
        (49, Some("the list has 49 builds")),
        (0, Some("the list has 0 builds")),
    ] {
        let items = serde_json::json!({"items": vec![1; count]});
        let server = server(items.to_string());
        let error = list(&server).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), told);
    }
    assert!(list(&server("no JSON".to_owned())).is_err());
}

#[test]
fn each_server_has_a_database_of_its_own_with_the_same_content() {
    let place = tempfile::tempdir().unwrap();
    let programs = place.path().join("programs");
    program(
        &programs.join("fill"),
        "#!/bin/sh\necho \"$2 projects, $3 builds\" >\"${1#sqlite://}\"\n",
    );
    program(
        &programs.join("serve"),
        "#!/bin/sh\necho \"$1|$2\"\nexec sleep 60\n",
    );
    let wanted = Wanted::parse(&["--projects", "7", "--builds", "2000"]);
    let data = Data::fill(place.path(), &programs, &wanted).unwrap();
    for name in ["older", "this"] {
        let text = fs_err::read_to_string(data.database(name)).unwrap();
        assert_eq!(text, "7 projects, 2000 builds\n", "{name}");
        let server = data.serve(name, &programs).unwrap();
        let files = place.path().join(format!("{name}-files"));
        let database = data.database(name);
        // The first line that a server prints is its address.
        assert_eq!(
            server.address,
            format!("sqlite://{}|{}", database.display(), files.display())
        );
        assert_eq!(
            fs_err::metadata(files.join(REPOMD.trim_start_matches('/')))
                .unwrap()
                .len(),
            3200
        );
    }
}

impl Wanted {
    fn parse(line: &[&str]) -> Self {
        #[derive(Debug, clap::Parser)]
        struct Arguments {
            #[command(flatten)]
            wanted: Wanted,
        }
        let line = ["api"].iter().chain(line);
        <Arguments as clap::Parser>::try_parse_from(line)
            .ok()
            .unwrap()
            .wanted
    }
}

#[test]
fn a_server_that_ends_at_once_is_named() {
    let place = tempfile::tempdir().unwrap();
    let broken = place.path().join("serve");
    program(&broken, "#!/bin/sh\nexit 1\n");
    let error = Server::farm(&broken, "sqlite://x", place.path()).err().unwrap();
    assert_eq!(error.to_string(), format!("{} ended at once", broken.display()));
    let none = place.path().join("none");
    let error = Server::farm(&none, "sqlite://x", place.path()).err().unwrap();
    assert_eq!(error.to_string(), format!("{} does not start", none.display()));
}
