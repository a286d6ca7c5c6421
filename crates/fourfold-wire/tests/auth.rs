//! Both ends of the authentication against each other, in all their mixtures.

use fourfold_wire::auth::{
    AuthError, Challenge, Digest, Established, Handshake, Key, NONCE, Policy,
};

const NAMED: Policy = Policy { challenge: Challenge::Named(Digest::Sha256), allow_md5: true };
const LEGACY: Policy = Policy { challenge: Challenge::Legacy, allow_md5: true };
const STRICT: Policy = Policy { challenge: Challenge::Named(Digest::Sha256), allow_md5: false };

/// Who failed, and why.
#[derive(Debug, PartialEq)]
enum Failed {
    Server(AuthError),
    Client(AuthError),
}

fn run(
    server: Policy,
    server_key: &[u8],
    client: Policy,
    client_key: &[u8],
) -> Result<(Established, Established), Failed> {
    let mut server = Handshake::server(Key::new(server_key), server, [1; NONCE]);
    let mut client = Handshake::client(Key::new(client_key), client, [2; NONCE]);
    assert_eq!(client.start(), None);
    let mut frame = server.start().expect("a server speaks first");
    let mut client_sees = None;
    for _ in 0..4 {
        let step = client.receive(&frame).map_err(Failed::Client)?;
        client_sees = step.done.or(client_sees);
        let answer = step.send.expect("an answer to each frame");
        let step = match server.receive(&answer) {
            Ok(step) => step,
            Err(error) => {
                assert!(server.is_over());
                if let Some(reply) = error.reply() {
                    assert_eq!(client.receive(reply), Err(AuthError::Rejected));
                }
                return Err(Failed::Server(error));
            }
        };
        match step.send {
            Some(next) => frame = next,
            None => {
                assert!(server.is_over() && client.is_over());
                assert_eq!(server.receive(b"#WELCOME#"), Err(AuthError::Over));
                return Ok((step.done.expect("the end"), client_sees.expect("the end")));
            }
        }
    }
    panic!("a handshake of more than eight frames");
}

#[test]
fn policies_that_agree() {
    let key = b"a key that both have";
    for digest in Digest::ALL {
        let policy = Policy { challenge: Challenge::Named(digest), allow_md5: true };
        let both = Established { digest, named: true };
        assert_eq!(run(policy, key, policy, key), Ok((both, both)));
    }
    let md5 = Established { digest: Digest::Md5, named: false };
    assert_eq!(run(LEGACY, key, LEGACY, key), Ok((md5, md5)));
    // Each end answers in the form that the other asks for.
    let (server, client) = run(LEGACY, key, NAMED, key).expect("a mixed handshake");
    assert_eq!((server.digest, client.digest), (Digest::Md5, Digest::Sha256));
    let (server, client) = run(NAMED, key, LEGACY, key).expect("a mixed handshake");
    assert_eq!((server.digest, client.digest), (Digest::Sha256, Digest::Md5));
}

#[test]
fn another_key_is_refused() {
    for policy in [NAMED, LEGACY, STRICT] {
        for (server, client) in [("one", "another"), ("one", ""), ("", "one")] {
            let result = run(policy, server.as_bytes(), policy, client.as_bytes());
            assert_eq!(result, Err(Failed::Server(AuthError::WrongKey)));
        }
    }
}

#[test]
fn md5_is_refused_on_request() {
    let key = b"key";
    assert_eq!(run(LEGACY, key, STRICT, key), Err(Failed::Client(AuthError::Md5Refused)));
    let mut server = Handshake::server(Key::new(key), STRICT, [1; NONCE]);
    assert_eq!(server.receive(&[0; 16]), Err(AuthError::Md5Refused));
    let mut server = Handshake::server(Key::new(key), STRICT, [1; NONCE]);
    assert_eq!(server.receive(b"{md5}0123456789abcdef"), Err(AuthError::Md5Refused));
    assert!(run(STRICT, key, NAMED, key).is_ok());
}

/// A client that knows no key cannot get in by sending the server's own words back to it.
#[test]
fn reflected_frames_prove_nothing() {
    let server = || Handshake::server(Key::new(b"key"), NAMED, [1; NONCE]);
    let challenge = server().start().expect("a challenge");
    for frame in [&challenge[..], &challenge[11..], b"#WELCOME#", b"", b"{sha256}"] {
        let error = server().receive(frame).expect_err("no proof");
        assert!(matches!(error, AuthError::WrongKey | AuthError::UnknownDigest), "{error:?}");
    }
    let mut client = Handshake::client(Key::new(b"key"), NAMED, [1; NONCE]);
    assert!(client.receive(b"#WELCOME#").is_err());
}

#[test]
fn frames_that_make_no_sense() {
    let fails = |frames: &[&[u8]]| {
        let mut client = Handshake::client(Key::new(b"key"), NAMED, [2; NONCE]);
        let mut last = None;
        for frame in frames {
            last = client.receive(frame).err();
        }
        last
    };
    let named = b"#CHALLENGE#{sha256}0123456789012345678901234567890123456789";
    let unknown = b"#CHALLENGE#{sha512}0123456789012345678901234567890123456789";
    let nameless = b"#CHALLENGE#0123456789012345678901234567890123456789";
    assert_eq!(fails(&[b"hello"]), Some(AuthError::Unexpected { expected: "a challenge" }));
    assert_eq!(fails(&[b"#CHALLENGE#short"]), Some(AuthError::ShortChallenge));
    assert_eq!(fails(&[unknown]), Some(AuthError::UnknownDigest));
    assert_eq!(fails(&[nameless]), Some(AuthError::UnknownDigest));
    assert_eq!(fails(&[named, b"#FAILURE#"]), Some(AuthError::Rejected));
    assert_eq!(fails(&[named, b"#WELCOME"]), Some(AuthError::Unexpected { expected: "a verdict" }));
    assert_eq!(fails(&[named, b"#WELCOME#", b"0123456789abcdef"]), Some(AuthError::WrongKey));
    assert_eq!(fails(&[b"hello", named]), Some(AuthError::Over));
}

#[cfg(feature = "random")]
#[test]
fn challenges_drawn_from_the_system_differ() {
    let start = || Handshake::server_random(Key::new(b"key"), NAMED).expect("random").start();
    assert_ne!(start(), start());
}
