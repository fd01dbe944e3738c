//! The gateway under test: the real binary with a configuration, a data folder and a port of its own.

use std::io::{BufRead, BufReader, PipeReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::client::Client;
use super::management::Management;
use super::ports::free_port;
use super::process::Process;
use super::python::{python, uv};
use super::wait::within;
use crate::PATIENCE;

mod encrypted;
mod successor;

/// The key of the administrator.
pub(crate) const ADMIN_KEY: &str = "sk-admin-of-the-tests-0000000000000001";

/// The key of a plain user.
pub(crate) const USER_KEY: &str = "sk-user-of-the-tests-00000000000000002";

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");

const USERS: &str = r#"
[[users]]
id = "11111111-1111-4111-8111-111111111111"
name = "Admin One"
email = "admin@example.test"
role = "admin"
api_key = "sk-admin-of-the-tests-0000000000000001"
[[users]]
id = "22222222-2222-4222-8222-222222222222"
name = "User Two"
email = "user@example.test"
role = "user"
api_key = "sk-user-of-the-tests-00000000000000002"
"#;

/// How many ports are tried: another program may take one between our look and the start.
const TRIES: usize = 5;

/// A gateway that runs. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct TestGateway {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Log,
    home: Arc<TempDir>,
    environment: Vec<(String, String)>,
}

/// What a gateway is to be like.
#[derive(Debug)]
pub(crate) struct Setup {
    home: Arc<TempDir>,
    settings: String,
    tables: String,
    environment: Vec<(String, String)>,
    python: Option<PathBuf>,
    python_settings: String,
    approved: Vec<String>,
    pass_env: Vec<String>,
    wrapper: Vec<String>,
}

impl TestGateway {
    /// A gateway with two users and nothing else, to be added to.
    pub(crate) fn setup() -> Setup {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("data/functions")).unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        Setup {
            home: Arc::new(home),
            settings: String::new(),
            tables: USERS.to_owned(),
            environment: vec![("PATH".to_owned(), path)],
            python: None,
            python_settings: String::new(),
            approved: Vec::new(),
            pass_env: Vec::new(),
            wrapper: Vec::new(),
        }
    }

    /// A gateway that nobody has set up: without users.
    pub(crate) async fn fresh() -> Self {
        let mut setup = Self::setup();
        setup.tables = String::new();
        setup.start().await
    }

    /// A client without a key.
    pub(crate) fn stranger(&self) -> Client {
        Client::new(self.address)
    }

    pub(crate) fn admin(&self) -> Client {
        self.stranger().with_key(ADMIN_KEY)
    }

    pub(crate) fn user(&self) -> Client {
        self.stranger().with_key(USER_KEY)
    }

    /// The management API, as the administrator.
    pub(crate) fn management(&self) -> Management {
        Management(self.admin())
    }

    pub(crate) fn process(&self) -> Process {
        Process(self.child.id().expect("it has not been waited for"))
    }

    /// The folder that holds everything of this gateway.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.home().join("data")
    }

    /// A file of the functions folder, put in place whole.
    pub(crate) fn write_function(&self, id: &str, code: &str) {
        write_function(self.home(), id, code);
    }

    pub(crate) fn remove_function(&self, id: &str) {
        std::fs::remove_file(self.data_dir().join(format!("functions/{id}.py"))).unwrap();
    }

    /// Waits until the log holds `text`.
    pub(crate) async fn logged(&self, text: &str) {
        self.log.wait_for(text).await;
    }

    pub(crate) fn log(&self) -> String {
        self.log.0.borrow().clone()
    }

    /// Reads no more of the log until what is returned is dropped.
    pub(crate) fn stop_reading(&self) -> Reading {
        let (resume, resumed) = mpsc::channel();
        *self.log.1.lock().unwrap() = Some(resumed);
        Reading(resume)
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    /// Changes the configuration file, and waits until it is read again.
    pub(crate) async fn reconfigure(&self, before: &str, after: &str) {
        let config = config_path(self.home(), self.address.port());
        let text = std::fs::read_to_string(&config).unwrap();
        assert!(text.contains(before), "`{before}` is not in {text}");
        std::fs::write(&config, text.replace(before, after)).unwrap();
        self.reload().await;
    }

    /// Has it read its configuration again, and waits until it has.
    pub(crate) async fn reload(&self) {
        let before = self.log.0.borrow().len();
        self.signal(rustix::process::Signal::HUP);
        let mut log = self.log.0.clone();
        let found = log.wait_for(|log| log[before..].contains(" reloaded "));
        within(PATIENCE, "a reload", found).await.unwrap();
    }

    /// Kills it, which leaves it no time for anything, and waits for its end.
    pub(crate) async fn kill(&mut self) {
        self.signal(rustix::process::Signal::KILL);
        self.ended().await;
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.process().0).unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        within(PATIENCE, "the end of the gateway", self.child.wait())
            .await
            .unwrap()
    }
}

