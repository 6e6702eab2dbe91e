//! Projects: making, finding, changing and deleting them.

use model::{OwnerName, UserId};
use store::{NewProject, NewUpload, Page, ProjectFilter, ProjectSettings, Store};

use crate::{
    farm::{
        CHROOT, Farm, NO_PROJECT, OTHER_CHROOT, assert_conflict, assert_invalid, assert_not_found, chroot,
        the_one_winner,
    },
    support::at,
};

on_both_databases!(
    a_new_project_is_found_by_name_and_by_id,
    a_new_project_has_a_repository_to_publish_for_each_chroot,
    a_name_is_unique_to_its_owner,
    of_two_who_make_a_project_at_once_one_does,
    a_project_that_makes_no_sense_is_refused_and_leaves_nothing,
    pages_of_a_list_hold_every_project_once,
    a_search_finds_texts_as_they_are_whatever_the_case,
    settings_are_changed_and_a_search_finds_the_new_ones,
    of_edits_at_the_same_time_none_is_lost,
    a_project_knows_its_directories,
    a_deleted_project_is_gone_and_its_name_is_free_but_not_its_id,
    a_project_with_a_build_that_is_not_over_stays,
);

fn by_owner(owner: &OwnerName) -> ProjectFilter {
    ProjectFilter {
        owner: Some(owner.clone()),
        ..ProjectFilter::default()
    }
}

fn with_text(text: &str) -> ProjectFilter {
    ProjectFilter {
        text: Some(text.to_owned()),
        ..ProjectFilter::default()
    }
}

async fn names(farm: &Farm, filter: &ProjectFilter, page: Page) -> Vec<String> {
    let projects = farm.store.projects(filter, page).await.unwrap();
    projects
        .into_iter()
        .map(|project| project.name.to_string())
        .collect()
}

