//! Images in inputs and in the results of tools.

use super::world::World;
use dispatch_sdk::contracts::kernel::KERNEL_INSTANCE;
use dispatch_sdk::contracts::turn::{Keep, KeepParams};
use dispatch_sdk::contracts::turns::{INPUT_IMAGES_BYTES_MAX, INPUT_PARTS_MAX};
use serde_json::{Value, json};

#[tokio::test]
async fn an_image_beside_the_words_is_kept_first_and_named_in_the_log_and_the_history() {
    let world = World::new().await;
    world.host.on("conversations.v1/keep_blob", |params| {
        Ok(json!({ "hash": format!("of {}", params["data"].as_str().unwrap_or_default()) }))
    });
    let image = json!({ "type": "image", "media_type": "image/png", "data": "aGVsbG8=" });
    world.start(json!({ "input": "see", "parts": [image] })).await.expect("it starts");
    world.until_ended().await;
    let named = json!([
        { "type": "text", "text": "see" },
        { "type": "image", "source": { "type": "blob", "hash": "of aGVsbG8=" }, "media_type": "image/png" },
    ]);
    let begin = &world.host.calls_of("conversations.v1/begin")[0];
    assert_eq!(begin["messages"], json!([{ "role": "user", "parts": named }]));
    assert_eq!(begin["events"][1]["data"], json!({ "parts": named }));
}

#[tokio::test]
async fn what_cannot_be_shown_is_refused_before_a_turn_begins() {
    let world = World::new().await;
    world.host.on("conversations.v1/keep_blob", |_| Err(dispatch_sdk::Fault::new("no_space", "full")));
    let image = |media_type: &str| json!({ "type": "image", "media_type": media_type, "data": "aGVsbG8=" });
    let large = json!({
        "type": "image", "media_type": "image/png", "data": "a".repeat(INPUT_IMAGES_BYTES_MAX),
    });
    for (parts, code) in [
        (vec![image("text/html")], "invalid"),
        (vec![image("image/png, text/html")], "invalid"),
        (vec![json!({ "type": "hologram" })], "invalid"),
        (vec![image("image/png"); INPUT_PARTS_MAX + 1], "invalid"),
        (vec![image("image/png"), large], "too_large"),
        (vec![image("image/png")], "no_space"),
    ] {
        let fault = world.start(json!({ "input": "see", "parts": parts })).await.expect_err("it is refused");
        assert_eq!(fault.code, code, "{fault}");
    }
    // Nor is anything kept for a start that is refused.
    let start = json!({ "input": "see", "parts": [image("image/png")], "engine": "nobody's" });
    assert_eq!(world.start(start).await.expect_err("it is refused").code, "no_engine");
    assert_eq!(world.host.calls_of("conversations.v1/begin"), Vec::<Value>::new());
    assert_eq!(world.host.calls_of("conversations.v1/keep_blob").len(), 1);
}

#[tokio::test]
async fn an_image_of_a_tool_is_kept_for_the_kernel_alone() {
    let world = World::new().await;
    world.host.on("conversations.v1/keep_blob", |_| Ok(json!({ "hash": "0f" })));
    let params = KeepParams { data: "aGVsbG8=".to_owned() };
    let kept = world.ext().as_caller(KERNEL_INSTANCE).call(Keep, &params).await.expect("it is kept");
    assert_eq!(kept.hash, "0f");
    let fault = world.ext().call(Keep, &params).await.expect_err("only the kernel runs turns");
    assert_eq!(fault.code, "denied");
}
