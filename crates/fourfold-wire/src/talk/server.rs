//! One connection at the end of the manager.

use super::{Reply, Request, TalkError};
use crate::auth::{Handshake, Key, Policy};
use crate::frame::{self, AUTH_LIMIT, DEFAULT_LIMIT, Decoder, FrameError};
use crate::pickle::{self, NodeRef, Reader};
use crate::{Dialect, Framing, Peer};

/// What all connections of a manager have in common.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The key that a peer has to know.
    pub key: Key,
    /// How peers are authenticated.
    pub policy: Policy,
    /// How pickles are read: their limits, and what globals they may name.
    pub reader: Reader,
    /// The longest message, in bytes.
    pub limit: u64,
}

impl ServerOptions {
    /// The defaults with a key.
    #[must_use]
    pub fn new(key: Key) -> ServerOptions {
        ServerOptions {
            key,
            policy: Policy::default(),
            reader: Reader::new(),
            limit: DEFAULT_LIMIT,
        }
    }
}

/// How much output may wait before no other request is carried out, in bytes.
const CLOGGED: usize = 64 << 10;

/// Where a connection stands. It goes from the top down, or to the end from anywhere.
#[derive(Debug)]
enum State {
    /// The peer has not proved yet that it knows the key.
    Handshake(Handshake),
    /// The one request to the manager itself is to come.
    Command,
    /// It is being carried out.
    Commanded,
    /// Calls come.
    Calls,
    /// One is being carried out.
    Called,
    /// What is still to be sent is the last.
    Over,
}

/// One connection at the end of the manager, without I/O.
///
/// # Examples
///
/// A peer that asks for nothing more than whether somebody is there:
///
/// ```
/// use fourfold_wire::auth::Key;
/// use fourfold_wire::talk::{Client, ClientOptions, Command, Reply, Server, ServerOptions};
///
/// let key = Key::new(b"a secret");
/// let mut server = Server::new(&ServerOptions::new(key.clone()), [1; 40]);
/// let mut client = Client::new(&ClientOptions::new(key), [2; 40]);
/// client.request(None, "dummy", &[], &[])?;
///
/// let reply = loop {
///     client.push(server.output());
///     server.sent(server.output().len());
///     if let Some(request) = server.next_request()? {
///         assert!(matches!(request.into_command(), Ok(Command::Dummy)));
///         server.reply(&Reply::none());
///     }
///     if let Some(reply) = client.next_reply()? {
///         break reply;
///     }
///     server.push(client.output());
///     client.sent(client.output().len());
/// };
/// assert_eq!(reply, Reply::none());
/// assert!(server.is_over());
/// # Ok::<(), fourfold_wire::talk::TalkError>(())
/// ```
#[derive(Debug)]
pub struct Server {
    state: State,
    decoder: Decoder,
    reader: Reader,
    limit: u64,
    peer: Peer,
    authenticated: bool,
    /// How many bytes of a message that was refused are still to come.
    refused: u64,
    out: Output,
}

impl Server {
    /// A connection that was just accepted. `nonce` is fresh random bytes.
    #[must_use]
    pub fn new(options: &ServerOptions, nonce: [u8; crate::auth::NONCE]) -> Server {
        let handshake = Handshake::server(options.key.clone(), options.policy, nonce);
        let mut out = Output::default();
        let challenge = handshake.start().expect("a server speaks first");
        out.frame(Framing::default(), &challenge);
        Server {
            state: State::Handshake(handshake),
            decoder: Decoder::new(Framing::default(), AUTH_LIMIT),
            reader: options.reader.clone(),
            limit: options.limit,
            peer: Peer::default(),
            authenticated: false,
            refused: 0,
            out,
        }
    }

    /// As [`new`](Server::new), with the system's random numbers.
    ///
    /// # Errors
    ///
    /// The system gives none.
    #[cfg(feature = "random")]
    pub fn random(options: &ServerOptions) -> Result<Server, TalkError> {
        Ok(Server::new(options, crate::auth::random_nonce()?))
    }

    /// Room for bytes that come, and [`filled`](Server::filled) says how many came.
    pub fn space(&mut self) -> &mut [u8] {
        self.decoder.space()
    }

    /// Says that `n` bytes were read into [`space`](Server::space).
    ///
    /// # Panics
    ///
    /// When `n` is more than the room there was.
    pub fn filled(&mut self, n: usize) {
        match self.is_over() {
            true => self.refused = self.refused.saturating_sub(n as u64),
            false => self.decoder.filled(n),
        }
    }

    /// Adds bytes that came. Once the conversation [is over](Server::is_over) they are thrown away.
    pub fn push(&mut self, bytes: &[u8]) {
        match self.is_over() {
            true => self.refused = self.refused.saturating_sub(bytes.len() as u64),
            false => self.decoder.push(bytes),
        }
    }

