//! What a project says of itself, which lists show of many.

use poem::http::Method;
use serde_json::json;

use crate::farm::{CHROOT, Farm};

#[tokio::test]
async fn a_text_of_a_project_is_at_most_as_long_as_a_list_of_many_can_bear() {
    let farm = Farm::start().await;
    let add = |body| farm.post(&farm.alice, "/api_3/project/add/alice", body);
    let edit = |body| farm.call(&farm.alice, Method::PUT, "/api_3/project/edit/alice/long/", body);
    add(json!({"name": "long", "chroots": [CHROOT]})).await.good();
    for field in ["description", "instructions", "contact"] {
        // Letters are counted, not bytes.
        let longest = "\u{e4}".repeat(16384);
        let told = edit(json!({field: longest})).await.good();
        assert_eq!(told[field], longest.as_str(), "{field}");
        let too_long = format!("{longest}x");
        let expected = format!("{field}: Field cannot be longer than 16384 characters.");
        assert_eq!(edit(json!({field: too_long})).await.error(400), expected);
        let new = json!({"name": "another", "chroots": [CHROOT], field: too_long});
        assert_eq!(add(new).await.error(400), expected);
    }
    let listed = farm.get("/api_3/project/list").await.good();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}
