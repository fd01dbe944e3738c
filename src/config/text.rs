//! Checks of text that has to have a certain form.

/// Whether `text` matches `[a-z0-9_-]+`.
pub(super) fn is_name(text: &str) -> bool {
    let is_allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

/// Whether `text` can be a function's id: `[a-z_][a-z0-9_]*`, at most 64 bytes.
pub(super) fn is_function_id(text: &str) -> bool {
    let begins_with_digit = text.starts_with(|letter: char| letter.is_ascii_digit());
    is_name(text) && !begins_with_digit && !text.contains('-') && text.len() <= 64
}

/// Whether `text` is the bare name of a Python distribution, without version, option or address.
pub(super) fn is_requirement_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.starts_with(|letter: char| letter.is_ascii_alphanumeric()) && text.bytes().all(is_allowed)
}

/// Whether `text` can be the name of an environment variable.
pub(super) fn is_variable_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !text.is_empty() && text.bytes().all(is_allowed)
}

/// Whether `text` can be a key that is sent in a header: visible ASCII without blanks.
pub(super) fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether `text` can be the name of a header.
pub(super) fn is_header_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

/// Whether `text` can be the value of a header.
pub(super) fn is_header_value(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// An upstream's address without the slashes at its end, or what is wrong with it.
pub(super) fn base_url(text: &str) -> Result<String, &'static str> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
        .ok_or("must begin with `http://` or `https://`")?;
    if !is_key(rest) || rest.contains(['\\', '"', '<', '>', '`', '{', '}']) {
        return Err("has no host, or characters that no address may have");
    }
    if rest.contains(['?', '#']) {
        return Err("must not have a query or a fragment");
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Err("must not hold a user name or a password");
    }
    if !is_host_and_port(authority) {
        return Err("has no valid host and port");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn is_host_and_port(authority: &str) -> bool {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, port)| {
            address.parse::<std::net::Ipv6Addr>().is_ok()
                && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        });
    }
    match authority.split_once(':') {
        Some((host, port)) => is_host(host) && is_port(port),
        None => is_host(authority),
    }
}

fn is_host(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_lose_the_slashes_at_their_end() {
        for (text, expected) in [
            ("http://127.0.0.1:11434", "http://127.0.0.1:11434"),
            ("https://api.example.com/v1/", "https://api.example.com/v1"),
            ("http://host//", "http://host"),
            ("http://[::1]:9/v1", "http://[::1]:9/v1"),
            ("http://[::1]/", "http://[::1]"),
            ("http://my_service:8000", "http://my_service:8000"),
        ] {
            assert_eq!(base_url(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for text in [
            "",
            "host",
            "ftp://host",
            "http://",
            "http:///v1",
            "http://a b",
            "http://host?key=1",
            "http://host#top",
            "http://user:word@host",
            "http://host:0",
            "http://host:65536",
            "http://host:+80",
            "http://host:",
            "http://[::1",
            "http://[host]",
            "http://h\u{f6}st",
        ] {
            assert!(base_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn function_ids_are_identifiers() {
        for (text, expected) in [
            ("filter_1", true),
            ("_x", true),
            ("1x", false),
            ("a-b", false),
            ("Upper", false),
            ("", false),
        ] {
            assert_eq!(is_function_id(text), expected, "{text}");
        }
        assert!(is_function_id(&"a".repeat(64)));
        assert!(!is_function_id(&"a".repeat(65)));
    }

    #[test]
    fn requirement_names_have_no_versions_or_options() {
        for (text, expected) in [
            ("httpx", true),
            ("ruamel.yaml", true),
            ("httpx>=1", false),
            ("-r", false),
            ("./here", false),
            ("", false),
        ] {
            assert_eq!(is_requirement_name(text), expected, "{text}");
        }
    }
}
