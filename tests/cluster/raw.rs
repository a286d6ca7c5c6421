//! A connection of a client that can say anything.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use fourfold::cluster::manager::{Address, Server, Value};
use fourfold_wire::auth::Key;
use fourfold_wire::talk::{Client as Talk, ClientOptions, Reply};

/// A connection that says whatever it is told to.
pub(crate) struct Raw<S = TcpStream> {
    pub(crate) stream: S,
    pub(crate) talk: Talk,
}

impl Raw {
    pub(crate) fn connect(server: &Server) -> Raw {
        Raw::to(server.address())
    }

    /// As [`connect`](Raw::connect), to a server of whatever process.
    pub(crate) fn to(address: &Address) -> Raw {
        let Address::Tcp(address) = address else { panic!("a TCP address") };
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        Raw::over(stream)
    }

    /// A connection past its handshake, on which calls may come.
    pub(crate) fn accepted(server: &Server) -> Raw {
        Raw::connect(server).accept()
    }

    /// A connection past its handshake, on which one request may come.
    pub(crate) fn trusted(server: &Server) -> Raw {
        let mut raw = Raw::connect(server);
        loop {
            raw.talk.shake_hands().expect("the key is right");
            let is_last = raw.talk.is_authenticated();
            raw.flush();
            if is_last {
                return raw;
            }
            assert!(raw.receive(), "the server goes on");
        }
    }
}

impl Raw<UnixStream> {
    /// A connection of the other family.
    pub(crate) fn unix(path: &Path) -> Raw<UnixStream> {
        let stream = UnixStream::connect(path).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        Raw::over(stream)
    }
}

impl<S: Read + Write> Raw<S> {
    fn over(stream: S) -> Raw<S> {
        let talk = Talk::random(&ClientOptions::new(Key::new(*b"abc"))).expect("random numbers");
        Raw { stream, talk }
    }

    /// Shakes hands, and asks that calls may come.
    pub(crate) fn accept(mut self) -> Raw<S> {
        self.talk.request(None, "accept_connection", &["raw".into()], &[]).expect("it can be said");
        assert_eq!(self.reply(), Some(Reply::none()));
        self
    }

    /// Sends a call without a look at what comes.
    pub(crate) fn call(&mut self, id: &str, method: &str, args: &[Value]) {
        self.talk.request(Some(id), method, args, &[]).expect("it can be said");
        self.flush();
    }

    pub(crate) fn flush(&mut self) {
        let bytes = self.talk.output().to_vec();
        self.talk.sent(bytes.len());
        self.stream.write_all(&bytes).expect("it is read");
    }

    /// The next reply, or nothing if the connection ends first.
    pub(crate) fn reply(&mut self) -> Option<Reply> {
        loop {
            self.flush();
            if let Some(reply) = self.talk.next_reply().expect("it goes on") {
                return Some(reply);
            }
            if self.talk.output().is_empty() && !self.receive() {
                return None;
            }
        }
    }

    pub(crate) fn receive(&mut self) -> bool {
        match self.stream.read(self.talk.space()) {
            Ok(0) | Err(_) => false,
            Ok(n) => {
                self.talk.filled(n);
                true
            }
        }
    }

    pub(crate) fn send_frame(&mut self, payload: &[u8]) {
        let mut frame = (payload.len() as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(payload);
        let _ = self.stream.write_all(&frame);
    }

    /// Whether the server closes the connection within the time of a test.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}
