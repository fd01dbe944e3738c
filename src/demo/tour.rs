//! The tour: one streamed chat through the filters and one past them, side by side.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{FUNCTIONS, KEY};
use crate::wire::sse::Decoder;

type Failed = Box<dyn std::error::Error + Send + Sync>;

const QUESTION: &str =
    "My mail is ada@example.org and my card is 4111 1111 1111 1111. Say it back to me.";

/// Width of one of the two columns, in characters.
const COLUMN: usize = 52;

/// Shows a chat without filters, installs them while the gateway runs, and shows the same chat again.
pub(super) async fn take(base: &str) -> Result<(), Failed> {
    let client = reqwest::Client::builder()
        .timeout(std::time::Duration::from_secs(30))
        .build()?;
    let admin = format!("{base}/api/v1/functions");
    for (id, _) in filters() {
        let removed = client
            .delete(format!("{admin}/id/{id}/delete"))
            .bearer_auth(KEY)
            .send()
            .await?;
        removed.error_for_status()?;
    }
    let plain = chat(&client, base).await?;
    for (id, source) in filters() {
        install(&client, &admin, id, source).await?;
    }
    let filtered = chat(&client, base).await?;
    show(&plain, &filtered);
    if filtered.contains("ada@example.org") || !plain.contains("ada@example.org") {
        return Err("the filters did not do what they are for".into());
    }
    Ok(())
}

/// The filters that the tour installs.
fn filters() -> impl Iterator<Item = (&'static str, &'static str)> {
    let files = FUNCTIONS
        .iter()
        .filter(|(_, source)| source.contains("\nclass Filter"));
    files.map(|(name, source)| (name.trim_end_matches(".py"), *source))
}

/// Uploads a filter and turns it on for every model.
async fn install(
    client: &reqwest::Client,
    admin: &str,
    id: &str,
    source: &str,
) -> Result<(), Failed> {
    let form = json!({"id": id, "name": id, "content": source, "meta": {"description": "", "manifest": {}}});
    let created = client
        .post(format!("{admin}/create"))
        .bearer_auth(KEY)
        .json(&form)
        .send()
        .await?;
    if !created.status().is_success() {
        return Err(format!("`{id}` was not installed: {}", created.text().await?).into());
    }
    for switch in ["toggle", "toggle/global"] {
        let switched = client
            .post(format!("{admin}/id/{id}/{switch}"))
            .bearer_auth(KEY)
            .send()
            .await?;
        switched.error_for_status()?;
    }
    Ok(())
}

/// One streamed chat; the text that came.
async fn chat(client: &reqwest::Client, base: &str) -> Result<String, Failed> {
    let body = json!({
        "model": "demo",
        "stream": true,
        "messages": [{"role": "user", "content": QUESTION}],
    });
    let request = client
        .post(format!("{base}/v1/chat/completions"))
        .bearer_auth(KEY)
        .json(&body);
    let mut response = request.send().await?.error_for_status()?;
    let mut decoder = Decoder::new();
    let mut text = String::new();
    while let Some(piece) = response.chunk().await? {
        decoder.push(piece)?;
        while let Some(event) = decoder.next_event() {
            let data = event.data.unwrap_or_default();
            let chunk: Value = serde_json::from_slice(&data).unwrap_or_default();
            text += chunk["choices"][0]["delta"]["content"]
                .as_str()
                .unwrap_or_default();
        }
    }
    Ok(text)
}

#[expect(clippy::print_stdout, reason = "this text is what the command is for")]
fn show(plain: &str, filtered: &str) {
    let filters: Vec<&str> = filters().map(|(id, _)| id).collect();
    println!("\nThe question, streamed to the embedded model `demo`:\n\n  {QUESTION}\n");
    println!(
        "Installed between the two answers, while the gateway ran: {}\n",
        filters.join(", ")
    );
    println!("{:COLUMN$}  after", "before");
    println!("{:-<COLUMN$}  {:-<COLUMN$}", "", "");
    let (left, right) = (wrap(plain), wrap(filtered));
    for line in 0..left.len().max(right.len()) {
        let cell = |lines: &[String]| lines.get(line).cloned().unwrap_or_default();
        println!("{:COLUMN$}  {}", cell(&left), cell(&right));
    }
    println!();
}

/// Text in lines that fit a column.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > COLUMN {
            lines.push(word.to_owned());
        } else {
            let blank = if line.is_empty() { "" } else { " " };
            write!(line, "{blank}{word}").expect("writing to a String succeeds");
        }
    }
    lines
}
