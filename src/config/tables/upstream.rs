//! A model server, or several equal ones.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::{expect, key, names_of_models, required};
use crate::config::choices::{Affinity, Closing, StreamOutlet, UpstreamKind};
use crate::config::fields::Fields;
use crate::config::mistake::Mistakes;
use crate::config::secret::Secret;
use crate::config::text;

/// A model server, or several equal ones.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Its name in messages and in `passthrough_upstream`.
    pub name: String,
    /// What it speaks.
    pub kind: UpstreamKind,
    /// Its members' addresses, without a slash at the end; none only if it is embedded.
    pub base_urls: Vec<String>,
    /// The key that is sent to it.
    pub api_key: Option<Secret>,
    /// Put with a dot before its model ids; empty for nothing.
    pub prefix: String,
    /// Its model ids; none if it is asked for them.
    pub models: Vec<String>,
    /// Headers that are sent with every request.
    pub headers: Vec<(String, String)>,
    /// Which member gets a request.
    pub affinity: Affinity,
    /// Most requests at a time per member, 0 for no limit.
    pub max_in_flight: usize,
    /// What holds for its filters, if it is a Pipelines server.
    pub filters: RemoteFiltersConfig,
}

/// What holds for the filters of a Pipelines server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFiltersConfig {
    /// Whether there must be such filters, so that no request passes before they are known.
    pub are_expected: bool,
    /// What it does to a request that they cannot be asked.
    pub on_error: Closing,
    /// Whether a stream waits for their `outlet`.
    pub stream_outlet: StreamOutlet,
    /// Time limit of each call.
    pub limit: Duration,
}

impl Default for RemoteFiltersConfig {
    fn default() -> Self {
        Self {
            are_expected: false,
            on_error: Closing::Closed,
            stream_outlet: StreamOutlet::Observe,
            limit: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for UpstreamConfig {
    /// Without addresses and headers, which may hold keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamConfig")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl UpstreamConfig {
    /// What `fields` mean, `None` if it has no usable name or kind.
    pub(in crate::config) fn resolve(
        fields: &Fields,
        env: &BTreeMap<String, String>,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let name = required(fields, "upstreams", "name", mistakes).filter(|name| {
            let message = "`upstreams.name` must be of `a-z`, `0-9`, `_` and `-`";
            expect(
                text::is_name(name),
                fields.origin_of("name"),
                message,
                mistakes,
            )
        });
        let kind = required(fields, "upstreams", "kind", mistakes).and_then(UpstreamKind::parse);
        let base_urls = match kind {
            Some(kind) => base_urls(fields, kind, mistakes),
            None => Vec::new(),
        };
        let upstream = Self {
            name: name.unwrap_or_default().to_owned(),
            kind: kind.unwrap_or(UpstreamKind::OpenAi),
            base_urls,
            api_key: key(fields, "upstreams", env, mistakes),
            prefix: prefix(fields, mistakes),
            models: names_of_models(fields, mistakes),
            headers: headers(fields, mistakes),
            affinity: fields.choice("affinity").unwrap_or(Affinity::None),
            max_in_flight: fields.size("max_in_flight").unwrap_or(0),
            filters: filters(fields, kind, mistakes),
        };
        name.and(kind).map(|_| upstream)
    }
}

/// The addresses of an upstream's members.
fn base_urls(fields: &Fields, kind: UpstreamKind, mistakes: &mut Mistakes) -> Vec<String> {
    let one = fields.text("base_url").map(|url| ("base_url", url));
    let several = fields.list("base_urls").unwrap_or_default();
    let several = several.iter().map(|url| ("base_urls", url.as_str()));
    let urls: Vec<(&str, &str)> = one.into_iter().chain(several).collect();
    check_number_of_urls(fields, kind, urls.len(), mistakes);
    let mut members: Vec<String> = Vec::with_capacity(urls.len());
    for (key, url) in urls {
        let origin = fields.origin_of(key);
        match text::base_url(url) {
            Ok(url) if members.contains(&url) => {
                let message = format!("`upstreams.{key}` names a server twice");
                mistakes.add(origin, message);
            }
            Ok(url) => members.push(url),
            Err(problem) => mistakes.add(origin, format!("`upstreams.{key}` {problem}")),
        }
    }
    members
}

fn check_number_of_urls(
    fields: &Fields,
    kind: UpstreamKind,
    number: usize,
    mistakes: &mut Mistakes,
) {
    let is_refused = fields.is_refused("base_url") || fields.is_refused("base_urls");
    let is_embedded = kind == UpstreamKind::Embedded;
    if is_embedded && number > 0 {
        let message = "an embedded upstream has no `base_url`";
        mistakes.add(&fields.origin, message);
    }
    if !is_embedded && number == 0 && !is_refused {
        let message = "`upstreams.base_url` is missing";
        mistakes.add(&fields.origin, message);
    }
    if fields.text("base_url").is_some() && fields.list("base_urls").is_some() {
        let message = "`upstreams` has both `base_url` and `base_urls`";
        mistakes.add(fields.origin_of("base_urls"), message);
    }
}

fn prefix(fields: &Fields, mistakes: &mut Mistakes) -> String {
    let prefix = fields.text("prefix").unwrap_or_default();
    if prefix.ends_with('.') {
        let message = "`upstreams.prefix` must not end with a dot";
        let hint = "the dot between prefix and model is added";
        mistakes.add_with_hint(fields.origin_of("prefix"), message, hint);
    }
    prefix.to_owned()
}

fn filters(
    fields: &Fields,
    kind: Option<UpstreamKind>,
    mistakes: &mut Mistakes,
) -> RemoteFiltersConfig {
    let are_expected = fields.bool("pipelines").unwrap_or(false);
    let may_be = !are_expected || kind.is_none_or(|kind| kind == UpstreamKind::OpenAi);
    let message = "`upstreams.pipelines` needs `kind = \"openai\"`, which such a server speaks";
    expect(may_be, fields.origin_of("pipelines"), message, mistakes);
    let default = RemoteFiltersConfig::default();
    RemoteFiltersConfig {
        are_expected,
        on_error: fields.choice("on_error").unwrap_or(default.on_error),
        stream_outlet: fields
            .choice("stream_outlet")
            .unwrap_or(default.stream_outlet),
        limit: fields.seconds("filter_seconds").unwrap_or(default.limit),
    }
}

fn headers(fields: &Fields, mistakes: &mut Mistakes) -> Vec<(String, String)> {
    let pairs = fields.pairs("headers").unwrap_or_default();
    for (name, value) in pairs {
        if !text::is_header_name(name) || !text::is_header_value(value) {
            let name = name.escape_debug();
            let message = format!(
                "`upstreams.headers` has a name or value that no header may have: `{name}`"
            );
            mistakes.add(fields.origin_of("headers"), message);
        }
    }
    pairs.to_vec()
}
