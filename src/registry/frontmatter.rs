//! The block at the head of a function's file, by Open WebUI's grammar: line 1 is exactly three double quotes, then
//! `key: value` lines up to a line that contains three double quotes.

const QUOTES: &str = "\"\"\"";

/// The keys and values of the frontmatter, in order; a repeated key keeps its last value.
#[must_use]
pub fn parse(source: &str) -> Vec<(String, String)> {
    if is_pipeline(source) {
        return parse_pipeline(source);
    }
    let mut lines = source.split(is_line_end);
    if lines.next().map(str::trim) != Some(QUOTES) {
        return Vec::new();
    }
    let lines = lines.take_while(|line| !line.contains(QUOTES));
    let pairs = lines.filter_map(pair);
    unique(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())))
}

/// The frontmatter of a file for the Pipelines server: the file's first docstring, with keys of any kind in any case.
fn parse_pipeline(source: &str) -> Vec<(String, String)> {
    let block = source.strip_prefix(QUOTES);
    let Some((block, _)) = block.and_then(|rest| rest.split_once(QUOTES)) else {
        return Vec::new();
    };
    let pairs = block.split('\n').filter_map(|line| line.split_once(':'));
    unique(pairs.map(|(key, value)| (key.trim().to_lowercase(), value.trim().to_owned())))
}

fn unique(found: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (key, value) in found {
        match pairs.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => pairs.push((key, value)),
        }
    }
    pairs
}

/// Whether a file was written for the Pipelines server: its class is `Pipeline` and none of Open WebUI's own.
#[must_use]
pub fn is_pipeline(source: &str) -> bool {
    let classes = source.lines().filter_map(|line| {
        let name = line.strip_prefix("class ")?;
        name.split(['(', ':', ' ']).next()
    });
    let mut is_pipeline = false;
    for class in classes {
        match class {
            "Pipe" | "Filter" | "Action" | "Event" | "Tools" => return false,
            class => is_pipeline |= class == "Pipeline",
        }
    }
    is_pipeline
}

