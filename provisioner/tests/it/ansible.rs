//! The same playbook by the real `ansible-playbook` and by ours, on two fresh hosts: the same files come out.

use std::collections::BTreeSet;
use std::path::Path;

use provisioner::Mode;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::builder::{TOUCHED, real, repository, vars};
use crate::real::ansible_playbook;
use crate::throwaway::{LONG, Throwaway, load_text, object};

fn run_ansible(host: &Throwaway, playbook: &Path, vars: &Map<String, Value>) -> String {
    let scratch = TempDir::new().expect("a directory");
    let file = scratch.path().join("vars.json");
    std::fs::write(&file, Value::Object(vars.clone()).to_string()).expect("a file");
    let key = host.key_file();
    let (given, port) = (
        format!("@{}", file.display()),
        format!("ansible_port={}", host.endpoint.port),
    );
    let arguments = [
        "-i",
        "127.0.0.1,",
        "-u",
        "root",
        "--private-key",
        key.to_str().expect("a plain path"),
        "-e",
        &given,
        "-e",
        &port,
    ];
    let output = ansible_playbook(scratch.path(), &arguments, playbook);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    text
}

fn recap(text: &str) -> &str {
    text.lines()
        .find(|line| line.contains("changed="))
        .expect("a recap")
}

#[tokio::test]
async fn builder_yml_comes_to_the_same_result_as_with_the_real_ansible() {
    let (ours, theirs) = (Throwaway::start(), Throwaway::start());
    let provisioner = real();
    let connection = ours.connect().await;
    let report = provisioner
        .run(&connection, "builder.yml", &vars(), Mode::Apply, LONG)
        .await;
    let report = report.unwrap_or_else(|error| panic!("{error}"));

    let staged = TempDir::new().expect("a directory");
    provisioner
        .stage("builder.yml", &vars(), staged.path())
        .expect("staged");
    let mut vars = vars();
    vars.insert("staged".to_owned(), json!(staged.path()));
    let playbook = repository().join("playbooks/builder.yml");
    let text = run_ansible(&theirs, &playbook, &vars);

    let differs = |path: &String| path.contains("__pycache__");
    let mut left = ours.snapshot(TOUCHED);
    let mut right = theirs.snapshot(TOUCHED);
    left.retain(|path, _| !differs(path));
    right.retain(|path, _| !differs(path));
    assert_eq!(left, right);
    assert!(left.len() > 30, "{left:?}");
    let changed = format!("changed={}", report.changed());
    assert!(
        recap(&text).split_whitespace().any(|word| word == changed),
        "ours: {changed}, theirs: {}",
        recap(&text)
    );

    // What one made, the other finds in order.
    let other = theirs.connect().await;
    let report = provisioner
        .run(&other, "builder.yml", &vars, Mode::Apply, LONG)
        .await
        .expect("ours after theirs");
    assert_eq!(report.changed(), 0, "{report}");
}

/// Corners of single modules, compared by the files they leave.
#[tokio::test]
async fn corners_of_modules_come_to_the_same_result_as_with_the_real_ansible() {
    let playbook = include_str!("corners.yml");
    let (ours, theirs) = (Throwaway::start(), Throwaway::start());
    let scratch = TempDir::new().expect("a directory");
    let folder = scratch.path().join("tree");
    std::fs::create_dir_all(folder.join("deep/er")).expect("folders");
    std::fs::write(folder.join("one"), "1\n").expect("a file");
    std::fs::write(folder.join("deep/er/two"), "2\n").expect("a file");
    let vars = object(json!({ "tree": folder, "chosen": "given" }));
    let file = scratch.path().join("corners.yml");
    std::fs::write(&file, playbook).expect("a file");
    run_ansible(&theirs, &file, &vars);
    let connection = ours.connect().await;
    let report = load_text(playbook)
        .expect("loaded")
        .run(&connection, "p.yml", &vars, Mode::Apply, LONG)
        .await;
    report.unwrap_or_else(|error| panic!("{error}"));
    let paths = &["/srv/t", "/etc/passwd", "/etc/group", "/etc/shadow"];
    assert_eq!(ours.snapshot(paths), theirs.snapshot(paths));
    assert!(ours.snapshot(paths).len() > 20);
    assert_eq!(ours.read("/srv/t/values"), theirs.read("/srv/t/values"));
}

/// Where the tasks of `tasks.yml` work.
const FOLDER: &str = "/srv/t";

/// A task of the table, complete: in the folder, with a result of its own, and without pauses.
fn task(at: usize, task: &Value) -> Value {
    let mut task = object(task.clone());
    let result = format!("r{at}");
    for (key, value) in &mut task {
        match key.as_str() {
            "until" | "changed_when" | "failed_when" => {
                *value = serde_json::from_str(&value.to_string().replace('R', &result)).expect("JSON");
            }
            "shell" | "command" => {
                if let Value::String(text) = value {
                    *value = json!({ "cmd": text });
                }
                value["chdir"] = json!(FOLDER);
            }
            "copy" | "file" | "stat" | "lineinfile" => {
                for name in ["dest", "path"] {
                    if let Some(Value::String(path)) = value.get_mut(name) {
                        *path = format!("{FOLDER}/{path}");
                    }
                }
            }
            _ => {}
        }
    }
    if task.contains_key("until") || task.contains_key("retries") {
        task.insert("delay".to_owned(), json!(0));
    }
    task.insert("register".to_owned(), json!(result));
    task.insert("ignore_errors".to_owned(), json!(true));
    Value::Object(task)
}

