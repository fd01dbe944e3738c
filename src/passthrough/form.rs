//! Forms (`multipart/form-data`), read so strictly that nobody can read them otherwise.

use memchr::memmem;

/// Whether a body of this content type is a form.
pub(super) fn is_form(kind: &str) -> bool {
    let media = kind.split(';').next().unwrap_or_default();
    media.trim().eq_ignore_ascii_case("multipart/form-data")
}

/// The text of the field `name`, `None` within for a form that has none. `None` for a form that cannot be read, or
/// has the field twice.
pub(super) fn field(kind: &str, body: &[u8], name: &str) -> Option<Option<String>> {
    let (_, rest) = kind.split_once(';')?;
    let boundary = one(&parameters(rest)?, "boundary")??;
    let mut found = None;
    for part in parts(body, &boundary)? {
        let (head, content) = split_at(part, b"\r\n\r\n")?;
        if part_name(std::str::from_utf8(head).ok()?)? == name {
            let text = String::from_utf8(content.to_vec()).ok()?;
            if found.replace(text).is_some() {
                return None;
            }
        }
    }
    Some(found)
}

/// The parts of a form. A delimiter that does not stand as it should may be one to others.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<&'a [u8]>> {
    if boundary.is_empty() {
        return None;
    }
    let delimiter = format!("--{boundary}");
    let mut rest = body.strip_prefix(delimiter.as_bytes())?;
    let mut parts = Vec::new();
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        let (content, after) = split_at(part, delimiter.as_bytes())?;
        parts.push(content.strip_suffix(b"\r\n")?);
        rest = after;
    }
    let epilogue = rest.strip_prefix(b"--")?;
    memmem::find(epilogue, delimiter.as_bytes())
        .is_none()
        .then_some(parts)
}

fn split_at<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memmem::find(bytes, mark)?;
    Some((&bytes[..at], &bytes[at + mark.len()..]))
}

/// The name in the head of a part, which says it once.
fn part_name(head: &str) -> Option<String> {
    let mut dispositions = Vec::new();
    for line in head.split("\r\n") {
        let (key, value) = line.split_once(':')?;
        let is_plain = key.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_plain || value.contains(['\r', '\n']) {
            return None;
        }
        if key.eq_ignore_ascii_case("content-disposition") {
            dispositions.push(value);
        }
    }
    let [disposition] = dispositions[..] else {
        return None;
    };
    let (_, rest) = disposition.split_once(';')?;
    one(&parameters(rest)?, "name")?
}

/// The value of a parameter, `None` within if it is not there; `None` if it is there more than once, or in the
/// extended form that not everybody reads.
fn one(parameters: &[(String, String)], name: &str) -> Option<Option<String>> {
    let mut values = parameters
        .iter()
        .filter(|(key, _)| key.split('*').next() == Some(name));
    let first = values.next();
    if values.next().is_some() || first.is_some_and(|(key, _)| key != name) {
        return None;
    }
    Some(first.map(|(_, value)| value.clone()))
}

/// `name=value; name="value"`; quotes within a value are not read alike by everybody.
fn parameters(text: &str) -> Option<Vec<(String, String)>> {
    let mut parameters = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(';').unwrap_or(after.len())),
        };
        if value.ends_with('\\') || key.contains([';', '"']) {
            return None;
        }
        parameters.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
        rest = after.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(';')?.trim_start();
        }
    }
    Some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "multipart/form-data; boundary=x";

    fn part(head: &str, content: &str) -> String {
        format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
    }

    fn model(body: &str) -> Option<Option<String>> {
        field(KIND, format!("{body}--x--\r\n").as_bytes(), "model")
    }

    #[test]
    fn fields_are_found_among_files() {
        let file = part(
            "name=\"file\"; filename=\"a; name=b\"",
            "name=\"model\"\r\n\r\nno",
        );
        let named = part("name=\"model\"", "whisper-1");
        let found = Some(Some("whisper-1".to_owned()));
        assert_eq!(model(&(file.clone() + &named)), found);
        assert_eq!(model(&part("name=model", "whisper-1")), found);
        assert_eq!(model(&file), Some(None));
        assert_eq!(model(""), Some(None));
        let quoted = "Multipart/Form-Data; charset=utf-8; boundary=\"x\"";
        assert!(is_form(quoted));
        let body = named + "--x--";
        assert_eq!(field(quoted, body.as_bytes(), "model"), found);
    }

    #[test]
    fn forms_that_others_may_read_otherwise_are_not_read() {
        let named = part("name=\"model\"", "m");
        for body in [
            named.clone() + &named,
            part("name=\"a\"; name=\"model\"", "m"),
            part("name*=UTF-8''model", "m"),
            part("filename=\"a\\\"; name=\"model\"", "m"),
            part(
                "name=\"a\"",
                "x\n--x\nContent-Disposition: form-data; name=\"model\"",
            ),
            part("name=\"a\"\r\n continued", "m"),
            part(
                "name=\"a\"\r\nContent-Disposition: form-data; name=\"model\"",
                "m",
            ),
            format!("preamble\r\n{named}"),
            named.replace("\r\n", "\n"),
        ] {
            assert_eq!(model(&body), None, "{body}");
        }
        let late = format!("{}--x--\r\n{named}", part("name=\"a\"", "m"));
        assert_eq!(model(&late), None);
        let unbounded = "multipart/form-data";
        assert_eq!(field(unbounded, named.as_bytes(), "model"), None);
    }
}
