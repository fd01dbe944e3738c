//! Compare and set: each state of a thing has a name, and a change may say for which state it was made.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tracing::warn;

use super::Registry;
use super::function::{Function, Origin};
use super::preset::Preset;
use super::snapshot::Snapshot;
use crate::store::{Store, StoreError, ids};

/// Names one state of a function, of a preset, or of a list of them: equal for equal states, also after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision(String);

impl Revision {
    /// Its name: letters and digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The state in which a change must find its thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whichever it is.
    #[default]
    Any,
    /// Any in which the thing is there.
    Present,
    /// One of those named so.
    OneOf(Vec<String>),
}

/// The thing is in another state than a change was made for; this one, if it is there at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale(pub Option<Revision>);

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(_) => {
                "it was changed meanwhile: read it again, and make the change to what it is now"
            }
            None => "it is not there: it was removed meanwhile, or never made",
        })
    }
}

impl std::error::Error for Stale {}

impl Expected {
    /// The one state that was just seen.
    #[must_use]
    pub fn state(revision: Revision) -> Self {
        Self::OneOf(vec![revision.0])
    }

    /// Checks the state that `current` names; it is asked only where that matters.
    pub(super) fn check(&self, current: impl FnOnce() -> Option<Revision>) -> Result<(), Stale> {
        let names = match self {
            Self::Any => return Ok(()),
            Self::Present => None,
            Self::OneOf(names) => Some(names),
        };
        match current() {
            Some(revision) if names.is_none_or(|names| names.contains(&revision.0)) => Ok(()),
            current => Err(Stale(current)),
        }
    }
}

/// Keeps revisions from telling what they were made of: values of valves can be guessed, and users may see revisions.
pub(super) struct RevisionKey([u8; 32]);

/// The setting that keeps it over restarts.
const SETTING: &str = "revision_key";

impl RevisionKey {
    /// The key of this installation, made at its first start.
    pub(super) async fn of(store: &Store) -> Result<Self, StoreError> {
        let known = store.setting(SETTING.to_owned()).await?;
        if let Some(key) = known.as_deref().and_then(from_hex) {
            return Ok(Self(key));
        }
        let key: [u8; 32] = ids::random_bytes();
        let kept = store.set_setting(SETTING.to_owned(), ids::hex(&key)).await;
        if let Err(error) = kept {
            warn!(%error, "the key of revisions cannot be kept, clients read again after a restart");
        }
        Ok(Self(key))
    }

    fn name<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Revision {
        let mut hash = Sha256::new_with_prefix(self.0);
        for part in parts {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        Revision(ids::hex(&hash.finalize()[..16]))
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    let digits = text.as_bytes();
    if digits.len() != 2 * key.len() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

impl Registry {
    /// The state of a function or of tools: code, what is said of it, valves and switches.
    #[must_use]
    pub fn revision(&self, function: &Function) -> Revision {
        let record = &function.record;
        // A file has no version that outlives the process.
        let code = match function.origin {
            Origin::Store => record.version_id.as_bytes(),
            Origin::Folder => function.version.source.as_bytes(),
        };
        let meta = record.meta.to_string();
        let switches = [u8::from(function.is_active), u8::from(function.is_global)];
        self.revision_key.name([
            function.id.as_str().as_bytes(),
            code,
            record.name.as_bytes(),
            meta.as_bytes(),
            &function.valves.stored,
            &switches,
        ])
    }

    /// The state of a user's valves of a function.
    #[must_use]
    pub fn user_valves_revision(&self, function: &Function, user_id: &str) -> Revision {
        let stored = function.user_valves.get(user_id);
        self.revision_key.name([
            function.id.as_str().as_bytes(),
            user_id.as_bytes(),
            stored.map_or(&[][..], |stored| stored),
        ])
    }

    /// The state of all functions together, those of the folder too; tools are none.
    #[must_use]
    pub fn functions_revision(&self, snapshot: &Snapshot) -> Revision {
        let functions = snapshot.functions();
        self.list_revision(functions.map(|function| self.revision(function)))
    }

    /// The state of all presets together.
    #[must_use]
    pub fn presets_revision(&self, snapshot: &Snapshot) -> Revision {
        let presets = snapshot.presets();
        let each = |preset: &Arc<Preset>| {
            let id = preset.id().as_bytes();
            self.revision_key.name([id, preset.version_id().as_bytes()])
        };
        self.list_revision(presets.map(each))
    }

    fn list_revision(&self, each: impl Iterator<Item = Revision>) -> Revision {
        let names: Vec<Revision> = each.collect();
        self.revision_key
            .name(names.iter().map(|name| name.0.as_bytes()))
    }

    /// The state of a preset or an overlay.
    #[must_use]
    pub fn preset_revision(&self, preset: &Preset) -> Revision {
        self.revision_key.name([preset.version_id().as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(name: &str) -> Revision {
        Revision(name.to_owned())
    }

    #[test]
    fn changes_expect_a_state_by_its_name() {
        let current = || Some(revision("a"));
        let names =
            |names: &[&str]| Expected::OneOf(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(Expected::Any.check(|| None), Ok(()));
        assert_eq!(Expected::Present.check(current), Ok(()));
        assert_eq!(Expected::Present.check(|| None), Err(Stale(None)));
        assert_eq!(names(&["b", "a"]).check(current), Ok(()));
        assert_eq!(names(&["b"]).check(current), Err(Stale(current())));
        assert_eq!(names(&[]).check(current), Err(Stale(current())));
    }

    #[test]
    fn names_depend_on_every_part_and_on_the_key() {
        let (one, other) = (RevisionKey([1; 32]), RevisionKey([2; 32]));
        let name = |key: &RevisionKey, parts: &[&[u8]]| key.name(parts.iter().copied());
        assert_eq!(name(&one, &[b"a", b"b"]), name(&one, &[b"a", b"b"]));
        assert_ne!(name(&one, &[b"a", b"b"]), name(&one, &[b"ab", b""]));
        assert_ne!(name(&one, &[b"a"]), name(&other, &[b"a"]));
    }

    #[test]
    fn keys_are_read_back() {
        let key: [u8; 32] = ids::random_bytes();
        assert_eq!(from_hex(&ids::hex(&key)), Some(key));
        assert_eq!(from_hex("zz"), None);
        assert_eq!(from_hex(&"z".repeat(64)), None);
    }
}
