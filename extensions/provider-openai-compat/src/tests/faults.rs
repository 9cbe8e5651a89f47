//! Fault test 5: whatever the endpoint does wrong ends in the right class, and no socket stays open.

use super::{LONG, fault_of, open_for, params, read_fault, stream, text};
use dispatch_sdk::Item;
use dispatch_sdk::contracts::message::Message;
use dispatch_sdk::contracts::provider::{FaultClass, Finish, Stream, StreamFrame};
use dispatch_testkit::fake_llm::{Action, HttpError, RetryAfter, Rule, Script};
use serde_json::json;

fn http_error(status: u16, retry_after: RetryAfter) -> Vec<Action> {
    vec![Action::HttpError(HttpError { status, retry_after: Some(retry_after), ..HttpError::default() })]
}

#[tokio::test]
async fn every_http_error_has_its_class_and_its_wait() {
    let cases = [
        (429, RetryAfter::Seconds(3), FaultClass::RateLimited, Some(3_000)),
        (429, RetryAfter::Seconds(u64::MAX), FaultClass::RateLimited, Some(604_800_000)),
        (429, RetryAfter::Text("later".into()), FaultClass::RateLimited, None),
        (429, RetryAfter::DateInSeconds(-60 * 60 * 24 * 365 * 40), FaultClass::RateLimited, Some(0)),
        (429, RetryAfter::DateInSeconds(1_000_000_000), FaultClass::RateLimited, Some(604_800_000)),
        (503, RetryAfter::Seconds(1), FaultClass::ProviderOverloaded, Some(1_000)),
        (529, RetryAfter::Seconds(1), FaultClass::ProviderOverloaded, Some(1_000)),
        (500, RetryAfter::Seconds(1), FaultClass::ServerError, Some(1_000)),
        (400, RetryAfter::Seconds(1), FaultClass::BadRequest, None),
    ];
    for (status, retry_after, class, wait_ms) in cases {
        let case = format!("{status} {retry_after:?}");
        let (_, detail) = fault_of(http_error(status, retry_after), json!({})).await;
        assert_eq!(
            (detail.class, detail.retry_after_ms, detail.http_status),
            (class, wait_ms, Some(status)),
            "{case}"
        );
    }
}

#[tokio::test]
async fn a_context_that_is_too_long_has_its_own_class() {
    let error =
        HttpError { status: 400, code: Some("context_length_exceeded".into()), ..HttpError::default() };
    let (_, detail) = fault_of(vec![Action::HttpError(error)], json!({})).await;
    assert_eq!(detail.class, FaultClass::ContextOverflow);
}

#[tokio::test]
async fn a_refused_key_names_what_to_set_and_is_not_shown() {
    let message = "the key sk-12345678 is not known, Basic 98765432 neither";
    let error = HttpError { status: 401, message: Some(message.into()), ..HttpError::default() };
    let config = json!({ "api_key": "sk-12345678", "headers": { "x-key": "Basic 98765432" } });
    let (fault, detail) = fault_of(vec![Action::HttpError(error.clone())], config).await;
    assert_eq!((detail.class, detail.http_status), (FaultClass::Auth, Some(401)));
    let said = "the endpoint answered HTTP 401: the key [secret] is not known, [secret] neither; \
        check `api_key` of `provider-openai-compat`: DISPATCH_SET__PROVIDER_OPENAI_COMPAT__API_KEY \
        or `provider-openai-compat.api_key = { env = \"…\" }`";
    assert_eq!(fault.message, said);
    let (fault, _) = fault_of(vec![Action::HttpError(error)], json!({})).await;
    assert!(fault.message.contains("none is sent; set `api_key`"), "{}", fault.message);
}

#[tokio::test]
async fn an_answer_cut_after_any_byte_is_truncated_or_whole() {
    let answer = || vec![Action::text("hé"), Action::tool_call("t", json!({ "a": 1 }))];
    let (_fake, opened) = open_for(Script::steps(vec![answer()]), json!({})).await;
    let (whole, _) = stream(&opened, &params(&[Message::user("hi")])).await;
    let cut = |n_bytes| {
        let mut cut = answer();
        cut.push(Action::CutAfterBytes(n_bytes));
        cut
    };
    const N_BYTES: u64 = 1_200;
    let mut script = Script::steps((0..N_BYTES).map(cut).collect());
    script.keep_alive = false;
    let (fake, opened) = open_for(script, json!({})).await;
    let (mut n_truncated, mut n_whole) = (0, 0);
    for n_bytes in 0..N_BYTES {
        let (frames, reply) = stream(&opened, &params(&[Message::user("hi")])).await;
        match reply {
            Ok(reply) => {
                assert_eq!((frames.len(), reply.finish), (whole.len(), Finish::ToolCalls), "after {n_bytes}");
                n_whole += 1;
            }
            Err(fault) => {
                let (_, detail) = read_fault(Err(fault));
                assert_eq!(detail.class, FaultClass::Truncated, "after {n_bytes}");
                assert!(frames.is_empty() || frames == [text("hé")], "after {n_bytes}: {frames:?}");
                n_truncated += 1;
            }
        }
    }
    assert!(n_truncated > 100 && n_whole > 1, "{n_truncated} truncated, {n_whole} whole");
    fake.await_no_connections(LONG).await;
}

