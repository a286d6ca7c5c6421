//! The captured messages are read, and what is written again is the same graph.

mod support;

use fourfold_wire::Dialect;
use fourfold_wire::pickle::Value;
use support::messages;

#[test]
fn captured_messages_are_written_back_as_the_same_graph() {
    for message in messages() {
        let name = &message.name;
        let value = Value::read(&message.bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written = value.write(message.dialect).expect("what was read can be written");
        let again = Value::read(&written).unwrap_or_else(|error| panic!("{name}: {error}"));
        let third = Value::read(&again.write(message.dialect).expect("can be written"));
        assert_eq!(third.as_ref(), Ok(&again), "{name}");
        // Not every Python has the module that some have `queue.Empty` in.
        if !message.bytes.windows(6).any(|bytes| bytes == b"_queue") {
            assert_eq!(again, value, "{name}");
        }
    }
}

#[test]
fn captured_messages_can_be_said_to_everyone() {
    for message in messages() {
        let value = Value::read(&message.bytes).expect("a message");
        for dialect in [Dialect::Common, Dialect::Python2, Dialect::Python3] {
            let written = value.write(dialect).expect("can be said");
            assert!(Value::read(&written).is_ok(), "{}", message.name);
        }
    }
}
