//! Template variables in system messages: `{{USER_NAME}}`, `{{CURRENT_DATE}}` and those that the client sends.

use std::borrow::Cow;

use serde_json::{Map, Value};

const DAY_SECONDS: u64 = 24 * 60 * 60;
const WEEKDAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];

/// What variables stand for.
#[derive(Clone, Debug)]
pub struct Template<'a> {
    /// The name of who asks.
    pub user_name: &'a str,
    /// The mail address of who asks.
    pub user_email: &'a str,
    /// The time, in seconds since 1970; shown in UTC.
    pub now: u64,
    /// The client's own, each with its braces: `{{FOO}}`.
    pub variables: Map<String, Value>,
}

impl Template<'_> {
    /// `text` with its variables filled in. Those that nobody knows stay, and what was filled in is not read again: a
    /// user's name is no template.
    #[must_use]
    pub fn fill<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !text.contains("{{") {
            return Cow::Borrowed(text);
        }
        let mut written = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            let Some(length) = rest[start..].find("}}") else {
                break;
            };
            let token = &rest[start..start + length + 2];
            // Of `{{{X}}` the last two braces are the variable's.
            let inner = token.rfind("{{").unwrap_or_default();
            let token = &token[inner..];
            written.push_str(&rest[..start + inner]);
            match self.value(token) {
                Some(value) => written.push_str(&value),
                None => written.push_str(token),
            }
            rest = &rest[start + length + 2..];
        }
        written.push_str(rest);
        Cow::Owned(written)
    }

    /// What a variable, given with its braces, stands for. The client's go first, as in Open WebUI.
    fn value(&self, token: &str) -> Option<Cow<'_, str>> {
        match self.variables.get(token) {
            Some(Value::String(text)) => return Some(Cow::Borrowed(text)),
            Some(Value::Null) | None => {}
            Some(other) => return Some(Cow::Owned(other.to_string())),
        }
        let name = token.strip_prefix("{{")?.strip_suffix("}}")?;
        Some(match name {
            "USER_NAME" => Cow::Borrowed(self.user_name),
            "USER_EMAIL" => Cow::Borrowed(self.user_email),
            "USER_LOCATION" => Cow::Borrowed("Unknown"),
            "CURRENT_DATE" => Cow::Owned(self.date()),
            "CURRENT_TIME" => Cow::Owned(self.time()),
            "CURRENT_DATETIME" => Cow::Owned(format!("{} {}", self.date(), self.time())),
            "CURRENT_WEEKDAY" => Cow::Borrowed(self.weekday()),
            "CURRENT_TIMEZONE" => Cow::Borrowed("UTC"),
            _ => return None,
        })
    }

    fn date(&self) -> String {
        let (year, month, day) = civil(self.now / DAY_SECONDS);
        format!("{year:04}-{month:02}-{day:02}")
    }

    fn time(&self) -> String {
        let seconds = self.now % DAY_SECONDS;
        let (hour, half) = match seconds / 3600 {
            hour @ 0..12 => (hour, "AM"),
            hour => (hour - 12, "PM"),
        };
        let hour = if hour == 0 { 12 } else { hour };
        format!(
            "{hour:02}:{:02}:{:02} {half}",
            seconds / 60 % 60,
            seconds % 60
        )
    }

    fn weekday(&self) -> &'static str {
        let day = self.now / DAY_SECONDS % 7;
        WEEKDAYS[usize::try_from(day).expect("it is below seven")]
    }
}

/// Year, month and day of a day, counted from 1970-01-01. Reckoned in years that begin in March, so that the leap day
/// is a year's last.
fn civil(days: u64) -> (u64, u64, u64) {
    const CYCLE: u64 = 146_097;
    let shifted = days + 719_468;
    let (cycle, day) = (shifted / CYCLE, shifted % CYCLE);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (cycle * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(now: u64) -> Template<'static> {
        let variables = json!({"{{FOO}}": "bar", "{{N}}": 3, "{{NAME}}": "{{USER_NAME}}"});
        Template {
            user_name: "Ada {{FOO}}",
            user_email: "ada@example.test",
            now,
            variables: variables.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn variables_are_filled_in_once_and_unknown_ones_stay() {
        for (text, expected) in [
            ("plain {x}", "plain {x}"),
            ("user={{USER_NAME}}", "user=Ada {{FOO}}"),
            ("{{FOO}}{{N}} {{USER_EMAIL}}", "bar3 ada@example.test"),
            ("{{NAME}}", "{{USER_NAME}}"),
            ("{{NOBODY}} {{FOO", "{{NOBODY}} {{FOO"),
            ("{{{FOO}}} {{ {{FOO}}", "{bar} {{ bar"),
            ("{{}} é{{FOO}}é", "{{}} ébaré"),
        ] {
            assert_eq!(template(0).fill(text), expected, "{text}");
        }
    }

    #[test]
    fn times_are_written_as_open_webui_writes_them() {
        let filled = |now| {
            template(now)
                .fill("{{CURRENT_DATETIME}} {{CURRENT_WEEKDAY}}")
                .into_owned()
        };
        for (now, expected) in [
            (0, "1970-01-01 12:00:00 AM Thursday"),
            (951_827_696, "2000-02-29 12:34:56 PM Tuesday"),
            (1_709_251_199, "2024-02-29 11:59:59 PM Thursday"),
            (1_735_689_600, "2025-01-01 12:00:00 AM Wednesday"),
            (4_107_542_399, "2100-02-28 11:59:59 PM Sunday"),
            (4_107_542_400, "2100-03-01 12:00:00 AM Monday"),
        ] {
            assert_eq!(filled(now), expected);
        }
        assert_eq!(template(0).fill("{{CURRENT_TIMEZONE}}"), "UTC");
    }
}
