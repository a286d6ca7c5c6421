//! The captured conversations, replayed at either end.

mod support;

use fourfold_wire::auth::{Challenge, Digest, Key, NONCE, Policy};
use fourfold_wire::pickle::{Reader, Value};
use fourfold_wire::talk::{
    Client, ClientOptions, Command, Reply, Request, Server, ServerOptions, TalkError,
};
use fourfold_wire::{Framing, frame};
use support::{Frame, conversations};

/// The key of the captured conversations.
const KEY: &[u8] = b"abc";

/// What a challenge was made with.
fn nonce(frame: &[u8]) -> (Policy, [u8; NONCE]) {
    let message = frame.strip_prefix(b"#CHALLENGE#").expect("a challenge");
    let mut nonce = [0; NONCE];
    let challenge = match message.strip_prefix(b"{sha256}") {
        Some(random) => {
            nonce.copy_from_slice(random);
            Challenge::Named(Digest::Sha256)
        }
        None => {
            nonce[..message.len()].copy_from_slice(message);
            Challenge::Legacy
        }
    };
    (Policy { challenge, allow_md5: true }, nonce)
}

/// Takes the frames out of bytes.
fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut decoder = frame::Decoder::default();
    decoder.push(bytes);
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next_frame().expect("whole frames") {
        frames.push(frame.to_vec());
    }
    assert_eq!(decoder.pending(), 0);
    frames
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(Framing::default(), payload, &mut out).expect("a short frame");
    out
}

/// A conversation that was captured from its start and whose peers came to trust each other.
fn trusted(frames: &[Frame]) -> bool {
    frames.len() > 6
        && frames[0].bytes.starts_with(b"#CHALLENGE#")
        && frames[2].bytes == b"#WELCOME#"
        && frames[5].bytes == b"#WELCOME#"
}

/// Feeds what the client of a captured conversation sent, and answers with what its server answered.
fn replay_to_server(conversation: &[Frame]) -> usize {
    let (policy, nonce) = nonce(&conversation[0].bytes);
    let mut options = ServerOptions::new(Key::new(KEY));
    options.policy = policy;
    let mut server = Server::new(&options, nonce);
    let (mut answered, mut accepted) = (0, false);
    for (at, frame) in conversation.iter().enumerate() {
        if frame.from_client {
            server.push(&framed(&frame.bytes));
            let request = server.next_request().expect("the conversation goes on");
            let Some(request) = request else { continue };
            let Some(answer) = conversation.get(at + 1) else { break };
            let answer = Reply::read(&Reader::new(), &answer.bytes).expect("a reply");
            let is_command = !accepted;
            if is_command && let Ok(Command::Accept(_)) = request.into_command() {
                accepted = true;
                server.accept();
            } else {
                server.reply(&answer);
            }
            answered += 1;
            assert_eq!(server.is_over(), !accepted);
        } else {
            let said = frames(server.output());
            server.sent(server.output().len());
            assert_eq!(said.len(), 1, "one answer at a time");
            if at < 6 {
                assert_eq!(said[0], frame.bytes, "the handshake is to the byte");
            } else {
                let read = |bytes| Reply::read(&Reader::new(), bytes).expect("a reply");
                let (ours, theirs) = (read(&said[0]), read(&frame.bytes));
                match &theirs {
                    // The exception is written by a name that every Python has.
                    Reply::Error(error) if error.module() == "queue" => {
                        assert!(
                            matches!(ours, Reply::Error(ours) if ours.is("queue", error.name()))
                        );
                    }
                    _ => assert_eq!(ours, theirs),
                }
            }
        }
    }
    answered
}

