//! Secrets among valves are masked whenever they are shown, and kept when the mask comes back.

use serde_json::json;

use crate::support::{FakeUpstream, TestGateway, chat};

const MASK: &str = "********";

const KEEPER: &str = r#"
from pydantic import BaseModel, Field, SecretStr


class Filter:
    class Valves(BaseModel):
        api_key: str = "of-the-class"
        pin: SecretStr = SecretStr("")
        hidden: str = Field("", json_schema_extra={"input": {"type": "password"}})
        word: str = "plain"
        mode: str = Field("a", json_schema_extra={"input": {"type": "select", "options": "modes"}})

        @classmethod
        def modes(cls, __user__=None):
            return [__user__["name"]]

    class UserValves(BaseModel):
        token: str = ""

    def inlet(self, body, __user__):
        v = self.valves
        seen = [v.api_key, v.pin.get_secret_value(), v.hidden, v.word, __user__["valves"].token]
        body["messages"][-1]["content"] = " ".join(seen)
        return body
"#;

#[tokio::test]
async fn a_secret_is_stored_and_never_shown() {
    let upstream = FakeUpstream::echo().await;
    let gateway = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    let management = gateway.management();
    management.install_filter("keeper", KEEPER).await;
    let values = json!({"api_key": "k1", "pin": "p1", "hidden": "h1", "word": "w1"});
    management.set_valves("keeper", &values).await.expect(200);
    let masked = json!({"api_key": MASK, "pin": MASK, "hidden": MASK, "word": "w1"});
    let shown = management.get("keeper", "valves").await.expect(200);
    assert_eq!(shown.json(), masked);
    // As a form sends it back that changed one other field.
    let mut sent = masked.clone();
    sent["word"] = json!("w2");
    let answer = management.set_valves("keeper", &sent).await.expect(200);
    assert_eq!(answer.json(), sent);
    let user = gateway.user();
    let token = json!({"token": "t1"});
    user.set_user_valves("keeper", &token).await.expect(200);
    let own = user.get("/api/v1/functions/id/keeper/valves/user").await;
    assert_eq!(own.expect(200).json(), json!({"token": MASK}));
    let again = json!({"token": MASK});
    user.set_user_valves("keeper", &again).await.expect(200);
    let answer = user.chat(&chat("echo", "hi")).await.expect(200);
    assert_eq!(answer.content(), "echo: k1 p1 h1 w2 t1");
    let plain = management.get_all("export").await.expect(200).text();
    assert!(!plain.contains("k1"), "{plain}");
    let moving = management.get_all("export?include_valves=true").await;
    assert_eq!(moving.expect(200).json()[0]["valves"]["api_key"], "k1");
    for secret in ["k1", "p1", "h1", "t1"] {
        assert!(!gateway.log().contains(secret));
    }
}

#[tokio::test]
async fn the_schema_hides_defaults_of_secrets_and_lists_options() {
    let upstream = FakeUpstream::echo().await;
    let gateway = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    let management = gateway.management();
    management.create("keeper", KEEPER).await.expect(200);
    let spec = management.get("keeper", "valves/spec").await.expect(200);
    let fields = &spec.json()["properties"];
    assert_eq!(fields["api_key"]["default"], MASK);
    assert_eq!(fields["word"]["default"], "plain");
    assert_eq!(fields["mode"]["input"]["options"], json!(["Admin One"]));
    // Nobody has valves of a function that is off.
    let user = management.get("keeper", "valves/user/spec").await;
    assert!(user.expect(200).json().is_null());
}

#[tokio::test]
async fn new_code_that_does_not_take_the_stored_values_is_refused_without_repeating_them() {
    let gateway = TestGateway::setup().python().start().await;
    let management = gateway.management();
    management.create("keeper", KEEPER).await.expect(200);
    let values = json!({"api_key": "canary"});
    management.set_valves("keeper", &values).await.expect(200);
    let stricter = KEEPER.replace("api_key: str = \"of-the-class\"", "api_key: int = 1");
    let refused = management.update("keeper", &stricter).await.expect(400);
    let detail = refused.text();
    assert!(
        detail.contains("Current Valves are incompatible") && !detail.contains("canary"),
        "{detail}"
    );
}
