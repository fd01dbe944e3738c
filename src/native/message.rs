//! The texts of whole messages: what is said, what was thought, and the arguments of the tools that are called.

use super::Refusal;
use super::json_text::JsonScanner;
use super::text::{self, Finder, Scanner};
use crate::wire::json::{Document, Node, Splices, quote};

/// The members of a message that hold text.
pub(super) const TEXT_FIELDS: [&str; 4] = ["content", "refusal", "reasoning_content", "reasoning"];

/// Whose messages are looked at.
#[derive(Debug)]
pub(super) struct Roles(Vec<String>);

impl Roles {
    /// The roles of these names.
    pub(super) fn new(names: Vec<&str>) -> Self {
        Self(names.into_iter().map(str::to_owned).collect())
    }

    fn include(&self, message: Node<'_>) -> bool {
        let role = message.get("role").and_then(|role| role.string());
        role.is_some_and(|role| self.0.iter().any(|name| *name == role))
    }
}

/// Notes in `splices` what a finder makes of those messages of the request `body` that have one of `roles`.
///
/// # Errors
///
/// If a text is refused.
pub(super) fn rewrite_all(
    finder: &dyn Finder,
    roles: &Roles,
    body: &Document,
    splices: &mut Splices,
) -> Result<(), Refusal> {
    let messages = body.node("messages");
    let messages = messages.iter().flat_map(Node::elements);
    for message in messages.filter(|message| roles.include(*message)) {
        rewrite(finder, message, splices)?;
    }
    Ok(())
}

/// Notes in `splices` what a finder makes of the texts of a message.
///
/// # Errors
///
/// If a text is refused.
pub(super) fn rewrite(
    finder: &dyn Finder,
    message: Node<'_>,
    splices: &mut Splices,
) -> Result<(), Refusal> {
    for (key, value) in message.members() {
        match &*key {
            "tool_calls" => {
                for function in value.elements().filter_map(|call| call.get("function")) {
                    rewrite_arguments(finder, function, splices)?;
                }
            }
            "function_call" => rewrite_arguments(finder, value, splices)?,
            field if TEXT_FIELDS.contains(&field) => rewrite_text(finder, value, splices)?,
            _ => {}
        }
    }
    Ok(())
}

/// A text is a string, or a list of parts of which some are text.
fn rewrite_text(finder: &dyn Finder, text: Node<'_>, splices: &mut Splices) -> Result<(), Refusal> {
    let parts = text.elements().filter_map(|part| part.get("text"));
    for string in std::iter::once(text).chain(parts) {
        if let Some(changed) = text::rewrite(finder, string)? {
            splices.add(string.range(), changed);
        }
    }
    Ok(())
}

fn rewrite_arguments(
    finder: &dyn Finder,
    function: Node<'_>,
    splices: &mut Splices,
) -> Result<(), Refusal> {
    let Some(node) = function.get("arguments") else {
        return Ok(());
    };
    let Some(arguments) = node.string() else {
        return Ok(());
    };
    let rewritten = JsonScanner::default().feed(finder, &arguments, true)?;
    if rewritten != arguments {
        splices.add(node.range(), quote(&rewritten));
    }
    Ok(())
}
