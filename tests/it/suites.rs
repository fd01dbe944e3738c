//! The suites that are written in Python: the sample functions by themselves, and the worker without a gateway.

use std::path::Path;
use std::process::Command;

use crate::support::{python, suite_packages};

#[test]
fn the_sample_functions_pass_their_suite() {
    run_suite("tests/filters", Path::new(""));
}

#[test]
fn the_worker_passes_its_suite() {
    let folder = tempfile::tempdir().unwrap();
    let core = sluicegate::host::unpack_runtime(folder.path()).unwrap();
    run_suite("tests/python", &core);
}

/// Runs a pytest suite; `core` is the folder of the worker's files.
fn run_suite(suite: &str, core: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pytest = Command::new(python());
    pytest
        .args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider", suite])
        .current_dir(root);
    pytest
        .env("PYTHONPATH", suite_packages())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    pytest.env("SLUICEGATE_CORE_DIR", core);
    let output = pytest.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{suite}:\n{said}");
}
