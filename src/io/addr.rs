//! Addresses as people write them: `127.0.0.1:8888`, `[::1]:8888`, `host:8888`, `unix:/run/x.sock`.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use crate::base::{Code, Error, Phase, Result};

/// Addresses tried at most in one call while none can be reached (governance.md §5.4).
pub const MAX_ADDRESSES_TRIED: usize = 6;

/// Whether another address may do better: nothing was sent to this one.
pub fn is_unreachable(error: &Error) -> bool {
    matches!(error.phase(), Phase::Resolve | Phase::Connect) && error.code() != Code::Timeout
}

/// Where a peer is, or where a server listens.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Address {
    /// An IP address and port.
    Ip(SocketAddr),
    /// A host name and port, resolved by the system whenever a connection is made.
    Host(String, u16),
    /// A unix socket's path.
    Unix(PathBuf),
}

impl Address {
    /// Reads an address; says what a right one looks like if it is none.
    pub fn parse(text: &str) -> Result<Address> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Address::unix(path.strip_prefix("//").unwrap_or(path), text);
        }
        if let Ok(address) = text.parse() {
            return Ok(Address::Ip(address));
        }
        match text.rsplit_once(':') {
            Some((host, port)) if is_host_name(host) => match port.parse() {
                Ok(port) => Ok(Address::Host(host.to_owned(), port)),
                Err(_) => Err(malformed(text)),
            },
            _ => Err(malformed(text)),
        }
    }

    fn unix(path: &str, text: &str) -> Result<Address> {
        // sun_path holds 108 bytes, the last one NUL.
        match path.len() {
            0 => Err(malformed(text)),
            1..=107 => Ok(Address::Unix(PathBuf::from(path))),
            _ => Err(Error::invalid_argument("address", "unix socket paths have at most 107 bytes")),
        }
    }

    /// The socket addresses behind it. May ask the system's resolver, which blocks.
    pub fn resolve(&self) -> Result<Vec<SocketAddr>> {
        match self {
            Address::Ip(address) => Ok(vec![*address]),
            Address::Unix(_) => Ok(Vec::new()),
            Address::Host(host, port) => match (host.as_str(), *port).to_socket_addrs() {
                Ok(addresses) => Ok(addresses.collect()),
                Err(reason) => Err(Error::new(Code::ResolveFailed, format!("{host}: {reason}"))
                    .at(Phase::Resolve)
                    .with_peer(self)),
            },
        }
    }

    /// The path of a unix socket.
    pub fn unix_path(&self) -> Option<&Path> {
        match self {
            Address::Unix(path) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Host(host, port) => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn is_host_name(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

fn malformed(text: &str) -> Error {
    Error::invalid_argument(
        "address",
        format_args!("`{text}` is not an address; write 127.0.0.1:8888, [::1]:8888, host:8888 or unix:/path"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_and_prints() {
        for text in ["127.0.0.1:80", "[::1]:80", "localhost:80", "a-b.example:1", "unix:/tmp/s"] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Address::parse("unix:///tmp/s").unwrap(), Address::Unix("/tmp/s".into()));
    }

    #[test]
    fn what_is_no_address_is_refused_with_examples() {
        let long = format!("unix:/{}", "x".repeat(107));
        for text in ["", "127.0.0.1", ":80", "host:", "host:65536", "::1:80", "a b:1", "unix:", &long] {
            let error = Address::parse(text).unwrap_err();
            assert_eq!(error.code(), Code::InvalidArgument, "{text}");
        }
    }
}
