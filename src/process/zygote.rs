//! placeholder
use super::launch::Settings;
use super::serve::Server;
use super::sys::{Lifeline, Spawned};
use crate::error::Result;
use std::os::fd::OwnedFd;
pub(crate) fn start(
    _: &Settings,
    _: u64,
    _: &OwnedFd,
    _: &OwnedFd,
    _: &Lifeline,
) -> Result<Spawned> {
    unimplemented!()
}
pub(crate) fn run(_: Server) -> ! {
    unimplemented!()
}
