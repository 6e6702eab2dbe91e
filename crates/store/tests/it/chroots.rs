//! Chroots that the farm knows.

use model::chroot::BaseRepository;
use store::NewProject;

use crate::{
    farm::{
        CHROOT, Farm, OTHER_CHROOT, assert_conflict, assert_invalid, assert_not_found, chroot, new_chroot,
    },
    support::at,
};

on_both_databases!(
    chroots_are_listed_in_the_order_in_which_they_were_made,
    chroots_that_are_made_together_keep_their_order,
    a_chroot_is_made_once,
    a_chroot_is_changed_and_a_missing_one_is_not,
    a_retired_chroot_is_offered_to_nobody_and_its_attempts_go_on,
    a_chroot_that_a_project_has_is_not_deleted,
    a_chroot_of_deleted_projects_only_is_deleted,
);

async fn chroots_that_are_made_together_keep_their_order(farm: Farm) {
    let names = ["fedora-rawhide-x86_64", "epel-9-x86_64", "amazon-2-x86_64"];
    farm.store
        .create_chroots(&names.map(new_chroot), at(9))
        .await
        .unwrap();
    let listed = farm.store.chroots().await.unwrap();
    let listed: Vec<&str> = listed.iter().map(|chroot| chroot.name.as_str()).skip(2).collect();
    assert_eq!(listed, names);
    let new = NewProject {
        chroots: vec![chroot(names[2]), chroot(names[1]), chroot(names[0])],
        ..farm.new_project("ordered")
    };
    let project = farm.store.create_project(&new, at(10)).await.unwrap();
    assert_eq!(
        project.chroots,
        names.map(chroot),
        "a project has them in the farm's order"
    );
}

async fn chroots_are_listed_in_the_order_in_which_they_were_made(farm: Farm) {
    let mut big = new_chroot("Epel-9-x86_64");
    big.comment = "for \"enterprises\" – mostly".to_owned();
    big.definition.repositories.push(BaseRepository {
        id: "base".to_owned(),
        baseurl: "{farm}/mirror/epel".to_owned(),
        gpgkey: None,
    });
    farm.store.create_chroots(&[big.clone()], at(1)).await.unwrap();
    farm.store
        .create_chroots(&[new_chroot("epel-10-x86_64")], at(1))
        .await
        .unwrap();

    let chroots = farm.store.chroots().await.unwrap();
    let names: Vec<&str> = chroots.iter().map(|chroot| chroot.name.as_str()).collect();
    assert_eq!(names, [CHROOT, OTHER_CHROOT, "Epel-9-x86_64", "epel-10-x86_64"]);
    assert_eq!(chroots[2], big);
    assert_eq!(farm.store.chroot(&big.name).await.unwrap(), Some(big));
    assert_eq!(farm.store.chroot(&chroot("beos-5-x86_64")).await.unwrap(), None);
}

async fn a_chroot_is_made_once(farm: Farm) {
    assert_conflict(farm.store.create_chroots(&[new_chroot(CHROOT)], at(1)).await);
    let mut unspeakable = new_chroot("beos-5-x86_64");
    unspeakable.comment = "NUL \0".to_owned();
    assert_invalid(farm.store.create_chroots(&[unspeakable], at(1)).await);
    let all = [new_chroot("beos-5-x86_64"), new_chroot(CHROOT)];
    assert_conflict(farm.store.create_chroots(&all, at(1)).await);
    assert_eq!(farm.store.chroots().await.unwrap().len(), 2);
}

async fn a_chroot_is_changed_and_a_missing_one_is_not(farm: Farm) {
    let mut changed = new_chroot(CHROOT);
    changed.comment = "The old one.".to_owned();
    changed.definition.buildroot_packages = vec!["bash".to_owned()];
    farm.store.update_chroot(&changed, at(1)).await.unwrap();
    assert_eq!(farm.store.chroot(&changed.name).await.unwrap(), Some(changed));
    let other = farm.store.chroot(&chroot(OTHER_CHROOT)).await.unwrap();
    assert_eq!(other, Some(new_chroot(OTHER_CHROOT)));
    assert_not_found(
        farm.store
            .update_chroot(&new_chroot("beos-5-x86_64"), at(1))
            .await,
    );
}

async fn a_retired_chroot_is_offered_to_nobody_and_its_attempts_go_on(farm: Farm) {
    let before = farm.submit().await.id;
    let mut retired = new_chroot(CHROOT);
    retired.is_active = false;
    farm.store.update_chroot(&retired, at(2)).await.unwrap();

    assert_invalid(farm.store.create_project(&farm.new_project("late"), at(3)).await);
    assert_invalid(farm.store.submit_upload(&farm.upload(&[CHROOT]), at(3)).await);
    assert_invalid(
        farm.store
            .submit_upload(&farm.upload(&[OTHER_CHROOT, CHROOT]), at(3))
            .await,
    );
    farm.submit_for(&[OTHER_CHROOT]).await;
    farm.collect(before).await;
    farm.publish(CHROOT).await;
    assert_eq!(farm.build(before).await.state, model::BuildState::Succeeded);
}

async fn a_chroot_that_a_project_has_is_not_deleted(farm: Farm) {
    let refused = farm
        .store
        .delete_chroot(&chroot(CHROOT), at(1))
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("conflict: these projects have {CHROOT}: alice/tools")
    );
    farm.submit().await;
    // Whatever takes the chroot from a project leaves the builds that are not over.
    let raw = farm.raw().await;
    raw.execute("DELETE FROM project_chroot").await;
    let refused = farm
        .store
        .delete_chroot(&chroot(CHROOT), at(1))
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("conflict: builds for {CHROOT} that are not over: 1")
    );
    assert!(farm.store.chroot(&chroot(CHROOT)).await.unwrap().is_some());
    assert_not_found(farm.store.delete_chroot(&chroot("beos-5-x86_64"), at(1)).await);
}

async fn a_chroot_of_deleted_projects_only_is_deleted(farm: Farm) {
    farm.published_build().await;
    farm.store.delete_project(farm.project.id, at(20)).await.unwrap();
    farm.store.delete_chroot(&chroot(CHROOT), at(21)).await.unwrap();
    let left = farm.store.chroots().await.unwrap();
    assert_eq!(left, [new_chroot(OTHER_CHROOT)]);
    farm.store
        .create_chroots(&[new_chroot(CHROOT)], at(22))
        .await
        .unwrap();
}
