//! Lists of hosts that may be reached: names, names below one, addresses and networks, each with a port or with all.

use std::net::IpAddr;
use std::sync::Arc;

use super::networks::Network;

/// A list of hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Arc<[Host]>);

impl Hosts {
    /// Reads each item, or says which is none, counted from 1.
    ///
    /// # Errors
    ///
    /// The place of the first item that is no host.
    pub fn parse<T: AsRef<str>>(items: &[T]) -> Result<Self, usize> {
        let hosts = items.iter().enumerate();
        let hosts = hosts.map(|(index, item)| Host::parse(item.as_ref()).ok_or(index + 1));
        Ok(Self(hosts.collect::<Result<_, _>>()?))
    }

    /// Whether none is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a name or an address, as it was asked for, is in it.
    #[must_use]
    pub fn names(&self, host: &str, port: u16) -> bool {
        let host = plain_name(host);
        match address(&host) {
            Some(address) => self.covers(address, port),
            None => self.0.iter().any(|it| it.names(&host) && it.takes(port)),
        }
    }

    /// Whether an address is in it as such: by itself or by its network, not by a name that leads to it.
    #[must_use]
    pub fn covers(&self, address: IpAddr, port: u16) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|it| it.covers(address) && it.takes(port))
    }
}

/// One item: where, and on which port if not on all.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Host {
    place: Place,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// This name and no other.
    Name(String),
    /// All names that end in this, which begins with a dot.
    Below(String),
    /// An address, or all of a network.
    Network(Network),
}

impl Host {
    /// Reads `name`, `*.name`, `address` or `network`, the first three with `:port` if need be.
    fn parse(text: &str) -> Option<Self> {
        if let Some(network) = Network::parse(text) {
            return Some(Self {
                place: Place::Network(network),
                port: None,
            });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(parse_port(port)?)),
            None => (text, None),
        };
        let place = match host.strip_prefix('*') {
            Some(below) if below.starts_with('.') && is_name(&below[1..]) => {
                Place::Below(below.to_ascii_lowercase())
            }
            Some(_) => return None,
            None => match address(host) {
                Some(address) => Place::Network(Network::of(address)),
                None if is_name(host) => Place::Name(plain_name(host)),
                None => return None,
            },
        };
        Some(Self { place, port })
    }

    fn names(&self, host: &str) -> bool {
        match &self.place {
            Place::Name(name) => name == host,
            Place::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
            Place::Network(_) => false,
        }
    }

    fn covers(&self, address: IpAddr) -> bool {
        matches!(&self.place, Place::Network(network) if network.contains(address))
    }

    fn takes(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}

/// A name as names are compared: in lower case, without the dot at its end.
fn plain_name(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// An address, with or without the brackets that one of IPv6 has before a port.
fn address(host: &str) -> Option<IpAddr> {
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    inner.unwrap_or(host).parse().ok()
}

fn parse_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port > 0)
}

/// Whether `text` can be a host's name. One of digits and dots alone would be read as an address by some.
fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let has_letter = text.bytes().any(|byte| byte.is_ascii_alphabetic());
    has_letter
        && text.len() <= 253
        && text.bytes().all(is_allowed)
        && !text.starts_with('.')
        && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_what_is_written_in_it_and_nothing_else() {
        for (item, host, port, expected) in [
            ("api.test", "api.test", 443, true),
            ("api.test", "API.test.", 80, true),
            ("API.Test", "api.test", 80, true),
            ("api.test", "an.api.test", 443, false),
            ("api.test", "api.test.evil", 443, false),
            ("api.test:443", "api.test", 443, true),
            ("api.test:443", "api.test", 80, false),
            ("*.api.test", "a.api.test", 443, true),
            ("*.api.test", "a.b.api.test", 443, true),
            ("*.api.test", "api.test", 443, false),
            ("*.api.test", "evilapi.test", 443, false),
            ("*.api.test:8080", "a.api.test", 443, false),
            ("10.0.0.1", "10.0.0.1", 1, true),
            ("10.0.0.1:80", "10.0.0.1", 81, false),
            ("10.0.0.0/8", "10.9.9.9", 80, true),
            ("10.0.0.0/8", "11.0.0.1", 80, false),
            ("[::1]:80", "[::1]", 80, true),
            ("::1", "::1", 80, true),
            ("127.0.0.1", "::ffff:127.0.0.1", 80, true),
            ("127.0.0.1", "localhost", 80, false),
            ("api.test", "10.0.0.1", 80, false),
        ] {
            let hosts = Hosts::parse(&[item]).unwrap();
            assert_eq!(hosts.names(host, port), expected, "{item} {host}:{port}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused_by_its_place() {
        for item in [
            "",
            "*",
            "*.",
            "a.*.test",
            "*evil.test",
            "http://a.test",
            "a.test/path",
            "a test",
            "a.test:0",
            "a.test:65536",
            "a.test:+80",
            "a..test",
            ".test",
            "2130706433",
            "127.1",
            "user@a.test",
            "10.0.0.0/33",
        ] {
            assert_eq!(Hosts::parse(&["good.test", item]), Err(2), "{item}");
        }
    }
}
