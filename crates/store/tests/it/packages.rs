//! Packages of projects and their last builds.

use std::collections::BTreeSet;

use model::{Blame, BuildId, DirectoryName, PackageName};
use store::{LastBuilds, Order, PackageBuilds, Page};

use crate::{
    farm::{CANCELED, CHROOT, Farm, NO_PROJECT, OTHER_CHROOT, failed},
    support::at,
};

on_both_databases!(
    a_package_has_its_last_builds,
    packages_are_listed_in_order_and_in_pages,
    the_monitor_has_the_last_build_in_each_chroot,
    the_monitor_comes_in_pages_by_name,
    a_page_of_the_monitor_is_full_beside_packages_of_other_directories_and_chroots,
    builds_of_a_deleted_project_are_nowhere,
);

const BOTH: LastBuilds = LastBuilds {
    latest: true,
    succeeded: true,
};

async fn submit(farm: &Farm, package: &str, chroots: &[&str]) -> BuildId {
    let mut upload = farm.upload(chroots);
    upload.package = package.parse().unwrap();
    farm.store.submit_upload(&upload, at(1)).await.unwrap().id
}

async fn package(farm: &Farm, name: &str, wanted: LastBuilds) -> Option<PackageBuilds> {
    let name: PackageName = name.parse().unwrap();
    let project = farm.project.id;
    farm.store.package(project, &name, wanted).await.unwrap()
}

fn last(package: &PackageBuilds) -> (Option<BuildId>, Option<BuildId>) {
    let id = |build: &Option<std::sync::Arc<store::Build>>| build.as_ref().map(|build| build.id);
    (id(&package.latest), id(&package.latest_succeeded))
}

async fn a_package_has_its_last_builds(farm: Farm) {
    assert_eq!(package(&farm, "hello", BOTH).await, None);
    let good = farm.published_build().await;
    let bad = submit(&farm, "hello", &[CHROOT]).await;
    let epoch = farm.begin(bad).await;
    farm.finish(epoch, &failed(Blame::Package, "it does not compile"))
        .await;
    submit(&farm, "world", &[CHROOT]).await;

    let found = package(&farm, "hello", BOTH).await.unwrap();
    assert_eq!(last(&found), (Some(bad), Some(good.id)));
    assert_eq!(*found.latest_succeeded.unwrap(), good);
    let only = |latest, succeeded| LastBuilds { latest, succeeded };
    for (wanted, expected) in [
        (only(true, false), (Some(bad), None)),
        (only(false, true), (None, Some(good.id))),
        (only(false, false), (None, None)),
    ] {
        assert_eq!(last(&package(&farm, "hello", wanted).await.unwrap()), expected);
    }
    // The package and its id stay when its builds go.
    let id = found.package.id;
    for build in [bad, good.id] {
        farm.store
            .delete_builds(&BTreeSet::from([build]), at(9))
            .await
            .unwrap();
    }
    let found = package(&farm, "hello", BOTH).await.unwrap();
    assert_eq!((found.package.id, last(&found)), (id, (None, None)));
}

async fn packages_are_listed_in_order_and_in_pages(farm: Farm) {
    for name in ["zsh", "bash", "make"] {
        submit(&farm, name, &[CHROOT]).await;
    }
    let names = async |order, limit, offset| {
        let page = Page { limit, offset };
        let found = farm
            .store
            .packages(farm.project.id, BOTH, order, page)
            .await
            .unwrap();
        assert!(found.iter().all(|package| package.latest.is_some()));
        found
            .iter()
            .map(|package| package.package.name.to_string())
            .collect::<Vec<_>>()
    };
    for (order, expected) in [
        (Order::Id, ["zsh", "bash", "make"]),
        (Order::IdDescending, ["make", "bash", "zsh"]),
        (Order::Name, ["bash", "make", "zsh"]),
        (Order::NameDescending, ["zsh", "make", "bash"]),
    ] {
        assert_eq!(names(order, None, 0).await, expected);
        assert_eq!(names(order, Some(1), 1).await, expected[1..2]);
        assert_eq!(names(order, Some(9), 2).await, expected[2..]);
        assert_eq!(names(order, None, 3).await, [""; 0]);
    }
    let nobodys = farm.store.packages(NO_PROJECT, BOTH, Order::Id, Page::default());
    assert_eq!(nobodys.await.unwrap(), []);
}

async fn monitor(farm: &Farm, directory: &str) -> Vec<(String, Vec<(String, BuildId)>)> {
    let directory: DirectoryName = directory.parse().unwrap();
    let page = farm
        .store
        .monitor(farm.project.id, &directory, None, 100)
        .await
        .unwrap();
    assert_eq!(page.next, None);
    let cells = |package: &store::PackageChroots| {
        let last = package.last.iter();
        last.map(|(chroot, build)| (chroot.to_string(), build.id))
            .collect()
    };
    page.packages
        .iter()
        .map(|package| (package.package.to_string(), cells(package)))
        .collect()
}

