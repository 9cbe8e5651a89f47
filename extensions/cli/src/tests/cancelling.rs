//! Ctrl-C.

use super::terminal::{NO_TTY, Written, begin, cli, ended, read_to_end, text};
use dispatch_sdk::Item;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Notify;

#[tokio::test]
async fn a_cancelled_command_stops_its_turn_and_still_shows_its_end() {
    let cli = cli().await;
    let stop = Arc::new(Notify::new());
    cli.host().on_stream("op.v1/run#turns.watch", {
        let stop = Arc::clone(&stop);
        move |_, out| {
            let stop = Arc::clone(&stop);
            async move {
                out.emit(text("half an ans")).await?;
                stop.notified().await;
                out.emit(text("wer")).await?;
                out.emit(ended("cancelled", "stopped")).await?;
                Ok(json!({ "cursor": 9 }))
            }
        }
    });
    cli.host().on("op.v1/run#turns.stop", move |_| {
        stop.notify_one();
        Ok(json!({ "stopped": true }))
    });
    let mut stream = begin(&cli, &["hi"], NO_TTY);
    assert!(matches!(stream.next().await, Ok(Item::Frame(_))), "the conversation's id");
    assert!(matches!(stream.next().await, Ok(Item::Frame(frame)) if frame.text == "half an ans"));
    stream.cancel();
    let written = read_to_end(stream).await;
    let err = "· stopped\n· go on with `--conversation c1`\n".to_owned();
    assert_eq!(written, Written { out: "wer\n".into(), err, exit_code: 130 });
    let stopped = json!({ "conversation_id": "c1", "turn_id": "t1" });
    assert_eq!(cli.host().calls_of("op.v1/run#turns.stop"), [stopped]);
}

#[tokio::test]
async fn a_turn_that_does_not_end_in_time_is_left_with_the_same_exit_code() {
    let cli = cli().await;
    cli.host().on_stream("op.v1/run#turns.watch", |_, out| async move {
        out.emit(text("on and on")).await?;
        out.cancelled().await;
        Ok(json!({ "cursor": 9 }))
    });
    cli.host().on("op.v1/run#turns.stop", |_| Ok(json!({ "stopped": true })));
    let mut stream = begin(&cli, &["hi"], NO_TTY);
    assert!(matches!(stream.next().await, Ok(Item::Frame(_))), "the conversation's id");
    assert!(matches!(stream.next().await, Ok(Item::Frame(_))));
    stream.cancel();
    let written = read_to_end(stream).await;
    assert_eq!((written.exit_code, written.err.as_str()), (130, "· go on with `--conversation c1`\n"));
}

#[tokio::test]
async fn ctrl_c_while_standard_input_is_read_starts_nothing() {
    let cli = cli().await;
    let asked = Arc::new(Notify::new());
    cli.host().on_stream("command_host.v1/read", {
        let asked = Arc::clone(&asked);
        move |_, out| {
            let asked = Arc::clone(&asked);
            async move {
                asked.notify_one();
                out.cancelled().await;
                Err(dispatch_sdk::Fault::new("cancelled", "nobody reads any more"))
            }
        }
    });
    let stream = begin(&cli, &["-"], NO_TTY);
    asked.notified().await;
    stream.cancel();
    let written = read_to_end(stream).await;
    assert_eq!(written, Written { exit_code: 130, ..Written::default() });
    assert_eq!(cli.host().calls_of("op.v1/run#turns.start"), Vec::<Value>::new());
}
