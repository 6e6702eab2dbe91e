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
    all_users_are_listed_by_name,
    the_last_operator_stays_one,
    of_two_last_operators_who_leave_at_once_one_stays,
    who_owns_projects_is_not_deleted,
    a_deleted_user_is_gone_and_his_name_is_free,
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

fn words<T: std::fmt::Debug>(answer: Result<T, store::Error>) -> String {
    answer.unwrap_err().to_string()
}

async fn all_users_are_listed_by_name(farm: Farm) {
    for name in ["zoe", "Bob", "bob"] {
        farm.store.create_user(&new_user(name), at(5)).await.unwrap();
    }
    let users = farm.store.users().await.unwrap();
    let names: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["Bob", "alice", "bob", "zoe"]);
}

async fn the_last_operator_stays_one(farm: Farm) {
    let bob = farm.store.create_user(&new_user("bob"), at(5)).await.unwrap();
    let refusal = "conflict: bob is the last operator";
    assert_eq!(
        words(farm.store.set_operator(&bob.name, false, at(6)).await),
        refusal
    );
    assert_eq!(words(farm.store.delete_user(&bob.name, at(6)).await), refusal);
    assert!(
        !farm
            .store
            .set_operator(&farm.user.name, false, at(6))
            .await
            .unwrap(),
        "she is none"
    );
    assert_not_found(
        farm.store
            .set_operator(&"nobody".parse().unwrap(), false, at(6))
            .await,
    );

    farm.store.create_user(&new_user("carol"), at(7)).await.unwrap();
    let token = farm.store.issue_token(bob.id, HOUR, at(7)).await.unwrap();
    assert!(farm.store.set_operator(&bob.name, false, at(8)).await.unwrap());
    let bob = farm.store.user_by_name(&bob.name).await.unwrap().unwrap();
    assert!(!bob.is_operator);
    let known = farm
        .store
        .authenticate(&token.login, &token.token, at(9))
        .await
        .unwrap();
    assert_eq!(known, Some(bob), "his token works on");
    assert_conflict(farm.store.delete_user(&"carol".parse().unwrap(), at(9)).await);
}

async fn of_two_last_operators_who_leave_at_once_one_stays(farm: Farm) {
    let (here, there) = (farm.store.clone(), farm.database.connect().await);
    let [bob, carol] = ["bob", "carol"].map(new_user);
    for user in [&bob, &carol] {
        farm.store.create_user(user, at(5)).await.unwrap();
    }
    let (left, right) = tokio::join!(
        here.set_operator(&bob.name, false, at(6)),
        there.delete_user(&carol.name, at(6))
    );
    assert!(left.is_ok() != right.is_ok(), "{left:?} {right:?}");
    let operators = farm.store.users().await.unwrap();
    assert_eq!(operators.iter().filter(|user| user.is_operator).count(), 1);
}

async fn who_owns_projects_is_not_deleted(farm: Farm) {
    let alice = &farm.user.name;
    assert_eq!(
        words(farm.store.delete_user(alice, at(2)).await),
        "conflict: alice still owns the projects alice/tools"
    );
    for number in 0..6 {
        let new = farm.new_project(&format!("more{number}"));
        farm.store.create_project(&new, at(3)).await.unwrap();
    }
    assert_eq!(
        words(farm.store.delete_user(alice, at(4)).await),
        "conflict: alice still owns the projects alice/tools, alice/more0, alice/more1, alice/more2, alice/more3 and 2 more"
    );
    assert!(farm.store.user_by_name(alice).await.unwrap().is_some());
}

async fn a_deleted_user_is_gone_and_his_name_is_free(farm: Farm) {
    let build = farm.published_build().await.id;
    let alice = &farm.user;
    let token = farm.store.issue_token(alice.id, HOUR, at(10)).await.unwrap();
    farm.store.delete_project(farm.project.id, at(11)).await.unwrap();
    farm.store.delete_user(&alice.name, at(12)).await.unwrap();

    assert_eq!(farm.store.user_by_name(&alice.name).await.unwrap(), None);
    assert_eq!(farm.store.users().await.unwrap(), []);
    let known = farm.store.authenticate(&token.login, &token.token, at(13)).await;
    assert_eq!(known.unwrap(), None);
    assert_not_found(farm.store.issue_token(alice.id, HOUR, at(13)).await);
    assert_not_found(farm.store.create_project(&farm.new_project("late"), at(13)).await);
    assert_not_found(farm.store.delete_user(&alice.name, at(13)).await);

    let again = farm.store.create_user(&new_user("alice"), at(20)).await.unwrap();
    assert!(again.is_operator && again.created_at == at(20) && again.token_expires_at.is_none());
    assert_eq!(
        again.id, alice.id,
        "the builds {build} and others were the same person's"
    );
    assert_conflict(farm.store.create_user(&new_user("alice"), at(21)).await);
}
