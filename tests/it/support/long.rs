//! Numbers that are smaller in a usual run than the failure catalogue has them.

/// Asks for the catalogue's own numbers.
const VARIABLE: &str = "SLUICEGATE_LONG";

/// The number of a usual run, or the catalogue's with `SLUICEGATE_LONG=1`.
pub(crate) fn usual_or_long<T>(usual: T, long: T) -> T {
    let is_long = std::env::var(VARIABLE).is_ok_and(|value| value == "1");
    if is_long { long } else { usual }
}
