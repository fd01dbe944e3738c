//! Paths that mean another one to whoever resolves them.

/// Whether a path has a segment that leads up or stays, written plainly or with escapes.
pub(super) fn climbs(path: &str) -> bool {
    let plain = decoded(path);
    plain.split(['/', '\\']).any(|segment| {
        let name = segment.split(';').next().unwrap_or_default();
        matches!(name, "." | "..")
    })
}

/// A path in which the escapes of what separates and leads up are resolved, those of escapes too.
fn decoded(path: &str) -> String {
    let mut plain = path.to_ascii_lowercase();
    while plain.contains("%25") {
        plain = plain.replace("%25", "%");
    }
    plain
        .replace("%2e", ".")
        .replace("%2f", "/")
        .replace("%5c", "\\")
        .replace("%3b", ";")
}

#[cfg(test)]
mod tests {
    use super::climbs;

    #[test]
    fn segments_that_lead_elsewhere_are_seen_however_they_are_written() {
        for path in [
            "/images/../chat",
            "/images/..",
            "/images/./x",
            "/images/%2E%2e/x",
            "/images/.%2e/x",
            "/images/%252e%252e/x",
            "/images/x%2f..%2Fx",
            "/images/..\\x",
            "/images/..%5Cx",
            "/images/..;a=b/x",
            "/images/..%3bx/x",
        ] {
            assert!(climbs(path), "{path}");
        }
        for path in [
            "/images/edits",
            "/files/a..b",
            "/files/...",
            "/files/.a",
            "/a%20b",
        ] {
            assert!(!climbs(path), "{path}");
        }
    }
}
