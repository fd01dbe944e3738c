//! What the demo model is asked.

use serde::Deserialize;
use serde_json::Value;

use super::tool::Tool;

/// The parts of a chat request that the demo model looks at.
#[derive(Debug, Deserialize)]
pub(super) struct Ask {
    messages: Vec<Message>,
    #[serde(default)]
    tools: Option<Vec<Tool>>,
    #[serde(default)]
    max_tokens: Option<usize>,
    #[serde(default)]
    max_completion_tokens: Option<usize>,
    #[serde(default)]
    stream_options: Value,
}

#[derive(Debug, Deserialize)]
struct Message {
    #[serde(default)]
    role: String,
    #[serde(default)]
    content: Value,
}

impl Message {
    /// Its text; of a list of parts, the text parts.
    fn text(&self) -> String {
        match &self.content {
            Value::String(text) => text.clone(),
            Value::Array(parts) => {
                let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
                texts.collect::<Vec<_>>().join(" ")
            }
            _ => String::new(),
        }
    }
}

impl Ask {
    /// Reads the body of a request.
    pub(super) fn read(body: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(body)
    }

    /// The limit of words, whatever it is called.
    pub(super) fn max_tokens(&self) -> Option<usize> {
        self.max_completion_tokens.or(self.max_tokens)
    }

    /// Whether the stream shall tell its usage.
    pub(super) fn include_usage(&self) -> bool {
        self.stream_options["include_usage"] == true
    }

    /// How many words were sent.
    pub(super) fn prompt_words(&self) -> usize {
        let words = |message: &Message| message.text().split_whitespace().count();
        self.messages.iter().map(words).sum()
    }

    /// The tool to call: the one that the last user text names, or the first if the model insists
    /// on tools. None once a tool has answered, or the talk would never end.
    pub(super) fn tool(&self, insists: bool) -> Option<&Tool> {
        if self.tool_result().is_some() {
            return None;
        }
        let text = self.user_text()?.to_lowercase();
        let tools = self.tools.as_ref()?;
        let named = tools
            .iter()
            .find(|tool| !tool.name().is_empty() && text.contains(&tool.name().to_lowercase()));
        named.or_else(|| tools.first().filter(|_| insists))
    }

    /// The answer in words.
    pub(super) fn reply(&self) -> String {
        let mut sentences = vec![match (self.tool_result(), self.user_text()) {
            (Some(result), _) => format!("The tool answered: {result}"),
            (None, Some(text)) => format!("Hello! You said: {text}"),
            (None, None) => "Hello! You said nothing yet.".to_owned(),
        }];
        sentences.push(match self.messages.len() {
            1 => "(I am the demo model and was sent 1 message.)".to_owned(),
            count => format!("(I am the demo model and was sent {count} messages.)"),
        });
        sentences.extend(self.system_sentence());
        sentences.join(" ")
    }

    fn system_sentence(&self) -> Option<String> {
        let is_system =
            |message: &&Message| matches!(message.role.as_str(), "system" | "developer");
        let text = self.messages.iter().find(is_system)?.text();
        let words: Vec<_> = text.split_whitespace().take(8).collect();
        Some(format!("My instructions begin: {}", words.join(" ")))
    }

    fn user_text(&self) -> Option<String> {
        let is_user = |message: &&Message| message.role == "user";
        self.messages.iter().rev().find(is_user).map(Message::text)
    }

    /// What a tool answered, if no user has spoken after it.
    fn tool_result(&self) -> Option<String> {
        let turn = self.messages.iter().rev();
        let mut turn = turn.take_while(|message| message.role != "user");
        turn.find(|message| message.role == "tool")
            .map(Message::text)
    }
}
