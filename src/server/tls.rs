//! The gateway's own certificate.

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

type Source = Box<dyn StdError + Send + Sync>;

/// A certificate or key that cannot be used; names the file.
#[derive(Debug)]
pub struct TlsError {
    problem: &'static str,
    path: PathBuf,
    source: Option<Source>,
}

impl TlsError {
    fn new(problem: &'static str, path: &Path) -> Self {
        Self {
            problem,
            path: path.to_owned(),
            source: None,
        }
    }

    fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}`", self.problem, self.path.display())
    }
}

impl StdError for TlsError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

/// Reads a certificate chain, leaf first, and its key from PEM files; offers HTTP/2 and HTTP/1.1.
///
/// # Errors
///
/// A file that cannot be read, holds no certificate or no key, or a key of another certificate.
pub fn load(certificates: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = load_chain(certificates)?;
    let private_key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| TlsError::new("cannot read a private key from", key).caused_by(error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the cipher suites of the default versions")
        .with_no_client_auth()
        .with_single_cert(chain, private_key)
        .map_err(|error| TlsError::new("key does not fit its certificate", key).caused_by(error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn load_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| TlsError::new("cannot read certificates from", path).caused_by(error))?;
    if chain.is_empty() {
        return Err(TlsError::new("no certificate in", path));
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder with `cert.pem` and `key.pem` of its own.
    fn folder() -> tempfile::TempDir {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(
            folder.path().join("key.pem"),
            made.signing_key.serialize_pem(),
        )
        .unwrap();
        folder
    }

    #[test]
    fn a_certificate_and_its_key_load_with_both_protocols() {
        let folder = folder();
        let config = load(
            &folder.path().join("cert.pem"),
            &folder.path().join("key.pem"),
        )
        .unwrap();
        assert_eq!(
            config.alpn_protocols,
            [b"h2".to_vec(), b"http/1.1".to_vec()]
        );
    }

    #[test]
    fn errors_name_the_file() {
        let (one, other) = (folder(), folder());
        let certificates = one.path().join("cert.pem");
        let key = one.path().join("key.pem");
        let missing = one.path().join("missing.pem");
        let cases = [
            (&missing, &key, &missing),
            (&key, &key, &key),
            (&certificates, &missing, &missing),
            (&certificates, &certificates, &certificates),
            (
                &certificates,
                &other.path().join("key.pem"),
                &other.path().join("key.pem"),
            ),
        ];
        for (certificates, key, named) in cases {
            let error = load(certificates, key).unwrap_err();
            assert!(
                error.to_string().contains(named.to_str().unwrap()),
                "{error}"
            );
        }
    }
}