/// What the frontmatter's `requirements` asks for, one requirement each.
#[must_use]
pub fn requirements(source: &str) -> Vec<String> {
    let pairs = parse(source);
    let line = pairs
        .iter()
        .find(|(key, _)| key == "requirements")
        .map_or("", |(_, value)| value.as_str());
    line.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The filter in Rust that a file stands for: named under `native` by a frontmatter that nothing follows. Where code
/// follows, the code is the function, whatever its frontmatter says.
#[must_use]
pub fn native(source: &str) -> Option<String> {
    let (_, rest) = source
        .trim_start()
        .strip_prefix(QUOTES)?
        .split_once(QUOTES)?;
    let is_code = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    if rest.lines().any(is_code) {
        return None;
    }
    let mut pairs = parse(source).into_iter();
    pairs.find(|(key, _)| key == "native").map(|(_, name)| name)
}

/// The text of a function that is the filter in Rust called `name`.
#[must_use]
pub fn of_native(title: &str, name: &str) -> String {
    let line = |text: &str| text.replace(is_line_end, " ").replace('"', "'");
    let (title, name) = (line(title), line(name));
    format!("{QUOTES}\ntitle: {title}\nnative: {name}\n{QUOTES}\n")
}

/// The characters at which Python's `str.splitlines` ends a line. A CRLF yields an empty line more, which holds no pair.
fn is_line_end(character: char) -> bool {
    matches!(
        character,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

fn pair(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim_start().split_once(':')?;
    let is_key = !key.is_empty()
        && key
            .chars()
            .all(|character| character.is_ascii_alphabetic() || character == '_');
    is_key.then(|| (key, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[(&str, &str)]) {
        let pairs = parse(source);
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(pairs, expected, "{source:?}");
    }

    /// Vectors F1 to F17 of the contract.
    #[test]
    fn grammar_is_open_webuis() {
        check(
            "\"\"\"\ntitle: T\nrequirements: a==1, b\n\"\"\"",
            &[("title", "T"), ("requirements", "a==1, b")],
        );
        check("\n\"\"\"\ntitle: T\n\"\"\"", &[]);
        check("'''\ntitle: T\n'''", &[]);
        check("\"\"\"title: T\n\"\"\"", &[]);
        check(
            "   \"\"\"   \nTitle :x\nkey_a:   v: w  \n 1k: n\nk-b: z\n\"\"\"",
            &[("key_a", "v: w")],
        );
        check(
            "\"\"\"\na: 1\nb: 2\nclass Pipe:\nc: 3",
            &[("a", "1"), ("b", "2"), ("c", "3")],
        );
        check(
            "\"\"\"\na: 1\nA: 2\na: 3\n\"\"\"",
            &[("a", "3"), ("A", "2")],
        );
        check("\"\"\"\na:\nb: \n\"\"\"", &[("a", ""), ("b", "")]);
        check("\"\"\"\na: 1\nb: 2 \"\"\"", &[("a", "1")]);
        check("# c\n\"\"\"\na: 1\n\"\"\"", &[]);
        check("\u{feff}\"\"\"\na: 1\n\"\"\"", &[]);
        check(
            "\"\"\"\r\na: 1\r\nb: 2\r\n\"\"\"\r\n",
            &[("a", "1"), ("b", "2")],
        );
        check(
            "\"\"\"\nauthor_url: https://x/y\n\"\"\"",
            &[("author_url", "https://x/y")],
        );
        check(
            "\"\"\"\ndescription: one\n  two\n  three: 3\n\"\"\"",
            &[("description", "one"), ("three", "3")],
        );
        check(
            "\"\"\"\na: 1\u{2028}b: 2\n\"\"\"",
            &[("a", "1"), ("b", "2")],
        );
        check("\"\"\"\nkey1: v\n\"\"\"", &[]);
        check("r\"\"\"\na: 1\n\"\"\"", &[]);
    }

    #[test]
    fn a_pipelines_grammar_is_its_servers() {
        let class = "\nclass Pipeline:\n    pass\n";
        let with_class = |head: &str| format!("{head}{class}");
        check(
            &with_class("\"\"\"title: T\nRequirements: a==1, b\nsome key-1: v: w\nnothing\n\"\"\""),
            &[
                ("title", "T"),
                ("requirements", "a==1, b"),
                ("some key-1", "v: w"),
            ],
        );
        check(&with_class("\n\"\"\"\ntitle: T\n\"\"\""), &[]);
        check(&with_class("\"\"\"\ntitle: T"), &[]);
        check("\"\"\"title: T\n\"\"\"\nclass Filter:\n    pass", &[]);
        assert!(is_pipeline("class Pipeline(Base):\n"));
        assert!(!is_pipeline("class Pipeline:\nclass Pipe:\n"));
        assert!(!is_pipeline("class PipelineStep:\n  class Pipeline:\n"));
    }

    #[test]
    fn a_native_filter_is_a_frontmatter_alone() {
        let alone = "\"\"\"\ntitle: T\nnative: redact\n\"\"\"\n";
        assert_eq!(native(alone).as_deref(), Some("redact"));
        let noted = format!("{alone}\n# no code\n\n");
        assert_eq!(native(&noted).as_deref(), Some("redact"));
        assert_eq!(native(&format!("{alone}class Filter:\n    pass\n")), None);
        assert_eq!(native("\"\"\"\ntitle: T\n\"\"\"\n"), None);
        assert_eq!(native("native: redact\n"), None);
        let made = of_native("A\n\"\"\"\nclass Filter:", "redact");
        assert_eq!(native(&made).as_deref(), Some("redact"));
    }

    #[test]
    fn requirements_are_split_at_commas() {
        assert_eq!(
            requirements("\"\"\"\nrequirements: a==1, b ,\n\"\"\""),
            ["a==1", "b"]
        );
        assert!(requirements("x = 1").is_empty());
    }
}
