//! The handshake of either end, fed with frames.

use super::{AuthError, Digest, Key};

const CHALLENGE: &[u8] = b"#CHALLENGE#";
const WELCOME: &[u8] = b"#WELCOME#";
pub(super) const FAILURE: &[u8] = b"#FAILURE#";

/// The random bytes of a handshake.
pub const NONCE: usize = 40;
/// The random bytes of a challenge before CPython 3.12, and the least a peer may send.
const LEGACY_CHALLENGE: usize = 20;
/// The bytes of an HMAC-MD5 without a name in front.
const LEGACY_ANSWER: usize = 16;

/// How our own challenge looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A digest's name and 40 random bytes, as CPython 3.12 and later send. Older peers take it too.
    Named(Digest),
    /// 20 random bytes, as CPython before 3.12 sends.
    Legacy,
}

/// What is sent and what is accepted.
///
/// # Examples
///
/// ```
/// use fourfold_wire::auth::{Challenge, Digest, Policy};
///
/// let policy = Policy { allow_md5: false, ..Policy::default() };
/// assert_eq!(policy.challenge, Challenge::Named(Digest::Sha256));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How our challenge looks.
    pub challenge: Challenge,
    /// Whether MD5 is good enough, both for the peer's answer and for ours. Peers before 3.12
    /// have nothing else.
    pub allow_md5: bool,
}

impl Default for Policy {
    /// What CPython 3.12 and later do: ask for SHA-256, accept MD5 from older peers.
    fn default() -> Self {
        Policy { challenge: Challenge::Named(Digest::Sha256), allow_md5: true }
    }
}

/// What was learned of a peer that has proved to know the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Established {
    /// The digest that the peer's proof was made with.
    pub digest: Digest,
    /// Whether the peer named its digest: CPython 3.12 or later.
    pub named: bool,
}

/// What to do after a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Step {
    /// A frame to send first.
    pub send: Option<Vec<u8>>,
    /// Both ends have proved that they know the key: the handshake is over.
    pub done: Option<Established>,
}

/// Where the handshake stands. A server goes through all states from the top, a client starts at
/// `AwaitChallenge` and comes to `AwaitAnswer` last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Our challenge is out.
    AwaitAnswer,
    /// The peer is to challenge us.
    AwaitChallenge,
    /// Our answer is out.
    AwaitVerdict,
    /// Done or failed.
    Over,
}

/// One handshake of one connection.
///
/// The caller sends the frame of [`start`](Handshake::start) if there is one, then gives each
/// frame that comes to [`receive`](Handshake::receive) and does what it says, until it is done. Keep
/// the [`Decoder`](crate::frame::Decoder) at [`AUTH_LIMIT`](crate::frame::AUTH_LIMIT) meanwhile, and keep
/// a deadline.
///
/// Frames alternate, the server first, so the two ends of this example need no queue:
///
/// ```
/// use fourfold_wire::auth::{Digest, Handshake, Key, Policy};
///
/// let key = Key::new(b"a secret");
/// let mut server = Handshake::server(key.clone(), Policy::default(), [1; 40]);
/// let mut client = Handshake::client(key, Policy::default(), [2; 40]);
///
/// let mut frame = server.start().expect("a server speaks first");
/// let seen = loop {
///     let answer = client.receive(&frame)?.send.expect("an answer to each frame");
///     let step = server.receive(&answer)?;
///     match step.send {
///         Some(next) => frame = next,
///         None => break step.done.expect("the end"),
///     }
/// };
/// assert_eq!((seen.digest, seen.named), (Digest::Sha256, true));
/// # Ok::<(), fourfold_wire::auth::AuthError>(())
/// ```
#[derive(Debug)]
pub struct Handshake {
    key: Key,
    policy: Policy,
    /// What stands behind `#CHALLENGE#` in our challenge: what the peer has to sign.
    challenge: Vec<u8>,
    is_server: bool,
    state: State,
    /// What the peer proved, or promised by the form of its challenge.
    digest: Option<Digest>,
    named: bool,
}

impl Handshake {
    /// The end that was connected to.
    ///
    /// `nonce` is fresh random bytes: a nonce that comes twice lets a listener replay an answer.
    #[must_use]
    pub fn server(key: Key, policy: Policy, nonce: [u8; NONCE]) -> Handshake {
        Handshake::new(key, policy, nonce, true)
    }

    /// The end that connects. `nonce` as for [`server`](Handshake::server).
    #[must_use]
    pub fn client(key: Key, policy: Policy, nonce: [u8; NONCE]) -> Handshake {
        Handshake::new(key, policy, nonce, false)
    }

    /// As [`server`](Handshake::server), with the system's random numbers.
    ///
    /// # Errors
    ///
    /// [`AuthError::NoRandom`]
    #[cfg(feature = "random")]
    pub fn server_random(key: Key, policy: Policy) -> Result<Handshake, AuthError> {
        Ok(Handshake::server(key, policy, random_nonce()?))
    }

