//! The management of a gateway's functions, over its API.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use reqwest::{Client, Method};
use serde_json::Value;

use crate::gateway::ADMIN_KEY;

/// A client with the administrator's key.
#[derive(Debug)]
pub(crate) struct Management {
    http: Client,
    base: String,
}

impl Management {
    /// The management of the gateway on `addr`; each of its requests may take as long as `limit`.
    pub(crate) fn of(addr: SocketAddr, limit: Duration) -> Result<Self> {
        Ok(Self {
            http: client(limit)?,
            base: format!("http://{addr}/api/v1/functions"),
        })
    }

    /// Installs a function and switches it on.
    pub(crate) async fn install(&self, id: &str, function: &Value) -> Result<()> {
        self.ask(Method::POST, "create", function).await?;
        self.ask(Method::POST, &format!("id/{id}/toggle"), &Value::Null)
            .await
    }

    /// Asks for `path`, and fails if that does.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<()> {
        let request = self.http.request(method, format!("{}/{path}", self.base));
        let answer = request.bearer_auth(ADMIN_KEY).json(body).send().await?;
        let status = answer.status();
        if !status.is_success() {
            bail!("{path} was answered {status}: {}", answer.text().await?);
        }
        Ok(())
    }
}

/// A client whose requests may take as long as `limit`.
pub(crate) fn client(limit: Duration) -> Result<Client> {
    // It wants a provider although nothing here is encrypted; a second one is refused, and not needed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(Client::builder().timeout(limit).build()?)
}
