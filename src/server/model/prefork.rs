//! Workers that run a model of their own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::core::Core;
use super::super::handler::Portable;
use super::super::settings::Settings;
use super::pool::{self, Kind};
use super::worker::{Given, work};
use super::{Begin, Crew};
use crate::error::{Error, Result};
use crate::process;
use crate::task::Payload;

/// So many worker processes, each of which serves the connections that it is given by a model of its own:
/// `Prefork(4, Coroutines(1))`. A worker that dies takes its connections with it, no others, and is replaced at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefork<M>(pub usize, pub M);

/// What a worker is called.
const WORKER: &str = "fourfold-worker";

#[allow(private_interfaces)]
impl<H, M> Begin<H> for Prefork<M>
where
    H: Portable,
    M: Begin<H> + Payload + Clone + Sync,
{
    fn crew(&self, core: &Arc<Core>, handler: H) -> Result<Box<dyn Crew>> {
        let Prefork(workers, model) = self.clone();
        if workers == 0 {
            return Err(Error::invalid(
                "a server of processes needs a worker: Prefork(1, ...) at least",
            ));
        }
        let room = Begin::<H>::most_at_once(&model).unwrap_or(usize::MAX);
        let start = move |end, mut settings: Settings| {
            let (code, args) = (handler.code(), handler.args());
            settings.is_awaited |= room != usize::MAX;
            let given = Given { end, settings, model: model.clone(), args };
            let builder = process::Builder::new().name(WORKER);
            builder.spawn(move |given| work::<H, M>(code, given), given)
        };
        pool::crew(core, workers, Kind { room, ..Kind::of(WORKER, start) })
    }
}
