//! What operators ask of the fleet by commands made for cron: one line of JSON and an exit code each, on a database with no farm.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Stdio},
    time::Duration,
};

use model::{
    BuilderId, BuilderState,
    fleet::FleetSpec,
    intent::{Decision, IntentState},
};
use runtime::clock;
use serde_json::Value;
use store::{Change, DatabaseSettings, Lease, NewBuilder, NewLaunch, Store};

use crate::farm::{free_port, text, verdigris};

mod again;

const FLEET: &str = "019a0000-0000-7000-8000-000000000003";

/// A database and a fleet file whose cloud nobody serves.
struct Nobody {
    directory: tempfile::TempDir,
}

impl Nobody {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().display();
        let settings = format!(
            "[storage]\ndirectory = \"{place}\"\n[database]\nurl = \"sqlite://{place}/farm.sqlite\"\n\
             [fleet]\nfile = \"{place}/fleet.yaml\"\n[log]\nfilter = \"off\"\n"
        );
        fs::write(directory.path().join("verdigris.toml"), settings).unwrap();
        let nobody = Self { directory };
        nobody.write_fleet("max: 3");
        let migrated = nobody.command("migrate").output().unwrap();
        assert!(migrated.status.success(), "{}", text(&migrated.stderr));
        nobody
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write_fleet(&self, size: &str) {
        self.write_fleet_of(size, free_port());
    }

    /// The same with a cloud at a port of this machine.
    fn write_fleet_of(&self, size: &str, port: u16) {
        let fleet = format!(
            "schema: 1\nfleet: {FLEET}\nname: nobody\n\
             clouds:\n  here:\n    kind: ec2\n    region: r\n    endpoint: http://127.0.0.1:{port}\n    \
             credentials: {{source: environment}}\n\
             images:\n  builder: {{cloud: here, id: ami-1}}\nprovision:\n  base: {{}}\n\
             pools:\n  local:\n    labels: [\"arch:x86_64\"]\n    image: builder\n    provision: base\n    \
             size: {{{size}}}\n    offerings: [{{types: [a]}}]\n"
        );
        fs::write(self.path("fleet.yaml"), fleet).unwrap();
    }

    fn command(&self, line: &str) -> std::process::Command {
        let mut command = verdigris();
        command
            .args(line.split(' '))
            .arg("--config")
            .arg(self.path("verdigris.toml"))
            .env("AWS_ACCESS_KEY_ID", "KEY")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("LOGNAME", "tester")
            .env_remove("SUDO_USER");
        command
    }

