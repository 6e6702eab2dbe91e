use std::{collections::BTreeMap, os::unix::fs::MetadataExt as _, sync::Arc};

use super::{InstanceState, Ledger};
use crate::{Error, api::samples};

fn tag(state: &mut super::State, id: &str) -> Result<(), Error> {
    state
        .tags
        .insert(id.to_owned(), BTreeMap::from([("a".to_owned(), "b".to_owned())]));
    Ok(())
}

#[tokio::test]
async fn a_committed_change_is_there_after_the_ledger_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let owner = ledger.snapshot().owner_id.clone();
    ledger.commit(|state| tag(state, "i-1")).await.unwrap();
    ledger.close().await;
    let ledger = Ledger::open(directory.path()).unwrap();
    assert_eq!(ledger.snapshot().owner_id, owner);
    assert!(ledger.snapshot().tags.contains_key("i-1"));
}

#[tokio::test]
async fn a_refused_change_leaves_no_trace_though_others_share_its_write() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let refused = ledger.commit(|state| {
        tag(state, "i-refused")?;
        Err::<(), _>(Error::Ending)
    });
    let (refused, accepted) = tokio::join!(refused, ledger.commit(|state| tag(state, "i-2")));
    assert!(matches!(refused, Err(Error::Ending)));
    accepted.unwrap();
    assert_eq!(ledger.snapshot().tags.keys().collect::<Vec<_>>(), ["i-2"]);
}

/// The members that later versions added are left out of an earlier one's file.
#[tokio::test]
async fn a_ledger_that_an_earlier_version_wrote_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let added = ledger.commit(|state| {
        let instance = samples::instance("i-00000000000000001");
        state.instances.insert(instance.id.clone(), Arc::new(instance));
        Ok::<_, Error>(())
    });
    added.await.unwrap();
    let before = ledger.snapshot();
    ledger.close().await;
    let path = directory.path().join("ledger.json");
    let mut file: serde_json::Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    let instance = file["instances"]["i-00000000000000001"].as_object_mut().unwrap();
    for later in ["faults", "stop_protected"] {
        assert!(instance.remove(later).is_some(), "{later}");
    }
    fs_err::write(&path, file.to_string()).unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    assert_eq!(*ledger.snapshot(), *before);
    ledger.close().await;
    file["instances"]["i-00000000000000001"]["colour"] = "red".into();
    fs_err::write(&path, file.to_string()).unwrap();
    let error = Ledger::open(directory.path()).err().unwrap().to_string();
    assert!(error.contains("unknown field `colour`"), "{error}");
}

#[tokio::test]
async fn what_is_forgotten_goes_to_the_archive_and_both_are_for_their_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    for number in [1, 2] {
        let added = ledger.commit(move |state| {
            let mut instance = samples::instance(&format!("i-{number:017x}"));
            instance.private_address = [10, 88, 1, number].into();
            instance.enter(InstanceState::Terminated, None);
            state.instances.insert(instance.id.clone(), Arc::new(instance));
            Ok::<_, Error>(())
        });
        added.await.unwrap();
        let forgotten = ledger.commit(|state| {
            let later = time::OffsetDateTime::now_utc() + time::Duration::HOUR;
            state.forget(later, std::time::Duration::ZERO);
            Ok::<_, Error>(())
        });
        forgotten.await.unwrap();
    }
    assert!(ledger.snapshot().instances.is_empty());
    let archive = fs_err::read_to_string(directory.path().join("archive.jsonl")).unwrap();
    let ids: Vec<String> = archive
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|instance| instance["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, ["i-00000000000000001", "i-00000000000000002"]);
    for name in ["archive.jsonl", "ledger.json", "lock"] {
        let mode = fs_err::metadata(directory.path().join(name)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_second_ledger_on_the_same_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let first = Ledger::open(directory.path()).unwrap();
    let error = Ledger::open(directory.path()).err().unwrap();
    assert!(matches!(error, Error::StateInUse { .. }), "{error}");
    first.close().await;
    Ledger::open(directory.path()).unwrap();
}

#[tokio::test]
async fn a_damaged_ledger_is_refused_with_its_place_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    Ledger::open(directory.path()).unwrap().close().await;
    let path = directory.path().join("ledger.json");
    let mut text = fs_err::read_to_string(&path).unwrap();
    text.truncate(text.len() / 2);
    fs_err::write(&path, &text).unwrap();
    let error = Ledger::open(directory.path()).err().unwrap().to_string();
    assert!(error.contains("ledger.json") && error.contains("line"), "{error}");
    assert_eq!(fs_err::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_ledger_that_vanished_is_not_begun_anew_over_its_machines() {
    let directory = tempfile::tempdir().unwrap();
    Ledger::open(directory.path()).unwrap().close().await;
    fs_err::create_dir(directory.path().join("machines")).unwrap();
    fs_err::remove_file(directory.path().join("ledger.json")).unwrap();
    let error = Ledger::open(directory.path()).err().unwrap().to_string();
    assert!(error.contains("holds machines but no ledger.json"), "{error}");
}

#[tokio::test]
async fn a_change_that_cannot_be_written_is_refused_and_not_seen() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    // A directory in the place of the temporary file: opening it for writing fails, for root too.
    fs_err::create_dir(directory.path().join("ledger.json.new")).unwrap();
    let error = ledger.commit(|state| tag(state, "i-3")).await.unwrap_err();
    assert!(matches!(error, Error::LedgerWrite(_)), "{error}");
    assert!(ledger.snapshot().tags.is_empty());
    fs_err::remove_dir(directory.path().join("ledger.json.new")).unwrap();
    ledger.commit(|state| tag(state, "i-3")).await.unwrap();
    assert!(ledger.snapshot().tags.contains_key("i-3"));
}
