//! What a server does with a connection, in which of its forms.

use std::fmt;
use std::io;

use super::address::Address;
use super::conn::Conn;
use super::protocol::{Protocol, hold};
use crate::task::{Payload, Stateless};

/// What a server does with each connection, in plain blocking code.
///
/// | form | runs under |
/// | --- | --- |
/// | a closure `\|conn: &mut Conn\| -> io::Result<()>` that captures | the models of one process: not [`Processes`](super::Processes), not [`Prefork`](super::Prefork) |
/// | a function, a closure that captures nothing, [`with`] | all but [`Events`](super::Events) |
/// | [`protocol`] | all; where its function captures, those of one process |
/// | [`protocol_with`] | all |
///
/// An error that it returns counts as `failed` in the [`Counters`](super::Counters), unless it says that the client has gone; it costs its connection
/// only, and so does a panic. The connection is closed when the handler returns.
pub trait Handler: Send + Sync + 'static {
    /// Serves one connection, to its end.
    ///
    /// # Errors
    ///
    /// Whatever ends the connection before its time.
    fn serve(&self, conn: &mut Conn) -> io::Result<()>;

    /// The conversation of one connection, if this is a [`protocol`]: an event loop holds it.
    #[doc(hidden)]
    fn converse(&self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        None
    }

    /// Whether `converse` gives any.
    #[doc(hidden)]
    fn is_protocol(&self) -> bool {
        false
    }
}

impl<F> Handler for F
where
    F: Fn(&mut Conn) -> io::Result<()> + Send + Sync + 'static,
{
    fn serve(&self, conn: &mut Conn) -> io::Result<()> {
        self(conn)
    }
}

/// A handler that answers turn by turn, and so needs no stack while a client is silent: [`Events`](super::Events) takes no other.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot run in an event loop, which has no stack for each connection",
    label = "is no protocol",
    note = "write it as a `Protocol` and pass `server::protocol(...)`, or use the model `Coroutines`, which runs any handler"
)]
pub trait TurnByTurn: Handler {}

/// A handler that another process can be given: code that captures nothing, and arguments.
#[diagnostic::on_unimplemented(
    message = "`{Self}` captures something, which a worker process does not share",
    label = "captures something",
    note = "pass what it needs as an argument: `server::with(args, |conn, args| ...)`, `server::protocol_with(args, |peer, args| ...)`"
)]
pub trait Portable: Handler + Sized {
    /// The code, which every process has.
    type Code: Stateless;
    /// What is sent along.
    type Args: Payload;

    /// The code.
    fn code(&self) -> Self::Code;

    /// A copy of the arguments.
    fn args(&self) -> Self::Args;

    /// Puts it together again, in the other process.
    fn again(code: Self::Code, args: Self::Args) -> Self;
}

#[diagnostic::do_not_recommend]
impl<F> Portable for F
where
    F: Fn(&mut Conn) -> io::Result<()> + Stateless,
{
    type Code = F;
    type Args = ();

    fn code(&self) -> F {
        *self
    }

    fn args(&self) {}

    fn again(code: F, (): ()) -> F {
        code
    }
}

/// A handler with arguments: made by [`with`].
#[derive(Clone, Copy)]
pub struct With<A, F> {
    args: A,
    code: F,
}

/// A handler from a function and what it needs, which worker processes are given as a copy.
///
/// # Examples
///
/// ```
/// use fourfold::server::{self, Conn, Server, Threads};
/// use std::io::Write;
///
/// let greet = server::with("hello".to_owned(), |conn: &mut Conn, text: &String| {
///     writeln!(conn, "{text}")
/// });
/// let server = Server::builder().listen("127.0.0.1:0")?.start(Threads, greet)?;
/// # let address = server.addresses()[0].tcp().unwrap();
/// # let mut said = String::new();
/// # std::io::Read::read_to_string(&mut std::net::TcpStream::connect(address)?, &mut said)?;
/// # assert_eq!(said, "hello\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn with<A, F>(args: A, code: F) -> With<A, F>
where
    A: Send + Sync + 'static,
    F: Fn(&mut Conn, &A) -> io::Result<()> + Send + Sync + 'static,
{
    With { args, code }
}

impl<A, F> Handler for With<A, F>
where
    A: Send + Sync + 'static,
    F: Fn(&mut Conn, &A) -> io::Result<()> + Send + Sync + 'static,
{
    fn serve(&self, conn: &mut Conn) -> io::Result<()> {
        (self.code)(conn, &self.args)
    }
}

impl<A, F> Portable for With<A, F>
where
    A: Payload + Clone + Send + Sync + 'static,
    F: Fn(&mut Conn, &A) -> io::Result<()> + Stateless,
{
    type Code = F;
    type Args = A;

    fn code(&self) -> F {
        self.code
    }

    fn args(&self) -> A {
        self.args.clone()
    }

    fn again(code: F, args: A) -> With<A, F> {
        With { args, code }
    }
}

impl<A: fmt::Debug, F> fmt::Debug for With<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("With").field("args", &self.args).finish_non_exhaustive()
    }
}

