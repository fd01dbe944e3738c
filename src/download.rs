//! Brings the text of one function in from the web, for an administrator.

use std::fmt;
use std::time::Duration;

use http::Uri;
use http::header::LOCATION;
use reqwest::redirect::Policy;
use reqwest::{Response, Url};
use tokio::time::timeout;

use crate::config::Hosts;
use crate::egress::{EgressError, Reach};

/// How long the whole may take.
const LIMIT: Duration = Duration::from_secs(15);

/// The longest file.
const LIMIT_BYTES: usize = 1 << 20;

/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// Names of files that say nothing: the folder's name says more.
const ENTRY_FILES: &[&str] = &["main.py", "index.py", "__init__.py"];

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    url: String,
    name: String,
}

/// Why there is no file.
#[derive(Debug)]
pub enum DownloadError {
    /// The address is no address of the web.
    Address,
    /// The server may not be asked.
    Forbidden(EgressError),
    /// A redirect is not followed.
    Redirect(&'static str),
    /// It took too long.
    TimedOut,
    /// The server cannot be reached, or its answer broke off.
    Http(reqwest::Error),
    /// The server refuses.
    Status(u16),
    /// The file is too long.
    TooLong,
    /// The file is no text.
    NotText,
}

impl fmt::Display for DownloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("the URL must begin with http:// or https://"),
            Self::Forbidden(error) => {
                write!(f, "the server is not asked: {error}")?;
                let is_private = matches!(error, EgressError::Private(_));
                let hint = "; hint: name the host in `functions.load_url_hosts` if that is meant";
                f.write_str(if is_private { hint } else { "" })
            }
            Self::Redirect(why) => write!(f, "a redirect is not followed: {why}"),
            Self::TimedOut => write!(f, "it took longer than {} s", LIMIT.as_secs()),
            // Its last cause says what, and the address was the caller's own.
            Self::Http(error) => match last_cause(error) {
                Some(cause) => write!(f, "{error}: {cause}"),
                None => write!(f, "{error}"),
            },
            Self::Status(status) => write!(f, "the server answered {status}"),
            Self::TooLong => write!(f, "the file is longer than {LIMIT_BYTES} bytes"),
            Self::NotText => f.write_str("the file is not UTF-8 text"),
        }
    }
}

impl std::error::Error for DownloadError {}

impl From<reqwest::Error> for DownloadError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error)
    }
}

impl Source {
    /// The file behind an address. A page of GitHub stands for the file that it shows, a folder there for its
    /// `main.py`.
    ///
    /// # Errors
    ///
    /// If it is no address of the web.
    pub fn parse(url: &str) -> Result<Self, DownloadError> {
        let uri: Uri = url.trim().parse().map_err(|_| DownloadError::Address)?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        if !is_web || uri.host().is_none_or(str::is_empty) {
            return Err(DownloadError::Address);
        }
        let url = file_on_github(&uri).unwrap_or_else(|| uri.to_string());
        let path = url.split(['?', '#']).next().unwrap_or_default();
        Ok(Self {
            name: name_of(path),
            url,
        })
    }

    /// A name for the function in it: the file's, or its folder's.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of the file. Its server must be in the public internet, or among the `private` ones that are named.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached or refuses, or the file is too long or no text.
    pub async fn fetch(&self, private: &Hosts) -> Result<String, DownloadError> {
        let reach = Reach::PublicAnd(private.clone());
        let url = Url::parse(&self.url).map_err(|_| DownloadError::Address)?;
        timeout(LIMIT, follow(url, &reach))
            .await
            .map_err(|_| DownloadError::TimedOut)?
    }
}

/// The text behind an address, or where that leads to. Each server on the way is judged as the first one is.
async fn follow(mut url: Url, reach: &Reach) -> Result<String, DownloadError> {
    for _ in 0..=REDIRECTS {
        let response = ask(&url, reach).await?;
        match next(&url, &response)? {
            Some(next) => url = next,
            None => return text_of(response).await,
        }
    }
    Err(DownloadError::Redirect("there are too many"))
}

