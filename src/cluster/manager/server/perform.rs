//! How the requests of connections are carried out.

use std::time::Instant;

use fourfold_wire::pickle::Value;
use fourfold_wire::talk::{self, Command, Exception, Reply, Request, Token};

use super::deadlines::What;
use super::objects;
use super::reactor::Reactor;
use super::thing::{ACQUIRE_TOLD, Called, Due};
use crate::task::catch::catch;
use crate::words::Participant;

/// How many requests of a connection are carried out before others have their turn.
const REQUESTS: usize = 64;

/// How much is written to a connection before others have their turn, in bytes.
const SHARE: u64 = 1 << 20;

impl Reactor {
    /// Carries out the requests that have come, as far as it goes without waiting: for a word, for the peer to read, or for
    /// the others' turn.
    pub(super) fn pump(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.queued = false;
        let until = connection.sent() + SHARE;
        for _ in 0..REQUESTS {
            let Some(connection) = self.connections.get_mut(&id) else { return };
            if connection.is_clogged() {
                connection.flush();
                if connection.is_clogged() {
                    connection.held = true;
                    return self.flush(id);
                }
                if connection.sent() > until {
                    break;
                }
            }
            match catch(|| self.step(id)) {
                Ok(true) => {}
                Ok(false) => match self.connections.get(&id) {
                    // Behind what has clogged it there may be more.
                    Some(connection) if connection.is_clogged() => {}
                    Some(connection) if connection.has_ended => return self.close(id),
                    _ => return self.flush(id),
                },
                // The panic hook has told of it. Nobody knows what state the conversation is in.
                Err(_) => {
                    let _ = catch(|| self.close(id));
                    return;
                }
            }
        }
        self.queue(id);
        self.flush(id);
    }

    /// Has a connection pumped when the others have had their turn.
    pub(super) fn queue(&mut self, id: u64) {
        if let Some(connection) = self.connections.get_mut(&id)
            && !connection.queued
        {
            connection.queued = true;
            self.again.push(id);
        }
    }

