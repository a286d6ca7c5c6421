//! A proxy: one object of a server, whatever it is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fourfold_wire::pickle::{Value, from_value};
use fourfold_wire::talk::Reply;
use serde::de::DeserializeOwned;

use super::CallError;
use super::handle::{Shared, Terms};

/// One object of a server, whatever it is. Its methods are called by name; the typed words are made of it.
///
/// As long as there is one, the server keeps the object. In a fork, the proxies of the parent can be called, on connections
/// of the fork's own, but it is the parent that keeps the objects.
///
/// # Examples
///
/// ```
/// use fourfold::cluster::manager::{Client, Key, Server, Value};
///
/// let key = Key::new(*b"abc");
/// let server = Server::builder(key.clone()).bind("127.0.0.1:0")?;
/// let client = Client::connect(server.address(), key)?;
/// let dict = client.proxy("dict", &[])?;
/// dict.call("__setitem__", &["k".into(), 5.into()], &[])?;
/// assert_eq!(dict.call("__repr__", &[], &[])?, Value::from("{'k': 5}"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    inner: Arc<Inner>,
}

struct Inner {
    /// The process whose reference it is.
    pid: u32,
    shared: Arc<Shared>,
    id: String,
    exposed: Vec<String>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A fork has a copy of the proxy, and no reference of its own.
        if self.pid == std::process::id() {
            self.shared.goodbye(&self.id);
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("id", &self.inner.id)
            .field("exposed", &self.inner.exposed)
            .finish()
    }
}

impl Proxy {
    /// A proxy with one reference of its own, which it gives back at its end.
    pub(super) fn new(shared: Arc<Shared>, id: String, exposed: Vec<String>) -> Proxy {
        Proxy { inner: Arc::new(Inner { pid: std::process::id(), shared, id, exposed }) }
    }

    /// The object's name in its server.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// The names of the methods that can be called.
    pub fn exposed(&self) -> impl Iterator<Item = &str> {
        self.inner.exposed.iter().map(String::as_str)
    }

    /// The number of this thread's connection to the server.
    pub(super) fn link(&self) -> Option<u64> {
        self.inner.shared.link()
    }

    pub(super) fn exposes(&self, method: &str) -> bool {
        self.exposed().any(|name| name == method)
    }

    /// Calls a method.
    ///
    /// # Errors
    ///
    /// The call raised an exception, the server refused it, or the connection failed.
    pub fn call(
        &self,
        method: &str,
        args: &[Value],
        named: &[(&str, Value)],
    ) -> Result<Value, CallError> {
        self.call_by(method, args, named, Terms::default())
    }

    /// As [`call`](Proxy::call), of a method that waits no longer than a limit, which its arguments say too. If the server
    /// does not answer then either, the call fails, after the [`grace`](super::ClientBuilder::grace) on top.
    ///
    /// # Errors
    ///
    /// As [`call`](Proxy::call), or no answer came.
    pub fn call_timeout(
        &self,
        method: &str,
        args: &[Value],
        named: &[(&str, Value)],
        limit: Duration,
    ) -> Result<Value, CallError> {
        self.call_by(method, args, named, Terms::within(limit))
    }

    pub(super) fn call_by(
        &self,
        method: &str,
        args: &[Value],
        named: &[(&str, Value)],
        terms: Terms,
    ) -> Result<Value, CallError> {
        match self.inner.shared.call(&self.inner.id, method, args, named, terms)? {
            Ok(value) => Ok(value),
            Err(Reply::Proxy { token, .. }) => {
                self.inner.shared.goodbye(&token.id);
                Err(CallError::Refused(format!("{method}() gives a proxy: see call_for_proxy")))
            }
            Err(_) => Err(CallError::Refused(format!("{method}() gives something else"))),
        }
    }

    /// Calls a method whose value stays with the server.
    ///
    /// # Errors
    ///
    /// As [`call`](Proxy::call), or the method gives its value away.
    pub fn call_for_proxy(&self, method: &str, args: &[Value]) -> Result<Proxy, CallError> {
        match self.inner.shared.call(&self.inner.id, method, args, &[], Terms::default())? {
            Err(Reply::Proxy { exposed, token }) => {
                Ok(Proxy::new(self.inner.shared.clone(), token.id, exposed))
            }
            _ => Err(CallError::Refused(format!("{method}() gives no proxy: see call"))),
        }
    }

    /// Calls a method, and takes its value as a Rust type.
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        method: &str,
        args: &[Value],
    ) -> Result<T, CallError> {
        Ok(from_value(&self.call(method, args, &[])?)?)
    }

    /// As [`get`](Proxy::get), of a method that waits no longer than that.
    pub(super) fn get_by<T: DeserializeOwned>(
        &self,
        method: &str,
        args: &[Value],
        terms: Terms,
    ) -> Result<T, CallError> {
        Ok(from_value(&self.call_by(method, args, &[], terms)?)?)
    }

    /// Calls a method whose value says nothing.
    pub(super) fn tell(&self, method: &str, args: &[Value]) -> Result<(), CallError> {
        self.call(method, args, &[]).map(drop)
    }
}

/// A timeout as Python takes it.
pub(super) fn seconds(limit: Duration) -> Value {
    Value::from(limit.as_secs_f64())
}
