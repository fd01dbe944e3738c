//! Everything that was written, from all sources, with the places where it stands.

use std::collections::BTreeMap;

use super::Sources;
use super::document::Document;
use super::fields::Fields;
use super::mistake::{Mistakes, Origin};
use super::nearest::nearest;
use super::reader::Reader;
use super::settings::{FILE_VARIABLE, SETTINGS, Setting, VARIABLE_PREFIX};

/// Everything that was written, the flags and variables laid over the file.
pub(super) struct Raw {
    /// Every setting, with its default where nothing was written.
    pub(super) settings: Fields,
    pub(super) upstreams: Vec<Fields>,
    pub(super) users: Vec<Fields>,
    pub(super) functions: Vec<(String, Fields)>,
    /// The file is no TOML, so that nothing of it was read.
    pub(super) is_broken: bool,
}

impl Raw {
    /// Reads the document, then lays variables over it, then flags.
    pub(super) fn read(
        document: Option<&Document>,
        sources: &Sources,
        mistakes: &mut Mistakes,
    ) -> Self {
        let mut raw = Self::defaults();
        if let Some(document) = document {
            Reader::new(document, &mut raw, mistakes).read();
        }
        raw.read_variables(&sources.env, mistakes);
        raw.read_flags(&sources.flags, mistakes);
        raw
    }

    fn defaults() -> Self {
        let mut settings = Fields::new(Origin::Default);
        let mut mistakes = Mistakes::default();
        for setting in SETTINGS {
            settings.put_text(setting, setting.default, Origin::Default, &mut mistakes);
        }
        debug_assert!(mistakes.is_empty(), "defaults fit their kinds: {mistakes}");
        Self {
            settings,
            upstreams: Vec::new(),
            users: Vec::new(),
            functions: Vec::new(),
            is_broken: false,
        }
    }

    fn read_variables(&mut self, env: &BTreeMap<String, String>, mistakes: &mut Mistakes) {
        for setting in SETTINGS {
            let short = setting.short_variable().map(str::to_owned);
            for name in short.into_iter().chain([setting.variable()]) {
                // An empty variable counts as none: that is how container files leave one out.
                if let Some(text) = env.get(&name).filter(|text| !text.is_empty()) {
                    let origin = Origin::Variable(name);
                    self.settings.put_text(setting, text, origin, mistakes);
                }
            }
        }
        report_slips(env, mistakes);
    }

    fn read_flags(&mut self, flags: &BTreeMap<&'static str, String>, mistakes: &mut Mistakes) {
        for (key, text) in flags {
            match Setting::find(key) {
                Some(setting) => {
                    let origin = Origin::Flag(format!("--{}", setting.flag()));
                    self.settings.put_text(setting, text, origin, mistakes);
                }
                None => mistakes.add(
                    &Origin::Flag(format!("--{key}")),
                    format!("unknown setting: `{key}`"),
                ),
            }
        }
    }
}

/// Reports variables that are almost ours. Others with our prefix belong to someone else:
/// Kubernetes sets `SLUICEGATE_PORT` and more in every pod beside a service of that name.
fn report_slips(env: &BTreeMap<String, String>, mistakes: &mut Mistakes) {
    let known: Vec<String> = SETTINGS
        .iter()
        .flat_map(|setting| {
            let short = setting.short_variable().map(str::to_owned);
            short.into_iter().chain([setting.variable()])
        })
        .chain([FILE_VARIABLE.to_owned()])
        .collect();
    let suffixes = || known.iter().map(|name| &name[VARIABLE_PREFIX.len()..]);
    for name in env.keys().filter(|name| !known.contains(name)) {
        let suffix = name.strip_prefix(VARIABLE_PREFIX);
        if let Some(meant) = suffix.and_then(|suffix| nearest(suffix, suffixes())) {
            let hint = format!("did you mean `{VARIABLE_PREFIX}{meant}`?");
            mistakes.add_with_hint(&Origin::Variable(name.clone()), "unknown setting", hint);
        }
    }
}
