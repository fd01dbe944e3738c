//! What a request says of tools.

use bytes::Bytes;

use super::{ChatRequest, parsed, string_list};
use crate::error::Result;
use crate::wire::json::Document;

impl ChatRequest {
    /// The tools that it names, now: those in the body, as a filter may have changed it.
    #[must_use]
    pub fn tool_ids(&self) -> Vec<String> {
        string_list(&self.document, "tool_ids")
    }

    /// Whether the client asked for tools to be chosen by a prompt rather than by the model's own means.
    #[must_use]
    pub fn chooses_tools_by_prompt(&self) -> bool {
        let params = self.original.raw("params").map(Document::parse);
        let mode =
            params.and_then(|params| Some(params.ok()?.string("function_calling")? == "legacy"));
        mode.unwrap_or(false)
    }

    /// A question of the gateway's own in the course of this request.
    ///
    /// # Errors
    ///
    /// If `body` is no JSON object, which would be a fault of ours.
    pub fn for_task(&self, task: &str, body: Bytes) -> Result<Self> {
        let document = parsed(body)?;
        let mut question = Self {
            contract: self.contract,
            original: document.clone(),
            document,
            metadata: self.metadata.clone(),
            filter_ids: Vec::new(),
            wants_events: false,
        };
        question.set_in_metadata("task", &task.into());
        Ok(question)
    }
}
