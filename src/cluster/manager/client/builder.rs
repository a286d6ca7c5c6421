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
    grace: Duration,
}

impl ClientBuilder {
    pub(super) fn new(key: Key) -> ClientBuilder {
        let limit = Duration::from_secs(10);
        ClientBuilder { options: ClientOptions::new(key), timeout: limit, grace: limit }
    }

    /// Within which time a connection has to be made and both ends to have proved that they know the key, all in all;
    /// what the server itself is asked, such as for a proxy, is answered in that time too. Default: ten seconds.
    pub fn connect_timeout(mut self, limit: Duration) -> ClientBuilder {
        self.timeout = limit;
        self
    }

    /// How much longer than its own limit a call waits for the answer: a server that is stopped, or a machine that is gone,
    /// gives none. Then the call fails with [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut), and this thread's
    /// connection is dropped: what it held the server gives to others, once it notices. Default: ten seconds.
    ///
    /// The calls with a limit are `get_timeout`, `lock_timeout` and the like, and
    /// [`Proxy::call_timeout`](super::Proxy::call_timeout). `try_get`, `try_lock` and the like, and the release by a guard
    /// that is dropped, have one of zero. Long items on a slow network want more grace. The first call of a thread, and
    /// the one after a failure, also connects, within [`connect_timeout`](ClientBuilder::connect_timeout).
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::cluster::manager::{Client, Key, Server};
    /// use std::time::Duration;
    ///
    /// let key = Key::new(*b"abc");
    /// let server = Server::builder(key.clone()).queue("jobs").bind("127.0.0.1:0")?;
    /// let client = Client::builder(key).grace(Duration::from_secs(2)).connect(server.address())?;
    /// let jobs = client.queue::<String>("jobs")?;
    /// // Back after a tenth of a second, mostly, and after 2.1 at the latest.
    /// assert!(jobs.get_timeout(Duration::from_millis(100)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn grace(mut self, limit: Duration) -> ClientBuilder {
        self.grace = limit;
        self
    }

    /// Whether the server may authenticate by HMAC-MD5, which is all that CPython before 3.12 has. Default: yes.
    pub fn allow_md5(mut self, allowed: bool) -> ClientBuilder {
        self.options.policy.allow_md5 = allowed;
        self
    }

    /// The longest message, in bytes, in both directions. A longer one is not sent, and the call fails with
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput); a server that sends one is not believed, and its connection dropped.
    /// Default: 64 MiB, which is that of a server of this library too.
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
        Client::new(address.to_address()?, self.options, self.timeout, self.grace)
    }
}
