//! A process for each connection.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::core::Core;
use super::super::handler::Portable;
use super::super::settings::Settings;
use super::forker::{Given, NAME, serve};
use super::pool::{self, Kind};
use super::{Begin, Crew};
use crate::error::{Error, Result};
use crate::process::{self, Late};
use crate::task::packed::Packed;

/// A process of its own for each connection, by a fork: what the handler does to its process, it does to that connection alone.
///
/// The forks are made by a process that does nothing else, and has one thread. They begin with what the server's process
/// had when that was started: its environment, its directory, its limits, its standard descriptors. If it is killed, the connections' processes
/// end with it, and another takes its place; so another does where the server's process has given up rights since (its user or its group),
/// before the next connection is served. Connections that are there then go on with those that they have.
///
/// The arguments of its handler may have 250 descriptors. A process ends with its handler as forks do, without the exit handlers of the C library; what has been written to the standard output is flushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processes;

/// Descriptors that a message can have beside that of the connection.
const MOST_FDS: usize = 250;

#[allow(private_interfaces)]
impl<H: Portable> Begin<H> for Processes {
    fn crew(&self, core: &Arc<Core>, handler: H) -> Result<Box<dyn Crew>> {
        let code = handler.code();
        let start = move |end, settings: Settings| {
            let given = Given { end, settings, parent: std::process::id() };
            process::Builder::new().name(NAME).spawn(move |given| serve::<H>(code, given), given)
        };
        let along = move || {
            let (packed, tickets) = Packed::of(&handler.args(), "argument")?;
            if packed.fd_count() > MOST_FDS {
                return Err(Error::invalid(format!(
                    "{} descriptors in the arguments of a handler; at most {MOST_FDS} can go with a connection",
                    packed.fd_count()
                )));
            }
            Ok((Some(packed), Late::new(tickets)))
        };
        let along = Box::new(along);
        let kind = Kind { along, is_behind: true, ..Kind::of(NAME, start) };
        pool::crew(core, 1, kind)
    }
}
