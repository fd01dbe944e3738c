//! A strict reading of a request's head: the model server of the tests refuses what two readers could understand
//! differently, so that its own laxness hides nothing.

/// Fields of one connection, which no gateway may pass on.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "transfer-encoding",
];

/// What is wrong with a head that ends with its blank line; nothing if it is right.
pub(crate) fn check(head: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(head).map_err(|_| format!("not UTF-8: {head:?}"))?;
    let lines = text.strip_suffix("\r\n\r\n").ok_or("no blank line")?;
    let mut lines = lines.split("\r\n");
    check_request_line(lines.next().unwrap_or_default())?;
    let mut names = Vec::new();
    for line in lines {
        names.push(check_field(line)?);
    }
    let count = |wanted: &str| names.iter().filter(|name| *name == wanted).count();
    if count("host") != 1 || count("content-length") > 1 {
        return Err(format!("hosts or lengths that are not one: {text}"));
    }
    // Functions call model servers too, with clients of their own.
    let is_ours = text.contains("Bearer sk-upstream");
    let of_a_connection = names
        .iter()
        .find(|name| HOP_BY_HOP.contains(&name.as_str()));
    match of_a_connection {
        Some(name) if is_ours => Err(format!("`{name}` belongs to another connection")),
        _ => Ok(()),
    }
}

fn check_request_line(line: &str) -> Result<(), String> {
    let parts: Vec<&str> = line.split(' ').collect();
    let [method, target, "HTTP/1.1"] = parts[..] else {
        return Err(format!("no request line: {line:?}"));
    };
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_target = target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic());
    if is_method && is_target {
        Ok(())
    } else {
        Err(format!("no request line: {line:?}"))
    }
}

/// Checks one field; its name in lower case.
fn check_field(line: &str) -> Result<String, String> {
    let (name, value) = line.split_once(':').ok_or(format!("no field: {line:?}"))?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_name = !name.is_empty() && name.bytes().all(is_token);
    let is_value = value.chars().all(|char| char == '\t' || !char.is_control());
    let name = name.to_ascii_lowercase();
    let is_number =
        !value.trim().is_empty() && value.trim().bytes().all(|byte| byte.is_ascii_digit());
    if !is_name || !is_value || name == "content-length" && !is_number {
        return Err(format!("no field: {line:?}"));
    }
    Ok(name)
}

#[test]
fn sloppy_heads_are_refused_and_good_ones_are_not() {
    let with = |fields: &str| {
        format!(
            "POST /v1/x HTTP/1.1\r\nhost: a\r\nauthorization: Bearer sk-upstream\r\n{fields}\r\n"
        )
    };
    assert_eq!(check(with("content-length: 1\r\n").as_bytes()), Ok(()));
    for fields in [
        "content-length: 1\r\ncontent-length: 1\r\n",
        "content-length: +1\r\n",
        "host: b\r\n",
        "x : y\r\n",
        "x: y\n z: a\r\n",
        " folded\r\n",
        "transfer-encoding: chunked\r\n",
    ] {
        assert!(check(with(fields).as_bytes()).is_err(), "{fields:?}");
    }
    assert!(check(b"POST  /v1/x HTTP/1.1\r\nhost: a\r\n\r\n").is_err());
    assert!(check(b"POST /v1/x HTTP/1.1\r\n\r\n").is_err());
}
