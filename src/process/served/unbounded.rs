//! The queue that is served with room for any number of items: a part of what `process::Queue` is.
// Until `process::Queue` is made of it and of the bounded one in shared memory, nobody can reach it.
#![allow(dead_code, unreachable_pub)]

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::channel::{Channel, Marked, QueueBuilder};
use super::handle::{Handle, limit};
use super::queue::queue;
use super::queue_methods::{put_methods, queue_methods};
use super::wire::{AT_ONCE, FOR_EVER};
use crate::error::Result;
use crate::process::queue_error::{GetError, OnDeath, PutError};
use crate::sync::park::Wait;
use crate::task::Payload;
use crate::words::Order;

queue! {
    /// A queue that has room for any number of items: first in, first out.
    pub(crate) Unbounded, "Queue", Order::Fifo, OnDeath::Drop
}
