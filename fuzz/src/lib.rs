//! What is asserted of every parser, for whatever bytes come.
//!
//! A target is one function that takes bytes and panics if a property does not hold. Where a few lines can say it, the
//! property is that a slow and obvious reader understands the same. [`campaign`] runs the targets on seeds, on every
//! truncation of them and on random mutations; `fuzz_targets/` gives the same functions to libFuzzer.

pub mod campaign;
pub mod mutation;
mod oracles;
pub mod seeds;
pub mod targets;

/// A parser under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Asserts its properties for these bytes.
    pub check: fn(&[u8]),
    /// What inputs are made from.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Pieces of its grammar, which chance alone would not spell.
    pub words: &'static [&'static str],
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "sse",
        check: targets::sse::check,
        seeds: seeds::streams,
        words: &[
            "data:",
            "data: ",
            "\n\n",
            "\r\n",
            "\r",
            "\u{feff}",
            "[DONE]",
            "id: 1\n",
            "\"finish_reason\":\"stop\"",
            ": ",
        ],
    },
    Target {
        name: "json",
        check: targets::json::check,
        seeds: seeds::documents,
        words: JSON,
    },
    Target {
        name: "edit",
        check: targets::edit::check,
        seeds: seeds::documents,
        words: JSON,
    },
    Target {
        name: "frames",
        check: targets::frames::check,
        seeds: seeds::frames,
        words: &["\0\0\0\0", "\u{1}\0\0\0", "\u{43}", "\u{4a}", "{}"],
    },
    Target {
        name: "frontmatter",
        check: targets::frontmatter::check,
        seeds: seeds::sources,
        words: &[
            "\"\"\"",
            "\n",
            "requirements: ",
            ": ",
            ",",
            "class Pipeline:",
            "class Filter:",
            "\u{2028}",
            "\r\n",
            "\u{1c}",
        ],
    },
    Target {
        name: "head",
        check: targets::head::check,
        seeds: seeds::heads,
        words: &[
            "\r\n",
            "\n",
            "Content-Length: ",
            "Transfer-Encoding: chunked\r\n",
            "Host: a\r\n",
            " HTTP/1.1\r\n",
            "GET /",
            "0\r\n\r\n",
            ":",
            "Upgrade: h2c\r\n",
            "http://a/",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "\t",
            ";x=\"y\"",
        ],
    },
    Target {
        name: "openai",
        check: targets::openai::check,
        seeds: seeds::answers,
        words: JSON,
    },
    Target {
        name: "ollama",
        check: targets::ollama::check,
        seeds: seeds::ollama,
        words: JSON,
    },
];

const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\u0061",
    "\\ud83d\\ude80",
    "\\ud83d",
    "null",
    "true",
    "NaN",
    "-0.0e-0",
    "1e400",
    "{\"a\":1,\"a\":2}",
    "\"choices\":[",
    "\"index\":",
    "\"delta\":{",
    "\"content\":\"",
    "\"tool_calls\":[",
    "\"usage\":{",
    "\"messages\":[",
    "\"done\":true",
    "\"message\":{",
    "\"function\":{",
    "\n",
    "\"options\":{",
    "\"finish_reason\":",
    "{\"$serde_json::private::Number\":\"x\"}",
    "{\"$serde_json::private::RawValue\":\"1\"}",
];

#[cfg(test)]
mod tests;
