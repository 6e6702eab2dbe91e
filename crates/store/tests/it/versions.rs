//! Versions of the data.

use model::BuildId;
use store::DataVersion;

use crate::farm::Farm;

on_both_databases!(
    the_version_of_the_data_stays_while_nothing_is_committed_and_no_longer,
    what_is_read_after_a_version_was_asked_for_is_true_while_it_stays,
);

/// The version, asked for before and after a read of the build's version. On PostgreSQL transactions of other databases of the
/// server count, too: other tests may be in between, so it is tried until they are not.
async fn read_between(farm: &Farm, build: BuildId) -> (DataVersion, Option<String>) {
    for _ in 0..1_000 {
        let before = farm.store.data_version().await.unwrap();
        let read = farm.store.build(build).await.unwrap().unwrap().version;
        if farm.store.data_version().await.unwrap() == before {
            return (before, read);
        }
    }
    panic!("reading changes the version");
}

async fn the_version_of_the_data_stays_while_nothing_is_committed_and_no_longer(farm: Farm) {
    let before = farm.store.data_version().await.unwrap();
    let build = farm.submit().await.id;
    let (after, _) = read_between(&farm, build).await;
    assert_ne!(after, before, "this process changed something");
    farm.raw().await.execute("UPDATE build SET version = '1'").await;
    assert_ne!(
        farm.store.data_version().await.unwrap(),
        after,
        "somebody else changed something"
    );
}

async fn what_is_read_after_a_version_was_asked_for_is_true_while_it_stays(farm: Farm) {
    let build = farm.submit().await.id;
    let raw = farm.raw().await;
    let open = raw.begin().await;
    open.execute("UPDATE build SET version = '2'").await;
    let (version, read) = read_between(&farm, build).await;
    let unseen = "what is not committed is not seen";
    assert_eq!(read.as_deref(), Some("1.0-1"), "{unseen}");
    open.commit().await;
    assert_ne!(farm.store.data_version().await.unwrap(), version);
    let (_, read) = read_between(&farm, build).await;
    assert_eq!(read.as_deref(), Some("2"));
}