#[tokio::test]
async fn silence_is_stalled_and_the_socket_is_closed() {
    let comment = || [Action::Garbage(vec![": alive".into()]), Action::WaitMs(50)];
    let answers = [
        vec![Action::Stall],
        vec![Action::Headers, Action::Stall],
        vec![Action::text("a"), Action::Stall],
        // Comments show that the server lives, not that the model does.
        (0..40).flat_map(|_| comment()).chain([Action::text("a")]).collect(),
    ];
    for answer in answers {
        let limits = json!({ "idle_timeout_ms": 150, "keepalive_timeout_ms": 400 });
        let (fake, opened) = open_for(Script::steps(vec![answer]), limits).await;
        let (_, detail) = read_fault(stream(&opened, &params(&[Message::user("hi")])).await.1);
        assert_eq!(detail.class, FaultClass::Stalled);
        fake.await_no_connections(LONG).await;
    }
}

#[tokio::test]
async fn what_nobody_can_read_is_garbled() {
    let answer = vec![Action::Event(json!("{\"choices\": [")), Action::text("a")];
    let (_, detail) = fault_of(answer, json!({})).await;
    assert_eq!(detail.class, FaultClass::Garbled);
}

#[tokio::test]
async fn what_is_larger_than_we_take_is_not_asked_for_again() {
    for answer in
        [vec![Action::LongLine(100_000_000)], vec![Action::text("a"), Action::LongLine(100_000_000)]]
    {
        let (fault, detail) = fault_of(answer, json!({})).await;
        assert_eq!(detail.class, FaultClass::BadRequest);
        assert!(!detail.class.retryable() && fault.message.contains("ask for less"), "{}", fault.message);
    }
}

#[tokio::test]
async fn lines_that_are_no_events_are_passed_over() {
    let answer = vec![Action::Garbage(vec!["hello".into(), "<p>".into()]), Action::text("a")];
    let (_fake, opened) = open_for(Script::steps(vec![answer]), json!({})).await;
    let (frames, reply) = stream(&opened, &params(&[Message::user("hi")])).await;
    assert_eq!((frames, reply.map(|reply| reply.finish)), (vec![text("a")], Ok(Finish::Stop)));
}

#[tokio::test]
async fn an_error_inside_the_stream_comes_after_what_was_shown() {
    let answer = vec![Action::text("a"), Action::StreamError(json!({ "message": "busy", "code": 529 }))];
    let (_fake, opened) = open_for(Script::steps(vec![answer]), json!({})).await;
    let (frames, reply) = stream(&opened, &params(&[Message::user("hi")])).await;
    let (fault, detail) = read_fault(reply);
    assert_eq!((frames, detail.class), (vec![text("a")], FaultClass::ProviderOverloaded));
    assert_eq!(fault.message, "the endpoint reported an error in its answer: busy");
}

#[tokio::test]
async fn a_reset_in_the_middle_is_truncated() {
    let answer = vec![Action::text("a"), Action::WaitMs(1), Action::Reset];
    let (_, detail) = fault_of(answer, json!({})).await;
    assert_eq!(detail.class, FaultClass::Truncated);
}

#[tokio::test]
async fn a_turn_without_any_model_says_what_to_set() {
    let (fake, opened) = open_for(Script::default(), json!({ "model": "" })).await;
    assert!(opened.started().contributes.providers[0].ready);
    let (fault, detail) = read_fault(stream(&opened, &params(&[])).await.1);
    assert_eq!(detail.class, FaultClass::BadRequest);
    let said = "the turn names no model and `provider-openai-compat` has no default one; name one, or set it: \
        `--set provider-openai-compat.model=…` or DISPATCH_SET__PROVIDER_OPENAI_COMPAT__MODEL";
    assert_eq!((fault.message.as_str(), fake.n_requests()), (said, 0));
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_named() {
    let (_fake, opened) = open_for(Script::default(), json!({})).await;
    let mut asked = params(&[Message::user("hi")]);
    asked.messages.push(serde_json::value::to_raw_value(&json!({ "role": "ghost" })).expect("JSON"));
    let (fault, detail) = read_fault(stream(&opened, &asked).await.1);
    assert_eq!(detail.class, FaultClass::BadRequest);
    assert!(fault.message.starts_with("cannot read message 1 of the history: "), "{}", fault.message);
}

#[tokio::test]
async fn a_cancelled_or_dropped_stream_closes_its_socket() {
    let answer = vec![Action::text("a"), Action::Stall];
    for is_dropped in [false, true] {
        let script = Script::rules(vec![Rule::always(answer.clone())]);
        let (fake, opened) = open_for(script, json!({})).await;
        // The host's own drop comes too late to be what closes the socket.
        opened.host().set_cancel_grace_ms(600_000);
        let mut stream = opened.stream_named(Stream, "openai-compat", &params(&[Message::user("hi")]));
        let first = stream.next().await.expect("a frame");
        assert!(matches!(first, Item::Frame(StreamFrame::TextDelta { .. })), "{first:?}");
        assert_eq!(fake.open_answers(), 1);
        if is_dropped {
            drop(stream);
        } else {
            stream.cancel();
            let fault = stream.next().await.expect_err("it was cancelled");
            assert_eq!(fault.code, "cancelled");
        }
        fake.await_no_connections(LONG).await;
    }
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_the_server_back_and_can_still_cancel() {
    let script = Script::rules(vec![Rule::always(vec![Action::text_deltas(5_000_000, 0)])]);
    let (fake, opened) = open_for(script, json!({ "idle_timeout_ms": 300 })).await;
    let mut stream = opened.stream_named(Stream, "openai-compat", &params(&[Message::user("hi")]));
    assert!(matches!(stream.next().await, Ok(Item::Frame(_))));
    // Longer than the limit of silence: the reader's own slowness is not the endpoint's.
    tokio::time::sleep(std::time::Duration::from_millis(450)).await;
    assert!(matches!(stream.next().await, Ok(Item::Frame(_))));
    assert_eq!(fake.open_answers(), 1);
    drop(stream);
    fake.await_no_connections(LONG).await;
}
