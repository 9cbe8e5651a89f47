//! Faults come at the byte where they were asked for.

use serde_json::json;

use super::super::{Action, Deltas, FakeLlm, HttpError, Pace, RetryAfter, Rule, Script};
use super::client::{Client, End, Response};
use super::{SOON, ask, stream, text};

#[test]
fn a_cut_sends_exactly_its_bytes_wherever_it_falls() {
    let answer = |cut: Option<u64>| {
        let mut actions = vec![Action::text("ä"), Action::NoDone];
        actions.extend(cut.map(Action::CutAfterBytes));
        actions
    };
    let whole = stream(answer(None)).body();
    let fake = FakeLlm::start(Script::steps((0..=whole.len() as u64).map(|k| answer(Some(k))).collect()));
    for k in 0..=whole.len() {
        let response = Client::connect(&fake).post(&ask("m", "hello"));
        let body = response.body();
        assert_eq!(response.end, End::Closed, "cut after {k}");
        assert_eq!(body.len(), k);
        // What follows is the request's number, which differs.
        let same = k.min("data: {\"id\":\"chatcmpl-fake-".len());
        assert_eq!(body[..same], whole[..same]);
    }
}

#[test]
fn a_cut_behind_the_end_leaves_the_answer_whole() {
    let response = stream(vec![Action::text("a"), Action::CutAfterBytes(1 << 40)]);
    assert_eq!((text(&response).as_str(), &response.end), ("a", &End::Whole));
}

#[test]
fn a_pace_of_one_byte_splits_characters() {
    let response = stream(vec![Action::Pace(Pace { bytes: 1, delay_ms: 0 }), Action::text("aä€😀")]);
    assert!(response.pieces.iter().all(|piece| piece.len() == 1));
    assert_eq!(text(&response), "aä€😀");
}

#[test]
fn a_pace_waits_after_each_piece() {
    let fake = FakeLlm::start(Script::steps(vec![vec![
        Action::Pace(Pace { bytes: 100, delay_ms: 5 }),
        Action::Bytes(vec![b':'; 1000]),
    ]]));
    let begun_ns = fake.now_ns();
    let response = Client::connect(&fake).post(&ask("m", "x"));
    assert_eq!(response.pieces[9], vec![b':'; 100]);
    assert!(fake.now_ns() - begun_ns >= 50_000_000);
}

#[test]
fn a_stall_lasts_until_the_client_leaves() {
    let stalls = [
        (vec![Action::Stall], ""),
        (vec![Action::Headers, Action::Stall], "\r\n\r\n"),
        (vec![Action::text("half"), Action::Stall], "half"),
        (vec![Action::text("half"), Action::WaitMs(600_000)], "half"),
    ];
    let steps = stalls.iter().map(|(actions, _)| actions.clone()).collect();
    let fake = FakeLlm::start(Script::steps(steps));
    for (idx, (_, seen)) in stalls.iter().enumerate() {
        let mut client = Client::connect(&fake);
        client.send_json(&ask("m", "hello"));
        fake.block_on(fake.await_requests(idx + 1, SOON));
        client.read_until(seen);
        assert_eq!((fake.open_connections(), fake.open_answers()), (1, 1));
        drop(client);
        fake.block_on(fake.await_no_connections(SOON));
        assert_eq!(fake.open_answers(), 0);
    }
}

#[test]
fn a_client_that_leaves_ends_an_answer_that_is_fast() {
    let fake = FakeLlm::start(Script::default());
    let mut client = Client::connect(&fake);
    client.send_json(&ask("fake-text-10000000", "x"));
    client.read_until("w1 ");
    drop(client);
    fake.block_on(fake.await_no_connections(SOON));
}

#[test]
fn a_close_or_a_reset_comes_where_it_stands() {
    let early = stream(vec![Action::Close]);
    assert_eq!((early.head.as_str(), early.end), ("", End::Closed));
    let late = stream(vec![Action::text("a"), Action::Close]);
    assert_eq!((text(&late).as_str(), late.end), ("a", End::Closed));
    assert_eq!(stream(vec![Action::Reset]).end, End::Reset);
}

#[test]
fn garbage_goes_out_as_it_is() {
    let response = stream(vec![
        Action::Garbage(vec!["data: {".into(), ": ping".into(), "<html>".into()]),
        Action::Bytes(vec![0xff, b'\n']),
        Action::Event(json!("{\"half\":")),
        Action::Event(json!({"choices": []})),
        Action::NoFinish,
        Action::NoDone,
    ]);
    let expected = b"data: {\n: ping\n<html>\n\xff\ndata: {\"half\":\n\ndata: {\"choices\":[]}\n\n";
    assert_eq!(response.body(), expected);
}

