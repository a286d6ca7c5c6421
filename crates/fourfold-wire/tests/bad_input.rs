//! What no Python writes: flipped, truncated and made-up pickles and frames end in an error, in bounded time and memory.

mod support;

use std::time::{Duration, Instant};

use fourfold_wire::auth::{Handshake, Key, NONCE, Policy};
use fourfold_wire::frame::Decoder;
use fourfold_wire::pickle::{Error, Limited, Limits, Reader, Value, from_value};
use fourfold_wire::talk::{Reply, Request};
use fourfold_wire::{Dialect, Framing};
use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use support::messages;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Tests of memory take turns: there is one allocator.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Reads, and does with what was read all that a server may do. Says whether it was a pickle.
fn digest(bytes: &[u8]) -> bool {
    let _ = Request::read(&Reader::new(), bytes).map(Request::into_command);
    let _ = Reply::read(&Reader::new(), bytes);
    let Ok(value) = Value::read(bytes) else { return false };
    for dialect in [Dialect::Common, Dialect::Python2, Dialect::Python3] {
        if let Ok(written) = value.write(dialect) {
            let again = Value::read(&written);
            assert!(again.is_ok(), "{bytes:x?} was written as {written:x?}: {again:?}");
        }
    }
    let _ = from_value::<serde_json::Value>(&value);
    let copy = value.root().to_value();
    assert!(copy.node_count() <= value.node_count());
    true
}

#[test]
fn captured_messages_with_each_byte_flipped() {
    let _turn = TURN.lock().unwrap_or_else(|turn| turn.into_inner());
    let (mut good, mut bad) = (0, 0);
    for message in messages() {
        let mut bytes = message.bytes;
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        for at in 0..bytes.len() {
            for mask in [0x01, 0x41, 0x80, 0xff] {
                bytes[at] ^= mask;
                *(if digest(&bytes) { &mut good } else { &mut bad }) += 1;
                bytes[at] ^= mask;
            }
        }
        let peak = ALLOCATOR.peak_usage() - before;
        assert!(peak < 4 << 20, "{}: {peak} bytes", message.name);
    }
    assert!(good > 1000 && bad > 1000, "{good} good, {bad} bad");
}

#[test]
fn captured_messages_cut_short() {
    for message in messages() {
        for len in 0..message.bytes.len() {
            let cut = Value::read(&message.bytes[..len]);
            assert!(cut.is_err(), "{} cut to {len}: {cut:?}", message.name);
        }
        let longer = [&message.bytes[..], b"N."].concat();
        assert!(matches!(Value::read(&longer), Err(Error::Trailing { .. })));
    }
}

/// Reads a bomb: what it took at most, in bytes beyond the pickle's own, and how it ended.
fn read_bomb(bytes: &[u8]) -> (usize, Result<Value, Error>) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let start = Instant::now();
    let result = Value::read(bytes);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    (ALLOCATOR.peak_usage() - before, result)
}

#[test]
fn lengths_that_are_not_there_take_no_memory() {
    let _turn = TURN.lock().unwrap_or_else(|turn| turn.into_inner());
    let far = [0xff, 0xff, 0xff, 0x7f];
    let farther = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    // BINSTRING, BINUNICODE, BINBYTES, LONG4 and their longer kin, FRAME, memo numbers.
    for opcode in *b"TXB\x8b" {
        let (memory, result) = read_bomb(&[&[opcode][..], &far, b"abc."].concat());
        assert!(result.is_err() && memory < 10_000, "{opcode:x}: {memory}");
    }
    for opcode in [0x8d, 0x8e, 0x96, 0x95] {
        let (memory, result) = read_bomb(&[&[0x80, 5, opcode][..], &farther, b"abc."].concat());
        assert!(result.is_err() && memory < 10_000, "{opcode:x}: {memory}");
    }
    let (memory, result) = read_bomb(&[&b"Nr"[..], &far, b"j", &far, b"."].concat());
    assert!(result.is_ok() && memory < 10_000, "{memory}");
}

#[test]
fn nesting_is_bounded() {
    let _turn = TURN.lock().unwrap_or_else(|turn| turn.into_inner());
    let tuples = |n: usize| [&b")"[..], &b"\x85".repeat(n), b"."].concat();
    assert!(Value::read(&tuples(9_000)).is_ok());
    let is_too_deep = |result: Result<Value, Error>| {
        matches!(result, Err(Error::Limit { what: Limited::Depth, limit: 10_000 }))
    };
    assert!(is_too_deep(Value::read(&tuples(11_000))));
    assert!(is_too_deep(Value::read(&b"(".repeat(20_000))));
    // A value is dropped, copied, compared and written without recursion.
    let mut limits = Limits::default();
    limits.depth = 2_000_000;
    let deep = Reader::new().limits(limits).read(&tuples(1_000_000)).expect("the limit is high");
    assert_eq!(deep.root().to_value(), deep);
    assert!(deep.write(Dialect::Python3).is_ok());
}