    /// What is to be sent.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.out.bytes()
    }

    /// Says that the first `n` bytes of [`output`](Server::output) were sent.
    ///
    /// # Panics
    ///
    /// When there are not that many.
    pub fn sent(&mut self, n: usize) {
        self.out.sent(n);
    }

    /// Whether the peer has proved that it knows the key.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// Whether nothing more is read: the connection is closed once the output is sent.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// How many bytes of a message over the limit are still to come, once it was refused.
    ///
    /// A peer that is in the midst of sending it hears why only if they are read before the connection is closed:
    /// [`push`](Server::push) takes them, and keeps nothing.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether a request is being carried out.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self.state, State::Commanded | State::Called)
    }

    /// What is known of the peer.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// How many bytes have come that are not part of a request yet, or of one that waits for the last reply.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.decoder.pending()
    }

    /// How many bytes of memory the buffers take.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.decoder.capacity() + self.out.capacity()
    }

    /// Whether so much output waits that no other request should be carried out before some of it is sent.
    ///
    /// # Examples
    ///
    /// A peer that sends what is no request, and does not read what it is told:
    ///
    /// ```
    /// use fourfold_wire::auth::Key;
    /// use fourfold_wire::talk::{Client, ClientOptions, Server, ServerOptions};
    ///
    /// let key = Key::new(b"a secret");
    /// let mut server = Server::new(&ServerOptions::new(key.clone()), [1; 40]);
    /// let mut client = Client::new(&ClientOptions::new(key), [2; 40]);
    /// client.request(None, "accept_connection", &["MainThread".into()], &[])?;
    /// while !server.is_for_calls() {
    ///     client.push(server.output());
    ///     server.sent(server.output().len());
    ///     client.next_reply()?;
    ///     server.push(client.output());
    ///     client.sent(client.output().len());
    ///     if server.next_request()?.is_some() {
    ///         server.accept();
    ///     }
    /// }
    /// // Empty messages.
    /// server.push(&[0; 1 << 20]);
    /// assert!(server.next_request()?.is_none());
    /// assert!(server.is_clogged() && server.output().len() < 100_000);
    /// assert!(server.pending() > 0);
    /// # Ok::<(), fourfold_wire::talk::TalkError>(())
    /// ```
    #[must_use]
    pub fn is_clogged(&self) -> bool {
        self.output().len() > CLOGGED
    }

    /// The next request, or `None` until more bytes come or the last request is answered.
    ///
    /// A message that is no request is answered here, as stock servers do, and the conversation goes on, with `None` in
    /// between if it [is clogged](Server::is_clogged) by such answers. One over the limit is answered with what the limit
    /// is, and ends it.
    ///
    /// # Errors
    ///
    /// The peer does not know the key, or its bytes are no frames. Send what is left of the output and close.
    pub fn next_request(&mut self) -> Result<Option<Request>, TalkError> {
        let result = self.step();
        if result.is_err() {
            self.state = State::Over;
        }
        result
    }

    fn step(&mut self) -> Result<Option<Request>, TalkError> {
        loop {
            if self.is_busy() || self.is_over() {
                return Ok(None);
            }
            let message = match self.decoder.next_frame() {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(None),
                Err(error @ FrameError::TooLong { length, .. }) if self.authenticated => {
                    self.refuse(error, length);
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
            if let State::Handshake(handshake) = &mut self.state {
                match handshake.receive(message) {
                    Ok(step) => {
                        if let Some(answer) = step.send {
                            self.out.frame(Framing::default(), &answer);
                        }
                        if let Some(established) = step.done {
                            if established.named {
                                self.peer.saw_named_digest();
                            }
                            self.authenticated = true;
                            self.decoder.set_limit(self.limit);
                            self.state = State::Command;
                        }
                        continue;
                    }
                    Err(error) => {
                        if let Some(answer) = error.reply() {
                            self.out.frame(Framing::default(), answer);
                        }
                        return Err(error.into());
                    }
                }
            }
            self.peer.saw_pickle(message);
            let request = Request::read(&self.reader, message);
            self.decoder.set_framing(self.peer.framing());
            if is_room_of_a_long_message(&self.decoder) {
                self.decoder = Decoder::new(self.peer.framing(), self.limit);
            }
            self.state = match self.state {
                State::Command => State::Commanded,
                _ => State::Called,
            };
            match request {
                Ok(request) => return Ok(Some(request)),
                Err(error) => self.reply(&Reply::Traceback(format!("ValueError: {error}\n"))),
            }
            if self.is_clogged() {
                return Ok(None);
            }
        }
    }

    /// Says to a peer that its message is too long, and takes no more of it.
    fn refuse(&mut self, error: FrameError, length: u64) {
        let came = self.decoder.pending() as u64;
        let header = frame::Header::new(self.peer.framing(), length);
        let header = header.map_or(frame::PREFIX, |header| header.as_ref().len()) as u64;
        self.refused = length.saturating_add(header).saturating_sub(came);
        self.decoder = Decoder::new(Framing::default(), 0);
        self.state = State::Commanded;
        self.reply(&Reply::Traceback(format!("ValueError: {error}\n")));
    }

    /// Answers the request that came last.
    ///
    /// A value that this peer's Python has no words for is answered as `#UNSERIALIZABLE`.
    ///
    /// # Panics
    ///
    /// When no request waits for its answer.
    pub fn reply(&mut self, reply: &Reply) {
        self.send(reply);
        self.answered();
    }

    fn answered(&mut self) {
        self.state = match self.state {
            State::Called => State::Calls,
            _ => State::Over,
        };
    }

    /// Answers the request that came last with `#RETURN` of a value that is lent.
    ///
    /// # Panics
    ///
    /// As [`reply`](Server::reply).
    pub fn reply_value(&mut self, value: NodeRef<'_>) {
        self.send_with(|dialect, out| Reply::write_return(value, dialect, out));
        self.answered();
    }

    /// Whether the connection is for calls: it lasts, and requests may come on it at any time.
    #[must_use]
    pub fn is_for_calls(&self) -> bool {
        matches!(self.state, State::Calls | State::Called)
    }

    /// Whether the request being carried out is one to the manager itself.
    #[must_use]
    pub fn is_command(&self) -> bool {
        matches!(self.state, State::Commanded)
    }

    /// Answers [`Command::Accept`](super::Command::Accept): calls may come from now on.
    ///
    /// # Panics
    ///
    /// As [`reply`](Server::reply).
    pub fn accept(&mut self) {
        self.send(&Reply::none());
        self.state = State::Calls;
    }

    fn send(&mut self, reply: &Reply) {
        let instead = match reply {
            Reply::Error(exception) => exception.instead_for(self.peer),
            _ => None,
        };
        if let Some(instead) = instead {
            let instead = Reply::Error(instead.clone());
            return self.send_with(|dialect, out| instead.write(dialect, out));
        }
        self.send_with(|dialect, out| reply.write(dialect, out));
    }

    fn send_with(
        &mut self,
        write: impl FnOnce(Dialect, Vec<u8>) -> Result<Vec<u8>, pickle::Error>,
    ) {
        assert!(self.is_busy(), "a reply to a request that waits for one");
        let (framing, dialect) = (self.peer.framing(), self.peer.dialect());
        let sent = self.out.message(framing, |out| write(dialect, out));
        if let Err(error) = sent {
            let instead = Reply::Unserializable(format!("{error}\n"));
            let sent = self.out.message(framing, |out| instead.write(dialect, out));
            debug_assert!(sent.is_ok(), "a text can be said to everyone");
        }
    }
}

/// A buffer of bytes that came is given back at once if it grew beyond this for a long message, in bytes. Others come and go
/// with each message, at a price.
const KEEP_IN: usize = 256 << 10;

/// Whether the buffer is long and empty: nobody knows when the next message comes.
pub(super) fn is_room_of_a_long_message(decoder: &Decoder) -> bool {
    decoder.pending() == 0 && decoder.capacity() > KEEP_IN
}

/// Bytes on their way out.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// How many of them were sent.
    start: usize,
}

