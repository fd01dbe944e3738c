//! What a function's frontmatter asks to have installed: read strictly, and only with the operator's leave
//! (ruling R26).

use std::fmt;
use std::io;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::environment::Leave;
use crate::config::Requirements;

/// A distribution, and which versions of it will do. No option, address or path is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Requirement {
    /// Its name, as written.
    name: String,
    /// What stands behind the name: extras and versions.
    rest: String,
}

/// Prints the numbers of the requirements that the interpreter's environment does not have.
const SCRIPT: &str = r#"
import sys
from importlib import metadata
try:
    from packaging.requirements import Requirement
except ImportError:
    from pip._vendor.packaging.requirements import Requirement
for number, text in enumerate(sys.argv[1:]):
    wanted = Requirement(text)
    try:
        there = wanted.specifier.contains(metadata.version(wanted.name), prereleases=True)
    except metadata.PackageNotFoundError:
        there = False
    if not there:
        print(number)
"#;

/// Reads requirements.
///
/// # Errors
///
/// If one is no name with versions.
pub(super) fn parse(texts: &[String]) -> io::Result<Vec<Requirement>> {
    let parsed = texts.iter().map(|text| {
        Requirement::parse(text).ok_or_else(|| {
            let hint = "hint: only names with versions (`name>=1.2`) can be required, no options, addresses or paths";
            refused(format!("the requirement `{text}` is refused; {hint}"))
        })
    });
    parsed.collect()
}

/// The requirements that `python` does not have.
///
/// # Errors
///
/// If it cannot be asked.
pub(super) async fn missing(python: &Path, wanted: &[Requirement]) -> io::Result<Vec<Requirement>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut ask = Command::new(python);
    ask.args(["-I", "-c", SCRIPT])
        .args(wanted.iter().map(ToString::to_string))
        .stdin(Stdio::null());
    let output = ask.output().await?;
    if !output.status.success() {
        return Err(io::Error::other(
            "what the Python environment has cannot be found out",
        ));
    }
    let numbers = String::from_utf8_lossy(&output.stdout);
    let numbers = numbers
        .lines()
        .filter_map(|line| line.trim().parse::<usize>().ok());
    Ok(numbers
        .filter_map(|number| wanted.get(number).cloned())
        .collect())
}

/// Checks that what is missing may be installed.
///
/// # Errors
///
/// If it may not; the message names what to approve.
pub(super) fn check_approved(missing: &[Requirement], leave: &Leave) -> io::Result<()> {
    let names = unapproved(missing, leave);
    if names.is_empty() {
        return Ok(());
    }
    let hint = match leave.policy {
        Requirements::Off => "installing is switched off (`python.requirements`)",
        _ => "hint: add what you trust to `python.approved` and reload",
    };
    let names = names.join("`, `");
    Err(not_installed(format!(
        "requires `{names}`, which is not installed; {hint}"
    )))
}

/// The names of what is missing and may not be installed.
pub(super) fn unapproved(missing: &[Requirement], leave: &Leave) -> Vec<String> {
    let is_approved = |wanted: &&Requirement| leave.approved.iter().any(|name| wanted.is_for(name));
    let names = missing.iter().filter(|wanted| match leave.policy {
        Requirements::Auto => false,
        Requirements::Off => true,
        Requirements::Approved => !is_approved(wanted),
    });
    names.map(|wanted| wanted.name.clone()).collect()
}

/// An error that is the function's, not the gateway's: [`is_refusal`] tells.
fn refused(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// Whether an error says that a requirement was refused.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput
}

/// What a function requires is not there, for want of leave or of the thing itself.
#[derive(Debug)]
struct NotInstalled(String);

impl fmt::Display for NotInstalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotInstalled {}

/// An error that says so: [`is_not_installed`] tells.
pub(super) fn not_installed(message: String) -> io::Error {
    io::Error::other(NotInstalled(message))
}

/// Whether an error says that what a function requires is not there.
pub(super) fn is_not_installed(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<NotInstalled>())
}

impl Requirement {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let end = text
            .find(|character: char| !is_name(character))
            .unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let rest: String = rest
            .chars()
            .filter(|character| !character.is_whitespace())
            .collect();
        let begins = name.starts_with(|character: char| character.is_ascii_alphanumeric());
        let is_plain = |character: char| is_name(character) || "[],<>=!~*+".contains(character);
        let is_bounded = rest.is_empty() || rest.starts_with(['[', '<', '>', '=', '!', '~']);
        (begins && is_bounded && rest.chars().all(is_plain)).then(|| Self {
            name: name.to_owned(),
            rest,
        })
    }

    /// Whether it asks for the distribution that `other` names; versions behind that name do not matter.
    pub(super) fn is_for(&self, other: &str) -> bool {
        let end = other
            .find(|character: char| !is_name(character))
            .unwrap_or(other.len());
        normalised(&self.name) == normalised(&other[..end])
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, self.rest)
    }
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-_.".contains(character)
}

/// Names that differ in case and in the kind of dash are one.
fn normalised(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_versions_are_requirements() {
        for text in [
            "httpx",
            "numpy>=1.2,<3",
            "a[b,c]==1.0.*",
            " x ~= 1.4 ",
            "A_b.c",
        ] {
            assert!(Requirement::parse(text).is_some(), "{text}");
        }
        for text in [
            "--index-url x",
            "-e .",
            "./x",
            "x @ file:///y",
            "git+https://h/r",
            "",
            "a b",
            "x; y",
            "x -r z",
        ] {
            assert!(Requirement::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_not_approved_is_named() {
        let missing = parse(&["Foo_Bar==1".to_owned(), "baz".to_owned()]).unwrap();
        let leave = |policy, approved: &[&str]| Leave {
            policy,
            approved: approved.iter().map(|name| (*name).to_owned()).collect(),
        };
        let approved = leave(Requirements::Approved, &["foo-bar"]);
        let refused = check_approved(&missing, &approved).unwrap_err();
        assert!(is_not_installed(&refused) && !is_refusal(&refused));
        let refused = refused.to_string();
        assert!(
            refused.contains("`baz`") && !refused.contains("Foo"),
            "{refused}"
        );
        assert!(check_approved(&missing[..1], &approved).is_ok());
        assert!(check_approved(&missing, &leave(Requirements::Auto, &[])).is_ok());
        let off = leave(Requirements::Off, &["foo-bar"]);
        assert!(check_approved(&missing[..1], &off).is_err());
    }
}
