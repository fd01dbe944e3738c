//! New processes that take over from a gateway.

use tokio::process::Command;

use super::{BINARY, TestGateway, config_path};

impl TestGateway {
    /// A new process on the same configuration that serves in place of this one.
    pub(crate) async fn upgrade(&self) -> Self {
        let successor = self.successor(|text| text);
        successor.logged("listening").await;
        successor
    }

    /// A new process that wants to, with the configuration changed so.
    pub(crate) fn successor(&self, change: impl FnOnce(String) -> String) -> Self {
        let text = std::fs::read_to_string(self.configuration()).unwrap();
        let config = self.home().join("successor.toml");
        std::fs::write(&config, change(text)).unwrap();
        let mut command = Command::new(BINARY);
        command.args(["serve", "--upgrade", "--config"]).arg(config);
        Self::run(command, self.address.port(), &self.home, &self.environment)
    }

    /// The file with which it was started.
    pub(crate) fn configuration(&self) -> std::path::PathBuf {
        config_path(self.home(), self.address.port())
    }

    /// Waits for the end of one that must fail: what it said.
    pub(crate) async fn failed(mut self) -> String {
        let status = self.ended().await;
        self.log.ended().await;
        assert!(!status.success(), "{}", self.log());
        self.log()
    }
}