#[test]
fn a_line_of_100_mb_is_one_line() {
    let response = stream(vec![Action::LongLine(100_000_000), Action::NoFinish, Action::NoDone]);
    let body = response.body();
    assert_eq!(body.len(), 100_000_000 + "data: \n\n".len());
    let ends: Vec<usize> = (0..body.len()).filter(|at| body[*at] == b'\n').collect();
    assert_eq!(ends, [body.len() - 2, body.len() - 1]);
}

#[test]
fn the_end_can_be_missing_or_doubled_or_early() {
    let reasons = |response: &Response| {
        let chunks = response.chunks();
        let reasons = chunks.iter().map(|c| c["choices"][0]["finish_reason"].clone());
        reasons.filter(|reason| !reason.is_null()).collect::<Vec<_>>()
    };
    let bare = stream(vec![Action::text("a"), Action::NoFinish, Action::NoDone]);
    assert_eq!((reasons(&bare), &bare.end), (vec![], &End::Whole));
    assert!(!bare.body_text().contains("[DONE]"));
    let early = stream(vec![Action::Finish("length".into()), Action::RepeatLast(2), Action::text("late")]);
    assert_eq!(reasons(&early), ["length", "length", "length"]);
    assert_eq!(text(&early), "late");
    // A wait sends the batch: the last event is repeated all the same.
    let twice = stream(vec![
        Action::Text(Deltas::Many(vec!["a".into(), "b".into()])),
        Action::WaitMs(1),
        Action::RepeatLast(1),
        Action::Chunk(json!({"content": "c"})),
    ]);
    assert_eq!(text(&twice), "abbc");
}

#[test]
fn an_error_in_the_stream_is_its_last_event() {
    let error = json!({"message": "overloaded", "code": 502});
    let response = stream(vec![Action::text("a"), Action::StreamError(error.clone())]);
    let last = response.chunks().pop().unwrap();
    assert_eq!(last, json!({ "error": error }));
    assert_eq!((response.status, response.end), (200, End::Whole));
}

fn http_error(error: HttpError) -> Response {
    stream(vec![Action::HttpError(error)])
}

#[test]
fn http_errors_have_the_body_their_status_usually_has() {
    for (status, code) in [
        (400, json!(null)),
        (401, json!("invalid_api_key")),
        (429, json!("rate_limit_exceeded")),
        (500, json!(null)),
        (529, json!(null)),
    ] {
        let response = stream(vec![Action::http_error(status)]);
        assert_eq!(response.status, status);
        assert_eq!(response.json()["error"]["code"], code);
    }
    let too_long = http_error(HttpError {
        status: 400,
        code: Some("context_length_exceeded".into()),
        ..HttpError::default()
    });
    let message = too_long.json()["error"]["message"].to_string();
    assert!(message.contains("maximum context length"), "{message}");
    let page = http_error(HttpError {
        status: 502,
        body: Some(json!("<html>bad gateway</html>")),
        headers: [("x-proxy".to_owned(), "yes".to_owned())].into(),
        ..HttpError::default()
    });
    assert_eq!(page.body_text(), "<html>bad gateway</html>");
    assert_eq!(page.header("x-proxy"), Some("yes"));
}

#[test]
fn retry_after_is_seconds_or_a_date_or_nonsense() {
    let header = |retry_after| {
        let response =
            http_error(HttpError { status: 429, retry_after: Some(retry_after), ..HttpError::default() });
        response.header("retry-after").unwrap().to_owned()
    };
    assert_eq!(header(RetryAfter::Seconds(7)), "7");
    assert_eq!(header(RetryAfter::Text("soon".into())), "soon");
    let clock = super::super::log::Clock::start();
    let in_s = |date: &str| {
        let at = httpdate::parse_http_date(date).unwrap();
        let since = at.duration_since(std::time::UNIX_EPOCH).unwrap();
        since.as_secs() as i64 - (clock.now_ns() / 1_000_000_000) as i64
    };
    assert!((29..=31).contains(&in_s(&header(RetryAfter::DateInSeconds(30)))));
    assert!((-31..=-29).contains(&in_s(&header(RetryAfter::DateInSeconds(-30)))));
    assert!(header(RetryAfter::DateInSeconds(i64::MAX)).contains("9999"));
}

#[test]
fn an_http_error_can_be_late_and_cut() {
    let fake = FakeLlm::start(Script::rules(vec![Rule::always(vec![
        Action::WaitMs(20),
        Action::CutAfterBytes(5),
        Action::http_error(500),
    ])]));
    let begun_ns = fake.now_ns();
    let response = Client::connect(&fake).post(&ask("m", "x"));
    assert_eq!((response.body_text().len(), response.end), (5, End::Closed));
    assert!(fake.now_ns() - begun_ns >= 20_000_000);
}
