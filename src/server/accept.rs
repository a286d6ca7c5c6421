//! The thread that accepts connections, and hands them out.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt;

use super::address::Address;
use super::core::{Accepted, Core};
use super::counters::count;
use super::event::Event;
use super::listener::{Listener, Socket};
use super::model::Crew;

/// How long it waits after an attempt that failed for want of something: doubled each time, up to the last.
const BACK_OFF: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(320)];
/// So many connections of one listener before the others have their turn.
const BATCH: usize = 32;

/// Until the server stops.
pub(super) fn accept_all(core: &Arc<Core>, listeners: &[Listener], crew: &dyn Crew) {
    let mut pause: Option<Duration> = None;
    while !core.is_stopping() {
        // A connection for which there is no room stays in the backlog.
        let has_room = core.has_room();
        let crew_has_room = crew.has_room();
        let may_accept = has_room && crew_has_room && pause.is_none();
        // A crew says when it has room again, but for one that has nobody just now.
        let pause_now = pause.or((has_room && !crew_has_room).then_some(BACK_OFF[0] * 4));
        let mut ready = wait(core, if may_accept { listeners } else { &[] }, pause_now);
        if pause.is_some() {
            ready = (0..listeners.len()).collect();
        }
        let mut has_failed = false;
        for listener in ready.into_iter().map(|index| &listeners[index]) {
            if core.is_stopping() {
                return;
            }
            has_failed |= !accept_from(core, listener, crew, pause.is_none());
        }
        pause = match pause {
            _ if !has_failed => None,
            None => Some(BACK_OFF[0]),
            Some(pause) => Some((pause * 2).min(BACK_OFF[1])),
        };
    }
}

/// Waits for the bell or a listener. Gives which are ready.
fn wait(core: &Core, listeners: &[Listener], limit: Option<Duration>) -> Vec<usize> {
    let fds = std::iter::once(core.bell().as_fd()).chain(listeners.iter().map(AsFd::as_fd));
    let mut fds: Vec<PollFd<'_>> =
        fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    let limit = limit.map(|limit| limit.try_into().expect("a fraction of a second"));
    if poll(&mut fds, limit.as_ref()).is_err() {
        return Vec::new();
    }
    if !fds[0].revents().is_empty() {
        let _ = rustix::io::read(core.bell(), &mut [0; 8]);
    }
    let ready = fds[1..].iter().enumerate().filter(|(_, fd)| !fd.revents().is_empty());
    ready.map(|(index, _)| index).collect()
}

/// Accepts what waits at a listener. False if it failed for want of something.
fn accept_from(core: &Arc<Core>, listener: &Listener, crew: &dyn Crew, is_first: bool) -> bool {
    for _ in 0..BATCH {
        if !core.has_room() || !crew.has_room() {
            return true;
        }
        match listener.accept() {
            Ok((socket, peer)) => {
                count(&core.tally.accepted);
                // Its seat is seen by whoever stops the server, or that is seen here.
                let seat = core.seat();
                if core.is_stopping() {
                    return true;
                }
                prepare(core, &socket);
                let accepted = Accepted { socket, peer, seat };
                if let Err((peer, error)) = crew.take(accepted) {
                    core.reject(peer, error);
                }
            }
            Err(_) if core.is_stopping() => return true,
            Err(error) => {
                match error.kind() {
                    io::ErrorKind::WouldBlock => return true,
                    // The client has left, or a signal came: there may be others.
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => {
                        count(&core.tally.accept_errors);
                        if is_first {
                            core.tell(Event::AcceptFailed { error });
                        }
                        return false;
                    }
                }
            }
        }
    }
    true
}

/// What a socket is asked for. One that is broken already will be told of by its first read.
fn prepare(core: &Core, socket: &Socket) {
    let Socket::Tcp(tcp) = socket else { return };
    if core.settings.nodelay {
        let _ = tcp.set_nodelay(true);
    }
    if let Some(silence) = core.settings.keepalive {
        let [second, most] = [1, 32_767].map(Duration::from_secs);
        let silence = silence.clamp(second, most);
        let _ = sockopt::set_socket_keepalive(tcp, true);
        let _ = sockopt::set_tcp_keepidle(tcp, silence);
        let _ = sockopt::set_tcp_keepintvl(tcp, (silence / 3).max(second));
        let _ = sockopt::set_tcp_keepcnt(tcp, 3);
    }
}

/// What is told of a connection that nobody can serve.
pub(super) type Refused = (Address, crate::error::Error);
