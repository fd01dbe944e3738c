//! Where inputs begin: the vectors of the tests, the recorded cases beside the project if they are there, and a few
//! that show what a grammar has.

use std::fs;
use std::path::{Path, PathBuf};

use ::frames::{Frame, Kind};
use bytes::{Bytes, BytesMut};

/// Longer files teach nothing that shorter ones do not.
const LONGEST: usize = 4 << 10;

/// How many recorded cases are taken, the shortest.
const CASES: usize = 24;

/// Streams of events.
#[must_use]
pub fn streams() -> Vec<Vec<u8>> {
    files("tests/wire/sse", "in")
}

/// Requests, answers and other JSON.
#[must_use]
pub fn documents() -> Vec<Vec<u8>> {
    let mut seeds = files("tests/wire/ollama", "in");
    let mut cases = files("../shared/conformance/cases", "json");
    cases.sort_by_key(Vec::len);
    seeds.extend(cases.into_iter().take(CASES));
    seeds.extend(own(&[
        r#"{"model":"m","n":-1.5e3,"messages":[{"role":"user","content":"a\"\u00e9é\n"},{}],"stream":true,"x":null}"#,
        r#" { "a" : [1, 2.0, -0, 1E5, []], "b" : {"\u0061":"\ud83d\ude80"} , "c":false } "#,
        r#"{"k0":0,"k1":1,"k2":2,"k3":3,"k4":4,"k5":5,"k6":6,"k7":7,"k8":8,"k9":9,"ka":1,"kb":2,"kc":3,"kd":4,"ke":5,"kf":6,"kg":7}"#,
        r#"[[[[[[[["deep"]]]]]]],"1","\\","/"]"#,
        r#"{"a":{"$serde_json::private::Number":"x"}}"#,
        r#"{"\u0024serde_json::private::RawValue":"1"}"#,
        "{}",
        "\"\"",
        "1",
    ]));
    seeds.push([vec![b'['; 127], vec![b']'; 127]].concat());
    seeds
}

/// What the two ends of a worker's socket say.
#[must_use]
pub fn frames() -> Vec<Vec<u8>> {
    let kinds = (0..=u8::MAX).filter_map(Kind::from_code);
    let mut all = BytesMut::new();
    let mut seeds = Vec::new();
    for (id, kind) in (1..).zip(kinds) {
        let frame = Frame::new(kind, id, Bytes::from_static(b"{\"body\":{}}"));
        let mut one = BytesMut::new();
        ::frames::encode(&frame, &mut one);
        all.extend_from_slice(&one);
        seeds.push(one.to_vec());
    }
    seeds.push(all.to_vec());
    seeds
}

/// Files of functions.
#[must_use]
pub fn sources() -> Vec<Vec<u8>> {
    let mut seeds = files("tests/functions", "py");
    seeds.extend(files("filters", "py"));
    seeds.extend(own(&[
        "\"\"\"\ntitle: T\nrequirements: a==1, b ,\nKey_a:  v: w \n 1k: n\n\"\"\"\nclass Filter:\n    pass\n",
        "\"\"\"title: T\nRequirements: a==1, b\nsome key-1: v: w\nnothing\n\"\"\"\nclass Pipeline(Base):\n    pass\n",
    ]));
    seeds
}

/// Requests as they come over a socket.
#[must_use]
pub fn heads() -> Vec<Vec<u8>> {
    own(&[
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nGET /x?y=%20 HTTP/1.0\r\n\r\n",
        "GET http://a:80/x?y HTTP/1.1\r\nhOsT: A:80\r\nConnection: close\r\n\r\n",
        "POST /v1/x HTTP/1.1\r\nHost: [::1]:8\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nx-t: y\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
        "OPTIONS /x HTTP/1.1\r\nHost: a\r\nX:\t y \r\nUpgrade: h2c\r\nAccept: */*\r\n\r\n",
    ])
}

/// Answers and chunks of OpenAI's kind: JSON, one a line.
#[must_use]
pub fn answers() -> Vec<Vec<u8>> {
    own(&[
        r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
        "{\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"a\"}}]}\n{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\",\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\"}}]},\"finish_reason\":null}]}\n{\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"total_tokens\":1}}",
        r#"{"error":{"message":"no","type":"x","code":null,"param":null}}"#,
    ])
}

/// Requests for Ollama, its replies and its streams.
#[must_use]
pub fn ollama() -> Vec<Vec<u8>> {
    let mut seeds = files("tests/wire/ollama", "in");
    seeds.extend(own(&[
        "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"a\"},\"done\":false}\n{\"message\":{\"thinking\":\"t\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{}}}]}}\n{\"done\":true,\"done_reason\":\"stop\",\"eval_count\":3,\"eval_duration\":1000000000}\n",
        r#"{"models":[{"name":"a:latest","model":"a:latest","size":1}]}"#,
        r#"{"error":{"message":"no such model"}}"#,
    ]));
    seeds
}

fn own(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// The files of a folder of the repository and of those in it, in the order of their names; none if it is not there.
fn files(folder: &str, extension: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut paths = Vec::new();
    collect(&root.join(folder), extension, &mut paths);
    paths.sort();
    let contents = paths
        .into_iter()
        .filter_map(|path: PathBuf| fs::read(path).ok());
    contents.filter(|bytes| bytes.len() <= LONGEST).collect()
}

fn collect(folder: &Path, extension: &str, paths: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, extension, paths);
        } else if path.extension().is_some_and(|end| end == extension) {
            paths.push(path);
        }
    }
}
