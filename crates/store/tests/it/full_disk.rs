//! SQLite on a disk that is full for a while.

use store::{Error, NewUser, Store, testing::SmallDisk};

use crate::{
    farm::{Farm, assert_conflict},
    support::{Database, Start as _, at, check},
};

const DISK_BYTES: u64 = 4 << 20;

/// Makes accounts until there is no room for one more; the names of those that were made.
async fn accounts_until_full(store: &Store) -> Vec<String> {
    let mut made = Vec::new();
    for number in 0..10_000 {
        let name = format!("before{number}");
        match store.create_user(&new_user(&name), at(5)).await {
            Ok(_) => made.push(name),
            Err(Error::NoSpace { .. }) => return made,
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("the disk was never full");
}

fn new_user(name: &str) -> NewUser {
    NewUser {
        name: name.parse().unwrap(),
        is_operator: false,
    }
}

async fn survive(farm: Farm, disk: &SmallDisk) {
    disk.fill().unwrap();
    let mut made = accounts_until_full(&farm.store).await;
    // Reading goes on, and so do answers that need no room.
    let alice = farm.store.user_by_name(&farm.user.name).await.unwrap();
    assert_eq!(alice.as_ref(), Some(&farm.user));
    disk.free().unwrap();

    for round in 0..3 {
        // A refusal rolls its transaction back, and a new account commits one.
        assert_conflict(farm.store.create_user(&new_user("alice"), at(6)).await);
        let name = format!("after{round}");
        farm.store.create_user(&new_user(&name), at(7)).await.unwrap();
        made.push(name);
    }
    let others = farm.database.connect().await;
    for name in &made {
        let found = others.user_by_name(&name.parse().unwrap()).await.unwrap();
        assert!(found.is_some(), "{name} is lost");
    }
    let all = farm.raw().await.number("SELECT count(*) FROM account").await;
    assert_eq!(usize::try_from(all).unwrap(), made.len() + 1, "and nobody else");
}

#[test]
fn what_is_written_after_a_full_disk_is_there_for_everyone_and_what_was_refused_is_not() {
    let name =
        "full_disk::what_is_written_after_a_full_disk_is_there_for_everyone_and_what_was_refused_is_not";
    SmallDisk::run(name, DISK_BYTES, |disk| {
        check(Box::pin(async move {
            let farm = Farm::start(Database::at(&disk.path().join("farm.sqlite"))).await;
            survive(farm, &disk).await;
        }));
    })
    .unwrap_or_else(|error| panic!("{error}"));
}