/// A buffer that grew beyond this for a long message is given back, in bytes.
const KEEP: usize = 4 << 10;

impl Output {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn sent(&mut self, n: usize) {
        assert!(n <= self.bytes.len() - self.start, "more bytes sent than there were");
        self.start += n;
        if self.start == self.bytes.len() {
            self.start = 0;
            self.bytes.clear();
            if self.bytes.capacity() > KEEP {
                self.bytes = Vec::new();
            }
        } else if self.start > KEEP && self.start > self.bytes.len() / 2 {
            // There may be no moment at which all is sent. At most as many bytes are moved as were sent.
            self.bytes.drain(..self.start);
            self.bytes.shrink_to(2 * self.bytes.len().max(KEEP));
            self.start = 0;
        }
    }

    pub(super) fn append(&mut self, other: &mut Output) {
        self.bytes.append(&mut other.bytes);
    }

    /// Adds a frame of the handshake, which is short.
    pub(super) fn frame(&mut self, framing: Framing, payload: &[u8]) {
        frame::write(framing, payload, &mut self.bytes).expect("a short frame");
    }

    /// Adds a message, or leaves everything as it was.
    pub(super) fn message(
        &mut self,
        framing: Framing,
        write: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, crate::pickle::Error>,
    ) -> Result<(), TalkError> {
        let mut bytes = std::mem::take(&mut self.bytes);
        let start = frame::begin(&mut bytes);
        if start > 0 {
            // A message before it is still on its way: rare, since requests and replies alternate.
            let rest = bytes.split_off(start);
            self.bytes = bytes;
            let mut message = write(rest)?;
            frame::seal(framing, &mut message, 0)?;
            self.bytes.append(&mut message);
            return Ok(());
        }
        let mut message = write(bytes)?;
        frame::seal(framing, &mut message, 0)?;
        self.bytes = message;
        Ok(())
    }
}
