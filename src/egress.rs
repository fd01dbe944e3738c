//! The way out to addresses that somebody else has named: which may be reached, and how they are dialled.
//!
//! A name is resolved once, each of its addresses is judged, and one of those that passed is dialled, so that nothing
//! can change between the judgement and the connection.

mod address;
mod head;
pub mod proxy;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use self::address::is_public;
use crate::config::Hosts;

/// How long the resolution of a name and a connection may take, each.
const LIMIT: Duration = Duration::from_secs(10);

/// What may be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// These hosts. Where a name leads to a private address, that must be among them too.
    Only(Hosts),
    /// All hosts with public addresses, and these, wherever they are.
    PublicAnd(Hosts),
}

/// Why there is no connection.
#[derive(Debug)]
pub enum EgressError {
    /// The host is not among those that may be reached.
    NotNamed,
    /// Its name leads to private addresses only, the first of which is this.
    Private(IpAddr),
    /// Its name leads nowhere.
    Unknown(io::Error),
    /// Nobody answers there.
    Unreachable(io::Error),
    /// It took too long.
    TimedOut,
}

impl fmt::Display for EgressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNamed => f.write_str("it is not among the hosts that may be reached"),
            Self::Private(address) => write!(
                f,
                "it leads to the private address {address}, which may be reached only if it is named itself"
            ),
            Self::Unknown(error) => write!(f, "its name cannot be resolved: {error}"),
            Self::Unreachable(error) => write!(f, "it cannot be reached: {error}"),
            Self::TimedOut => write!(f, "it took longer than {} s", LIMIT.as_secs()),
        }
    }
}

impl std::error::Error for EgressError {}

impl Reach {
    /// Whether `host` may be asked for at all, before it is known where it leads. A literal address is judged here.
    ///
    /// # Errors
    ///
    /// If it may not.
    pub fn check_host(&self, host: &str, port: u16) -> Result<(), EgressError> {
        match self {
            Self::Only(hosts) if !hosts.names(host, port) => Err(EgressError::NotNamed),
            _ => match bare(host).parse() {
                Ok(address) => self.check_address(host, SocketAddr::new(address, port)),
                Err(_) => Ok(()),
            },
        }
    }

    /// The addresses behind `host` that may be reached.
    ///
    /// # Errors
    ///
    /// If the host may not be asked for, its name leads nowhere, or to private addresses only.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, EgressError> {
        self.check_host(host, port)?;
        let found = timeout(LIMIT, lookup_host((bare(host), port))).await;
        let found = found.map_err(|_| EgressError::TimedOut)?;
        let found = found.map_err(EgressError::Unknown)?;
        let (mut passed, mut refused) = (Vec::new(), None);
        for address in found {
            match self.check_address(host, address) {
                Ok(()) => passed.push(address),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        match (passed.is_empty(), refused) {
            (false, _) => Ok(passed),
            (true, Some(error)) => Err(error),
            (true, None) => Err(EgressError::Unknown(io::ErrorKind::NotFound.into())),
        }
    }

    /// A connection to one of the addresses behind `host`.
    ///
    /// # Errors
    ///
    /// As [`Reach::resolve`], or if none of them answers.
    pub async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, EgressError> {
        let addresses = self.resolve(host, port).await?;
        let connected = timeout(LIMIT, TcpStream::connect(addresses.as_slice())).await;
        let connected = connected.map_err(|_| EgressError::TimedOut)?;
        connected.map_err(EgressError::Unreachable)
    }

    fn check_address(&self, host: &str, address: SocketAddr) -> Result<(), EgressError> {
        let (ip, port) = (address.ip(), address.port());
        let is_allowed = is_public(ip)
            || match self {
                Self::Only(hosts) => hosts.covers(ip, port) || is_local_name(host, ip),
                Self::PublicAnd(hosts) => hosts.covers(ip, port) || hosts.names(host, port),
            };
        is_allowed.then_some(()).ok_or(EgressError::Private(ip))
    }
}

/// `localhost` means this machine and nothing else: whoever names it names the address.
fn is_local_name(host: &str, address: IpAddr) -> bool {
    host.eq_ignore_ascii_case("localhost") && address.is_loopback()
}

/// A host without the brackets around an IPv6 address.
fn bare(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    inner.unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(items: &[&str]) -> Hosts {
        Hosts::parse(items).unwrap()
    }

    fn check(reach: &Reach, host: &str, address: &str) -> bool {
        let address = SocketAddr::new(address.parse().unwrap(), 80);
        reach.check_host(host, 80).is_ok() && reach.check_address(host, address).is_ok()
    }

    #[test]
    fn a_name_is_no_leave_for_a_private_address() {
        let reach = Reach::Only(hosts(&["api.test", "localhost"]));
        assert!(check(&reach, "api.test", "8.8.8.8"));
        assert!(!check(&reach, "api.test", "10.0.0.1"));
        assert!(!check(&reach, "api.test", "127.0.0.1"));
        assert!(!check(&reach, "other.test", "8.8.8.8"));
        assert!(check(&reach, "localhost", "127.0.0.1"));
        assert!(!check(&reach, "localhost", "10.0.0.1"));
        let reach = Reach::Only(hosts(&["api.test", "10.0.0.0/8"]));
        assert!(check(&reach, "api.test", "10.0.0.1"));
        assert!(check(&reach, "10.0.0.1", "10.0.0.1"));
        assert!(!check(&reach, "10.0.0.1.nip.test", "10.0.0.1"));
    }

    #[test]
    fn public_hosts_need_no_name_and_private_ones_do() {
        let reach = Reach::PublicAnd(hosts(&["git.internal", "192.168.1.2"]));
        assert!(check(&reach, "any.test", "8.8.8.8"));
        assert!(check(&reach, "git.internal", "10.0.0.1"));
        assert!(check(&reach, "192.168.1.2", "192.168.1.2"));
        for (host, address) in [
            ("any.test", "10.0.0.1"),
            ("localhost", "127.0.0.1"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "::1"),
            ("169.254.169.254", "169.254.169.254"),
        ] {
            assert!(!check(&reach, host, address), "{host}");
        }
    }

    #[tokio::test]
    async fn other_spellings_of_an_address_are_judged_by_where_they_lead() {
        let reach = Reach::PublicAnd(Hosts::default());
        for host in ["127.1", "2130706433", "0x7f.0.0.1", "0", "localhost"] {
            assert!(reach.resolve(host, 80).await.is_err(), "{host}");
        }
    }
}
