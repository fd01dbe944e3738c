//! Upstreams from the variables that Open WebUI has for them.

use std::collections::BTreeMap;

use super::choices::{Affinity, UpstreamKind};
use super::mistake::{Mistakes, Origin};
use super::secret::Secret;
use super::tables::UpstreamConfig;
use super::text;

/// Where Open WebUI takes a key to belong that comes without an address.
const OPENAI_URL: &str = "https://api.openai.com/v1";

/// Adds an upstream for every address in the variables, unless one of its name is configured.
pub(super) fn add_upstreams(
    upstreams: &mut Vec<UpstreamConfig>,
    env: &BTreeMap<String, String>,
    mistakes: &mut Mistakes,
) {
    // A key alone may be meant for other programs, so it counts only where nothing is configured.
    let takes_key_alone = upstreams.is_empty();
    let found = openai(env, takes_key_alone, mistakes)
        .into_iter()
        .chain(ollama(env, mistakes));
    let found: Vec<UpstreamConfig> = found
        .filter(|upstream| !upstreams.iter().any(|known| known.name == upstream.name))
        .collect();
    upstreams.extend(found);
}

fn openai(
    env: &BTreeMap<String, String>,
    takes_key_alone: bool,
    mistakes: &mut Mistakes,
) -> Vec<UpstreamConfig> {
    let keys = read(env, "OPENAI_API_KEYS", "OPENAI_API_KEY");
    let urls = match read(env, "OPENAI_API_BASE_URLS", "OPENAI_API_BASE_URL") {
        Some(urls) => urls,
        None if takes_key_alone && keys.is_some() => Texts::one("OPENAI_API_KEY", OPENAI_URL),
        None => return Vec::new(),
    };
    let mut upstreams = Vec::new();
    for (index, url) in urls.items.iter().enumerate() {
        let url = if url.is_empty() { OPENAI_URL } else { url };
        let Some(mut upstream) = upstream(UpstreamKind::OpenAi, index, url, urls.name, mistakes)
        else {
            continue;
        };
        if let Some(keys) = &keys {
            upstream.api_key = key(keys, index, mistakes);
        }
        upstreams.push(upstream);
    }
    upstreams
}

fn ollama(env: &BTreeMap<String, String>, mistakes: &mut Mistakes) -> Vec<UpstreamConfig> {
    let Some(urls) = read(env, "OLLAMA_BASE_URLS", "OLLAMA_BASE_URL") else {
        return Vec::new();
    };
    let items = urls.items.iter().enumerate();
    items
        .filter(|(_, url)| !url.is_empty())
        .filter_map(|(index, url)| upstream(UpstreamKind::Ollama, index, url, urls.name, mistakes))
        .collect()
}

/// What a variable lists.
struct Texts {
    name: &'static str,
    items: Vec<String>,
}

impl Texts {
    fn one(name: &'static str, item: &str) -> Self {
        let items = vec![item.to_owned()];
        Self { name, items }
    }
}

/// The items of the list variable, or else of the one for a single item.
fn read(
    env: &BTreeMap<String, String>,
    several: &'static str,
    single: &'static str,
) -> Option<Texts> {
    [several, single].into_iter().find_map(|name| {
        let text = env.get(name).filter(|text| !text.trim().is_empty())?;
        let items = text.split(';').map(|item| item.trim().to_owned()).collect();
        Some(Texts { name, items })
    })
}

fn key(keys: &Texts, index: usize, mistakes: &mut Mistakes) -> Option<Secret> {
    let key = keys.items.get(index).filter(|key| !key.is_empty())?;
    if !text::is_key(key) {
        let message = "must give visible ASCII characters without blanks";
        mistakes.add(&Origin::Variable(keys.name.to_owned()), message);
    }
    Some(Secret::new(key))
}

/// The upstream at `url`, called after its kind and, from the second on, its place.
fn upstream(
    kind: UpstreamKind,
    index: usize,
    url: &str,
    variable: &str,
    mistakes: &mut Mistakes,
) -> Option<UpstreamConfig> {
    let base_url = text::base_url(url).inspect_err(|problem| {
        let message = format!("address {} {problem}", index + 1);
        mistakes.add(&Origin::Variable(variable.to_owned()), message);
    });
    let name = match index {
        0 => kind.as_str().to_owned(),
        index => format!("{}-{}", kind.as_str(), index + 1),
    };
    Some(UpstreamConfig {
        name,
        kind,
        base_urls: vec![base_url.ok()?],
        api_key: None,
        prefix: String::new(),
        models: Vec::new(),
        headers: Vec::new(),
        affinity: Affinity::None,
        max_in_flight: 0,
        filters: Default::default(),
    })
}
