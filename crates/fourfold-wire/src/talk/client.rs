//! One connection at the end of a proxy.

use super::server::{Output, is_room_of_a_long_message};
use super::{Reply, Request, TalkError};
use crate::auth::{Handshake, Key, Policy};
use crate::frame::{AUTH_LIMIT, DEFAULT_LIMIT, Decoder, FrameError};
use crate::pickle::{self, Reader, Value};
use crate::{Framing, Peer};

/// What all connections to a manager have in common.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The key that both ends know.
    pub key: Key,
    /// How the manager is authenticated.
    pub policy: Policy,
    /// How pickles are read: their limits, and what globals they may name.
    pub reader: Reader,
    /// The longest message, in bytes.
    pub limit: u64,
    /// What is known of the manager from an earlier connection.
    pub peer: Peer,
}

impl ClientOptions {
    /// The defaults with a key.
    #[must_use]
    pub fn new(key: Key) -> ClientOptions {
        ClientOptions {
            key,
            policy: Policy::default(),
            reader: Reader::new(),
            limit: DEFAULT_LIMIT,
            peer: Peer::default(),
        }
    }
}

/// One connection at the end of a proxy, without I/O. [`Server`](super::Server) has an example.
#[derive(Debug)]
pub struct Client {
    handshake: Option<Handshake>,
    decoder: Decoder,
    reader: Reader,
    limit: u64,
    peer: Peer,
    /// Requests wait in here until the handshake is over.
    waiting: Output,
    out: Output,
}

impl Client {
    /// A connection that was just made. `nonce` is fresh random bytes.
    #[must_use]
    pub fn new(options: &ClientOptions, nonce: [u8; crate::auth::NONCE]) -> Client {
        let handshake = Handshake::client(options.key.clone(), options.policy, nonce);
        Client {
            handshake: Some(handshake),
            decoder: Decoder::new(Framing::default(), AUTH_LIMIT),
            reader: options.reader.clone(),
            limit: options.limit,
            peer: options.peer,
            waiting: Output::default(),
            out: Output::default(),
        }
    }

    /// As [`new`](Client::new), with the system's random numbers.
    ///
    /// # Errors
    ///
    /// The system gives none.
    #[cfg(feature = "random")]
    pub fn random(options: &ClientOptions) -> Result<Client, TalkError> {
        Ok(Client::new(options, crate::auth::random_nonce()?))
    }

    /// Room for bytes that come, and [`filled`](Client::filled) says how many came.
    pub fn space(&mut self) -> &mut [u8] {
        self.decoder.space()
    }

    /// Says that `n` bytes were read into [`space`](Client::space).
    ///
    /// # Panics
    ///
    /// When `n` is more than the room there was.
    pub fn filled(&mut self, n: usize) {
        self.decoder.filled(n);
    }

    /// Adds bytes that came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes);
    }

    /// What is to be sent.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.out.bytes()
    }

    /// Says that the first `n` bytes of [`output`](Client::output) were sent.
    ///
    /// # Panics
    ///
    /// When there are not that many.
    pub fn sent(&mut self, n: usize) {
        self.out.sent(n);
    }

    /// Whether both ends have proved that they know the key.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.handshake.is_none()
    }

    /// What is known of the manager, for the next connection to it.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Adds a request: of an object's method, or of the manager itself. It goes out once the handshake is over.
    ///
    /// # Errors
    ///
    /// An argument has no words in the manager's Python, or the message is too long for it or over our limit. Nothing of
    /// it is sent then, and other requests can be made.
    pub fn request(
        &mut self,
        target: Option<&str>,
        function: &str,
        args: &[Value],
        named: &[(&str, Value)],
    ) -> Result<(), TalkError> {
        let (framing, dialect) = (self.peer.framing(), self.peer.dialect());
        let out = if self.handshake.is_some() { &mut self.waiting } else { &mut self.out };
        let limit = self.limit;
        let mut too_long = None;
        let said = out.message(framing, |out| {
            let start = out.len();
            let out = Request::write(target, function, args, named, dialect, out)?;
            let length = (out.len() - start) as u64;
            if length > limit {
                too_long = Some(FrameError::TooLong { length, limit });
                // Any error takes the message back.
                return Err(pickle::Error::unexpected("a message", "one that is too long"));
            }
            Ok(out)
        });
        match too_long {
            Some(error) => Err(error.into()),
            None => said,
        }
    }

    /// The next reply, or `None` until more bytes come.
    ///
    /// # Errors
    ///
    /// The manager does not know the key or refuses ours, or its bytes are no frames or no reply. A reply that
    /// cannot be read leaves the conversation usable: the error is [`TalkError::Pickle`].
    pub fn next_reply(&mut self) -> Result<Option<Reply>, TalkError> {
        self.shake_hands()?;
        if self.handshake.is_some() {
            return Ok(None);
        }
        let Some(message) = self.decoder.next_frame()? else { return Ok(None) };
        self.peer.saw_pickle(message);
        let reply = Reply::read(&self.reader, message);
        self.decoder.set_framing(self.peer.framing());
        if is_room_of_a_long_message(&self.decoder) {
            self.decoder = Decoder::new(self.peer.framing(), self.limit);
        }
        Ok(Some(reply?))
    }

    /// Goes on with the handshake as far as the bytes go that came.
    ///
    /// # Errors
    ///
    /// As [`next_reply`](Client::next_reply).
    pub fn shake_hands(&mut self) -> Result<(), TalkError> {
        while let Some(handshake) = &mut self.handshake {
            let Some(frame) = self.decoder.next_frame()? else { return Ok(()) };
            let step = match handshake.receive(frame) {
                Ok(step) => step,
                Err(error) => {
                    if let Some(answer) = error.reply() {
                        self.out.frame(Framing::default(), answer);
                    }
                    return Err(error.into());
                }
            };
            if let Some(answer) = step.send {
                self.out.frame(Framing::default(), &answer);
            }
            if let Some(established) = step.done {
                if established.named {
                    self.peer.saw_named_digest();
                }
                self.handshake = None;
                self.decoder.set_limit(self.limit);
                self.out.append(&mut self.waiting);
            }
        }
        Ok(())
    }

    /// How many bytes of memory the buffers take.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.decoder.capacity() + self.out.capacity()
    }
}