async fn a_new_project_is_found_by_name_and_by_id(farm: Farm) {
    let new = NewProject {
        settings: ProjectSettings {
            description: Some("Ümlauts, \"quotes\" and \0".to_owned()),
            enable_net: true,
            repo_priority: Some(-7),
            additional_repos: vec!["https://example.org/repo".to_owned()],
            ..ProjectSettings::default()
        },
        // Twice the same is once.
        chroots: [OTHER_CHROOT, CHROOT, CHROOT].map(chroot).to_vec(),
        ..farm.new_project("lib.c-1")
    };
    let made = farm.store.create_project(&new, at(9)).await.unwrap();
    assert_eq!(
        (&made.owner, &made.name, made.created_at),
        (&new.owner, &new.name, at(9))
    );
    assert_eq!(made.settings, new.settings);
    assert_eq!(made.chroots, [CHROOT, OTHER_CHROOT].map(chroot));
    assert_eq!(
        farm.store.project(&new.owner, &new.name).await.unwrap(),
        Some(made.clone())
    );
    assert_eq!(farm.store.project_by_id(made.id).await.unwrap(), Some(made));

    let missing = farm
        .store
        .project(&new.owner, &"Lib.c-1".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(missing, None, "names have a case");
    assert_eq!(farm.store.project_by_id(NO_PROJECT).await.unwrap(), None);
}

async fn a_new_project_has_a_repository_to_publish_for_each_chroot(farm: Farm) {
    let due = async || {
        let due = farm.store.publishable(10, at(1000)).await.unwrap();
        let names = due
            .into_iter()
            .map(|place| (place.project, place.chroot.to_string()));
        names.collect::<Vec<_>>()
    };
    let of = |name: &str| (farm.project.id, name.to_owned());
    assert_eq!(due().await, [of(CHROOT), of(OTHER_CHROOT)]);

    farm.publish(CHROOT).await;
    assert_eq!(due().await, [of(OTHER_CHROOT)]);
}

async fn a_name_is_unique_to_its_owner(farm: Farm) {
    assert_conflict(farm.store.create_project(&farm.new_project("tools"), at(1)).await);
    let of_group = NewProject {
        owner: "@builders".parse().unwrap(),
        ..farm.new_project("tools")
    };
    let made = farm.store.create_project(&of_group, at(1)).await.unwrap();
    assert_ne!(made.id, farm.project.id);
    assert_eq!(
        names(&farm, &by_owner(&of_group.owner), Page::default()).await,
        ["tools"]
    );
}

async fn of_two_who_make_a_project_at_once_one_does(farm: Farm) {
    let (here, there) = (farm.store.clone(), farm.database.connect().await);
    let new = farm.new_project("wanted");
    let (left, right) = tokio::join!(
        here.create_project(&new, at(1)),
        there.create_project(&new, at(1))
    );
    let winner = the_one_winner(vec![left, right]);
    assert_eq!(
        farm.store.project(&new.owner, &new.name).await.unwrap(),
        Some(winner)
    );
}

async fn a_project_that_makes_no_sense_is_refused_and_leaves_nothing(farm: Farm) {
    let before = farm.last_event().await;
    let unknown_chroot = NewProject {
        chroots: vec![chroot(CHROOT), chroot("beos-5-x86_64")],
        ..farm.new_project("strange")
    };
    assert_invalid(farm.store.create_project(&unknown_chroot, at(1)).await);
    let of_nobody = NewProject {
        created_by: UserId(4711),
        ..farm.new_project("strange")
    };
    assert_not_found(farm.store.create_project(&of_nobody, at(1)).await);
    assert_eq!(
        names(&farm, &ProjectFilter::default(), Page::default()).await,
        ["tools"]
    );
    assert_eq!(farm.last_event().await, before);
}

async fn pages_of_a_list_hold_every_project_once(farm: Farm) {
    let mut expected = vec!["tools".to_owned()];
    for index in 0..6 {
        let name = format!("p{index}");
        farm.store
            .create_project(&farm.new_project(&name), at(1))
            .await
            .unwrap();
        expected.push(name);
    }
    let everything = ProjectFilter::default();
    for size in [1, 2, 3, 7, 100] {
        let mut found = Vec::new();
        for offset in (0..7).step_by(usize::try_from(size).unwrap()) {
            let limit = Some(size);
            found.extend(names(&farm, &everything, Page { limit, offset }).await);
        }
        assert_eq!(found, expected, "pages of {size}");
    }
    for (limit, offset) in [(None, 7), (Some(0), 0), (Some(u64::MAX), u64::MAX)] {
        assert_eq!(names(&farm, &everything, Page { limit, offset }).await, [""; 0]);
    }
}

async fn a_search_finds_texts_as_they_are_whatever_the_case(farm: Farm) {
    for (name, description) in [
        ("percent", "it is 100% good"),
        ("underscore", "some_thing"),
        ("slash", r"C:\Windows"),
        ("umlaut", "GRÜẞE aus Köln"),
    ] {
        let mut new = farm.new_project(name);
        new.settings.description = Some(description.to_owned());
        farm.store.create_project(&new, at(1)).await.unwrap();
    }
    for (text, expected) in [
        ("0% G", vec!["percent"]),
        ("%", vec!["percent"]),
        ("e_t", vec!["underscore"]),
        (r":\w", vec!["slash"]),
        ("grüße", vec!["umlaut"]),
        ("KÖLN", vec!["umlaut"]),
        ("alice/UMLAUT", vec!["umlaut"]),
        (
            "alice/",
            vec!["tools", "percent", "underscore", "slash", "umlaut"],
        ),
        ("' OR 1=1 --", vec![]),
    ] {
        assert_eq!(
            names(&farm, &with_text(text), Page::default()).await,
            expected,
            "{text}"
        );
    }
    assert_invalid(farm.store.projects(&with_text("\0"), Page::default()).await);
}

async fn settings_are_changed_and_a_search_finds_the_new_ones(farm: Farm) {
    let settings = ProjectSettings {
        description: Some("hammers".to_owned()),
        enable_net: true,
        ..ProjectSettings::default()
    };
    let before = farm.last_event().await;
    let changed = farm
        .store
        .change_project_settings(farm.project.id, |_| settings.clone(), at(5))
        .await
        .unwrap();
    let project = farm.store.project_by_id(farm.project.id).await.unwrap().unwrap();
    assert_eq!(project, changed);
    assert_eq!(project.settings, settings);
    assert_eq!(
        names(&farm, &with_text("HAMMER"), Page::default()).await,
        ["tools"]
    );
    let events = farm.events_after(before).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].subject_kind, "project");
    assert_not_found(
        farm.store
            .change_project_settings(NO_PROJECT, |_| settings.clone(), at(5))
            .await,
    );
}

