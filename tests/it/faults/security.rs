//! X: what an attacker tries.

mod callers;
mod paths;
mod rights;
mod secrets;