    /// As [`client`](Handshake::client), with the system's random numbers.
    ///
    /// # Errors
    ///
    /// [`AuthError::NoRandom`]
    #[cfg(feature = "random")]
    pub fn client_random(key: Key, policy: Policy) -> Result<Handshake, AuthError> {
        Ok(Handshake::client(key, policy, random_nonce()?))
    }

    fn new(key: Key, policy: Policy, nonce: [u8; NONCE], is_server: bool) -> Handshake {
        let challenge = match policy.challenge {
            Challenge::Named(digest) => [b"{", digest.name().as_bytes(), b"}", &nonce[..]].concat(),
            Challenge::Legacy => nonce[..LEGACY_CHALLENGE].to_vec(),
        };
        let state = if is_server { State::AwaitAnswer } else { State::AwaitChallenge };
        Handshake { key, policy, challenge, is_server, state, digest: None, named: false }
    }

    /// The frame to send before any came: a server's challenge. A client has none.
    #[must_use]
    pub fn start(&self) -> Option<Vec<u8>> {
        self.is_server.then(|| self.challenge_frame())
    }

    /// Whether the handshake has ended, in success or not.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Takes the next frame of the peer.
    ///
    /// # Errors
    ///
    /// The peer did not prove that it knows the key, or did not accept our proof, or sent what
    /// makes no sense here. Send [`AuthError::reply`] and close the connection.
    pub fn receive(&mut self, frame: &[u8]) -> Result<Step, AuthError> {
        let result = match self.state {
            State::AwaitAnswer => self.answer(frame),
            State::AwaitChallenge => self.challenged(frame),
            State::AwaitVerdict => self.verdict(frame),
            State::Over => Err(AuthError::Over),
        };
        if result.is_err() {
            self.state = State::Over;
        }
        result
    }

    /// The peer answers our challenge.
    fn answer(&mut self, frame: &[u8]) -> Result<Step, AuthError> {
        let (digest, mac, named) = if frame.len() == LEGACY_ANSWER {
            (Digest::Md5, frame, false)
        } else if frame.starts_with(b"{") {
            let (digest, mac) = Digest::split(frame).ok_or(AuthError::UnknownDigest)?;
            (digest, mac, true)
        } else {
            return Err(AuthError::WrongKey);
        };
        if digest == Digest::Md5 && !self.policy.allow_md5 {
            return Err(AuthError::Md5Refused);
        }
        if !digest.verify(&self.key, &self.challenge, mac) {
            return Err(AuthError::WrongKey);
        }
        self.digest = Some(digest);
        self.named |= named;
        let mut done = None;
        if self.is_server {
            self.state = State::AwaitChallenge;
        } else {
            self.state = State::Over;
            done = Some(Established { digest, named: self.named });
        }
        Ok(Step { send: Some(WELCOME.to_vec()), done })
    }

    /// The peer challenges us.
    fn challenged(&mut self, frame: &[u8]) -> Result<Step, AuthError> {
        let expected = AuthError::Unexpected { expected: "a challenge" };
        let message = frame.strip_prefix(CHALLENGE).ok_or(expected)?;
        if message.len() < LEGACY_CHALLENGE {
            return Err(AuthError::ShortChallenge);
        }
        let digest = if message.len() == LEGACY_CHALLENGE {
            None
        } else {
            Some(Digest::split(message).ok_or(AuthError::UnknownDigest)?.0)
        };
        if digest.unwrap_or(Digest::Md5) == Digest::Md5 && !self.policy.allow_md5 {
            return Err(AuthError::Md5Refused);
        }
        let answer = match digest {
            None => Digest::Md5.mac(&self.key, message),
            Some(digest) => {
                let mut answer = [b"{", digest.name().as_bytes(), b"}"].concat();
                answer.extend(digest.mac(&self.key, message));
                answer
            }
        };
        self.named |= digest.is_some();
        self.state = State::AwaitVerdict;
        Ok(Step { send: Some(answer), done: None })
    }

    /// The peer says what it thinks of our answer.
    fn verdict(&mut self, frame: &[u8]) -> Result<Step, AuthError> {
        match frame {
            WELCOME if self.is_server => {
                self.state = State::Over;
                let digest = self.digest.expect("the peer answered before it challenged");
                Ok(Step { send: None, done: Some(Established { digest, named: self.named }) })
            }
            WELCOME => {
                self.state = State::AwaitAnswer;
                Ok(Step { send: Some(self.challenge_frame()), done: None })
            }
            FAILURE => Err(AuthError::Rejected),
            _ => Err(AuthError::Unexpected { expected: "a verdict" }),
        }
    }

    fn challenge_frame(&self) -> Vec<u8> {
        [CHALLENGE, &self.challenge].concat()
    }
}

#[cfg(feature = "random")]
pub(crate) fn random_nonce() -> Result<[u8; NONCE], AuthError> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(|_| AuthError::NoRandom)?;
    Ok(nonce)
}
