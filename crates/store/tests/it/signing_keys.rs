//! The keys that projects sign with.

use store::LockedKey;

use crate::{
    farm::{Farm, NO_PROJECT, assert_not_found},
    support::at,
};

on_both_databases!(
    a_project_has_no_key_until_a_signer_makes_one,
    of_two_signers_who_make_a_key_at_once_both_get_the_same,
    a_deleted_project_has_no_key_any_more,
    a_key_that_comes_during_a_deletion_is_not_left_behind,
);

fn key(fingerprint: &str) -> LockedKey {
    LockedKey {
        fingerprint: fingerprint.to_owned(),
        public_key: format!("public {fingerprint}"),
        secret_key: format!("secret {fingerprint}"),
    }
}

async fn a_project_has_no_key_until_a_signer_makes_one(farm: Farm) {
    let id = farm.project.id;
    assert_eq!(farm.store.signing_key(id).await.unwrap(), None);
    assert_eq!(farm.store.key_fingerprint(id).await.unwrap(), None);

    let first = farm.store.keep_signing_key(id, &key("F1"), at(1)).await.unwrap();
    assert_eq!(first, key("F1"));
    assert_eq!(farm.store.signing_key(id).await.unwrap(), Some(key("F1")));
    assert_eq!(
        farm.store.key_fingerprint(id).await.unwrap().as_deref(),
        Some("F1")
    );
    assert!(!format!("{first:?}").contains("secret F1"));

    // A later one is not taken: what is signed already has to stay valid.
    let second = farm.store.keep_signing_key(id, &key("F2"), at(2)).await.unwrap();
    assert_eq!(second, key("F1"));
}

async fn of_two_signers_who_make_a_key_at_once_both_get_the_same(farm: Farm) {
    let (here, there, id) = (farm.store.clone(), farm.database.connect().await, farm.project.id);
    let (f1, f2) = (key("F1"), key("F2"));
    let (left, right) = tokio::join!(
        here.keep_signing_key(id, &f1, at(1)),
        there.keep_signing_key(id, &f2, at(1))
    );
    let kept = left.unwrap();
    assert_eq!(kept, right.unwrap());
    assert_eq!(farm.store.signing_key(id).await.unwrap(), Some(kept));
}

async fn a_deleted_project_has_no_key_any_more(farm: Farm) {
    let id = farm.project.id;
    farm.store.keep_signing_key(id, &key("F1"), at(1)).await.unwrap();
    farm.store.delete_project(id, at(2)).await.unwrap();
    assert_eq!(
        farm.raw().await.number("SELECT count(*) FROM signing_key").await,
        0
    );
    assert_not_found(farm.store.signing_key(id).await);
    for id in [id, NO_PROJECT] {
        assert_not_found(farm.store.keep_signing_key(id, &key("F2"), at(3)).await);
    }
}

async fn a_key_that_comes_during_a_deletion_is_not_left_behind(farm: Farm) {
    let id = farm.project.id;
    let raw = farm.raw().await;
    if !raw.is_postgres() {
        // SQLite has one writer at a time: a deletion is before or after, and both are tested above.
        assert_eq!(farm.store.key_fingerprint(id).await.unwrap(), None);
        return;
    }
    // What a deletion does, stopped before its end.
    let deletion = raw.begin().await;
    deletion
        .execute(&format!("SELECT id FROM project WHERE id = {id} FOR UPDATE"))
        .await;
    deletion
        .execute(&format!("UPDATE project SET deleted_at = 1 WHERE id = {id}"))
        .await;
    let store = farm.database.connect().await;
    let signer = tokio::spawn(async move { store.keep_signing_key(id, &key("F1"), at(1)).await });
    raw.wait_until_somebody_waits_for_a_lock().await;
    deletion.commit().await;
    assert_not_found(signer.await.unwrap());
    assert_eq!(raw.number("SELECT count(*) FROM signing_key").await, 0);
}