    fn begin(&self, line: &str) -> Child {
        let mut command = self.command(&format!("fleet {line}"));
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// The exit code, the one line, and what is said to people.
    fn ask(&self, line: &str) -> (i32, Value, String) {
        answer(self.begin(line), line)
    }

    async fn store(&self) -> Store {
        let settings = DatabaseSettings {
            url: format!("sqlite://{}", self.path("farm.sqlite").display()),
            max_connections: 2,
        };
        Store::connect(&settings).await.unwrap()
    }

    /// As a controller would that leads for a long time.
    async fn lead(&self, store: &Store) -> Lease {
        let hour = Duration::from_secs(3600);
        let taken = store.acquire_lease(FLEET.parse().unwrap(), "other:1", hour, clock::now());
        taken.await.unwrap().unwrap()
    }
}

fn answer(child: Child, line: &str) -> (i32, Value, String) {
    let output = child.wait_with_output().unwrap();
    let (said, told) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(said.lines().count(), 1, "{line}: {said}{told}");
    let said: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{line}: {said}: {error}"));
    let code = output.status.code().unwrap();
    assert_eq!(said["code"], code, "{line}: {said}");
    (code, said, told)
}

/// Commands one after the other, with code, state and message of each.
const ANSWERS: &[(&str, i32, &str, &str)] = &[
    (
        "spawn locl",
        1,
        "error",
        "there is no pool `locl` in the fleet file, did you mean `local`? There is: local",
    ),
    (
        "terminate locl",
        1,
        "error",
        "there is no builder and no pool `locl`, did you mean `local`?",
    ),
    (
        "cordon bdr_019a0000000070008000000000000001 --reason disk",
        1,
        "error",
        "there is no builder `bdr_019a0000000070008000000000000001`; `verdigris fleet status` shows them",
    ),
    (
        "spawn local --dry-run --count 2",
        0,
        "planned",
        "2 builders of pool local to launch",
    ),
    (
        "spawn local --dry-run --count 4",
        4,
        "planned",
        "pool local is at its maximum of 3",
    ),
    (
        "adopt i-1",
        1,
        "error",
        "no cloud lists an instance i-1 with the fleet's tag and no builder: say of which pool it is to be, with --pool",
    ),
    (
        "adopt i-1 --pool local --dry-run",
        0,
        "planned",
        "the cloud of pool local is asked for instance i-1",
    ),
    (
        "terminate local --dry-run",
        3,
        "planned",
        "pool local has no builder that is not going already",
    ),
    (
        "terminate local --now --reason fire",
        3,
        "nothing",
        "pool local has no builder that is not going already",
    ),
    ("uncordon local", 3, "nothing", "pool local is not drained"),
    (
        "drain local --reason net --timeout 20s",
        0,
        "done",
        "pool local launches nothing, and has no builder to end",
    ),
    (
        "drain local --reason net --key again",
        3,
        "nothing",
        "pool local has no builder that is not going already",
    ),
    (
        "spawn local --dry-run",
        4,
        "planned",
        "pool local is drained by its operators, by operator:tester: net",
    ),
    // Others have asked for something else since these were asked for.
    (
        "uncordon local",
        0,
        "done",
        "pool local launches builders again as it needs them",
    ),
    (
        "drain local --reason net --timeout 20s",
        0,
        "done",
        "pool local launches nothing, and has no builder to end",
    ),
    (
        "uncordon local",
        0,
        "done",
        "pool local launches builders again as it needs them",
    ),
    (
        "ignore i-1 --reason evidence --timeout 20s",
        4,
        "refused",
        "no cloud lists an instance i-1 with the fleet's tag and no builder",
    ),
    (
        "reconcile --dry-run",
        3,
        "planned",
        "nothing is due, as far as it is on record: a pass asks every cloud besides",
    ),
];

#[test]
fn each_answer_is_one_line_of_json_with_the_code_with_which_the_command_ends() {
    let farm = Nobody::new();
    let (_, planned, _) = farm.ask("spawn local --dry-run --count 2");
    let launch = "launch   a builder of pool local: operator:tester asked for 2 builders";
    assert_eq!(planned["actions"], serde_json::json!([launch, launch]));
    for (line, code, state, words) in ANSWERS {
        let (found, said, told) = farm.ask(line);
        assert_eq!(
            (found, &said["state"], &said["message"]),
            (*code, &(*state).into(), &(*words).into()),
            "{line}"
        );
        assert_eq!(said["verb"], line.split(' ').next().unwrap());
        let is_bad = [1, 4].contains(code);
        assert_eq!(
            told.contains(&format!("verdigris: {words}")),
            is_bad,
            "{line}: people hear of what is bad: {told}"
        );
    }
}

#[test]
fn a_command_without_a_controller_asks_the_cloud_itself_and_says_when_that_is_away() {
    let farm = Nobody::new();
    let (code, said, told) = farm.ask("spawn local --timeout 30s");
    assert_eq!((code, &said["state"]), (4, &"refused".into()), "{said}");
    assert!(told.contains("cloud here gives no machines since "), "{told}");
    let (code, adopted, _) = farm.ask("adopt i-1 --pool local --timeout 30s");
    assert_eq!((code, &adopted["state"]), (4, &"refused".into()), "{adopted}");
    let (code, passed, told) = farm.ask("reconcile --timeout 30s");
    assert_eq!((code, &passed["state"]), (4, &"refused".into()), "{passed}");
    assert!(told.contains("cloud here gives no machines since "), "{told}");
    // It gave the lease back: another leads at once.
    let (code, again, _) = farm.ask("spawn local --timeout 30s --key other");
    assert_eq!((code, &again["is_first"]), (4, &true.into()), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_done_is_told_of_a_pass_and_beside_an_intent_in_equal_words() {
    let farm = Nobody::new();
    farm.write_fleet("max: 3, idle: 1");
    let launch = |why: &str| format!("launch   a builder of pool local: {why}");
    let (code, planned, _) = farm.ask("reconcile --dry-run");
    let spare = launch("the pool has 0 of 1 spare builders");
    assert_eq!(
        (code, &planned["actions"]),
        (0, &serde_json::json!([spare])),
        "{planned}"
    );
    farm.write_fleet("max: 3");
    let store = farm.store().await;
    let lease = farm.lead(&store).await;
    let (code, asked, _) = farm.ask("spawn local --timeout 1s --key first");
    assert_eq!(code, 2, "{asked}");
    let key = asked["key"].as_str().unwrap();
    let intent = store.intent(lease.fleet, key).await.unwrap().unwrap();
    let running = Decision::of(IntentState::Running, "1 builder of pool local to launch");
    let settled = store.settle_intent(&lease, &intent, &running, clock::now());
    settled.await.unwrap();
    let (code, planned, _) = farm.ask("spawn local --dry-run --key second");
    let one = launch("operator:tester asked for 1 builder");
    assert_eq!(
        (code, &planned["actions"]),
        (0, &serde_json::json!([one])),
        "{planned}"
    );
}

/// Puts a builder on record with the machine i-7 in the cloud `here`.
async fn machine(store: &Store, lease: &Lease) -> BuilderId {
    let now = clock::now();
    let new = NewBuilder {
        id: "019a0000-0000-7000-8000-000000000005".parse().unwrap(),
        pool: "local".parse().unwrap(),
        cloud: "here".to_owned(),
        image: "ami-1".to_owned(),
        spec_hash: String::new(),
        port: 22,
        host: None,
        reason: "a test".to_owned(),
        deadline: now,
    };
    store.plan_builder(lease, &new, now).await.unwrap();
    let planned = store.builder(new.id).await.unwrap().unwrap();
    let launch = NewLaunch {
        id: "019a0000-0000-7000-8000-000000000006".parse().unwrap(),
        offering: "a".parse().unwrap(),
        params_hash: String::new(),
        host_key_public: None,
        host_key_secret: None,
    };
    let launching = store
        .begin_launch(lease, &planned, &launch, now, now)
        .await
        .unwrap();
    let change = Change {
        instance_id: Some("i-7".to_owned()),
        ..Change::default()
    };
    let pending = store.transition(lease, &launching, BuilderState::Pending, &change, now);
    pending.await.unwrap();
    new.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_without_a_controller_refuses_a_file_that_leads_to_its_machines_no_more() {
    let farm = Nobody::new();
    let store = farm.store().await;
    let lease = farm.lead(&store).await;
    machine(&store, &lease).await;
    let written = fs::read_to_string(farm.path("fleet.yaml")).unwrap();
    let in_force: FleetSpec = runtime::yaml::parse(&written, "fleet.yaml").unwrap();
    let in_force = serde_json::to_value(in_force).unwrap();
    store
        .record_fleet_file(&lease, &in_force, None, clock::now())
        .await
        .unwrap();
    store.release_lease(&lease, clock::now()).await.unwrap();
    let renamed = written
        .replace("  here:", "  there:")
        .replace("cloud: here", "cloud: there");
    let moved = written.replace("region: r\n", "region: s\n");
    for (file, words) in [
        (renamed, "clouds.here is called there"),
        (moved, "clouds.here.region was `r` and is `s`"),
    ] {
        fs::write(farm.path("fleet.yaml"), file).unwrap();
        for line in ["reconcile --timeout 20s", "spawn local --timeout 20s"] {
            let (code, said, told) = farm.ask(line);
            assert_eq!((code, &said["state"]), (5, &"error".into()), "{line}: {said}");
            let message = said["message"].as_str().unwrap();
            let whole = format!("{words}, and 1 machine is left there: set `max` of its pools to 0");
            assert!(message.contains(&whole), "{line}: {message}");
            assert!(told.contains(message), "people hear of it: {told}");
        }
        let builder = store.builders(None).await.unwrap().remove(0);
        assert_eq!(builder.state, BuilderState::Pending, "nothing was done to it");
        let kept = store.fleet_file(Some(lease.fleet)).await.unwrap();
        assert_eq!(kept.as_ref(), Some(&in_force), "the file in force is the same");
        let view = store.fleet_snapshot(lease.fleet, clock::now()).await.unwrap();
        assert!(
            view.intents.is_empty(),
            "nobody does it later: {:?}",
            view.intents
        );
    }
    // Written back, it goes on: the cloud, which nobody serves, is asked.
    fs::write(farm.path("fleet.yaml"), written).unwrap();
    let (code, said, _) = farm.ask("spawn local --timeout 30s --key later");
    assert_eq!((code, &said["state"]), (4, &"refused".into()), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_builder_of_another_fleet_in_the_database_is_told_to_be_that() {
    let farm = Nobody::new();
    let store = farm.store().await;
    let other = "019a0000-0000-7000-8000-000000000004";
    let now = clock::now();
    let lease = store.acquire_lease(other.parse().unwrap(), "other:1", Duration::from_secs(3600), now);
    let lease = lease.await.unwrap().unwrap();
    let id = machine(&store, &lease).await;
    for name in [id.to_string(), "i-7".to_owned()] {
        for line in [
            "hold NAME --reason look",
            "terminate NAME --reason old",
            "release NAME",
        ] {
            let (code, said, told) = farm.ask(&line.replace("NAME", &name));
            assert_eq!((code, &said["state"]), (1, &"error".into()), "{line}: {said}");
            let words = format!("`{name}` is a builder of fleet");
            assert!(told.contains(&words) && told.contains(FLEET), "{line}: {told}");
        }
    }
    let intents = store
        .fleet_snapshot(FLEET.parse().unwrap(), now)
        .await
        .unwrap()
        .intents;
    assert!(intents.is_empty(), "nothing is asked of anybody: {intents:?}");
}

#[test]
fn a_command_that_led_in_vain_ends_with_6_since_nobody_works_on_it_any_more() {
    let farm = Nobody::new();
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    farm.write_fleet_of("max: 3", silent.local_addr().unwrap().port());
    let (code, said, told) = farm.ask("spawn local --timeout 2s --key once");
    assert_eq!(code, 6, "{said}");
    let state = said["state"].as_str().unwrap();
    assert!(["new", "running"].contains(&state), "{said}");
    assert!(told.contains("verdigris: "), "people hear of it: {told}");
    // The intent is on record for the next one that leads.
    let (code, again, _) = farm.ask("spawn local --timeout 2s --key once");
    assert_eq!((code, &again["is_first"]), (6, &false.into()), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_ends_with_5() {
    let farm = Nobody::new();
    let store = farm.store().await;
    let lease = farm.lead(&store).await;
    machine(&store, &lease).await;
    let long = format!("reconcile --key {}", "k".repeat(201));
    for (line, words) in [
        ("spawn", "<POOL>"),
        ("spawn local --count two", "two"),
        ("hold i-1 --reason look --for 9", "`9` is not a duration"),
        ("terminate i-1 --now", "--reason"),
        ("cordon i-1 --reason ", "it is empty"),
        ("reconcile --tiemout 9s", "--timeout"),
        (
            "terminate local i-7",
            "`local` is a pool: give it alone, or builders only",
        ),
        (long.as_str(), "--key: at most 200 bytes"),
    ] {
        let (code, said, told) = farm.ask(line);
        assert_eq!((code, &said["state"]), (5, &"error".into()), "{line}");
        assert!(told.contains(words), "{line}: {told}");
    }
    let help = farm.command("fleet hold --help").output().unwrap();
    assert!(help.status.success() && text(&help.stdout).contains("never serves again"));
    fs::write(farm.path("fleet.yaml"), "schema: 1\nflet: x\n").unwrap();
    let (code, said, told) = farm.ask("reconcile");
    assert_eq!((code, &said["state"]), (5, &"error".into()), "{said}");
    assert!(told.contains("fleet.yaml:2"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_controller_leads_a_command_only_asks_and_of_many_one_is_the_first() {
    let farm = Nobody::new();
    let store = farm.store().await;
    let lease = farm.lead(&store).await;
    let line = "spawn local --count 2 --key nightly --timeout 2s";
    let many: Vec<Child> = (0..12).map(|_| farm.begin(line)).collect();
    let answers: Vec<_> = many.into_iter().map(|child| answer(child, line)).collect();
    let firsts = answers.iter().filter(|(_, said, _)| said["is_first"] == true);
    assert_eq!(firsts.count(), 1);
    for (code, said, _) in &answers {
        assert_eq!(
            (*code, &said["state"], &said["key"]),
            (2, &"new".into(), &answers[0].1["key"])
        );
    }
    let (code, said, told) = farm.ask(&format!("{line} --wait"));
    assert_eq!((code, &said["is_first"]), (6, &false.into()), "{said}");
    assert!(told.contains("no controller has taken it up"), "{told}");

    let key = said["key"].as_str().unwrap();
    let intent = store.intent(lease.fleet, key).await.unwrap().unwrap();
    let done = Decision::of(IntentState::Done, "2 builders of pool local got ready");
    store
        .settle_intent(&lease, &intent, &done, clock::now())
        .await
        .unwrap();
    let (code, said, told) = farm.ask(line);
    let message = said["message"].as_str().unwrap();
    assert!(
        code == 0 && message.starts_with("2 builders of pool local got ready; it was asked for at "),
        "{said}"
    );
    assert_eq!(told, "", "who gives a key asks for that");
    assert_eq!(
        store.builders(None).await.unwrap(),
        [],
        "only the controller acts"
    );
}
