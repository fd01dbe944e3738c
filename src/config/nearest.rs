//! Which known name was meant by an unknown one.

/// The known name that is most like `unknown`, if one is like it at all.
#[must_use]
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, name) = known
        .into_iter()
        .map(|name| (distance(unknown, name), name))
        .min()?;
    (distance <= tolerance(unknown)).then_some(name)
}

/// One slip in a short name, two in a longer one, three in a long one.
fn tolerance(name: &str) -> usize {
    match name.chars().count() {
        0..=4 => 1,
        5..=11 => 2,
        _ => 3,
    }
}

/// How many letters have to be added, taken away or changed to make `from` into `to`.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in to.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_slips() {
        for (from, to, slips) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("listen", "lisen", 1),
            ("listen", "listne", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(from, to), slips, "{from} {to}");
        }
    }

    #[test]
    fn only_like_names_are_suggested() {
        let known = ["listen", "threads"];
        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("colour", known), None);
    }
}
