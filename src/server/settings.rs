//! What a server was asked for that its workers need too.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ledger::Limits;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) limits: Limits,
    pub(super) nodelay: bool,
    pub(super) keepalive: Option<Duration>,
    pub(super) max_connections: usize,
    /// Of a worker: whether somebody waits for a connection to be over, as there are only so many.
    pub(super) is_awaited: bool,
    pub(super) max_message: usize,
    pub(super) latency: bool,
    pub(super) stack_size: Option<usize>,
    pub(super) renew_after: Option<u64>,
    pub(super) renew_age: Option<Duration>,
    pub(super) renew_memory: Option<u64>,
    /// How long a worker that is renewed, or the whole server if it is dropped, has for its connections.
    pub(super) drain: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            limits: Limits::default(),
            nodelay: true,
            keepalive: None,
            max_connections: usize::MAX,
            is_awaited: false,
            max_message: 1 << 20,
            latency: false,
            stack_size: None,
            renew_after: None,
            renew_age: None,
            renew_memory: None,
            drain: Duration::from_secs(30),
        }
    }
}
