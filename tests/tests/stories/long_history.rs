//! A conversation that has grown as long as a request may be: who starts a turn in it is told, and nothing runs.

use crate::host::Host;
use crate::served::Served;
use dispatch_testkit::fake_llm::{Action, Rule, Script};
use serde_json::{Value, json};

/// Three inputs that leave about four kilobytes of the twelve megabytes.
const INPUTS: [usize; 3] = [4 * 1024 * 1024, 4 * 1024 * 1024, 4_190_000];

/// Every start of such a conversation was once answered 202, and failed then.
#[test]
fn a_start_that_no_request_can_hold_is_refused_on_every_surface_and_the_conversation_lives() {
    let host = Host::new(Script::rules(vec![Rule::always(vec![Action::text("ok")])]));
    let served = Served::start(&host, &[]);
    let conversation = served.conversation();
    for bytes in INPUTS {
        let events = served.turn(&conversation, &json!({ "input": "x".repeat(bytes) }));
        assert_eq!(events.last().expect("an end")["data"]["status"], "completed");
    }
    let n_requests = host.llm.requests().len();
    let too_long = "y".repeat(10_000);
    let turns = format!("/v1/conversations/{conversation}/turns");
    let refused = served.ask("POST", &turns, Some(&json!({ "input": too_long })));
    let problem = refused.json();
    assert_eq!((refused.status, &problem["code"]), (413, &json!("too_large")), "{}", refused.text);
    assert!(refused.text.contains("begin a new conversation"), "{}", refused.text);
    assert_eq!(
        served.ask("GET", &format!("/v1/conversations/{conversation}"), None).json()["open_turn"],
        Value::Null
    );
    // What still fits still runs.
    let events = served.turn(&conversation, &json!({ "input": "hi" }));
    assert_eq!(events.last().expect("an end")["data"]["status"], "completed");
    served.signal("TERM");
    assert_eq!(served.wait(), Some(0));

    let ran = host.run(&["--conversation", &conversation, &too_long]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("begin a new conversation"), "{}", ran.stderr);
    assert_eq!(host.llm.requests().len(), n_requests + 1, "nothing was asked for what was refused");
}
