//! `turn_host.v1/ask`, and the two verbs that have nothing to say yet.

use super::world::World;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::kernel::KERNEL_INSTANCE;
use dispatch_sdk::contracts::{Empty, turn};
use serde_json::{Value, json};

async fn ask(world: &World, conversation_id: &str, tool: &str) -> Value {
    let params = json!({
        "conversation_id": conversation_id, "turn_id": "t", "tool_call_id": "call", "tool": tool,
        "effect": "exec", "args": { "command": "ls" },
    });
    let params: turn::AskParams = serde_json::from_value(params).expect("a question");
    let reply = world
        .ext()
        .as_caller(KERNEL_INSTANCE)
        .call(turn::Ask, &params)
        .await
        .expect("a question is always answered");
    serde_json::to_value(reply).expect("replies encode")
}

#[tokio::test]
async fn an_allow_for_the_conversation_holds_for_this_tool_in_it_alone() {
    let world = World::new().await;
    world.host.on("approvals.v1/ask", |_| Ok(json!({ "decision": "allow", "scope": "conversation" })));
    for (conversation, tool, n_asked) in
        [("a", "shell", 1), ("a", "shell", 1), ("a", "write_file", 2), ("b", "shell", 3), ("a", "shell", 3)]
    {
        let reply = ask(&world, conversation, tool).await;
        assert_eq!(reply, json!({ "decision": "allow", "scope": "conversation" }));
        assert_eq!(world.host.calls_of("approvals.v1/ask").len(), n_asked, "{conversation} {tool}");
    }
}

#[tokio::test]
async fn what_was_allowed_for_a_conversation_is_kept_with_it_and_asked_again_once_it_is_taken_back() {
    let world = World::new().await;
    world.host.on("approvals.v1/ask", |_| Ok(json!({ "decision": "allow", "scope": "conversation" })));
    ask(&world, "a", "shell").await;
    let grant = json!({ "conversation_id": "a", "tool": "shell", "by": "user:test" });
    world.change(|state| assert_eq!(state.grants, [grant]));
    // The next host over the same store.
    let next = World::new().await;
    next.host.on("approvals.v1/ask", |_| Ok(json!({ "decision": "deny", "reason": "no" })));
    next.change(|state| state.grants = world.change(|kept| kept.grants.clone()));
    assert_eq!(ask(&next, "a", "shell").await["decision"], "allow");
    next.change(|state| state.grants.clear());
    assert_eq!(ask(&next, "a", "shell").await["decision"], "deny");
}

#[tokio::test]
async fn who_allowed_and_what_was_changed_reach_the_kernel_and_a_grant_says_whose_it_is() {
    let world = World::new().await;
    let allowed = json!({
        "decision": "allow", "scope": "conversation", "args": { "command": "pwd" }, "by": "user:ann",
    });
    let answer = allowed.clone();
    world.host.on("approvals.v1/ask", move |_| Ok(answer.clone()));
    assert_eq!(ask(&world, "a", "shell").await, allowed);
    world.change(|state| assert_eq!(state.grants[0]["by"], "user:ann"));
    world.host.on("conversations.v1/grants", |_| {
        Ok(json!({ "grants": [{ "tool": "shell", "granted_at": 1, "by": "user:ann" }] }))
    });
    let again = json!({ "decision": "allow", "scope": "conversation", "by": "user:ann" });
    assert_eq!(ask(&world, "a", "shell").await, again, "the next call runs as the model wrote it");
}

#[tokio::test]
async fn what_a_filter_wants_asked_is_asked_whatever_was_allowed_before() {
    let world = World::new().await;
    world.host.on("approvals.v1/ask", |_| Ok(json!({ "decision": "allow", "scope": "conversation" })));
    ask(&world, "a", "shell").await;
    let question = json!({
        "conversation_id": "a", "turn_id": "t", "tool_call_id": "call", "tool": "shell", "effect": "exec",
        "args": { "command": "rm" }, "asked_by": "guard",
    });
    let params: turn::AskParams = serde_json::from_value(question.clone()).expect("a question");
    world.ext().as_caller(KERNEL_INSTANCE).call(turn::Ask, &params).await.expect("an answer");
    assert_eq!(world.host.calls_of("approvals.v1/ask")[1], question);
}

#[tokio::test]
async fn a_store_that_cannot_tell_what_was_allowed_makes_it_be_asked() {
    let world = World::new().await;
    world.host.on("conversations.v1/grants", |_| Err(Fault::new("io", "cannot read")));
    world.host.on("conversations.v1/grant", |_| Err(Fault::new("io", "cannot write")));
    world.host.on("approvals.v1/ask", |_| Ok(json!({ "decision": "allow", "scope": "conversation" })));
    for n_asked in 1..=2 {
        assert_eq!(ask(&world, "a", "shell").await["decision"], "allow");
        assert_eq!(world.host.calls_of("approvals.v1/ask").len(), n_asked);
    }
}

#[tokio::test]
async fn an_allow_for_once_and_a_deny_are_asked_again() {
    for answer in
        [json!({ "decision": "allow", "scope": "once" }), json!({ "decision": "deny", "reason": "no" })]
    {
        let world = World::new().await;
        world.host.on("approvals.v1/ask", {
            let answer = answer.clone();
            move |_| Ok(answer.clone())
        });
        assert_eq!(ask(&world, "a", "shell").await, answer);
        assert_eq!(ask(&world, "a", "shell").await, answer);
        assert_eq!(world.host.calls_of("approvals.v1/ask").len(), 2);
    }
}

#[tokio::test]
async fn with_nobody_there_it_is_a_deny_with_the_reason() {
    let world = World::new().await;
    let nobody = "it needs a person's consent, and nobody is there to ask";
    assert_eq!(ask(&world, "a", "shell").await, json!({ "decision": "deny", "reason": nobody }));
    world.host.on("approvals.v1/ask", |_| Err(Fault::new("unavailable", "no terminal")));
    let reason = format!("{nobody}: no terminal");
    assert_eq!(ask(&world, "a", "shell").await, json!({ "decision": "deny", "reason": reason }));
}

#[tokio::test]
async fn steering_and_boundary_have_nothing_to_say() {
    let world = World::new().await;
    let steering = world.ext().call(turn::Steering, &Empty {}).await.expect("it answers");
    assert_eq!(steering.messages.len(), 0);
    let params = turn::BoundaryParams::default();
    let boundary = world.ext().call(turn::Boundary, &params).await.expect("it answers");
    assert!(boundary.messages.is_none());
}

#[tokio::test]
async fn only_the_kernel_may_ask_or_commit() {
    let world = World::new().await;
    let params: turn::CommitParams =
        serde_json::from_value(json!({ "turn_id": "t", "frames_before": 0 })).expect("a commit");
    let fault = world.ext().call(turn::Commit, &params).await.expect_err("it was the test that called");
    assert_eq!(fault.code, "denied");
}
