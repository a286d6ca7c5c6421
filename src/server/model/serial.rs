//! One connection after another.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::accept::Refused;
use super::super::attend;
use super::super::core::{Accepted, Core};
use super::super::handler::Handler;
use super::{Begin, Crew};
use crate::error::Result;

/// One connection at a time, on one thread. The next one waits in the backlog until it has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serial;

struct One<H> {
    core: Arc<Core>,
    handler: H,
}

#[allow(private_interfaces)]
impl<H: Handler> Begin<H> for Serial {
    fn crew(&self, core: &Arc<Core>, handler: H) -> Result<Box<dyn Crew>> {
        Ok(Box::new(One { core: Arc::clone(core), handler }))
    }

    fn most_at_once(&self) -> Option<usize> {
        Some(1)
    }
}

impl<H: Handler> Crew for One<H> {
    fn take(&self, accepted: Accepted) -> Result<(), Refused> {
        attend::in_thread(&self.core, &self.handler, accepted);
        Ok(())
    }
}