    /// Carries out the next request, if there is one.
    fn step(&mut self, id: u64) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else { return false };
        match connection.session.next_request() {
            Ok(Some(request)) => {
                self.carry_out(id, request);
                true
            }
            Ok(None) => false,
            Err(_) => {
                // What is left says why; nobody else needs to hear of it.
                connection.flush();
                self.close(id);
                false
            }
        }
    }

    fn carry_out(&mut self, id: u64, mut request: Request) {
        if let Some(opened) = self.objects.opened(&request.function, &request.arguments) {
            request.arguments = opened;
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let is_command = connection.session.is_command();
        if super::objects::may_store(is_command, &request.function) {
            for identity in request.arguments.identities() {
                self.objects.keep(&identity);
            }
        }
        if !is_command {
            return self.call(id, request);
        }
        let result = request.into_command().and_then(|command| self.command(id, command));
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match result {
            Ok(Some(reply)) => connection.session.reply(&reply),
            Ok(None) => connection.session.accept(),
            // As a stock server, which tells its own failures as text.
            Err(error) => connection.session.reply(&traceback(&error)),
        }
    }

    /// Carries out a request to the manager itself. `None`: calls may come.
    fn command(&mut self, _: u64, command: Command) -> Result<Option<Reply>, Exception> {
        Ok(Some(match command {
            Command::Dummy => Reply::none(),
            Command::Accept(_) => return Ok(None),
            Command::Create { typeid, arguments } => {
                let (object, exposed) = self.objects.create(&typeid, &arguments)?;
                let names = Value::tuple(exposed.iter().map(|&name| Value::from(name)));
                Reply::Return(Value::tuple([Value::from(objects::name(object)), names]))
            }
            Command::Incref(text) => self.objects.incref(&text).map(|()| Reply::none())?,
            Command::Decref(text) => self.objects.decref(&text).map(|()| Reply::none())?,
            Command::GetMethods(token) => {
                let missing = || Exception::new("builtins", "KeyError").with(token.id.as_str());
                let (_, object) = self.objects.find(&token.id).ok_or_else(missing)?;
                let names = object.thing.exposed().iter().map(|&name| Value::from(name));
                Reply::Return(Value::tuple(names))
            }
            Command::DebugInfo => Reply::Return(Value::from(self.objects.debug_info())),
            Command::NumberOfObjects => Reply::Return(Value::from(self.objects.count() as i64)),
            Command::Shutdown => {
                self.stopping = true;
                Reply::none()
            }
            _ => return Err(super::errors::type_error("this is not served here")),
        }))
    }

    fn call(&mut self, id: u64, request: Request) {
        let mut due = Vec::new();
        let reply = match request.into_call() {
            Err(_) => Some(traceback(&Exception::new("builtins", "KeyError").with(Value::none()))),
            Ok(call) => match catch(|| self.call_object(id, call, &mut due)) {
                Ok(reply) => reply,
                // It costs this connection. What it has done for others is done.
                Err(_) => {
                    self.deliver(due, Some(id));
                    return self.close(id);
                }
            },
        };
        if let (Some(reply), Some(connection)) = (reply, self.connections.get_mut(&id)) {
            connection.session.reply(&reply);
        }
        self.deliver(due, Some(id));
    }

    /// Calls a method. The reply is given here, or is among those that are due, or the connection waits for it.
    fn call_object(&mut self, id: u64, call: talk::Call, due: &mut Vec<Due>) -> Option<Reply> {
        let Some(object_id) = self.objects.find(&call.target).map(|(id, _)| id) else {
            let error = Exception::new("builtins", "KeyError").with(call.target.as_str());
            return Some(traceback(&error));
        };
        let connection = self.connections.get_mut(&id)?;
        connection.touch(object_id, |touched| self.objects.contains(touched));
        let object = self.objects.object(object_id)?;
        connection.told = call.method == ACQUIRE_TOLD;
        let who = Participant::alone(id);
        #[cfg(test)]
        assert_ne!(call.method, "panic", "as a test wants it");
        match object.thing.call(who, &call.method, call.arguments, due) {
            Ok(Called::Reply(reply)) => Some(reply),
            Ok(Called::Asked(limit)) => {
                // Replies are in order: its own is mostly the first.
                if !due.iter().any(|due| due.to == who) {
                    connection.waits = Some(object_id);
                    connection.count += 1;
                    object.waiting += 1;
                    if let Some(at) = limit.and_then(|limit| Instant::now().checked_add(limit)) {
                        self.deadlines.add(at, id, What::Wait(connection.count));
                    }
                }
                None
            }
            Ok(Called::New(typeid, thing)) => {
                let exposed = thing.exposed().iter().map(|&name| name.to_owned()).collect();
                let new = self.objects.add(*thing);
                self.objects.refer(new);
                let token = Token {
                    typeid: typeid.to_owned(),
                    address: self.address.clone(),
                    id: objects::name(new),
                };
                Some(Reply::Proxy { exposed, token })
            }
            Ok(Called::Unknown) => Some(match call.method.as_str() {
                "__str__" | "__repr__" => Reply::Return(object.thing.describe().into()),
                "#GETVALUE" => match object.thing.value() {
                    Some(value) => Reply::Return(value),
                    None => Reply::Unserializable(format!(
                        "TypeError: cannot pickle '{}' object\n",
                        object.thing.type_name()
                    )),
                },
                _ => traceback(&super::errors::attribute_error(format!(
                    "method '{}' of <class '{}'> object is not in exposed={:?}",
                    call.method,
                    object.thing.type_name(),
                    object.thing.exposed()
                ))),
            }),
            Err(error) => Some(Reply::Error(error)),
        }
    }
}

fn traceback(error: &Exception) -> Reply {
    Reply::Traceback(format!("{error}\n"))
}

#[cfg(test)]
mod tests {
    use crate::cluster::manager::{Client, Key, Server};

    #[test]
    fn a_panic_costs_the_connection_whose_call_it_was_and_no_other() {
        let key = Key::new(*b"abc");
        let server = Server::builder(key.clone()).lock("lock").queue("jobs").bind("127.0.0.1:0");
        let server = server.expect("a server");
        let client = || Client::connect(server.address(), key.clone()).expect("a client");
        let (client, other) = (client(), client());
        let jobs = other.queue::<u32>("jobs").expect("a queue");
        jobs.put(1).expect("room");
        let lock = client.proxy("lock", &[]).expect("a lock");
        for _ in 0..3 {
            lock.call("acquire", &[], &[]).expect("an answer");
            lock.call("panic", &[], &[]).expect_err("it panics");
            // What the connection held is free.
            assert!(other.lock("lock").expect("a lock").lock().expect("it").owner_died());
        }
        assert_eq!(jobs.get().expect("an item"), 1);
        assert!(server.is_running());
        server.shutdown().expect("its thread did not panic");
    }
}
