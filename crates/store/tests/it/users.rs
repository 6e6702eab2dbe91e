//! Accounts and tokens.

use std::time::Duration;

use model::UserId;
use sha2::{Digest as _, Sha256};
use store::NewUser;

use crate::{
    farm::{Farm, assert_conflict, assert_invalid, assert_not_found},
    support::at,
};

on_both_databases!(
    an_account_is_found_by_its_name,
    a_name_is_given_once_and_never_a_groups,
    of_two_who_take_a_name_at_once_one_gets_it,
    a_token_works_with_its_login_until_its_time_is_over,
    a_wrong_or_absurd_token_is_nobodys,
    a_new_token_ends_the_one_before,
    the_database_holds_only_the_digest_of_a_token,
);

const HOUR: Duration = Duration::from_secs(3600);

fn new_user(name: &str) -> NewUser {
    NewUser {
        name: name.parse().unwrap(),
        is_operator: true,
    }
}

async fn an_account_is_found_by_its_name(farm: Farm) {
    let bob = farm.store.create_user(&new_user("bob"), at(5)).await.unwrap();
    assert!(bob.is_operator && bob.created_at == at(5) && bob.token_expires_at.is_none());
    assert_ne!(bob.id, farm.user.id);
    assert_eq!(farm.store.user_by_name(&bob.name).await.unwrap(), Some(bob));
    let nobody = farm.store.user_by_name(&"nobody".parse().unwrap()).await.unwrap();
    assert_eq!(nobody, None);
}

async fn a_name_is_given_once_and_never_a_groups(farm: Farm) {
    assert_conflict(farm.store.create_user(&new_user("alice"), at(5)).await);
    assert_invalid(farm.store.create_user(&new_user("@builders"), at(5)).await);
}

async fn of_two_who_take_a_name_at_once_one_gets_it(farm: Farm) {
    let (here, there) = (farm.store.clone(), farm.database.connect().await);
    let bob = new_user("bob");
    let (left, right) = tokio::join!(here.create_user(&bob, at(5)), there.create_user(&bob, at(5)));
    let winner = crate::farm::the_one_winner(vec![left, right]);
    assert_eq!(farm.store.user_by_name(&bob.name).await.unwrap(), Some(winner));
}

async fn a_token_works_with_its_login_until_its_time_is_over(farm: Farm) {
    let issued = farm.store.issue_token(farm.user.id, HOUR, at(10)).await.unwrap();
    assert_eq!(issued.expires_at, at(3610));
    assert!(issued.token.starts_with("vdg_") && issued.login.len() == 24);

    let user = farm
        .store
        .authenticate(&issued.login, &issued.token, at(3609))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((user.id, user.token_expires_at), (farm.user.id, Some(at(3610))));
    for too_late in [3610, 3611] {
        let user = farm
            .store
            .authenticate(&issued.login, &issued.token, at(too_late))
            .await
            .unwrap();
        assert_eq!(user, None);
    }
}

async fn a_wrong_or_absurd_token_is_nobodys(farm: Farm) {
    let issued = farm.store.issue_token(farm.user.id, HOUR, at(10)).await.unwrap();
    let bob = farm.store.create_user(&new_user("bob"), at(10)).await.unwrap();
    let of_bob = farm.store.issue_token(bob.id, HOUR, at(10)).await.unwrap();
    let mut cut = issued.token.clone();
    cut.pop();
    let longer = format!("{}A", issued.token);
    let endless = "A".repeat(100_000);
    for (login, token) in [
        (issued.login.as_str(), of_bob.token.as_str()),
        (&of_bob.login, &issued.token),
        (&issued.login, &cut),
        (&issued.login, &longer),
        (&issued.login, ""),
        ("", &issued.token),
        ("", ""),
        ("alice", &issued.token),
        (&issued.login, "vdg_\0"),
        ("\0", &issued.token),
        (&issued.login, &endless),
        (&endless, &issued.token),
        // The digest that the database holds is no token.
        (&issued.login, &hex::encode(Sha256::digest(&issued.token))),
    ] {
        let user = farm.store.authenticate(login, token, at(11)).await.unwrap();
        assert_eq!(user, None, "{login:.30} {token:.30}");
    }
    // An account without a token has an empty digest, which no token has.
    assert_eq!(farm.store.authenticate("carol", "", at(11)).await.unwrap(), None);
}

async fn a_new_token_ends_the_one_before(farm: Farm) {
    let old = farm.store.issue_token(farm.user.id, HOUR, at(10)).await.unwrap();
    let new = farm.store.issue_token(farm.user.id, HOUR, at(20)).await.unwrap();
    let is_good = async |login: &str, token: &str| {
        farm.store
            .authenticate(login, token, at(30))
            .await
            .unwrap()
            .is_some()
    };
    assert!(is_good(&new.login, &new.token).await);
    assert!(!is_good(&old.login, &old.token).await);
    assert!(!is_good(&new.login, &old.token).await);
    assert_not_found(farm.store.issue_token(UserId(4711), HOUR, at(30)).await);
}

async fn the_database_holds_only_the_digest_of_a_token(farm: Farm) {
    let issued = farm.store.issue_token(farm.user.id, HOUR, at(10)).await.unwrap();
    let hashes = farm.raw().await.texts("SELECT token_hash FROM account").await;
    assert_eq!(hashes, [hex::encode(Sha256::digest(&issued.token))]);
    let event = farm.events_after(None).await.pop().unwrap();
    assert_eq!((event.subject_kind.as_str(), event.at), ("user", at(10)));
    for text in [format!("{event:?}"), format!("{issued:?}")] {
        assert!(!text.contains(&issued.token), "{text}");
    }
}
