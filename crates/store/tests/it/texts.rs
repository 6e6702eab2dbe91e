//! Texts of users and builders, whatever is in them.

use model::Blame;
use store::{Outcome, ProjectSettings};

use crate::{
    farm::{CHROOT, Farm},
    support::at,
};

on_both_databases!(texts_come_back_as_they_were,);

/// The database puts them together as JSON.
async fn texts_come_back_as_they_were(farm: Farm) {
    let odd = "\"quoted\" \\ back \u{1}\t\r\n\u{7f} ünï €\u{1f600}\u{2028} </script> [1,null]";
    let settings = ProjectSettings {
        description: Some(odd.to_owned()),
        ..ProjectSettings::default()
    };
    let project = farm
        .store
        .change_project_settings(farm.project.id, |_| settings.clone(), at(1))
        .await
        .unwrap();
    assert_eq!(project.settings.description.as_deref(), Some(odd));
    assert_eq!(
        farm.store.project_by_id(farm.project.id).await.unwrap(),
        Some(project)
    );

    let mut upload = farm.upload(&[CHROOT]);
    upload.version = odd.to_owned();
    upload.srpm.file_name = odd.to_owned();
    let id = farm.store.submit_upload(&upload, at(2)).await.unwrap().id;
    let attempt = farm.open_attempt(id).await.id;
    let builder = farm.ready_builder().await;
    let epoch = farm
        .store
        .assign(&farm.lease, attempt, &builder, at(60), at(3))
        .await
        .unwrap();
    farm.accept(epoch).await;
    let evidence = serde_json::json!({"line": odd, "number": 1.5, "nothing": null, "list": [odd]});
    let outcome = Outcome::Failed {
        blame: Blame::Package,
        reason: odd.to_owned(),
        evidence: Some(evidence.clone()),
        is_suspect: false,
        result_directory: None,
    };
    farm.finish(epoch, &outcome).await;
    let build = farm.build(id).await;
    assert_eq!(build.version.as_deref(), Some(odd));
    assert_eq!(
        (build.source.file_name.as_str(), &build.source),
        (odd, &upload.srpm)
    );
    let failure = build.chroots[0].failure.as_ref().unwrap();
    assert_eq!(
        (failure.reason.as_str(), failure.evidence.as_ref()),
        (odd, Some(&evidence))
    );
}
