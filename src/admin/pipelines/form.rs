//! A file in a form.

use axum::extract::{FromRequest, Request};
use http::{HeaderMap, StatusCode, header};
use memchr::memmem;

use crate::admin::reply::Refusal;

/// The file of a `multipart/form-data` body.
#[derive(Debug)]
pub(super) struct Upload {
    /// Its name as the client says it, without folders.
    pub(super) file_name: String,
    /// Its text.
    pub(super) content: String,
}

impl<S: Send + Sync> FromRequest<S> for Upload {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        let boundary = boundary(request.headers());
        let body = axum::body::to_bytes(request.into_body(), usize::MAX)
            .await
            .unwrap_or_default();
        let file = boundary.and_then(|boundary| file(&body, &boundary));
        let (file_name, content) = file.ok_or_else(|| {
            let detail = "the body must be a form (`multipart/form-data`) with a `file`";
            Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        })?;
        let content = String::from_utf8(content.to_vec()).map_err(|_| {
            let detail = format!("`{file_name}` is not UTF-8 text");
            Refusal::new(StatusCode::BAD_REQUEST, detail)
        })?;
        Ok(Self { file_name, content })
    }
}

fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let parameters = kind.strip_prefix("multipart/form-data")?;
    let boundary = parameters
        .split(';')
        .find_map(|parameter| parameter.trim().strip_prefix("boundary="))?;
    Some(boundary.trim_matches('"').to_owned())
}

/// The name and the bytes of the first part that is a file.
fn file<'a>(body: &'a [u8], boundary: &str) -> Option<(String, &'a [u8])> {
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(&delimiter.as_bytes()[2..])?;
    loop {
        let head = memmem::find(rest, b"\r\n\r\n")?;
        let content = &rest[head + 4..];
        let end = memmem::find(content, delimiter.as_bytes())?;
        if let Some(name) = file_name(&String::from_utf8_lossy(&rest[..head])) {
            return Some((name, &content[..end]));
        }
        rest = &content[end + delimiter.len()..];
    }
}

fn file_name(head: &str) -> Option<String> {
    let (_, name) = head.split_once("filename=\"")?;
    let (name, _) = name.split_once('"')?;
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_found_among_the_fields() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"urlIdx\"\r\n\r\n0\r\n\
                     --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"C:\\dir\\a.py\"\r\n\
                     Content-Type: text/x-python\r\n\r\nx = 1\r\n\r\ny = 2\n\r\n--b--\r\n";
        let (name, content) = file(body, "b").unwrap();
        assert_eq!(
            (name.as_str(), content),
            ("a.py", &b"x = 1\r\n\r\ny = 2\n"[..])
        );
        assert!(file(body, "c").is_none());
        assert!(file(b"--b--\r\n", "b").is_none());
    }
}
