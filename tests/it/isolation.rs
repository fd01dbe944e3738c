//! Functions cannot get out of their processes (rows P07, P08, P10, P20, X04 and X20 of the failure catalogue).
//!
//! Each test runs deeds of `tests/functions/escaping.py` and asserts that they are refused and that nothing has come
//! of them. What the kernel cannot hold is skipped with a word.

mod hosts;
mod machine;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::PATIENCE;
use crate::support::{
    Answer, FakeUpstream, Process, TestGateway, answer_of, chat, eventually, say, source,
};

const SECRET: &str = "canary-of-the-tests-4711";

const TABLES: &str = "
[function.escaping]
memory_mib = 512
pipe_first_seconds = 60
[function.closed]
network = \"none\"
[function.programs]
subprocesses = true
[function.noisy]
global = false
models = [\"danger\"]
timeout = 5
";

/// What came of each deed, by its name.
type Outcomes = BTreeMap<String, String>;

/// A gateway with a function that tries to escape, and the one beside it.
struct Scene {
    gateway: TestGateway,
    _upstream: FakeUpstream,
}

impl Scene {
    async fn start() -> Self {
        let upstream = FakeUpstream::start(|_| answer_of("fine")).await;
        let setup = TestGateway::setup()
            .python()
            .tables(TABLES)
            .environment("SLUICEGATE_UNUSED_SECRET", SECRET)
            .environment("OPENAI_API_KEY", SECRET)
            .upstream("fake", &upstream.base_url());
        let setup = setup
            .function("escaping", &source("escaping"))
            .function("closed", &source("escaping"))
            .function("programs", &source("programs"))
            .function("single", &source("single"))
            .function("noisy", &source("noisy"));
        let scene = Self {
            gateway: setup.start().await,
            _upstream: upstream,
        };
        scene.neighbours_go_on().await;
        scene
    }

    /// Whether a protection is in force here; says so if it is not.
    fn has(&self, protection: &str) -> bool {
        let log = self.gateway.log();
        let line = log.lines().find(|line| line.contains("in_force="));
        let line = line.expect("the first start of Python tells what is in force");
        let in_force = line.split("missing=").next().unwrap_or_default();
        let is_there = in_force.contains(protection);
        if !is_there {
            say(&format!(
                "isolation: skipped, not in force here: {protection}"
            ));
        }
        is_there
    }

    fn config(&self) -> PathBuf {
        let port = self.gateway.address.port();
        self.gateway.home().join(format!("sluicegate-{port}.toml"))
    }

    fn database(&self) -> PathBuf {
        self.gateway.data_dir().join("sluicegate.db")
    }

    async fn ask(&self, function: &str, deeds: &str) -> Answer {
        let data_dir = self.gateway.data_dir();
        let at = json!({
            "deeds": deeds,
            "gateway": self.gateway.process().0,
            "zygote": self.processes().first().expect("Python runs").0,
            "port": self.gateway.address.port(),
            "data_dir": data_dir,
            "config": self.config(),
            "database": self.database(),
            "source": data_dir.join("functions/single.py"),
            "neighbour": data_dir.join("functions_data/single/kept"),
            "outside": self.gateway.home().join("escaped"),
        });
        let body = chat(function, &at.to_string());
        self.gateway.user().chat(&body).await
    }

    async fn attempt(&self, function: &str, deeds: &str) -> Outcomes {
        let answer = self.ask(function, deeds).await.expect(200);
        serde_json::from_str(&answer.content()).unwrap()
    }

    /// All of it is refused, and nobody has noticed anything.
    async fn refuses(&self, deeds: &str) {
        let outcomes = self.attempt("escaping", deeds).await;
        assert!(!outcomes.is_empty());
        for (deed, outcome) in &outcomes {
            let is_refused = outcome.starts_with("refused: ")
                // In numbers of its own there is nobody of that number.
                || deeds == "processes" && outcome.starts_with("failed: ProcessLookupError")
                || deeds == "processes" && outcome.starts_with("failed: FileNotFoundError")
                // Making a link across the border of what may be written has an error of its own.
                || outcome.starts_with("failed: OSError: [Errno 18]");
            assert!(is_refused, "{deed}: {outcome}");
        }
        self.neighbours_go_on().await;
    }

    async fn neighbours_go_on(&self) {
        let answer = self.gateway.user().chat(&chat("single", "hi")).await;
        assert_eq!(answer.expect(200).content(), "you said: hi");
        self.gateway.stranger().get("/readyz").await.expect(200);
    }

    /// The gateway's processes, without those that are about to end.
    fn processes(&self) -> Vec<Process> {
        self.gateway.process().descendants()
    }
}

#[tokio::test]
async fn p07_other_processes_are_out_of_reach() {
    let scene = Scene::start().await;
    if scene.has("files") && scene.has("system calls") {
        let process = scene.gateway.process();
        let limits = limits_of(process);
        scene.refuses("processes").await;
        assert!(process.is_running());
        assert_eq!(limits_of(process), limits, "its limits are its own");
    }
}

#[tokio::test]
async fn p07_a_function_sees_no_process_but_its_own() {
    let scene = Scene::start().await;
    if !scene.has("processes") {
        return;
    }
    let outcomes = scene.attempt("escaping", "numbers").await;
    assert_eq!(outcomes["its own"], "2", "beside the one that guards it");
    assert_eq!(outcomes["its parent"], "0", "which is outside");
    assert_eq!(outcomes["its own in /proc"], "2");
    for name in ["gateway", "zygote"] {
        let outcome = &outcomes[&format!("find {name}")];
        assert!(
            outcome.starts_with("failed: ProcessLookupError"),
            "{name}: {outcome}"
        );
    }
    scene.neighbours_go_on().await;
}

#[tokio::test]
async fn p07_the_end_of_the_process_that_guards_a_worker_is_the_end_of_both() {
    let scene = Scene::start().await;
    if !scene.has("processes") {
        return;
    }
    let guards = scene.processes().into_iter();
    let guards: Vec<Process> = guards.filter(|process| process.is_guard()).collect();
    assert!(!guards.is_empty());
    for guard in &guards {
        let id = rustix::process::Pid::from_raw(i32::try_from(guard.0).unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
    }
    let are_gone = async || {
        let left = scene.processes();
        guards
            .iter()
            .all(|guard| !left.contains(guard))
            .then_some(())
    };
    eventually(PATIENCE, "the end of the guards", are_gone).await;
    let serves = async || {
        let answer = scene.gateway.user().chat(&chat("single", "hi")).await;
        (answer.status == 200).then_some(())
    };
    eventually(PATIENCE, "an answer of the next process", serves).await;
    scene.neighbours_go_on().await;
}

#[tokio::test]
async fn p07_handlers_and_prctl_help_nobody() {
    let scene = Scene::start().await;
    let outcomes = scene.attempt("escaping", "tricks").await;
    assert_eq!(outcomes.len(), 2);
    scene.neighbours_go_on().await;
    let before = scene.processes().len();
    scene.gateway.remove_function("escaping");
    let gone = eventually(PATIENCE, "the end of its process", async || {
        (scene.processes().len() < before).then_some(())
    });
    gone.await;
}

#[tokio::test]
async fn p08_no_process_comes_of_a_function() {
    let scene = Scene::start().await;
    if !scene.has("system calls") {
        return;
    }
    let before = scene.processes();
    scene.refuses("programs").await;
    assert_eq!(scene.processes().len(), before.len());
}

#[tokio::test]
async fn p08_threads_end_at_the_limit_of_memory() {
    let scene = Scene::start().await;
    let outcomes = scene.attempt("escaping", "threads").await;
    let outcome = &outcomes["threads without end"];
    assert!(outcome.starts_with("failed: RuntimeError"), "{outcome}");
    scene.neighbours_go_on().await;
    let outcomes = scene.attempt("escaping", "usual").await;
    assert_eq!(outcomes["a thread"], "done");
}

#[tokio::test]
async fn p08_programs_run_where_they_are_allowed_and_end_with_the_worker() {
    let scene = Scene::start().await;
    let ask = async |deed: &str| {
        let answer = scene.gateway.user().chat(&chat("programs", deed)).await;
        answer.expect(200).content()
    };
    assert_eq!(ask("run").await, "from a program");
    if scene.has("files") {
        let said = ask("read").await;
        assert!(said.contains("Permission denied"), "{said}");
        assert_eq!(ask("stop").await, "-9");
    }
    assert_eq!(ask("detach").await, "detached");
    let is_sleeping = |process: &Process| process.name() == "sleep";
    eventually(PATIENCE, "the program that stays", async || {
        scene.processes().iter().any(is_sleeping).then_some(())
    })
    .await;
    scene.gateway.remove_function("programs");
    eventually(PATIENCE, "the end of what it has left", async || {
        (!scene.processes().iter().any(is_sleeping)).then_some(())
    })
    .await;
    scene.neighbours_go_on().await;
}

#[tokio::test]
async fn p08_what_a_process_has_written_for_itself_goes_with_it() {
    let scene = Scene::start().await;
    let scratch = scene.gateway.data_dir().join("python/scratch");
    let workers = || {
        let zygotes = folders_in(&scratch).into_iter();
        let zygotes = zygotes.flat_map(|gateway| folders_in(&gateway));
        zygotes.flat_map(|zygote| folders_in(&zygote)).count()
    };
    let outcomes = scene.attempt("escaping", "hoards").await;
    assert_eq!(outcomes["folders in folders"], "done");
    let before = workers();
    scene.gateway.remove_function("escaping");
    eventually(PATIENCE, "the end of its files", async || {
        (workers() < before).then_some(())
    })
    .await;
    scene.neighbours_go_on().await;
}

/// The folders in a folder, which may be going away.
fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn limits_of(process: Process) -> String {
    std::fs::read_to_string(format!("/proc/{}/limits", process.0)).unwrap()
}

#[tokio::test]
async fn p10_output_is_bounded_wherever_it_goes() {
    let scene = Scene::start().await;
    let before = scene.gateway.process().rss_kib();
    for deed in ["print", "stderr", "descriptors"] {
        let answer = scene.gateway.user().chat(&chat("danger", deed)).await;
        assert_eq!(answer.expect(200).content(), "fine");
    }
    let after = scene.gateway.process().rss_kib();
    assert!(
        after < before + 16 * 1024,
        "{before} KiB grew to {after} KiB"
    );
    let path = "/api/v1/functions/id/noisy/output";
    let output = scene.gateway.admin().get(path).await.expect(200).text();
    assert!(output.contains("output cut"), "the author is told");
    assert!(output.len() < 256 * 1024, "{} bytes", output.len());
}

#[tokio::test]
async fn p10_closing_every_descriptor_harms_nobody_else() {
    let scene = Scene::start().await;
    let answer = scene.gateway.user().chat(&chat("danger", "close")).await;
    assert!([502, 504].contains(&answer.status), "{}", answer.text());
    scene.neighbours_go_on().await;
    let next = scene.gateway.user().chat(&chat("danger", "nothing")).await;
    assert_eq!(next.expect(200).content(), "fine");
}

#[tokio::test]
async fn p20_x04_files_and_services_of_the_gateway_are_out_of_reach() {
    let scene = Scene::start().await;
    if !scene.has("files") || !scene.has("system calls") {
        return;
    }
    let kept = scene.gateway.data_dir().join("functions_data/single/kept");
    std::fs::write(&kept, "of a neighbour").unwrap();
    let config = std::fs::read(scene.config()).unwrap();
    scene.refuses("files").await;
    assert_eq!(std::fs::read(scene.config()).unwrap(), config);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "of a neighbour");
    assert!(!scene.gateway.home().join("escaped").exists());
    let database = scene.database();
    assert!(std::fs::metadata(&database).unwrap().len() > 0);
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let before = (mode(scene.database()), mode(scene.config()));
    scene.attempt("escaping", "modes").await;
    assert_eq!((mode(scene.database()), mode(scene.config())), before);
}

#[tokio::test]
async fn p20_what_functions_usually_do_goes_on_working() {
    let scene = Scene::start().await;
    for (deed, outcome) in scene.attempt("escaping", "usual").await {
        assert_eq!(outcome, "done", "{deed}");
    }
    let kept = scene.gateway.data_dir().join("functions_data/escaping");
    for name in ["notes.txt", "more.txt", "notes.db"] {
        assert!(kept.join(name).exists(), "{name} is kept");
    }
}

#[tokio::test]
async fn p20_a_function_without_network_reaches_nobody() {
    let scene = Scene::start().await;
    if !scene.has("system calls") {
        let answer = scene.ask("closed", "network").await;
        assert_eq!(
            answer.status, 503,
            "it does not start where that cannot be held"
        );
        return;
    }
    for (deed, outcome) in scene.attempt("closed", "network").await {
        assert!(outcome.starts_with("refused: "), "{deed}: {outcome}");
    }
    for (deed, outcome) in scene.attempt("escaping", "network").await {
        assert_eq!(outcome, "done", "{deed}");
    }
}

#[tokio::test]
async fn x20_no_secret_is_in_a_workers_environment() {
    let scene = Scene::start().await;
    let text = scene.ask("escaping", "environment").await.expect(200);
    let seen: Value = serde_json::from_str(&text.content()).unwrap();
    assert!(!seen.to_string().contains(SECRET), "{seen}");
    let allowed = [
        "DATA_DIR",
        "HOME",
        "LC_CTYPE",
        "MALLOC_ARENA_MAX",
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONPATH",
        "TMPDIR",
    ];
    for name in seen["variables"].as_object().unwrap().keys() {
        let is_known = allowed.contains(&name.as_str()) || name.starts_with("XDG_");
        assert!(is_known, "`{name}` is nothing that a function needs");
    }
}

#[tokio::test]
async fn required_isolation_lets_functions_run_only_if_all_of_it_is_there() {
    let gateway = TestGateway::setup()
        .environment("SLUICEGATE_PYTHON_ISOLATION", "required")
        .python()
        .function("single", &source("single"))
        .start()
        .await;
    let is_missing = gateway.log().contains("missing=");
    let answer = gateway.user().chat(&chat("single", "hi")).await;
    if is_missing {
        say("isolation: something is missing here, so `required` refuses");
        assert_eq!(answer.status, 503, "{}", answer.text());
    } else {
        answer.expect(200);
    }
}

#[tokio::test]
async fn p20_a_reload_that_closes_the_network_replaces_the_process() {
    let scene = Scene::start().await;
    let outcomes = scene.attempt("escaping", "network").await;
    assert_eq!(outcomes["connect"], "done");
    let config = std::fs::read_to_string(scene.config()).unwrap();
    let closed = config.replace("memory_mib = 512", "network = \"none\"\nmemory_mib = 512");
    assert_ne!(config, closed);
    std::fs::write(scene.config(), closed).unwrap();
    let id = i32::try_from(scene.gateway.process().0).unwrap();
    let id = rustix::process::Pid::from_raw(id).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::HUP).unwrap();
    scene.gateway.logged("reloaded").await;
    if scene.has("system calls") {
        let outcomes = scene.attempt("escaping", "network").await;
        assert!(outcomes["connect"].starts_with("refused: "));
    }
}
