//! How replies get to those they are for, and what happens when they do not.

use std::collections::VecDeque;

use fourfold_wire::pickle::Value;
use fourfold_wire::talk::Reply;
use rustix::event::epoll::{self, EventFlags};

use super::reactor::Reactor;
use super::thing::{Due, Out};
use crate::words::Participant;

impl Reactor {
    /// Gives replies to those they are for. `current` has just asked; others have waited.
    pub(super) fn deliver(&mut self, due: Vec<Due>, current: Option<u64>) {
        let mut due = VecDeque::from(due);
        while let Some(Due { to: Participant(id), what }) = due.pop_front() {
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
                Out::Item { item, at } => {
                    let from = connection.called;
                    if waited.is_some() && !connection.is_alive() {
                        let mut more = Vec::new();
                        if let Some(object) = self.objects.object(from) {
                            object.thing.take_back(Participant(id), item, at, &mut more);
                        }
                        due.extend(more);
                        due.extend(self.end(id));
                        continue;
                    }
                    connection.session.reply_value(item.root());
                    connection.unsent = Some((from, item, at));
                }
            }
            if let Some(object) = waited {
                self.objects.drop_if_unused(object);
            }
            if current != Some(id) {
                due.extend(self.send(id));
                // It may have sent its next request already.
                if self.connections.get(&id).is_some_and(|waiter| waiter.session.pending() > 0) {
                    self.again.push(id);
                }
            }
        }
    }

    /// Writes, and looks for room later where it is needed. What becomes due if the connection ends is given back.
    fn send(&mut self, id: u64) -> Vec<Due> {
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        if connection.flush().is_err() {
            return self.end(id);
        }
        let unsent = !connection.session.output().is_empty();
        if connection.session.is_over() && !unsent {
            return self.end(id);
        }
        if unsent != connection.wants_room {
            connection.wants_room = unsent;
            let room = if unsent { EventFlags::OUT } else { EventFlags::empty() };
            let data = epoll::EventData::new_u64(id);
            let flags = EventFlags::IN | room;
            if epoll::modify(&self.epoll, &connection.socket, data, flags).is_err() {
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
        let Some(connection) = self.connections.remove(&id) else { return due };
        let who = Participant(id);
        if let Some(object) = connection.waits.and_then(|object| self.objects.object(object)) {
            object.waiting -= 1;
        }
        if let Some((from, item, at)) = connection.unsent
            && let Some(object) = self.objects.object(from)
        {
            object.thing.take_back(who, item, at, &mut due);
        }
        for &touched in &connection.touched {
            if let Some(object) = self.objects.object(touched) {
                object.thing.gone(who, &mut due);
            }
        }
        if let Some(object) = connection.waits {
            self.objects.drop_if_unused(object);
        }
        due
    }
}
