use serde_json::json;

use super::*;
use crate::process::tests::program;

/// A farm of one build, made of nothing: it serves what a real one would.
const FARM: &str = r##"#!/usr/bin/python3
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
data = options["--directory"]
os.makedirs(data)
open(f"{data}/copr.conf", "w").write("[copr-cli]\nlogin = me\ntoken = secret=1\nusername = admin\n")
print("\n".join(str(number) for number in range(30)), flush=True)
LOG = "one\ntwo\nthree\n"
asked = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global asked
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        known = self.headers["Authorization"] == "Basic bWU6c2VjcmV0PTE="
        if url.path == "/health":
            self.answer(200, "ok")
        elif url.path == "/options":
            self.answer(200, json.dumps(options))
        elif url.path == "/api_3/build/7":
            asked += 1
            self.answer(200, json.dumps({"state": "running" if asked < 3 else "failed"}))
        elif url.path.endswith("/00000007-hello/builder-live.log"):
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            # A line grows in pieces: half of the second is there when the first is asked for.
            there = LOG[start : 6 if asked == 1 else len(LOG)]
            self.answer(206 if there else 416, there)
        elif url.path == "/api/events" and known:
            first = int(query["after"]) + 1
            last = min(first + 2, 6)
            self.answer(200, json.dumps([{"id": n, "build": query["build"]} for n in range(first, last)]))
        else:
            self.answer(404 if known else 401, "no")

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def end(*_):
    open(f"{data}/ended", "w").close()
    sys.exit(0)


signal.signal(signal.SIGINT, end)
host, port = options["--listen"].split(":")
HTTPServer((host, int(port)), Handler).serve_forever()
"##;

/// Says what it was asked for, and the number of a build.
const COPR_CLI: &str = "#!/bin/sh\necho \"$@\" \"in $HOME\"\necho Created builds: 7\n";

fn farm(place: &Path) -> Farm {
    let cache = Cache::at(&place.join("cache")).unwrap();
    program(&place.join("farm"), FARM);
    program(&setup::python_tool(&cache, "copr-cli"), COPR_CLI);
    Farm::start_program(&place.join("farm"), &cache, &place.join("work"), (3, 2)).unwrap()
}

#[test]
fn a_farm_is_started_asked_and_told_to_stop() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path().canonicalize().unwrap();
    let farm = farm(&place);
    let options = farm.json("/options").unwrap();
    let mirror = place.join("cache/microdistro/current/repo");
    for (option, value) in [
        ("--directory", place.join("work/data").display().to_string()),
        ("--listen", format!("127.0.0.1:{}", farm.port)),
        ("--builders", "3".to_owned()),
        ("--idle", "2".to_owned()),
        (
            "--image",
            place.join("cache/images/builder/current").display().to_string(),
        ),
        ("--mirror", format!("microdistro={}", mirror.display())),
    ] {
        assert_eq!(options[option], value, "{option}");
    }
    assert_eq!(farm.url(), format!("http://127.0.0.1:{}", farm.port));
    assert_eq!(farm.get("/health").unwrap(), (200, "ok".to_owned()));
    let error = farm.json("/secret").unwrap_err().to_string();
    assert_eq!(error, "/secret answers 401: no");
    let error = farm.json("/health").unwrap_err().to_string();
    assert_eq!(error, "/health answers no JSON");
    let error = farm.json_for_operators("/secret").unwrap_err().to_string();
    assert_eq!(error, "/secret answers 404: no");
    let words = farm.last_words();
    assert!(
        words.starts_with("10\n11\n") && words.ends_with("\n29"),
        "{words}"
    );
    drop(farm);
    assert!(place.join("work/data/ended").exists(), "it was told, not killed");
}

