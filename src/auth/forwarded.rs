//! The user that a trusted proxy names: `X-OpenWebUI-User-{Id,Name,Email,Role}`, percent-encoded.

use http::HeaderMap;

use super::caller::User;
use crate::config::Role;
use crate::error::{Error, Kind, Result};
use crate::wire::percent;

/// The user that the headers name, if they name one.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<User>> {
    let Some(id) = text(headers, "x-openwebui-user-id")? else {
        return Ok(None);
    };
    let name = text(headers, "x-openwebui-user-name")?.unwrap_or_else(|| id.clone());
    let email = text(headers, "x-openwebui-user-email")?.unwrap_or_default();
    let role = text(headers, "x-openwebui-user-role")?;
    let role = role.as_deref().and_then(Role::parse).unwrap_or(Role::User);
    Ok(Some(User {
        id,
        name,
        email,
        role,
    }))
}

/// A header's text, `None` if it is empty. Two different values mean that the proxy has let its
/// client's own header through, so neither is believed.
fn text(headers: &HeaderMap, name: &'static str) -> Result<Option<String>> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.any(|other| other != value) {
        let message = format!("header `{name}` was sent twice with different values");
        return Err(Error::new(Kind::InvalidRequest, message));
    }
    Ok(Some(percent::decode(value.as_bytes())).filter(|text| !text.is_empty()))
}
