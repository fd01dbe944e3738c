//! Builds the worker's Python extension and lists it, with the Python files beside it, for embedding.
//!
//! The gateway binary carries everything a worker needs. Building the extension from here means that neither
//! `cargo build` nor `cargo test` can run with a stale one. No Python is needed to build it.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const WATCHED: &[&str] = &["crates/worker", "crates/frames", "Cargo.lock"];

fn main() {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(variable("OUT_DIR"));
    for path in WATCHED {
        println!("cargo::rerun-if-changed={path}");
    }
    let mut files = vec![(
        "sluicegate_core.abi3.so".to_owned(),
        build_extension(&root, &out),
    )];
    collect(&root.join("crates/worker/python"), "", &mut files);
    files.sort();
    fs::write(out.join("embedded.rs"), listing(&files)).expect("the build folder is writable");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

/// Compiles the extension in a target folder of its own, since cargo holds the lock on the usual one.
fn build_extension(root: &Path, out: &Path) -> PathBuf {
    let target = out.join("worker");
    let mut cargo = Command::new(variable("CARGO"));
    cargo.args([
        "build",
        "--release",
        "--locked",
        "--package",
        "sluicegate-worker",
        "--target-dir",
    ]);
    cargo.arg(&target).current_dir(root);
    cargo
        .env("PYO3_NO_PYTHON", "1")
        .env("PYO3_BUILD_EXTENSION_MODULE", "1");
    // What cargo tells a build script's rustc (clippy's wrapper, coverage flags) is not meant for this build.
    for name in [
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "CARGO_TARGET_DIR",
    ] {
        cargo.env_remove(name);
    }
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "the worker extension does not build");
    target.join("release/libsluicegate_core.so")
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) {
    let entries = fs::read_dir(folder).expect("the worker's Python files are there");
    for entry in entries {
        let path = entry
            .expect("the worker's Python files are readable")
            .path();
        let name = path
            .file_name()
            .expect("an entry has a name")
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && name != "__pycache__" {
            collect(&path, &format!("{prefix}{name}/"), files);
        } else if name.ends_with(".py") {
            files.push((format!("{prefix}{name}"), path));
        }
    }
}

fn listing(files: &[(String, PathBuf)]) -> String {
    let mut text = "const FILES: &[(&str, &[u8])] = &[\n".to_owned();
    for (name, path) in files {
        writeln!(text, "    ({name:?}, include_bytes!({path:?})),")
            .expect("writing to a String succeeds");
    }
    text + "];\n"
}