#[test]
fn bombs_of_shared_parts_are_read_in_proportion() {
    let _turn = TURN.lock().unwrap_or_else(|turn| turn.into_inner());
    let mut bytes = b"\x80\x04]\x94".to_vec();
    for level in 0..250u8 {
        bytes.extend_from_slice(&[b']', b'(', b'h', level, b'h', level, b'e', 0x94]);
    }
    bytes.push(b'.');
    let (memory, result) = read_bomb(&bytes);
    let value = result.expect("it is a list, if a strange one");
    assert!(memory < 1 << 20, "{memory}");
    assert_eq!(Value::read(&value.write(Dialect::Python2).expect("as it came")), Ok(value));
    // The same two names of a class, over and over, and a long text that is copied to bytes by calls.
    let long = b"x".repeat(100_000);
    let mut names = [&b"\x80\x04X"[..], &100_000u32.to_le_bytes(), &long, b"\x94"].concat();
    for _ in 0..50_000 {
        names.extend_from_slice(b"h\0h\0\x930");
    }
    names.extend_from_slice(b"N.");
    let (memory, result) = read_bomb(&names);
    assert!(result.is_err() && memory < 100 << 20, "{memory}");
    let mut calls = [&b"\x80\x04X"[..], &100_000u32.to_le_bytes(), &long, b"\x94"].concat();
    for _ in 0..10_000 {
        calls.extend_from_slice(b"c_codecs\nencode\nh\0\x8c\x06latin1\x86R0");
    }
    calls.extend_from_slice(b"N.");
    let (memory, _) = read_bomb(&calls);
    assert!(memory < 200 << 20, "{memory}");
}

#[test]
fn many_small_values_stay_within_a_factor() {
    let _turn = TURN.lock().unwrap_or_else(|turn| turn.into_inner());
    let bytes = [&b"]("[..], &b"]".repeat(2_000_000), b"e."].concat();
    let (memory, result) = read_bomb(&bytes);
    assert!(result.is_ok());
    assert!(memory < 120 * bytes.len(), "{} times as much", memory / bytes.len());
    let bytes = [&b"]("[..], &b"]".repeat(5_000_000), b"e."].concat();
    let (_, result) = read_bomb(&bytes);
    assert!(matches!(result, Err(Error::Limit { what: Limited::Nodes, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn made_up_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        digest(&bytes);
        digest(&[&[0x80, 4][..], &bytes, b"."].concat());
    }

    /// Opcodes that mean something, in an order that does not.
    #[test]
    fn made_up_programs(ops in prop::collection::vec(prop::sample::select(PIECES), 0..60)) {
        let mut bytes = vec![0x80, 4];
        for piece in ops {
            bytes.extend_from_slice(piece);
        }
        bytes.push(b'.');
        digest(&bytes);
    }

    #[test]
    fn made_up_frames(bytes in prop::collection::vec(any::<u8>(), 0..100), limit in 0u64..300) {
        for framing in [Framing::Python2, Framing::Python36, Framing::Python38] {
            let mut decoder = Decoder::new(framing, limit);
            for chunk in bytes.chunks(7) {
                decoder.push(chunk);
                while let Ok(Some(frame)) = decoder.next_frame() {
                    prop_assert!(frame.len() as u64 <= limit);
                }
            }
        }
    }

    #[test]
    fn made_up_handshakes(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..6)) {
        let key = Key::new(*b"key");
        for mut end in [
            Handshake::server(key.clone(), Policy::default(), [1; NONCE]),
            Handshake::client(key, Policy::default(), [2; NONCE]),
        ] {
            for frame in &frames {
                prop_assert!(!matches!(end.receive(frame), Ok(step) if step.done.is_some()));
            }
        }
    }
}

const PIECES: &[&[u8]] = &[
    b"(",
    b"N",
    b"K\x01",
    b"\x8c\x01a",
    b"]",
    b"}",
    b")",
    b"\x8f",
    b"a",
    b"e",
    b"s",
    b"u",
    b"t",
    b"\x85",
    b"\x86",
    b"\x87",
    b"\x90",
    b"\x91",
    b"\x94",
    b"h\0",
    b"h\x01",
    b"h\x02",
    b"2",
    b"0",
    b"1",
    b"R",
    b"\x81",
    b"\x92",
    b"b",
    b"\x93",
    b"cbuiltins\nset\n",
    b"cbuiltins\nbytearray\n",
    b"c_codecs\nencode\n",
    b"ccollections\ndeque\n",
    b"(i__main__\nOld\n",
    b"o",
    b"l",
    b"d",
    b"q\x05",
    b"r\0\0\0\x01",
    b"U\x01b",
    b"C\x01\xff",
    b"L12L\n",
    b"\x8a\x01\x05",
    b"G\0\0\0\0\0\0\0\0",
];
