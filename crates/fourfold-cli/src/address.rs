//! Addresses as typed: `PORT` on this machine, `HOST:PORT`, `unix:PATH`.

use std::net::Ipv4Addr;

use fourfold::server::Address;

/// Where a server of ours listens.
pub(crate) fn listening(typed: &str) -> Result<Address, String> {
    if let Ok(port) = typed.parse::<u16>() {
        return Ok(Address::Tcp((Ipv4Addr::LOCALHOST, port).into()));
    }
    typed.parse::<Address>().map_err(|error| error.to_string())
}

/// A server that is called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Called {
    /// A host may have several addresses: they are looked up when it is called.
    Tcp(String),
    Unix(std::path::PathBuf),
}

/// Where a server is that is called.
pub(crate) fn called(typed: &str) -> Result<Called, String> {
    match (typed.strip_prefix("unix:"), typed.rsplit_once(':')) {
        (Some(""), _) => Err("a path is missing: unix:/run/name.sock".to_owned()),
        (Some(path), _) => Ok(Called::Unix(path.into())),
        (None, Some((host, port))) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            Ok(Called::Tcp(typed.to_owned()))
        }
        (None, None) if typed.parse::<u16>().is_ok() => {
            Ok(Called::Tcp(format!("{}:{typed}", Ipv4Addr::LOCALHOST)))
        }
        _ => Err("give PORT, HOST:PORT or unix:PATH".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused_with_what_there_is() {
        assert_eq!(listening("80").unwrap().to_string(), "127.0.0.1:80");
        assert_eq!(listening("[::1]:80").unwrap().to_string(), "[::1]:80");
        assert_eq!(listening("unix:a").unwrap().to_string(), "unix:a");
        let told = listening("nonsense").unwrap_err();
        assert_eq!(told.matches("invalid socket address").count(), 1, "{told}");
        assert!(listening("nonsense").unwrap_err().contains("give HOST:PORT or unix:PATH"));
        assert_eq!(called("80"), Ok(Called::Tcp("127.0.0.1:80".into())));
        assert_eq!(called("[::1]:80"), Ok(Called::Tcp("[::1]:80".into())));
        assert_eq!(called("unix:a:b"), Ok(Called::Unix("a:b".into())));
        for wrong in ["", "host", ":80", "host:port", "host:65536", "unix:"] {
            assert!(called(wrong).is_err(), "{wrong}");
        }
    }
}
