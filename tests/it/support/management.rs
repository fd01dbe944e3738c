//! The management API, as the tests use it.

use http::Method;
use serde_json::{Value, json};

use super::client::{Answer, Client};

const FUNCTIONS: &str = "/api/v1/functions";

/// Changes functions over the API.
#[derive(Clone, Debug)]
pub(crate) struct Management(pub(super) Client);

impl Management {
    /// Uploads a new function, which is inactive.
    pub(crate) async fn create(&self, id: &str, code: &str) -> Answer {
        self.0
            .post(&format!("{FUNCTIONS}/create"), &form(id, code))
            .await
    }

    pub(crate) async fn update(&self, id: &str, code: &str) -> Answer {
        self.post(id, "update", &form(id, code)).await
    }

    pub(crate) async fn toggle(&self, id: &str) -> Answer {
        self.post(id, "toggle", &json!({})).await.expect(200)
    }

    pub(crate) async fn toggle_global(&self, id: &str) -> Answer {
        self.post(id, "toggle/global", &json!({})).await.expect(200)
    }

    pub(crate) async fn set_valves(&self, id: &str, valves: &Value) -> Answer {
        self.post(id, "valves/update", valves).await
    }

    pub(crate) async fn get(&self, id: &str, what: &str) -> Answer {
        self.0.get(&format!("{FUNCTIONS}/id/{id}/{what}")).await
    }

    /// Posts to a route beside those of single functions.
    pub(crate) async fn post_all(&self, what: &str, body: &Value) -> Answer {
        self.0.post(&format!("{FUNCTIONS}/{what}"), body).await
    }

    pub(crate) async fn get_all(&self, what: &str) -> Answer {
        self.0.get(&format!("{FUNCTIONS}/{what}")).await
    }

    pub(crate) async fn delete(&self, id: &str) -> Answer {
        let path = format!("{FUNCTIONS}/id/{id}/delete");
        self.0.call(Method::DELETE, &path, Default::default()).await
    }

    /// What the function has printed and logged, oldest first.
    pub(crate) async fn output(&self, id: &str) -> Vec<String> {
        let answer = self.0.get(&format!("{FUNCTIONS}/id/{id}/output")).await;
        serde_json::from_value(answer.expect(200).json()["lines"].take()).unwrap()
    }

    /// Uploads a filter and lets it run on every model.
    pub(crate) async fn install_filter(&self, id: &str, code: &str) {
        self.install(id, code).await;
        self.toggle_global(id).await;
    }

    /// Uploads a function and activates it.
    pub(crate) async fn install(&self, id: &str, code: &str) {
        self.create(id, code).await.expect(200);
        self.toggle(id).await;
    }

    pub(crate) async fn post(&self, id: &str, what: &str, body: &Value) -> Answer {
        self.0
            .post(&format!("{FUNCTIONS}/id/{id}/{what}"), body)
            .await
    }
}

impl Client {
    /// Sets the caller's own valves.
    pub(crate) async fn set_user_valves(&self, id: &str, valves: &Value) -> Answer {
        self.post(&format!("{FUNCTIONS}/id/{id}/valves/user/update"), valves)
            .await
    }
}

fn form(id: &str, code: &str) -> Value {
    json!({"id": id, "name": id, "content": code, "meta": {"description": id}})
}