/// Feeds what the server of a captured conversation sent, and asks what its client asked.
fn replay_to_client(conversation: &[Frame]) -> usize {
    let (policy, nonce) = nonce(&conversation[3].bytes);
    let mut options = ClientOptions::new(Key::new(KEY));
    options.policy = policy;
    let mut client = Client::new(&options, nonce);
    let mut answered = 0;
    for (at, frame) in conversation.iter().enumerate() {
        if !frame.from_client {
            client.push(&framed(&frame.bytes));
            if at < 6 {
                client.shake_hands().expect("the handshake goes on");
            } else {
                let reply = client.next_reply().expect("the conversation goes on");
                assert_eq!(reply, Reply::read(&Reader::new(), &frame.bytes).ok());
                answered += 1;
            }
        } else if at < 6 {
            let said = frames(client.output());
            client.sent(client.output().len());
            assert_eq!(said, std::slice::from_ref(&frame.bytes), "the handshake is to the byte");
        } else {
            let read = |bytes| Request::read(&Reader::new(), bytes).expect("a request");
            let theirs = read(&frame.bytes);
            let args: Vec<_> = theirs.arguments.iter().map(|node| node.to_value()).collect();
            let named: Vec<_> =
                theirs.arguments.named().map(|(name, node)| (name, node.to_value())).collect();
            client
                .request(theirs.target.as_deref(), &theirs.function, &args, &named)
                .expect("it can be said");
            let said = frames(client.output());
            client.sent(client.output().len());
            let ours = read(&said[0]);
            assert_eq!((&ours.target, &ours.function), (&theirs.target, &theirs.function));
            assert_eq!(ours.arguments.iter().len(), args.len());
        }
    }
    answered
}

#[test]
fn captured_conversations_replay() {
    for (family, conversations) in conversations() {
        let (mut connections, mut answers) = (0, [0, 0]);
        for conversation in conversations.values() {
            if !trusted(conversation) {
                continue;
            }
            connections += 1;
            answers[0] += replay_to_server(conversation);
            answers[1] += replay_to_client(conversation);
        }
        assert!(
            connections > 40 && answers.iter().all(|&n| n > 100),
            "{family} {connections} {answers:?}"
        );
    }
}

#[test]
fn every_captured_message_is_a_request_or_a_reply() {
    for message in support::messages() {
        if message.from_client {
            let request = Request::read(&Reader::new(), &message.bytes).expect(&message.name);
            if request.target.is_none() {
                assert!(request.into_command().is_ok(), "{}", message.name);
            }
        } else {
            let reply = Reply::read(&Reader::new(), &message.bytes).expect(&message.name);
            let bytes = reply.write(message.dialect, Vec::new()).expect("it can be said");
            let again = Reply::read(&Reader::new(), &bytes).expect("what was written");
            assert!(again == reply || matches!(reply, Reply::Error(_)), "{}", message.name);
        }
    }
}

#[test]
fn another_key_ends_the_conversation() {
    let server = ServerOptions::new(Key::new(*b"one"));
    let client = ClientOptions::new(Key::new(*b"another"));
    let (mut server, mut client) =
        (Server::new(&server, [1; NONCE]), Client::new(&client, [2; NONCE]));
    client.push(server.output());
    server.sent(server.output().len());
    client.shake_hands().expect("a challenge to answer");
    server.push(client.output());
    assert!(matches!(server.next_request(), Err(TalkError::Auth(_))));
    assert!(server.is_over() && !server.is_authenticated());
    assert_eq!(frames(server.output()), [b"#FAILURE#"]);
    client.push(server.output());
    assert!(matches!(client.next_reply(), Err(TalkError::Auth(_))));
}

/// A connection past its handshake and `accept_connection`.
fn accepted() -> (Server, Client) {
    let mut server = Server::new(&ServerOptions::new(Key::new(KEY)), [1; NONCE]);
    let mut client = Client::new(&ClientOptions::new(Key::new(KEY)), [2; NONCE]);
    client.request(None, "accept_connection", &["a thread".into()], &[]).expect("it can be said");
    loop {
        client.push(server.output());
        server.sent(server.output().len());
        if client.next_reply().expect("it goes on").is_some() {
            return (server, client);
        }
        server.push(client.output());
        client.sent(client.output().len());
        if let Some(request) = server.next_request().expect("it goes on") {
            assert!(
                matches!(request.into_command(), Ok(Command::Accept(name)) if name == "a thread")
            );
            server.accept();
        }
    }
}

#[test]
fn a_message_that_is_no_request_is_answered_and_the_conversation_goes_on() {
    let (mut server, mut client) = accepted();
    for bad in [&b"garbage"[..], b"", b"N.", b"\x80\x04(NK\x01.", b"cos\nsystem\n(U\x04truetR."] {
        server.push(&framed(bad));
        assert!(server.next_request().expect("it goes on").is_none());
        client.push(server.output());
        server.sent(server.output().len());
        let reply = client.next_reply().expect("it goes on").expect("an answer");
        assert!(matches!(reply, Reply::Traceback(_)), "{reply:?}");
    }
    client.request(Some("7f"), "put", &[1.into()], &[]).expect("it can be said");
    server.push(client.output());
    let call = server.next_request().expect("it goes on").expect("a request");
    let call = call.into_call().expect("of an object");
    assert_eq!((call.target.as_str(), call.method.as_str()), ("7f", "put"));
    assert_eq!(call.arguments.get(0).and_then(|node| node.as_i64()), Some(1));
}

