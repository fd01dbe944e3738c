//! The address of a model server.

use std::fmt;
use std::sync::Arc;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};

/// The paths of chats, whose targets are made once and not for every request.
const CHATS: [&str; 2] = ["/chat/completions", "/api/chat"];

/// The text in front of every path of a member: `https://host:port/v1`.
#[derive(Clone, Debug)]
pub(super) struct Base {
    origin: Origin,
    path: String,
    /// The `Host` field of requests.
    host: HeaderValue,
    /// The targets of [`CHATS`], in their order.
    chats: Vec<Uri>,
}

/// What a connection leads to: `https://host:port`. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Origin(Arc<Place>);

#[derive(Debug)]
struct Place {
    scheme: Scheme,
    authority: Authority,
    /// Both as text, in lower case: `Authority` is compared letter by letter.
    text: String,
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        // Most are clones of each other.
        Arc::ptr_eq(&self.0, &other.0) || self.0.text == other.0.text
    }
}

impl Eq for Origin {}

impl Base {
    /// Reads an address; a slash at its end is dropped.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url
            .parse()
            .map_err(|_| "base_url is not a URL".to_owned())?;
        let parts = uri.into_parts();
        let path = parts.path_and_query.as_ref().map_or("", |path| path.path());
        let authority = parts.authority.ok_or("base_url has no host")?;
        if authority.as_str().contains('@') {
            return Err("base_url must not name a user; use api_key or headers".to_owned());
        }
        let scheme = parts
            .scheme
            .filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS)
            .ok_or("base_url must begin with `http://` or `https://`")?;
        let origin = Origin::new(scheme, authority);
        let mut base = Self {
            path: path.trim_end_matches('/').to_owned(),
            host: origin.host_field()?,
            origin,
            chats: Vec::new(),
        };
        let chats: Result<_, _> = CHATS.iter().map(|path| base.made_target(path)).collect();
        base.chats = chats.map_err(|_| "base_url has no usable path")?;
        Ok(base)
    }

    /// What its connections lead to.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The host's name or address, without the port.
    pub(super) fn host(&self) -> &str {
        self.origin.0.authority.host()
    }

    /// Whether its connections are encrypted.
    pub(super) fn is_https(&self) -> bool {
        self.origin.0.scheme == Scheme::HTTPS
    }

    /// The `Host` field of a request.
    pub(super) fn host_field(&self) -> &HeaderValue {
        &self.host
    }

    /// The target of a request for `path`, which begins with a slash.
    pub(super) fn target(&self, path: &str) -> Result<Uri, http::Error> {
        let mut known = CHATS.iter().zip(&self.chats);
        match known.find(|(chat, _)| **chat == path) {
            Some((_, target)) => Ok(target.clone()),
            None => self.made_target(path),
        }
    }

    fn made_target(&self, path: &str) -> Result<Uri, http::Error> {
        Ok(Uri::from(self.path_and_query(path)?))
    }

    /// The whole address of `path`, which begins with a slash.
    pub(super) fn join(&self, path: &str) -> Result<Uri, http::Error> {
        self.origin.with_path(self.path_and_query(path)?)
    }

    fn path_and_query(&self, path: &str) -> Result<PathAndQuery, http::Error> {
        Ok(PathAndQuery::try_from([&self.path, path].concat())?)
    }
}

impl Origin {
    fn new(scheme: Scheme, authority: Authority) -> Self {
        let text = format!("{scheme}://{authority}").to_ascii_lowercase();
        Self(Arc::new(Place {
            scheme,
            authority,
            text,
        }))
    }

    /// The address to connect to.
    pub(super) fn uri(&self) -> Result<Uri, http::Error> {
        self.with_path(PathAndQuery::from_static("/"))
    }

    fn with_path(&self, path: PathAndQuery) -> Result<Uri, http::Error> {
        Uri::builder()
            .scheme(self.0.scheme.clone())
            .authority(self.0.authority.clone())
            .path_and_query(path)
            .build()
    }

    /// The port is left out where the scheme implies it, as browsers and SDKs do.
    fn host_field(&self) -> Result<HeaderValue, String> {
        let implied = if self.0.scheme == Scheme::HTTPS {
            443
        } else {
            80
        };
        let host = match self.0.authority.port_u16() {
            Some(port) if port == implied => self.0.authority.host(),
            _ => self.0.authority.as_str(),
        };
        HeaderValue::try_from(host).map_err(|_| "base_url has no usable host".to_owned())
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place {
            scheme, authority, ..
        } = &*self.origin.0;
        write!(f, "{scheme}://{authority}{}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_put_before_a_path_whatever_its_end() {
        for (url, joined, host) in [
            ("http://host", "http://host/models", "host"),
            ("http://host:80/", "http://host:80/models", "host"),
            ("https://host:443", "https://host:443/models", "host"),
            (
                "https://host:8443/v1",
                "https://host:8443/v1/models",
                "host:8443",
            ),
            (
                "http://[::1]:9/a/b/",
                "http://[::1]:9/a/b/models",
                "[::1]:9",
            ),
        ] {
            let base = Base::parse(url).unwrap();
            assert_eq!(base.join("/models").unwrap().to_string(), joined);
            assert_eq!(base.host_field(), host);
            assert!(joined.ends_with(&base.target("/models").unwrap().to_string()));
        }
    }

    #[test]
    fn what_is_no_http_address_is_refused() {
        for url in [
            "",
            "host",
            "/v1",
            "ftp://host/",
            "http://",
            "http://a b/",
            "http://me:pw@host/",
        ] {
            assert!(Base::parse(url).is_err(), "{url}");
        }
    }
}
