//! The failure catalogue: what goes wrong in front of, behind and beside the gateway, each a test named after its row.
//! `docs/RELIABILITY.md` lists every row, also those that other files show.

mod client;
mod configuration;
mod durability;
mod functions;
mod http2;
mod memory;
mod process;
mod rig;
mod security;
mod soak;
mod upgrade;
mod upstream;