/// Asks one server, at an address that has been judged and no other.
async fn ask(url: &Url, reach: &Reach) -> Result<Response, DownloadError> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let addresses = reach.resolve(host, port).await;
    let addresses = addresses.map_err(DownloadError::Forbidden)?;
    let client = reqwest::Client::builder()
        .redirect(Policy::none())
        // A proxy would resolve the name anew, and what was judged would not be what is asked.
        .no_proxy()
        .resolve_to_addrs(host, &addresses)
        .build()?;
    Ok(client.get(url.clone()).send().await?)
}

/// Where an answer leads: anywhere in the web, but not from an encrypted connection to a plain one.
fn next(url: &Url, response: &Response) -> Result<Option<Url>, DownloadError> {
    let location = response.headers().get(LOCATION);
    let Some(location) = location.filter(|_| response.status().is_redirection()) else {
        return Ok(None);
    };
    let location = location.to_str().ok();
    let next = location.and_then(|location| url.join(location).ok());
    let next = next.ok_or(DownloadError::Redirect("it has no valid address"))?;
    match next.scheme() {
        "https" => Ok(Some(next)),
        "http" if url.scheme() == "http" => Ok(Some(next)),
        _ => Err(DownloadError::Redirect("it leads to another scheme")),
    }
}

async fn text_of(mut response: Response) -> Result<String, DownloadError> {
    if !response.status().is_success() {
        return Err(DownloadError::Status(response.status().as_u16()));
    }
    let mut content = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if content.len() + chunk.len() > LIMIT_BYTES {
            return Err(DownloadError::TooLong);
        }
        content.extend_from_slice(&chunk);
    }
    String::from_utf8(content).map_err(|_| DownloadError::NotText)
}

/// What lies at the bottom of an error.
fn last_cause(error: &reqwest::Error) -> Option<&dyn std::error::Error> {
    let first = std::error::Error::source(error);
    std::iter::successors(first, |error| error.source()).last()
}

/// The raw file behind a page of GitHub.
fn file_on_github(uri: &Uri) -> Option<String> {
    if uri.host()? != "github.com" {
        return None;
    }
    let mut parts = uri.path().trim_matches('/').splitn(5, '/');
    let (owner, project, kind) = (parts.next()?, parts.next()?, parts.next()?);
    let (branch, path) = (parts.next()?, parts.next());
    let path = match (kind, path) {
        ("blob", Some(path)) => path.to_owned(),
        ("tree", Some(path)) => format!("{path}/main.py"),
        ("tree", None) => "main.py".to_owned(),
        _ => return None,
    };
    Some(format!(
        "https://raw.githubusercontent.com/{owner}/{project}/{branch}/{path}"
    ))
}

fn name_of(path: &str) -> String {
    let mut parts = path.rsplit('/');
    let file = parts.next().unwrap_or_default();
    let named = if ENTRY_FILES.contains(&file) {
        parts.next().unwrap_or_default()
    } else {
        file.strip_suffix(".py").unwrap_or(file)
    };
    if named.is_empty() { "function" } else { named }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_github_stand_for_files() {
        let source = |url| Source::parse(url).unwrap();
        let blob = source("https://github.com/me/tools/blob/main/filters/redact.py");
        assert_eq!(
            blob.url,
            "https://raw.githubusercontent.com/me/tools/main/filters/redact.py"
        );
        assert_eq!(blob.name(), "redact");
        let tree = source("https://github.com/me/tools/tree/v1/filters/tone/");
        assert_eq!(
            tree.url,
            "https://raw.githubusercontent.com/me/tools/v1/filters/tone/main.py"
        );
        assert_eq!(tree.name(), "tone");
        let plain = source("http://host:81/a/b.py?x=1");
        assert_eq!(
            (plain.url.as_str(), plain.name()),
            ("http://host:81/a/b.py?x=1", "b")
        );
    }

    #[test]
    fn only_the_web_is_fetched_from() {
        for url in ["file:///etc/passwd", "ftp://h/x", "/x", "", "http://"] {
            assert!(
                matches!(Source::parse(url), Err(DownloadError::Address)),
                "{url}"
            );
        }
    }
}
