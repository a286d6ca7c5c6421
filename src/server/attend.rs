//! One connection from its beginning to its end, by a handler in blocking code.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::conn::Conn;
use super::core::{Accepted, Core, Seat};
use super::handler::Handler;
use super::model::stream::Stream;
use crate::error::shield;

/// Counts how a handler ended, also where it panicked or its coroutine was ended: when it is dropped.
struct Ending<'a> {
    core: &'a Core,
    conn: Option<Conn>,
    result: Option<io::Result<()>>,
    _seat: Seat,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            let verdict = conn.verdict();
            // Closed before it is counted: who sees the number finds the connection gone.
            drop(conn);
            self.core.note(verdict, self.result.take());
        }
    }
}

fn attend<H: Handler>(
    core: &Arc<Core>,
    handler: &H,
    accepted: Accepted,
    stream: fn(super::listener::Socket) -> Stream,
) {
    let Accepted { socket, peer, seat } = accepted;
    let conn = Conn::new(core, stream(socket), peer);
    let mut ending = Ending { core, conn: Some(conn), result: None, _seat: seat };
    let conn = ending.conn.as_mut().expect("just put there");
    ending.result = Some(handler.serve(conn));
}

/// On this thread. A panic, which the hook has told of, is counted and goes no further.
pub(super) fn in_thread<H: Handler>(core: &Arc<Core>, handler: &H, accepted: Accepted) {
    // Unwind safe: the handler is called again for other connections, as it is by other threads after one has panicked.
    let attend = || attend(core, handler, accepted, Stream::blocking);
    if let Err(payload) = catch_unwind(AssertUnwindSafe(attend)) {
        shield(move || drop(payload));
    }
}

/// In this coroutine, whose end catches a panic.
pub(super) fn in_coroutine<H: Handler>(core: &Arc<Core>, handler: &H, accepted: Accepted) {
    attend(core, handler, accepted, Stream::suspending);
}