impl TestGateway {
    fn run(
        mut command: Command,
        port: u16,
        home: &Arc<TempDir>,
        environment: &[(String, String)],
    ) -> Self {
        // What functions write beside them is not to stay.
        command.current_dir(home.path());
        command
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)));
        let (stderr, theirs) = std::io::pipe().unwrap();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(theirs);
        let child = command.kill_on_drop(true).spawn().unwrap();
        Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            log: Log::of(stderr),
            home: Arc::clone(home),
            environment: environment.to_vec(),
        }
    }
}

impl Drop for TestGateway {
    #[expect(
        clippy::print_stderr,
        reason = "a failed test shows what the gateway said"
    )]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let log = self.log();
            for secret in [ADMIN_KEY, USER_KEY, "sk-upstream"] {
                assert!(!log.contains(secret), "`{secret}` is in the log: {log}");
            }
        } else {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            tail.iter()
                .rev()
                .for_each(|line| eprintln!("gateway: {line}"));
        }
    }
}

impl Setup {
    /// An OpenAI-compatible model server.
    pub(crate) fn upstream(self, name: &str, base_url: &str) -> Self {
        self.tables(&format!(
            "[[upstreams]]\nname = \"{name}\"\nkind = \"openai\"\nbase_url = \"{base_url}\"\napi_key = \"sk-upstream\"\n"
        ))
    }

    /// Lines of TOML outside of all tables.
    pub(crate) fn settings(mut self, lines: &str) -> Self {
        self.settings += &format!("{lines}\n");
        self
    }

    /// Tables of TOML.
    pub(crate) fn tables(mut self, tables: &str) -> Self {
        self.tables += &format!("{tables}\n");
        self
    }

    /// Functions run, on the Python of the tests.
    pub(crate) fn python(mut self) -> Self {
        self.python = Some(python());
        self
    }

    /// The same on another interpreter.
    pub(crate) fn interpreter(mut self, path: &Path) -> Self {
        self.python = Some(path.to_owned());
        self
    }

    /// Lines of TOML for the table `python`.
    pub(crate) fn python_settings(mut self, lines: &str) -> Self {
        self.python_settings += &format!("{lines}\n");
        self
    }

    /// These requirements may be installed, from a cache that all runs share.
    pub(crate) fn approving(mut self, names: &[&str]) -> Self {
        self.approved = names.iter().map(|&name| name.to_owned()).collect();
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("uv-cache");
        let reaching = std::env::vars().filter(|(name, _)| reaches_the_index(name));
        self.environment.extend(reaching);
        self.environment("UV_CACHE_DIR", &cache.display().to_string())
    }

    /// A variable of the gateway's environment that functions see.
    pub(crate) fn passing(mut self, name: &str, value: &str) -> Self {
        self.pass_env.push(name.to_owned());
        self.environment(name, value)
    }

    /// The folder of everything that belongs to it.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Lets functions read a folder.
    pub(crate) fn readable(self, folder: &Path) -> Self {
        self.python_settings(&format!("read_paths = [{folder:?}]"))
    }

    /// Lets functions read and write a folder.
    pub(crate) fn writable(self, folder: &Path) -> Self {
        self.python_settings(&format!("write_paths = [{folder:?}]"))
    }

    /// A function in the functions folder.
    pub(crate) fn function(self, id: &str, code: &str) -> Self {
        write_function(self.home.path(), id, code);
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs it by another program, which must become it.
    pub(crate) fn under<'a>(
        mut self,
        program: &str,
        options: impl IntoIterator<Item = &'a &'a str>,
    ) -> Self {
        let options = options.into_iter().map(|&option| option.to_owned());
        self.wrapper = [program.to_owned()].into_iter().chain(options).collect();
        self
    }

    /// The folder of a gateway that was set up before.
    pub(crate) fn home_of(mut self, other: &TestGateway) -> Self {
        self.home = Arc::clone(&other.home);
        self
    }

    /// Starts it and waits for nothing.
    pub(crate) fn begin(self) -> TestGateway {
        self.spawn()
    }

    /// Starts it and waits until it listens.
    pub(crate) async fn start(self) -> TestGateway {
        let gateway = self.listening().await;
        let ready = gateway.stranger().get("/readyz").await;
        assert_eq!(ready.status, 200, "a gateway that listens is ready");
        gateway
    }

