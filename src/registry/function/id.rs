//! What functions and tools are called.

use std::fmt;
use std::sync::Arc;

/// A function's id: `[a-z_][a-z0-9_]*`, at most 64 bytes. Joined to a path for its data folder only. Tools have names of
/// their own: their ids begin with `tool:`, which no function's can.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId(Arc<str>);

impl FunctionId {
    /// Longest id, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// The id written as `text`, lower-cased, if it is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let mut bytes = text.bytes();
        let begins = bytes
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let goes_on =
            bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        (begins && goes_on && text.len() <= Self::MAX_BYTES).then(|| Self(text.into()))
    }

    /// The id of the tools written as `text`, lower-cased, if it is one.
    #[must_use]
    pub fn tool(text: &str) -> Option<Self> {
        let plain = Self::parse(text)?;
        Some(Self(format!("{TOOL_PREFIX}{plain}").into()))
    }

    /// The id that [`FunctionId::as_str`] gave, of a function or of tools.
    #[must_use]
    pub fn stored(text: &str) -> Option<Self> {
        match text.strip_prefix(TOOL_PREFIX) {
            Some(plain) => Self::tool(plain),
            None => Self::parse(text),
        }
    }

    /// The name of a stored row whose id is none: it stands for the row, so that it can be seen and removed. Nothing of
    /// this name is ever run.
    pub(in crate::registry) fn of_unreadable_row(text: &str) -> Self {
        Self(text.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as people know it: of tools without what tells them from functions.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.0.strip_prefix(TOOL_PREFIX).unwrap_or(&self.0)
    }

    /// Whether it is the id of tools.
    #[must_use]
    pub fn is_tool(&self) -> bool {
        self.0.starts_with(TOOL_PREFIX)
    }
}

/// What the ids of tools begin with.
const TOOL_PREFIX: &str = "tool:";

impl std::borrow::Borrow<str> for FunctionId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_identifiers_and_lower_case() {
        for (text, id) in [
            ("UpCase", Some("upcase")),
            ("_x1", Some("_x1")),
            ("a-b", None),
            ("1a", None),
            ("", None),
        ] {
            assert_eq!(
                FunctionId::parse(text).as_ref().map(FunctionId::as_str),
                id,
                "{text:?}"
            );
        }
        assert!(FunctionId::parse("tool:a").is_none());
        assert!(FunctionId::parse(&"a".repeat(64)).is_some());
        assert!(FunctionId::parse(&"a".repeat(65)).is_none());
        assert!(FunctionId::parse("../etc").is_none() && FunctionId::parse("a\0").is_none());
    }

    #[test]
    fn tools_have_names_of_their_own() {
        let (tool, function) = (
            FunctionId::tool("Box").unwrap(),
            FunctionId::parse("box").unwrap(),
        );
        assert_ne!(tool, function);
        assert_eq!((tool.shown(), function.shown()), ("box", "box"));
        assert!(tool.is_tool() && !function.is_tool());
        assert_eq!(FunctionId::stored(tool.as_str()), Some(tool));
        assert_eq!(FunctionId::stored(function.as_str()), Some(function));
        assert!(FunctionId::tool("tool:box").is_none() && FunctionId::stored("tool:a-b").is_none());
    }
}
