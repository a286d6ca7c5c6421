//! How replies get to those they are for, and what happens when they do not.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use fourfold_wire::pickle::Value;
use fourfold_wire::talk::Reply;
use rustix::event::epoll;

use super::deadlines::What;
use super::reactor::Reactor;
use super::thing::{Due, Out, Thing};
use crate::task::catch::catch;
use crate::words::Participant;

/// How long a peer whose message was refused may take to send the rest of it, so that it hears why.
const LINGER: Duration = Duration::from_secs(10);

impl Reactor {
    /// Gives replies to those they are for. `current` has just asked; others have waited.
    pub(super) fn deliver(&mut self, due: Vec<Due>, current: Option<u64>) {
        let mut due = VecDeque::from(due);
        while let Some(Due { to: Participant { link: id, .. }, what }) = due.pop_front() {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            let waited = connection.waits.take();
            if let Some(object) = waited.and_then(|object| self.objects.object(object)) {
                object.waiting -= 1;
            }
            match what {
                Out::Reply(reply) => connection.session.reply(&reply),
                Out::Lock { taken, owner_died } => {
                    let reply = match connection.told {
                        true => Value::tuple([Value::from(taken), Value::from(owner_died)]),
                        false => Value::from(taken),
                    };
                    connection.session.reply(&Reply::Return(reply));
                }
                Out::Item { item, at, arrival } if connection.is_alive() => {
                    connection.give(connection.called, item, at, arrival);
                }
                Out::Item { item, at, arrival } => {
                    let mut more = Vec::new();
                    if let Some(object) = self.objects.object(connection.called) {
                        object.thing.take_back(
                            Participant::alone(id),
                            item,
                            at,
                            arrival,
                            &mut more,
                        );
                    }
                    due.extend(more);
                    // Nobody hears this answer, but there may be requests behind the one that it ends. The poller tells
                    // of the end as well, which comes when they are carried out.
                    connection.session.reply(&Reply::none());
                    connection.lose();
                }
            }
            if let Some(object) = waited {
                self.objects.drop_if_unused(object);
            }
            if current != Some(id) {
                due.extend(self.send(id));
                // It may have sent its next request already.
                if self.connections.get(&id).is_some_and(|waiter| waiter.session.pending() > 0) {
                    self.queue(id);
                }
            }
        }
    }

    /// Writes, and looks for room later where it is needed. What becomes due if the connection ends is given back.
    fn send(&mut self, id: u64) -> Vec<Due> {
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        connection.flush();
        if connection.is_finished() {
            return self.end(id);
        }
        if connection.session.refused() > 0 {
            if !connection.lingers {
                connection.lingers = true;
                self.deadlines.add(Instant::now() + LINGER, id, What::Rest);
            }
            if connection.session.output().is_empty() {
                connection.say_goodbye();
            }
        }
        if connection.held && !connection.is_clogged() {
            connection.held = false;
            self.queue(id);
        }
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        let wants = connection.wants();
        if wants != connection.looks_for {
            connection.looks_for = wants;
            let data = epoll::EventData::new_u64(id);
            if epoll::modify(&self.epoll, &connection.socket, data, wants).is_err() {
                return self.end(id);
            }
        }
        Vec::new()
    }

    pub(super) fn flush(&mut self, id: u64) {
        let due = self.send(id);
        self.deliver(due, None);
    }

    pub(super) fn close(&mut self, id: u64) {
        let due = self.end(id);
        self.deliver(due, None);
    }

    /// Forgets a connection, and frees what it held.
    fn end(&mut self, id: u64) -> Vec<Due> {
        let mut due = Vec::new();
        let Some(mut connection) = self.connections.remove(&id) else { return due };
        let who = Participant::alone(id);
        if let Some(object) = connection.waits.and_then(|object| self.objects.object(object)) {
            object.waiting -= 1;
            // What comes back to a queue goes to those who wait there: not to this one.
            if let Thing::Queue(..) = object.thing {
                object.thing.time_out(who, &mut due);
            }
        }
        for unsent in connection.undelivered() {
            if let Some(object) = self.objects.object(unsent.from) {
                let (item, at) = (unsent.item, unsent.at);
                object.thing.take_back(who, item, at, unsent.arrival, &mut due);
            }
        }
        for touched in connection.touched() {
            if let Some(object) = self.objects.object(touched) {
                // A word that has panicked before may do so again: it is not to keep the others from being told.
                let _ = catch(|| object.thing.gone(who, &mut due));
            }
        }
        if let Some(object) = connection.waits {
            self.objects.drop_if_unused(object);
        }
        due
    }
}