    async fn listening(&self) -> TestGateway {
        for _ in 0..TRIES {
            let gateway = self.spawn();
            let said = gateway.log.wait_for_either("listening", "cannot listen");
            if said.await == "listening" {
                return gateway;
            }
        }
        panic!("no port could be had in {TRIES} tries");
    }

    /// Runs it when it is expected to end by itself: its status, and what it said.
    pub(crate) async fn run_to_end(self) -> (ExitStatus, String) {
        let mut gateway = self.spawn();
        let status = gateway.ended().await;
        gateway.log.ended().await;
        (status, gateway.log())
    }

    fn spawn(&self) -> TestGateway {
        let port = free_port();
        let config = config_path(self.home.path(), port);
        std::fs::write(&config, self.text(port)).unwrap();
        let mut words = self.wrapper.iter().map(String::as_str).chain([BINARY]);
        let mut command = Command::new(words.next().unwrap_or(BINARY));
        command
            .args(words)
            .arg("serve")
            .arg("--config")
            .arg(&config);
        TestGateway::run(command, port, &self.home, &self.environment)
    }

    fn python_table(&self, python: &Path) -> String {
        let mut table = format!(
            "[python]\ninterpreter = \"{}\"\nbase = false\npass_env = {:?}\n",
            python.display(),
            self.pass_env
        );
        if !self.approved.is_empty() {
            let uv = uv();
            table += &format!(
                "approved = {:?}\nuv = \"{}\"\n",
                self.approved,
                uv.display()
            );
        }
        table + &self.python_settings
    }

    fn text(&self, port: u16) -> String {
        let data_dir = self.home.path().join("data");
        let python = self.python.as_ref().map(|python| self.python_table(python));
        let listen = match self.settings.contains("listen = ") {
            true => String::new(),
            false => format!("listen = \"127.0.0.1:{port}\"\n"),
        };
        format!(
            "{listen}data_dir = \"{}\"\n{}{}{}",
            data_dir.display(),
            self.settings,
            self.tables,
            python.unwrap_or_default()
        )
    }
}

fn config_path(home: &Path, port: u16) -> PathBuf {
    home.join(format!("sluicegate-{port}.toml"))
}

/// Whether a variable says how the index of packages is reached.
fn reaches_the_index(variable: &str) -> bool {
    let begins = |prefix: &&str| variable.starts_with(prefix);
    ["PIP_", "UV_", "SSL_"].iter().any(begins) || variable.to_lowercase().ends_with("_proxy")
}

/// Puts a file in place at once, so that no half of it is ever read.
fn write_function(home: &Path, id: &str, code: &str) {
    let aside = home.join(format!("{id}.aside"));
    std::fs::write(&aside, code).unwrap();
    std::fs::rename(aside, home.join(format!("data/functions/{id}.py"))).unwrap();
}

/// Everything that the gateway has said so far.
#[derive(Debug)]
struct Log(
    watch::Receiver<String>,
    Arc<Mutex<Option<mpsc::Receiver<()>>>>,
);

/// Goes on when it is dropped.
#[derive(Debug)]
pub(crate) struct Reading(#[expect(dead_code, reason = "held for its drop")] mpsc::Sender<()>);

impl Log {
    /// Reads on a thread of its own: the gateway must never wait for a test.
    fn of(stderr: PipeReader) -> Self {
        let (tell, text) = watch::channel(String::new());
        let pause = Arc::new(Mutex::new(None::<mpsc::Receiver<()>>));
        let paused = Arc::clone(&pause);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                tell.send_modify(|text| *text += &(line + "\n"));
                if let Some(resumed) = paused.lock().unwrap().take() {
                    // Ends when the sender is dropped.
                    let _ = resumed.recv();
                }
            }
        });
        Self(text, pause)
    }

    async fn wait_for(&self, text: &str) {
        self.wait_for_either(text, text).await;
    }

    async fn wait_for_either<'a>(&self, one: &'a str, other: &'a str) -> &'a str {
        let mut log = self.0.clone();
        let found = log.wait_for(|log| log.contains(one) || log.contains(other));
        match within(PATIENCE, one, found).await {
            Ok(log) if log.contains(one) => one,
            Ok(_) => other,
            Err(_) => panic!(
                "the gateway ended before it said `{one}`: {}",
                *self.0.borrow()
            ),
        }
    }

    /// Waits until nothing more can come.
    async fn ended(&self) {
        let mut log = self.0.clone();
        // An error says that the reader has seen the end.
        let _ = within(PATIENCE, "the end of the log", log.wait_for(|_| false)).await;
    }
}