#[test]
fn a_second_request_waits_for_the_answer_to_the_first() {
    let (mut server, mut client) = accepted();
    client.request(Some("7f"), "one", &[], &[]).expect("it can be said");
    client.request(Some("7f"), "two", &[], &[]).expect("it can be said");
    server.push(client.output());
    assert_eq!(server.next_request().expect("ok").expect("a request").function, "one");
    assert!(server.next_request().expect("ok").is_none());
    server.reply(&Reply::none());
    assert_eq!(server.next_request().expect("ok").expect("a request").function, "two");
}

#[test]
fn arguments_are_bound_as_python_binds_them() {
    let (mut server, mut client) = accepted();
    let mut ask = |args: &[_], named: &[_]| {
        client.request(Some("7f"), "get", args, named).expect("it can be said");
        server.push(client.output());
        client.sent(client.output().len());
        let request = server.next_request().expect("ok").expect("a request");
        server.reply(&Reply::none());
        request.arguments
    };
    let bind = |arguments: &fourfold_wire::talk::Arguments| {
        let bound = arguments.bind("get", ["block", "timeout"], 0)?;
        Ok::<_, fourfold_wire::talk::Exception>(
            bound.map(|id| id.and_then(|id| arguments.node(id).as_f64())),
        )
    };
    let arguments = ask(&[true.into(), 2.5.into()], &[]);
    assert_eq!(bind(&arguments), Ok([None, Some(2.5)]));
    let arguments = ask(&[], &[("timeout", 3.into())]);
    assert_eq!(bind(&arguments), Ok([None, Some(3.0)]));
    let arguments = ask(&[1.into(), 2.into(), 3.into()], &[]);
    assert!(bind(&arguments).is_err());
    let arguments = ask(&[1.into()], &[("block", 1.into())]);
    assert!(bind(&arguments).unwrap_err().to_string().contains("multiple values"));
    let arguments = ask(&[], &[("nonsense", 1.into())]);
    assert!(bind(&arguments).unwrap_err().to_string().contains("nonsense"));
    assert!(ask(&[], &[]).bind("put", ["item"], 1).unwrap_err().is("builtins", "TypeError"));
}

#[test]
fn a_message_over_the_limit_is_answered_and_its_rest_thrown_away() {
    let (mut server, mut client) = accepted();
    let length = fourfold_wire::frame::DEFAULT_LIMIT + 1;
    let prefix = (length as u32).to_be_bytes();
    server.push(&[&prefix[..], &[7; 100]].concat());
    assert!(server.next_request().expect("it is answered").is_none());
    assert!(server.is_over());
    client.push(server.output());
    server.sent(server.output().len());
    match client.next_reply().expect("it goes on").expect("an answer") {
        Reply::Traceback(text) => assert!(text.contains("limit of 67108864"), "{text}"),
        other => panic!("{other:?}"),
    }
    let mut left = length - 100;
    while left > 0 {
        assert_eq!(server.refused(), left);
        let n = left.min(1 << 20);
        server.push(&vec![7; n as usize]);
        left -= n;
    }
    assert_eq!((server.refused(), server.pending()), (0, 0));
    assert!(server.capacity() < 64 << 10, "{}", server.capacity());
}

/// A reader that is always a little behind: the memory is that of what it has not read.
#[test]
fn output_that_is_never_all_sent_does_not_grow() {
    let (mut server, mut client) = accepted();
    let text = Value::from("x".repeat(10_000).as_str());
    for round in 0..2000 {
        client.request(Some("7f"), "get", &[], &[]).expect("it can be said");
        server.push(client.output());
        client.sent(client.output().len());
        assert!(server.next_request().expect("it goes on").is_some());
        server.reply(&Reply::Return(text.clone()));
        // In pieces that end anywhere.
        let keep = 1 + round % 5000;
        while server.output().len() > keep {
            let n = (server.output().len() - keep).min(3000);
            client.push(&server.output()[..n]);
            server.sent(n);
        }
        assert!(server.capacity() < 128 << 10, "{} in round {round}", server.capacity());
    }
    client.push(server.output());
    for _ in 0..2000 {
        assert_eq!(client.next_reply().expect("it goes on"), Some(Reply::Return(text.clone())));
    }
}