async fn the_monitor_has_the_last_build_in_each_chroot(farm: Farm) {
    let both = submit(&farm, "hello", &[CHROOT, OTHER_CHROOT]).await;
    let one = submit(&farm, "hello", &[CHROOT]).await;
    let world = submit(&farm, "world", &[OTHER_CHROOT]).await;
    let mut upload = farm.upload(&[CHROOT]);
    upload.directory = "tools:pr:7".parse().unwrap();
    let aside = farm.store.submit_upload(&upload, at(2)).await.unwrap().id;
    let cell = |chroot: &str, build| (chroot.to_owned(), build);
    assert_eq!(
        monitor(&farm, "tools").await,
        [
            (
                "hello".to_owned(),
                vec![cell(CHROOT, one), cell(OTHER_CHROOT, both)]
            ),
            ("world".to_owned(), vec![cell(OTHER_CHROOT, world)]),
        ]
    );
    assert_eq!(
        monitor(&farm, "tools:pr:7").await,
        [("hello".to_owned(), vec![cell(CHROOT, aside)])]
    );
    assert_eq!(monitor(&farm, "tools:nobody").await, []);
    // When the last one goes, the one before is the last.
    farm.store.cancel_build(one, "user:alice", at(3)).await.unwrap();
    farm.store
        .delete_builds(&BTreeSet::from([one]), at(4))
        .await
        .unwrap();
    assert_eq!(
        monitor(&farm, "tools").await[0].1,
        [cell(CHROOT, both), cell(OTHER_CHROOT, both)]
    );
}

/// The names of each page of the monitor of a directory.
async fn monitor_pages(farm: &Farm, directory: &str, limit: u64) -> Vec<String> {
    let directory: DirectoryName = directory.parse().unwrap();
    let (mut after, mut pages) = (None, Vec::new());
    loop {
        let page = farm
            .store
            .monitor(farm.project.id, &directory, after.as_ref(), limit)
            .await
            .unwrap();
        let names: Vec<String> = page.packages.iter().map(|it| it.package.to_string()).collect();
        pages.push(names.join(" "));
        after = page.next;
        if after.is_none() {
            return pages;
        }
    }
}

async fn the_monitor_comes_in_pages_by_name(farm: Farm) {
    for name in ["d", "b", "e", "a", "c"] {
        submit(&farm, name, &[CHROOT]).await;
    }
    assert_eq!(monitor_pages(&farm, "tools", 2).await, ["a b", "c d", "e"]);
    assert_eq!(monitor_pages(&farm, "tools", 9).await, ["a b c d e"]);
    assert_eq!(monitor_pages(&farm, "tools", 5).await, ["a b c d e", ""]);
}

async fn a_page_of_the_monitor_is_full_beside_packages_of_other_directories_and_chroots(farm: Farm) {
    for (name, directory, chroot) in [
        ("aside", "tools:pr:7", CHROOT),
        ("b", "tools", OTHER_CHROOT),
        ("c", "tools", CHROOT),
        ("d", "tools:pr:8", CHROOT),
        ("e", "tools", CHROOT),
        ("f", "tools", OTHER_CHROOT),
        ("g", "tools:pr:7", OTHER_CHROOT),
    ] {
        let mut upload = farm.upload(&[chroot]);
        upload.package = name.parse().unwrap();
        upload.directory = directory.parse().unwrap();
        farm.store.submit_upload(&upload, at(2)).await.unwrap();
    }
    assert_eq!(monitor_pages(&farm, "tools", 3).await, ["b c e", "f"]);
    assert_eq!(monitor_pages(&farm, "tools:pr:7", 1).await, ["aside", "g", ""]);
    // What was built only in a chroot that the project has no more takes no place either.
    let raw = farm.raw().await;
    let gone = format!("DELETE FROM project_chroot WHERE chroot = '{OTHER_CHROOT}'");
    raw.execute(&gone).await;
    assert_eq!(monitor_pages(&farm, "tools", 2).await, ["c e", ""]);
    raw.execute("DELETE FROM project_chroot").await;
    assert_eq!(monitor_pages(&farm, "tools", 2).await, [""]);
}

async fn builds_of_a_deleted_project_are_nowhere(farm: Farm) {
    let build = submit(&farm, "hello", &[CHROOT]).await;
    let epoch = farm.begin(build).await;
    farm.finish(epoch, &CANCELED).await;
    farm.store.delete_project(farm.project.id, at(9)).await.unwrap();
    assert_eq!(farm.store.recent_builds(9).await.unwrap(), []);
    assert_eq!(farm.store.build(build).await.unwrap(), None);
}
