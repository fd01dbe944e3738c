//! The native function of the architecture document, as a tool: seed 003.

use serde_json::{Value, json};

use crate::support::{FakeUpstream, Recorded, Script, Seed, TestGateway, answer_of, chat, whole};

/// Where the document speaks of functions that models call.
const SECTION: &str = "10.2 Custom Functions (Python)";

/// A model that calls the function once, and then tells what it was told.
fn calling(request: &Recorded) -> Script {
    let body = request.json();
    let last = body["messages"].as_array().unwrap().last().unwrap().clone();
    if last["role"] == "tool" {
        return answer_of(last["content"].as_str().unwrap());
    }
    let function = json!({"name": "get_weather", "arguments": "{\"location\": \"Paris\"}"});
    let message = json!({"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": function}]});
    let choice = json!({"index": 0, "message": message, "finish_reason": "tool_calls"});
    let answer = json!({"id": "a1", "object": "chat.completion", "created": 1, "model": "echo", "choices": [choice]});
    let headers = [("content-type", "application/json")];
    whole(200, &headers, answer.to_string())
}

/// The function's description in the request that the document shows.
fn documented(seed: &Seed) -> Value {
    let request = seed.block(SECTION, 2);
    let (_, tool) = request
        .split_once("\"function\": ")
        .expect("the tool is described");
    let mut descriptions = serde_json::Deserializer::from_str(tool).into_iter::<Value>();
    descriptions
        .next()
        .expect("the description is there")
        .unwrap()
}

#[tokio::test]
async fn the_native_function_is_offered_as_documented_and_called() {
    let Some(seed) = Seed::open("003") else {
        return;
    };
    let frame = "\n\nclass Tools:\n    get_weather = staticmethod(get_weather)\n";
    let code = seed.block(SECTION, 0) + frame;
    let mut upstream = FakeUpstream::start(calling).await;
    // The function's server is not to be asked by tests: the way to it ends here.
    let setup = TestGateway::setup()
        .python()
        .passing("HTTPS_PROXY", "http://127.0.0.1:9");
    let setup = setup
        .upstream("fake", &upstream.base_url())
        .tables("[tools]\nloop = true");
    let gateway = setup.start().await;
    let form =
        json!({"id": "weather", "name": "Weather", "content": code, "meta": {"description": "d"}});
    gateway
        .admin()
        .post("/api/v1/tools/create", &form)
        .await
        .expect(200);
    let mut body = chat("echo", "How is the weather in Paris?");
    body["tool_ids"] = json!(["weather"]);
    let answer = gateway.admin().chat(&body).await.expect(200);
    let offered = upstream.request().await.json()["tools"][0]["function"].take();
    let described = documented(&seed);
    for member in ["name", "description"] {
        assert_eq!(offered[member], described[member]);
    }
    let parameters = |tool: &Value| tool["parameters"]["properties"]["location"]["type"].clone();
    assert_eq!(parameters(&offered), parameters(&described));
    assert_eq!(
        offered["parameters"]["type"],
        described["parameters"]["type"]
    );
    assert!(
        answer.content().contains("api.weather.com"),
        "{}",
        answer.content()
    );
    assert!(
        answer.content().contains("/Paris?key=YOUR_KEY"),
        "{}",
        answer.content()
    );
}