/// The whole table as one play, whose last task writes what became of each; and what each is, for a complaint.
fn table() -> (Value, Vec<Value>) {
    let table: Value = serde_saphyr::from_str(include_str!("tasks.yml")).expect("YAML");
    let list = |name: &str| table[name].as_array().expect("a list").clone();
    let mut tasks = list("tasks");
    let mut made = Vec::new();
    for (at, case) in list("lineinfile").iter().enumerate() {
        let mut parameters = case[1].clone();
        parameters["path"] = json!(format!("l{at}"));
        if let Some(content) = case[0].as_str().and_then(|name| table["files"].get(name)) {
            made.push((format!("l{at}"), content.as_str().expect("text").to_owned()));
        }
        tasks.push(json!({ "lineinfile": parameters }));
    }
    let write = made.iter().map(|(name, content)| {
        let octal: String = content.bytes().map(|byte| format!("\\{byte:03o}")).collect();
        format!("printf '{octal}' >{FOLDER}/{name}\n")
    });
    let script = format!("mkdir -p {FOLDER}\n{}", write.collect::<String>());
    let mut play = vec![json!({ "shell": script })];
    play.extend(tasks.iter().enumerate().map(|(at, one)| task(at, one)));
    let seen: Vec<String> = (0..tasks.len()).map(seen).collect();
    play.push(json!({ "copy": {
        "dest": format!("{FOLDER}/results"),
        "content": format!("{{{{ [{}] | to_json }}}}", seen.join(", ")),
    } }));
    let vars = json!({
        "n": 5, "text": "a", "ended": "a\n",
        "late": "{{ early }}x", "early": "{{ n }}", "from_task": "{{ x1 }}", "broken": "{{ missing }}", "wrong": "{{ 1 < 'a' }}",
    });
    let play =
        json!([{ "name": "Table", "hosts": "all", "gather_facts": false, "vars": vars, "tasks": play }]);
    (play, tasks)
}

/// What is looked at of a result.
fn seen(at: usize) -> String {
    let of = |name: &str, default: &str| format!("r{at}.{name} | default({default})");
    let of_each = |name: &str, default: &str| {
        format!("(r{at}.results | default([])) | map(attribute='{name}', default={default}) | list")
    };
    let all = [
        format!("'changed': {}", of("changed", "'no'")),
        format!("'failed': {}", of("failed", "'no'")),
        format!("'skipped': {}", of("skipped", "'no'")),
        format!("'attempts': {}", of("attempts", "''")),
        format!("'stdout': {}", of("stdout", "''")),
        format!("'stderr': {}", of("stderr", "''")),
        format!("'rc': {}", of("rc", "''")),
        format!("'msg': {}", of("msg", "''")),
        format!("'each_failed': {}", of_each("failed", "'no'")),
        format!("'each_attempts': {}", of_each("attempts", "''")),
        format!("'each_item': {}", of_each("item", "''")),
        format!("'each_stdout': {}", of_each("stdout", "''")),
    ];
    format!("{{{}}}", all.join(", "))
}

/// The results, and of the messages those that are not one program's own words.
fn results(host: &Throwaway, tasks: &[Value]) -> Vec<Value> {
    let text = host.read(&format!("{FOLDER}/results"));
    let mut results: Vec<Value> = serde_json::from_str(&text).expect("results");
    for (task, result) in tasks.iter().zip(&mut results) {
        // Ansible's modules have a status of their own for what is wrong with their parameters.
        if result["rc"] == json!(257) {
            result["rc"] = json!("");
        }
        let is_own = task.get("fail").is_some()
            || ["debug", "assert"]
                .iter()
                .any(|module| task.get(module).is_some());
        let is_spoken = task["assert"].get("fail_msg").is_some() || result["failed"] != json!(true);
        if !is_own || !is_spoken && task.get("fail").is_none() {
            result["msg"] = Value::Null;
        }
    }
    results
}

/// Every module with ordinary and odd values, conditions, loops and retries: what is left on the host and what is
/// registered.
#[tokio::test]
async fn a_table_of_tasks_comes_to_the_same_results_as_with_the_real_ansible() {
    let (play, tasks) = table();
    let (ours, theirs) = (Throwaway::start(), Throwaway::start());
    let scratch = TempDir::new().expect("a directory");
    let file = scratch.path().join("table.yml");
    std::fs::write(&file, play.to_string()).expect("a file");
    let connection = ours.connect().await;
    let report = load_text(&play.to_string())
        .unwrap_or_else(|error| panic!("{error}"))
        .run(&connection, "p.yml", &Map::new(), Mode::Apply, LONG)
        .await;
    report.unwrap_or_else(|error| panic!("{error}"));
    run_ansible(&theirs, &file, &Map::new());

    let mut differences = Vec::new();
    let (left, right) = (results(&ours, &tasks), results(&theirs, &tasks));
    for ((task, left), right) in tasks.iter().zip(left).zip(right) {
        if left != right {
            differences.push(format!("{task}\n  ours:   {left}\n  theirs: {right}"));
        }
    }
    let paths = [FOLDER, "/etc/passwd", "/etc/group"];
    let (mut left, mut right) = (ours.snapshot(&paths), theirs.snapshot(&paths));
    for files in [&mut left, &mut right] {
        files.remove(&format!("{FOLDER}/results"));
    }
    let paths: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    for path in paths
        .into_iter()
        .filter(|path| left.get(*path) != right.get(*path))
    {
        let content =
            |host: &Throwaway| std::fs::read(host.path(path)).map(|bytes| bytes.escape_ascii().to_string());
        let (one, other) = (content(&ours), content(&theirs));
        differences.push(format!(
            "{path}\n  ours:   {:?} {one:?}\n  theirs: {:?} {other:?}",
            left.get(path),
            right.get(path)
        ));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
