//! P: what functions do to a request, as far as no process has to be confined for it.

use serde_json::{Value, json};

use crate::faults::rig::Rig;
use crate::support::{FakeUpstream, TestGateway, chat, streamed_chat};

#[tokio::test]
async fn p17_what_inlet_makes_of_a_request_is_checked_again() {
    let code = "import json\n\nclass Filter:\n    def inlet(self, body):\n        body.update(json.loads(body[\"messages\"][-1][\"content\"]))\n        return body\n";
    let setup = TestGateway::setup().python().function("maker", code);
    let setup = setup.tables("[function.maker]\nglobal = false\nmodels = [\"echo\"]");
    let rig = Rig::with(setup, FakeUpstream::echo().await).await;
    let nonsense: [Value; 8] = [
        json!({"messages": "text"}),
        json!({"messages": null}),
        json!({"messages": {}}),
        json!({"stream": "yes"}),
        json!({"stream": 1}),
        json!({"model": 7}),
        json!({"model": null}),
        json!({"model": "nobody"}),
    ];
    for change in nonsense {
        for body in [
            chat("echo", &change.to_string()),
            streamed_chat("echo", &change.to_string()),
        ] {
            let answer = rig.gateway.user().chat(&body).await;
            assert!(
                matches!(answer.status, 400 | 404 | 500),
                "{change}: {} {}",
                answer.status,
                answer.text()
            );
            assert!(answer.json()["error"]["message"].is_string());
        }
    }
    assert_eq!(rig.upstream.request_count(), 0);
    // What makes sense goes on: a stream is asked for and comes, or the other way round.
    let answer = rig
        .gateway
        .user()
        .chat(&chat("echo", &json!({"stream": true}).to_string()))
        .await
        .expect(200);
    assert!(
        answer
            .header("content-type")
            .starts_with("text/event-stream")
    );
    rig.ends_unharmed("p17").await;
}