/// A handler that makes a [`Protocol`] for each connection: made by [`protocol`] and [`protocol_with`].
#[derive(Clone, Copy)]
pub struct Conversations<A, F> {
    args: A,
    code: F,
}

/// A handler that makes a [`Protocol`] for each connection, and runs under every model.
///
/// # Examples
///
/// A select loop, two threads of coroutines, or a thread for each client: the same protocol.
///
/// ```
/// use fourfold::server::{self, Coroutines, Events, Flow, Input, Protocol, Server, Threads};
/// use std::io::{self, BufRead, BufReader, Write};
/// use std::net::TcpStream;
///
/// /// Counts the lines of its client.
/// #[derive(Default)]
/// struct Count(u32);
///
/// impl Protocol for Count {
///     fn received(&mut self, input: &mut Input<'_>, answer: &mut Vec<u8>) -> io::Result<Flow> {
///         if input.line().is_some() {
///             self.0 += 1;
///             writeln!(answer, "{}", self.0)?;
///         }
///         Ok(Flow::Go)
///     }
/// }
///
/// fn try_out(server: Server) -> Result<(), Box<dyn std::error::Error>> {
///     let mut stream = TcpStream::connect(server.addresses()[0].tcp().unwrap())?;
///     stream.write_all(b"one\ntwo\n")?;
///     let lines: Vec<String> = BufReader::new(stream).lines().take(2).collect::<Result<_, _>>()?;
///     assert_eq!(lines, ["1", "2"]);
///     Ok(())
/// }
///
/// let counts = server::protocol(|_peer| Count::default());
/// try_out(Server::builder().listen("127.0.0.1:0")?.start(Events(1), counts)?)?;
/// try_out(Server::builder().listen("127.0.0.1:0")?.start(Coroutines(2), counts)?)?;
/// try_out(Server::builder().listen("127.0.0.1:0")?.start(Threads, counts)?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn protocol<F, P>(code: F) -> Conversations<Plain, F>
where
    F: Fn(&Address) -> P + Send + Sync + 'static,
    P: Protocol,
{
    Conversations { args: Plain, code }
}

/// As [`protocol`], with what each conversation needs, which worker processes are given as a copy.
pub fn protocol_with<A, F, P>(args: A, code: F) -> Conversations<Given<A>, F>
where
    A: Send + Sync + 'static,
    F: Fn(&Address, &A) -> P + Send + Sync + 'static,
    P: Protocol,
{
    Conversations { args: Given(args), code }
}

/// Without arguments: see [`protocol`].
#[derive(Clone, Copy, Debug)]
pub struct Plain;

/// With arguments: see [`protocol_with`].
#[derive(Clone, Copy, Debug)]
pub struct Given<A>(A);

impl<F, P> Handler for Conversations<Plain, F>
where
    F: Fn(&Address) -> P + Send + Sync + 'static,
    P: Protocol,
{
    fn serve(&self, conn: &mut Conn) -> io::Result<()> {
        let mut conversation = (self.code)(conn.peer());
        hold(&mut conversation, conn)
    }

    fn converse(&self, peer: &Address) -> Option<Box<dyn Protocol>> {
        Some(Box::new((self.code)(peer)))
    }

    fn is_protocol(&self) -> bool {
        true
    }
}

impl<A, F, P> Handler for Conversations<Given<A>, F>
where
    A: Send + Sync + 'static,
    F: Fn(&Address, &A) -> P + Send + Sync + 'static,
    P: Protocol,
{
    fn serve(&self, conn: &mut Conn) -> io::Result<()> {
        let mut conversation = (self.code)(conn.peer(), &self.args.0);
        hold(&mut conversation, conn)
    }

    fn converse(&self, peer: &Address) -> Option<Box<dyn Protocol>> {
        Some(Box::new((self.code)(peer, &self.args.0)))
    }

    fn is_protocol(&self) -> bool {
        true
    }
}

impl<A, F> TurnByTurn for Conversations<A, F> where Conversations<A, F>: Handler {}

impl<F, P> Portable for Conversations<Plain, F>
where
    F: Fn(&Address) -> P + Stateless,
    P: Protocol,
{
    type Code = F;
    type Args = ();

    fn code(&self) -> F {
        self.code
    }

    fn args(&self) {}

    fn again(code: F, (): ()) -> Self {
        Conversations { args: Plain, code }
    }
}

impl<A, F, P> Portable for Conversations<Given<A>, F>
where
    A: Payload + Clone + Send + Sync + 'static,
    F: Fn(&Address, &A) -> P + Stateless,
    P: Protocol,
{
    type Code = F;
    type Args = A;

    fn code(&self) -> F {
        self.code
    }

    fn args(&self) -> A {
        self.args.0.clone()
    }

    fn again(code: F, args: A) -> Self {
        Conversations { args: Given(args), code }
    }
}

impl<A: fmt::Debug, F> fmt::Debug for Conversations<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversations").field("args", &self.args).finish_non_exhaustive()
    }
}
