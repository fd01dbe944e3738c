//! What OpenAI's API has beside the routes that we answer: chats that a server has kept, and the deletion of models.

use bytes::Bytes;
use http::{Method, Response};

use super::{Access, MODEL, Passthrough, path};
use crate::body::Body;
use crate::chat::request::Incoming;
use crate::config::Role;
use crate::error::{Error, Kind, Result};
use crate::models::Target;
use crate::wire::percent;

/// Chats, below `/v1`.
pub(super) const CHATS: &str = "/chat/completions/";

/// What an operator opens for stored chats, and for the deletion of models.
const STORED_CHATS: &str = "/v1/chat/completions/";
const MODELS: &str = "/v1/models";

impl Passthrough {
    /// Whether this request, on the route of new chats, asks for the list of stored ones, which is passed on.
    #[must_use]
    pub fn lists_stored_chats(&self, method: &Method) -> bool {
        method == Method::GET && self.opens_stored_chats()
    }

    /// Whether this request is for the deletion of a model, which is passed on.
    #[must_use]
    pub fn deletes_models(&self, method: &Method) -> bool {
        let is_opened = |route: &String| route.trim_end_matches('/') == MODELS;
        method == Method::DELETE && self.opened.iter().any(is_opened)
    }

    /// Access to a stored chat. Only paths that no server can take for the route of new chats: no filter runs here.
    pub(super) fn access_to_stored(&self, below: &str) -> Access {
        let id = below.strip_suffix("/messages").unwrap_or(below);
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        match id.is_empty() || !id.bytes().all(is_letter) {
            true => Access::Unknown,
            false if self.opens_stored_chats() => Access::Open,
            false => Access::Shut,
        }
    }

    fn opens_stored_chats(&self) -> bool {
        self.opened.iter().any(|route| route == STORED_CHATS)
    }

    /// Deletes the model of this id, as it stands in the path, at its server.
    ///
    /// # Errors
    ///
    /// If the caller is no administrator, there is no such model, or its server cannot be reached.
    pub async fn delete_model(&self, incoming: &Incoming<'_>, id: &str) -> Result<Response<Body>> {
        if incoming.caller.rights != Role::Admin {
            let message = "deleting models is for administrators: use an administrator's key";
            return Err(Error::new(Kind::Forbidden, message));
        }
        let snapshot = self.registry.current();
        incoming.log.set_generation(snapshot.generation);
        let id = percent::decode(id.as_bytes());
        let model = self.models.find(&snapshot, incoming.caller, &id).await?;
        incoming.log.set_model(&id);
        incoming.log.set_target(self.models.target_name(&model));
        let preset = model.preset().and_then(|preset| preset.base_model_id());
        let (Target::Upstream(target), None) = (&model.target, preset) else {
            let message = format!(
                "the model `{id}` is no model server's: presets are deleted at `/api/v1/models`, functions at \
                 `/api/v1/functions`"
            );
            return Err(Error::invalid_request(MODEL, message));
        };
        let path = format!("/models/{}", percent::encode_segment(&target.model));
        if path::climbs(&path) {
            return Err(Error::unknown_model(&id));
        }
        let answer = self
            .send(incoming, target.upstream, &path, Bytes::new())
            .await?;
        self.models.refresh().await;
        Ok(answer)
    }
}