#[test]
fn a_build_is_submitted_and_followed_to_its_end() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path().canonicalize().unwrap();
    let farm = farm(&place);
    let said = farm.copr_cli(&["create", "demo"]).unwrap();
    let work = place.join("work");
    assert_eq!(
        said.lines().next().unwrap(),
        format!("--config {0}/data/copr.conf create demo in {0}", work.display())
    );
    let build = farm.submit("demo", Path::new("hello.src.rpm")).unwrap();
    assert_eq!(build, 7);
    let mut lines = Vec::new();
    let state = farm
        .follow(build, "hello", |line| lines.push(line.to_owned()))
        .unwrap();
    assert_eq!(
        (state.as_str(), lines),
        ("failed", ["one", "two", "three"].map(str::to_owned).to_vec())
    );
    let events = farm.events("&build=7").unwrap();
    let ids: Vec<_> = events.iter().map(|event| event["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5], "all pages");
    assert!(events.iter().all(|event| event["build"] == "7"));
}

#[test]
fn a_farm_that_ends_at_once_says_why() {
    let place = tempfile::tempdir().unwrap();
    let cache = Cache::at(&place.path().join("cache")).unwrap();
    let broken = place.path().join("farm");
    program(&broken, "#!/bin/sh\necho the image is missing >&2\nexit 1\n");
    let started = Farm::start_program(&broken, &cache, &place.path().join("work"), (1, 1));
    let error = started.err().expect("no farm").to_string();
    assert_eq!(error, "the farm did not start: the image is missing\n");
    let none = Farm::start_program(&place.path().join("none"), &cache, place.path(), (1, 1));
    assert_eq!(none.err().expect("no farm").to_string(), "starting the farm");
}

#[test]
fn copr_cli_names_the_build() {
    for (said, number) in [
        (
            "Uploading package x.src.rpm\nBuild was added to demo:\n  http://x\nCreated builds: 12\n",
            Some(12),
        ),
        ("Created builds: 12 13\n", None),
        ("Created builds: \n", None),
        ("Something went wrong: no chroot\n", None),
    ] {
        assert_eq!(build_number(said), number, "{said}");
    }
}

#[test]
fn the_first_builder_that_is_ready_is_taken() {
    let builder = |state: &str, address: Option<&str>| json!({"state": state, "address": address});
    for (builders, address) in [
        (
            json!([
                builder("launching", Some("10.0.0.1")),
                builder("ready", Some("10.0.0.2"))
            ]),
            Some("10.0.0.2"),
        ),
        (
            json!([builder("ready", None), builder("ready", Some("10.0.0.3"))]),
            Some("10.0.0.3"),
        ),
        (json!([builder("busy", Some("10.0.0.1"))]), None),
        (json!([]), None),
        (json!({"error": "x"}), None),
    ] {
        assert_eq!(ready_builder(&builders), address, "{builders}");
    }
    for (fleet, port) in [
        (
            "pools:\n  - ssh:\n      port: 2222\n      user: root\n",
            Some(2222),
        ),
        ("port: 22", Some(22)),
        ("port: 70000\n", None),
        ("port: ssh\n", None),
        ("pools: []\n", None),
    ] {
        assert_eq!(ssh_port(fleet), port, "{fleet}");
    }
}

#[test]
fn a_builder_is_reached_with_the_farms_own_key() {
    let place = tempfile::tempdir().unwrap();
    let farm = farm(place.path());
    let shown = farm.ssh("10.0.0.2", 2222).arg("echo $HOME").shown();
    let (options, rest) = shown.split_once(" -i ").unwrap();
    assert!(
        options.starts_with("ssh -o BatchMode=yes -o "),
        "nothing may ask a person: {options}"
    );
    let key = farm.directory.join("data/secrets/builders.ed25519");
    assert_eq!(
        rest,
        format!("{} -p 2222 root@10.0.0.2 'echo $HOME'", key.display())
    );
}

#[test]
fn the_settings_of_copr_cli_become_a_header() {
    for (configuration, header) in [
        (
            "[copr-cli]\nlogin = me\ntoken = secret=1\n",
            "Authorization: Basic bWU6c2VjcmV0PTE=\r\n",
        ),
        ("token=b\nlogin=a\n", "Authorization: Basic YTpi\r\n"),
        ("loginname = x\n", "Authorization: Basic Og==\r\n"),
    ] {
        assert_eq!(authorization(configuration), header, "{configuration}");
    }
}

#[test]
fn dnf_checks_the_signatures_of_what_the_farm_made() {
    let text = dnf_configuration(Path::new("/c"), Path::new("/base"), "http://f/results/admin/demo");
    let sections: Vec<&str> = text.split('[').skip(1).collect();
    let [main, base, farm] = sections[..] else {
        panic!("{text}")
    };
    for (section, line) in [
        (main, "reposdir=/dev/null"),
        (main, "logdir=/c"),
        (base, "baseurl=file:///base"),
        (base, "gpgcheck=0"),
        (farm, "gpgcheck=1"),
        (farm, "repo_gpgcheck=1"),
        (farm, "gpgkey=http://f/results/admin/demo/pubkey.gpg"),
        (farm, "baseurl=http://f/results/admin/demo/microdistro-1-x86_64/"),
    ] {
        assert!(section.lines().any(|found| found == line), "{line}: {section}");
    }
}

#[test]
fn a_log_is_shown_by_whole_lines() {
    for (text, whole) in [
        ("one\ntwo\nthr", "one\ntwo\n"),
        ("one\n", "one\n"),
        ("grü", ""),
        ("", ""),
        ("grün\nü", "grün\n"),
    ] {
        assert_eq!(whole_lines(text), whole);
    }
    let over = ["succeeded", "failed", "canceled", "skipped"];
    let goes_on = ["pending", "waiting", "running", "importing", "unknown"];
    assert!(over.iter().all(|state| is_over(state)));
    assert!(!goes_on.iter().any(|state| is_over(state)));
}
