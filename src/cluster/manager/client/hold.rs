//! What a thread's connection holds on a server.

use std::marker::PhantomData;
use std::time::Duration;

use fourfold_wire::pickle::Value;

use super::handle::Terms;
use super::{CallError, Proxy};

/// A lock or a permit that this thread's connection has taken, and no other has.
///
/// When that connection is gone, the server has freed it, and somebody else may have it by now. So what is asked in
/// its name is asked on that connection or not at all: a release on another would free what is not ours.
#[derive(Debug)]
pub(super) struct Hold {
    link: Option<u64>,
    /// Only this thread can speak on its connection.
    of_this_thread: PhantomData<*const ()>,
}

impl Hold {
    /// What the call before has taken.
    pub(super) fn new(proxy: &Proxy) -> Hold {
        Hold { link: proxy.link(), of_this_thread: PhantomData }
    }

    /// Calls a method in the name of the holder.
    pub(super) fn call(
        &self,
        proxy: &Proxy,
        method: &str,
        args: &[Value],
        limit: Option<Duration>,
    ) -> Result<Value, CallError> {
        let link = self.link.ok_or_else(CallError::lost_hold)?;
        proxy.call_by(method, args, &[], Terms { link: Some(link), limit })
    }

    /// Releases it, unless the server has.
    pub(super) fn release(&self, proxy: &Proxy) {
        let _ = self.call(proxy, "release", &[], Some(Duration::ZERO));
    }
}
