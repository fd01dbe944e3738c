//! The reference of pipes: seed 002.

use serde_json::json;

use super::gateway;
use crate::support::{Seed, TestGateway, chat, in_class, streamed_chat};

const METHOD: &str = "The `pipe()` Method";
const VARIANTS: &str = "The `pipes()` Method";

const IMPORTS: &str = "import json\nfrom pydantic import BaseModel\nfrom starlette.responses import StreamingResponse\n\n\
                       class Model(BaseModel):\n    choices: list = [{'message': {'content': 'from a model'}}]\n\n\n";

/// A pipe whose only method is the documented signature with this body.
fn with_body(seed: &Seed, body: &str) -> String {
    let method = seed.block(METHOD, 0) + body;
    IMPORTS.to_owned() + &in_class("Pipe", &[&method])
}

/// Installs pipes that give one of the documented types each.
async fn gateway_with(pipes: &[(&str, &str)]) -> Option<TestGateway> {
    let seed = Seed::open("002")?;
    let gateway = gateway().await;
    for (id, body) in pipes {
        gateway
            .management()
            .install(id, &with_body(&seed, body))
            .await;
    }
    Some(gateway)
}

#[tokio::test]
async fn the_pipe_method_returns_text_and_generators() {
    let pipes = [
        ("text", "    return 'plain text'\n"),
        (
            "plain_generator",
            "    return (word for word in ('plain', ' ', 'text'))\n",
        ),
        (
            "async_generator",
            "    for word in ('plain', ' ', 'text'):\n        yield word\n",
        ),
    ];
    let Some(gateway) = gateway_with(&pipes).await else {
        return;
    };
    for (id, _) in pipes {
        let answer = gateway.user().chat(&chat(id, "hi")).await.expect(200);
        assert_eq!(answer.content(), "plain text", "{id}");
        let answer = gateway
            .user()
            .chat(&streamed_chat(id, "hi"))
            .await
            .expect(200);
        assert_eq!(answer.streamed_content(), "plain text", "{id}");
    }
}

#[tokio::test]
async fn the_pipe_method_returns_objects_that_are_sent_as_they_are() {
    let pipes = [
        (
            "dict_answer",
            "    return {'choices': [{'message': {'content': 'from a dict'}}]}\n",
        ),
        ("model_answer", "    return Model()\n"),
    ];
    let Some(gateway) = gateway_with(&pipes).await else {
        return;
    };
    for (id, text) in [
        ("dict_answer", "from a dict"),
        ("model_answer", "from a model"),
    ] {
        let whole = json!({"choices": [{"message": {"content": text}}]});
        let answer = gateway.user().chat(&chat(id, "hi")).await.expect(200);
        assert_eq!(answer.json(), whole, "{id}");
        let answer = gateway
            .user()
            .chat(&streamed_chat(id, "hi"))
            .await
            .expect(200);
        assert_eq!(answer.events()[0], whole.to_string(), "{id}");
    }
}

#[tokio::test]
async fn the_pipe_method_returns_a_streaming_response_whose_body_is_streamed() {
    let pipes = [(
        "response",
        "    return StreamingResponse(iter(['one ', 'two']), media_type='text/plain')\n",
    )];
    let Some(gateway) = gateway_with(&pipes).await else {
        return;
    };
    for body in [chat("response", "hi"), streamed_chat("response", "hi")] {
        let answer = gateway.user().chat(&body).await.expect(200);
        assert_eq!(answer.text(), "one two");
        assert!(
            answer.header("content-type").starts_with("text/plain"),
            "{:?}",
            answer.headers
        );
    }
}

#[tokio::test]
async fn the_pipe_method_finds_its_context_in_kwargs() {
    let show = "    user = kwargs['__user__']\n    \
                return json.dumps([user['role'], kwargs['__files__'], type(kwargs['__metadata__']).__name__, '__tools__' in kwargs])\n";
    let Some(gateway) = gateway_with(&[("context", show)]).await else {
        return;
    };
    let mut body = chat("context", "hi");
    body["files"] = json!([{"id": "f1"}]);
    let answer = gateway
        .user()
        .post("/api/chat/completions", &body)
        .await
        .expect(200);
    let shown: serde_json::Value = serde_json::from_str(&answer.content()).unwrap();
    assert_eq!(shown, json!(["user", [{"id": "f1"}], "dict", true]));
}

#[tokio::test]
async fn the_examples_of_both_methods_make_a_pipe_with_variants() {
    let Some(seed) = Seed::open("002") else {
        return;
    };
    let gateway = gateway().await;
    let (variants, method) = (seed.block(VARIANTS, 1), seed.block(METHOD, 1));
    gateway
        .management()
        .install("both", &in_class("Pipe", &[&variants, &method]))
        .await;
    let signature = seed.block(VARIANTS, 0) + "    return [{'id': 'only', 'name': 'Only'}]\n";
    gateway
        .management()
        .install("signed", &in_class("Pipe", &[&signature, &method]))
        .await;
    assert_eq!(
        names(&gateway).await,
        [
            "both.model_variant_1 Model Variant 1",
            "both.model_variant_2 Model Variant 2",
            "signed.only Only"
        ]
    );
    for model in [
        "both.model_variant_1",
        "both.model_variant_2",
        "signed.only",
    ] {
        let answer = gateway.user().chat(&chat(model, "hi")).await.expect(200);
        assert_eq!(
            answer.content(),
            "This is a response from MyFunction",
            "{model}"
        );
    }
}

#[tokio::test]
async fn the_creation_example_is_a_whole_pipe() {
    let Some(seed) = Seed::open("002") else {
        return;
    };
    let gateway = gateway().await;
    gateway
        .management()
        .install("made", &seed.block("Pipe Plugin Creation Example", 0))
        .await;
    assert_eq!(
        names(&gateway).await,
        [
            "made.model_variant_1 Model Variant 1",
            "made.model_variant_2 Model Variant 2"
        ]
    );
    let answer = gateway
        .user()
        .chat(&chat("made.model_variant_2", "hi"))
        .await
        .expect(200);
    assert_eq!(answer.content(), "This is a response from Pipe");
    let answer = gateway
        .user()
        .chat(&streamed_chat("made.model_variant_1", "hi"))
        .await
        .expect(200);
    assert_eq!(answer.streamed_content(), "This is a response from Pipe");
}

/// Id and name of each model.
async fn names(gateway: &TestGateway) -> Vec<String> {
    let list = gateway.user().get("/api/models").await.expect(200).json();
    let models = list["data"].as_array().unwrap().iter();
    let name = |model: &serde_json::Value| {
        let part = |key: &str| model[key].as_str().unwrap().to_owned();
        format!("{} {}", part("id"), part("name"))
    };
    models.map(name).collect()
}
