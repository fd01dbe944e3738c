//! `logit_bias` as Open WebUI's forms write it: `50256:-100,11:5`.

use serde_json::{Map, Value};

/// The strongest bias, either way.
const LIMIT: i64 = 100;

/// The object that a text of pairs stands for, each bias within ±100; `None` where it is no such text.
#[must_use]
pub fn logit_bias(text: &str) -> Option<Map<String, Value>> {
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
    pairs.map(pair).collect()
}

fn pair(text: &str) -> Option<(String, Value)> {
    let (token, bias) = text.split_once(':')?;
    let bias: i64 = bias.trim().parse().ok()?;
    let token = token.trim();
    (!token.is_empty()).then(|| (token.to_owned(), bias.clamp(-LIMIT, LIMIT).into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pairs_become_an_object_within_limits() {
        let parsed = |text| logit_bias(text).map(Value::Object);
        assert_eq!(parsed("5:200, 6:-3"), Some(json!({"5": 100, "6": -3})));
        assert_eq!(parsed(""), Some(json!({})));
        for wrong in ["5", "5:x", ":3", "{\"5\": 1}"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
