//! The provider that `extensions/README.md` shows, on a fake host.

use dispatch_sdk::contracts::provider::{
    Finish, ProviderSpec, Stream, StreamFrame, StreamParams, StreamReply,
};
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, NoSettings, Verbs};
use dispatch_testkit::FakeHost;
use serde_json::json;
use std::sync::Arc;

struct Parrot;

impl Extension for Parrot {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        let NoSettings {} = config.parse()?;
        Ok(Self)
    }
    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Stream, |_, call: Call, params: StreamParams| async move {
            let text = format!("{} messages so far", params.messages.len());
            call.emit(&StreamFrame::TextDelta { text }).await?;
            Ok(StreamReply { finish: Finish::Stop, usage: None, model: "parrot".to_owned() })
        });
    }
    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        let provider = ProviderSpec {
            name: "parrot".to_owned(),
            ready: true,
            reason: String::new(), // why it is not ready
            default_model: "parrot".to_owned(),
            selectable: true, // may be chosen by itself
            images: false,    // its messages hold no images
        };
        Ok(Contributions { providers: vec![provider], ..Contributions::default() })
    }
}

#[tokio::test]
async fn it_answers() {
    let provider = FakeHost::new().open::<Parrot>("provider-parrot", json!({})).await.unwrap();
    let params: StreamParams = serde_json::from_value(json!({ "messages": [{}] })).unwrap();
    let (frames, reply) = provider.stream_named(Stream, "parrot", &params).finish().await;
    assert_eq!(reply.unwrap().finish, Finish::Stop);
    let [StreamFrame::TextDelta { text }] = frames.as_slice() else { panic!("{frames:?}") };
    assert_eq!(text, "1 messages so far");
    assert_eq!(provider.started().contributes.providers.len(), 1);
}
