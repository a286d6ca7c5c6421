//! Sockets and descriptors in coroutines: what they do, at their limits, and when all goes wrong.

mod cancel;
mod datagrams;
mod ends;
mod fork;
mod limits;
mod offload;
mod ready;
mod shared;
mod streams;
mod support;
mod unix;
