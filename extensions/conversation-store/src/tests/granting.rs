//! What a person allowed for the rest of a conversation.

use super::rig::{CONV, Rig};
use dispatch_sdk::contracts::conversations as contract;
use dispatch_sdk::fault;
use dispatch_testkit::FakeHost;

async fn grant(rig: &Rig, tool: &str, by: &str) -> Result<(), dispatch_sdk::Fault> {
    let params =
        contract::GrantParams { conversation_id: CONV.to_owned(), tool: tool.to_owned(), by: by.to_owned() };
    rig.store.call(contract::Grant, &params).await.map(drop)
}

async fn granted(rig: &Rig) -> Vec<(String, String)> {
    let params = contract::GrantsParams { conversation_id: CONV.to_owned() };
    let grants = rig.store.call(contract::Grants, &params).await.unwrap().grants;
    grants.into_iter().map(|granted| (granted.tool, granted.by)).collect()
}

async fn revoke(rig: &Rig, tool: &str) -> bool {
    let params = contract::RevokeParams { conversation_id: CONV.to_owned(), tool: tool.to_owned() };
    rig.store.call(contract::Revoke, &params).await.unwrap().revoked
}

#[tokio::test]
async fn what_was_allowed_outlives_the_process_is_shown_and_is_taken_back() {
    let rig = Rig::new().await;
    assert!(
        grant(&rig, "shell", "user:ann").await.unwrap_err().is(fault::NOT_FOUND),
        "there is no conversation"
    );
    rig.begin("t").await.unwrap();
    grant(&rig, "shell", "user:ann").await.unwrap();
    grant(&rig, "mcp__x/y", "").await.unwrap();
    grant(&rig, "shell", "user:bob").await.unwrap();
    let rig = Rig::over(&rig.disk, FakeHost::new()).await;
    let of = |tool: &str, by: &str| (tool.to_owned(), by.to_owned());
    assert_eq!(granted(&rig).await, [of("mcp__x/y", ""), of("shell", "user:ann")], "twice is once");
    assert!(revoke(&rig, "shell").await);
    assert!(!revoke(&rig, "shell").await);
    assert_eq!(granted(&rig).await, [of("mcp__x/y", "")]);
}

#[tokio::test]
async fn only_so_much_is_allowed_and_only_what_can_be_a_tool() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    for tool in ["", "a\nb", &"x".repeat(257)] {
        assert!(grant(&rig, tool, "").await.unwrap_err().is(fault::INVALID), "{tool:?}");
    }
    for n in 0..contract::GRANTS_MAX {
        rig.disk.put(&format!("grant/{CONV}/t{n}"), &format!(r#"{{"tool":"t{n}","granted_at":1}}"#));
    }
    assert!(grant(&rig, "one-more", "").await.unwrap_err().is(fault::CONFLICT));
    assert_eq!(granted(&rig).await.len(), contract::GRANTS_MAX);
}
