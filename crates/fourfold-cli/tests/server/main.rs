//! `fourfold echo` and `fourfold connect`, end to end.

mod connect;
mod echo;
mod faults;
mod harness;
