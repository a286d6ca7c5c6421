//! How a client reaches its server.

use std::time::Duration;

use fourfold_wire::pickle::{Globals, Reader};
use fourfold_wire::talk::ClientOptions;

use super::Client;
use crate::cluster::manager::Key;
use crate::cluster::manager::address::ToAddress;
use crate::error::Result;

/// How a [`Client`] reaches its server. Made by [`Client::builder`].
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    options: ClientOptions,
    timeout: Duration,
}

impl ClientBuilder {
    pub(super) fn new(key: Key) -> ClientBuilder {
        ClientBuilder { options: ClientOptions::new(key), timeout: Duration::from_secs(10) }
    }

    /// Within which time a connection has to be made and both ends to have proved that they know the key. Default: ten
    /// seconds.
    pub fn connect_timeout(mut self, limit: Duration) -> ClientBuilder {
        self.timeout = limit;
        self
    }

    /// Whether the server may authenticate by HMAC-MD5, which is all that CPython before 3.12 has. Default: yes.
    pub fn allow_md5(mut self, allowed: bool) -> ClientBuilder {
        self.options.policy.allow_md5 = allowed;
        self
    }

    /// The longest message, in bytes. Default: 64 MiB.
    pub fn message_limit(mut self, bytes: u64) -> ClientBuilder {
        self.options.limit = bytes;
        self
    }

    /// Which classes and functions values may name. Default: any; nothing of them is ever called here.
    pub fn globals(mut self, globals: Globals) -> ClientBuilder {
        self.options.reader = Reader::new().globals(globals);
        self
    }

    /// Connects, and asks whether somebody is there.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or has another key.
    pub fn connect(self, address: impl ToAddress) -> Result<Client> {
        Client::new(address.to_address()?, self.options, self.timeout)
    }
}
