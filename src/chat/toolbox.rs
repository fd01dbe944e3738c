//! The tools of a request: which the caller may use of those that it or its model names.

use super::callbacks::Reach;
use super::chain::Chain;
use super::request::{ChatRequest, Incoming};
use crate::error::Result;
use crate::models::Model;
use crate::tools::Toolset;

/// Finds the tools of a request, and puts them into its body for the model to choose from. A client that declares
/// `tools` of its own uses those alone.
///
/// # Errors
///
/// If the result is no JSON object, which would be a fault of ours.
pub(super) fn open(
    reach: &Reach,
    chain: &mut Chain,
    request: &mut ChatRequest,
    incoming: &Incoming<'_>,
    model: &Model,
) -> Result<Toolset> {
    let mut ids = request.tool_ids();
    ids.extend(model.tool_ids().iter().cloned());
    if ids.is_empty() || request.document.kind("tools").is_some() {
        return Ok(Toolset::default());
    }
    let tools = Toolset::resolve(&chain.snapshot, incoming.caller, &ids);
    if tools.is_empty() {
        return Ok(tools);
    }
    if chain.context.is_none() {
        chain.tell(reach, request, model, incoming);
        let context = chain.context.as_ref();
        let context = context.expect("it was told above");
        request.make_metadata(incoming, &context.model)?;
    }
    request.set_in_metadata("tools", &tools.for_metadata());
    if !request.chooses_tools_by_prompt() {
        request.set("tools", tools.for_model())?;
    }
    Ok(tools)
}
