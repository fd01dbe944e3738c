//! The tables of upstreams, users and functions, and what they have in common.

mod function;
mod upstream;
mod user;

use std::collections::BTreeMap;

pub use self::function::FunctionConfig;
pub use self::upstream::{RemoteFiltersConfig, UpstreamConfig};
pub use self::user::UserConfig;

use super::fields::Fields;
use super::mistake::{Mistakes, Origin};
use super::secret::Secret;
use super::text;

/// The text of a key that must be there.
fn required<'a>(
    fields: &'a Fields,
    what: &str,
    key: &str,
    mistakes: &mut Mistakes,
) -> Option<&'a str> {
    let text = fields.text(key).filter(|text| !text.is_empty());
    if text.is_none() && !fields.is_refused(key) {
        let message = format!("`{what}.{key}` is missing");
        mistakes.add(fields.origin_of(key), message);
    }
    text
}

/// Whether a rule is kept; notes the mistake if not.
fn expect(is_kept: bool, origin: &Origin, message: &str, mistakes: &mut Mistakes) -> bool {
    if !is_kept {
        mistakes.add(origin, message);
    }
    is_kept
}

/// The key that was written, or the one in the variable that was named.
fn key(
    fields: &Fields,
    what: &str,
    env: &BTreeMap<String, String>,
    mistakes: &mut Mistakes,
) -> Option<Secret> {
    let written = fields.text("api_key").map(str::to_owned);
    let named = fields.text("api_key_env");
    if written.is_some() && named.is_some() {
        let message = format!("`{what}` has both `api_key` and `api_key_env`");
        mistakes.add(fields.origin_of("api_key_env"), message);
    }
    let origin_key = if named.is_some() {
        "api_key_env"
    } else {
        "api_key"
    };
    let origin = fields.origin_of(origin_key);
    let key = match named {
        Some(variable) => Some(from_variable(variable, env, origin, mistakes)?),
        None => written,
    }?;
    let message =
        format!("`{what}.{origin_key}` must give visible ASCII characters without blanks");
    expect(text::is_key(&key), origin, &message, mistakes).then(|| Secret::new(key))
}

fn from_variable(
    variable: &str,
    env: &BTreeMap<String, String>,
    origin: &Origin,
    mistakes: &mut Mistakes,
) -> Option<String> {
    let key = env.get(variable).filter(|key| !key.is_empty());
    if key.is_none() {
        let message = match may_be_shown(variable) {
            true => format!("variable named by `api_key_env` is not set: `{variable}`"),
            false => "variable named by `api_key_env` is not set".to_owned(),
        };
        mistakes.add(origin, message);
    }
    key.cloned()
}

/// Whether `variable` looks like the name of one. Else it may be the key itself, misplaced.
fn may_be_shown(variable: &str) -> bool {
    text::is_variable_name(variable) && !variable.contains(|c: char| c.is_ascii_lowercase())
}

fn names_of_models(fields: &Fields, mistakes: &mut Mistakes) -> Vec<String> {
    let models = fields.list("models").unwrap_or_default();
    if models.iter().any(String::is_empty) {
        mistakes.add(fields.origin_of("models"), "`models` has an empty name");
    }
    models.to_vec()
}