async fn of_edits_at_the_same_time_none_is_lost(farm: Farm) {
    let there = farm.database.connect().await;
    let add = |store: &Store, number: usize| {
        let (store, id) = (store.clone(), farm.project.id);
        async move {
            let change = move |mut settings: ProjectSettings| {
                settings
                    .runtime_dependencies
                    .push(format!("https://example.org/{number}"));
                settings
            };
            store.change_project_settings(id, change, at(5)).await.unwrap();
        }
    };
    for number in (0..8).step_by(2) {
        tokio::join!(add(&farm.store, number), add(&there, number + 1));
    }
    let project = farm.store.project_by_id(farm.project.id).await.unwrap().unwrap();
    let mut kept = project.settings.runtime_dependencies;
    kept.sort();
    let all: Vec<String> = (0..8)
        .map(|number| format!("https://example.org/{number}"))
        .collect();
    assert_eq!(kept, all);
}

async fn a_project_knows_its_directories(farm: Farm) {
    let names = async || {
        let found = farm.store.project_directories(farm.project.id).await.unwrap();
        found.into_iter().map(|name| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["tools"]);
    for directory in ["tools:pr:2", "tools:custom:x", "tools:pr:2"] {
        let upload = NewUpload {
            directory: directory.parse().unwrap(),
            ..farm.upload(&[CHROOT, OTHER_CHROOT])
        };
        farm.store.submit_upload(&upload, at(3)).await.unwrap();
    }
    assert_eq!(names().await, ["tools", "tools:custom:x", "tools:pr:2"]);
}

async fn a_deleted_project_is_gone_and_its_name_is_free_but_not_its_id(farm: Farm) {
    let build = farm.published_build().await;
    let old = farm.project.id;
    let name = (farm.project.owner.to_string(), farm.project.name.to_string());
    let known = async || {
        let (live, deleted) = (
            farm.store.project_names().await,
            farm.store.deleted_project_names().await,
        );
        (live.unwrap(), deleted.unwrap())
    };
    assert_eq!(known().await, ([name.clone()].into(), [].into()));
    farm.store.delete_project(old, at(20)).await.unwrap();
    assert_eq!(known().await, ([].into(), [name.clone()].into()));

    assert_eq!(farm.store.project_by_id(old).await.unwrap(), None);
    assert_eq!(
        names(&farm, &ProjectFilter::default(), Page::default()).await,
        [""; 0]
    );
    assert_eq!(farm.store.build(build.id).await.unwrap(), None);
    assert_eq!(farm.store.publishable(10, at(1000)).await.unwrap(), []);
    assert_not_found(farm.store.submit_upload(&farm.upload(&[CHROOT]), at(21)).await);
    assert_not_found(farm.store.delete_project(old, at(21)).await);
    while farm.store.clear_project(old, at(21)).await.unwrap() {}
    let raw = farm.raw().await;
    for table in [
        "build",
        "build_chroot",
        "attempt",
        "allocation",
        "collected_package",
        "package",
        "snapshot",
    ] {
        let sql = format!("SELECT count(*) FROM {table}");
        assert_eq!(raw.number(&sql).await, 0, "{table}");
    }
    // What happened is still told.
    let told = farm
        .events(store::EventFilter {
            build: Some(build.id),
            ..Default::default()
        })
        .await;
    assert!(told.len() > 4, "{told:?}");

    let again = farm
        .store
        .create_project(&farm.new_project("tools"), at(22))
        .await
        .unwrap();
    assert!(again.id > old);
    assert_eq!(known().await, ([name].into(), [].into()));
}

async fn a_project_with_a_build_that_is_not_over_stays(farm: Farm) {
    let build = farm.submit().await.id;
    assert_conflict(farm.store.delete_project(farm.project.id, at(2)).await);
    let epoch = farm.begin(build).await;
    assert_conflict(farm.store.delete_project(farm.project.id, at(5)).await);
    farm.finish(epoch, &crate::farm::collected(build)).await;
    assert_conflict(farm.store.delete_project(farm.project.id, at(6)).await);
    farm.publish(CHROOT).await;
    farm.store.delete_project(farm.project.id, at(8)).await.unwrap();
}
