//! The Python functions of `tests/functions`.

use std::fs;
use std::path::Path;

/// The code of `tests/functions/<name>.py`.
pub(crate) fn source(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/functions");
    fs::read_to_string(folder.join(format!("{name}.py"))).unwrap()
}

/// The same with constants set: each line `NAME = …` at the left margin becomes `NAME = value`.
pub(crate) fn source_with(name: &str, constants: &[(&str, &str)]) -> String {
    let mut code = source(name);
    for (constant, value) in constants {
        let prefix = format!("{constant} = ");
        let line = code.lines().find(|line| line.starts_with(&prefix));
        let line = line.expect("the function has this constant").to_owned();
        code = code.replacen(&line, &format!("{prefix}{value}"), 1);
    }
    code
}
