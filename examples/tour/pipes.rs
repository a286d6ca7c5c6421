//! Pipes, one way and two ways: messages come whole and in order, and an end that is closed is told of at once.

use fourfold::green;
use fourfold::prelude::*;
use fourfold::thread::{Duplex, GetError, PutError, Receiver, Sender};

/// Sends messages of every length, and closes its end.
fn send(sender: Sender<String>) -> fourfold::Result<()> {
    for length in 0..2000 {
        sender.send("x".repeat(length))?;
    }
    Ok(())
}

/// Says of what lengths the messages were.
fn receive(receiver: Receiver<String>) -> Vec<usize> {
    receiver.iter().map(|message| message.len()).collect()
}

/// Answers in upper case, until the other end is closed.
fn answer(end: Duplex<String>) -> fourfold::Result<usize> {
    let mut count = 0;
    while let Ok(message) = end.recv() {
        end.send(message.to_uppercase())?;
        count += 1;
    }
    Ok(count)
}

/// Waits at a pipe that nobody sends to.
fn wait(receiver: Receiver<()>, ready: Sender<()>) -> fourfold::Result<GetError> {
    ready.send(())?;
    Ok(receiver.recv().expect_err("nobody sends"))
}

/// As `send`, `receive`, `answer` and `wait`, for another process: the same, but for the types of the ends.
mod elsewhere {
    use fourfold::process::{Duplex, Receiver, Sender};

    pub(super) fn send(sender: Sender<String>) {
        (0..2000).for_each(|length| sender.send("x".repeat(length)).unwrap());
    }

    pub(super) fn receive(receiver: Receiver<String>) -> Vec<usize> {
        receiver.iter().map(|message| message.len()).collect()
    }

    pub(super) fn answer(end: Duplex<String>) -> usize {
        let mut count = 0;
        while let Ok(message) = end.recv() {
            end.send(message.to_uppercase()).unwrap();
            count += 1;
        }
        count
    }

    pub(super) fn wait(receiver: Receiver<()>, ready: Sender<()>) -> String {
        ready.send(()).unwrap();
        format!("{:?}", receiver.recv().expect_err("nobody sends"))
    }

    /// Sends until it is killed.
    pub(super) fn send_on(sender: Sender<Vec<u8>>) {
        while sender.send(vec![7; 100_000]).is_ok() {}
    }
}

macro_rules! program {
    ($scale:ident) => {{
        println!("{}:", stringify!($scale));
        let (sender, receiver) = $scale::pipe();
        let to = $scale::spawn(receive, receiver)?;
        $scale::spawn(send, sender)?.join()??;
        let lengths = to.join()?;
        assert!(lengths.iter().copied().eq(0..2000));
        println!("  one way: {} messages, whole and in order", lengths.len());

        let (mine, other) = $scale::duplex();
        let child = $scale::spawn(answer, other)?;
        mine.send("good day".to_owned())?;
        mine.send("good night".to_owned())?;
        println!("  two ways: {:?}, {:?}", mine.recv()?, mine.recv()?);
        drop(mine);
        println!("  closed here: it ends there, after {} answers", child.join()??);

        let (sender, receiver) = $scale::pipe();
        let (ready, is_ready) = $scale::pipe();
        let child = $scale::spawn(wait, (receiver, ready))?;
        is_ready.recv()?;
        drop(sender);
        println!("  closed, nothing sent: who waits there is told {:?}", child.join()??);

        let (sender, receiver) = $scale::pipe();
        sender.send("sent before")?;
        drop(sender);
        println!("  closed after a message: {:?}, {:?}", receiver.recv(), receiver.recv());
        let (sender, receiver) = $scale::pipe();
        drop(receiver);
        let Err(PutError::ShutDown(message)) = sender.send("for nobody") else { panic!("sent") };
        println!("  the receiver is gone: the sender has its message back: {message:?}");
    }};
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    program!(green);
    program!(thread);
    between_processes()
}

fn between_processes() -> fourfold::Result<()> {
    use fourfold::process::{GetError, PutError};

    println!("process:");
    let (sender, receiver) = process::pipe()?;
    let to = process::spawn(elsewhere::receive, receiver)?;
    process::spawn(elsewhere::send, sender)?.join()?;
    let lengths = to.join()?;
    assert!(lengths.iter().copied().eq(0..2000));
    println!("  one way: {} messages, whole and in order", lengths.len());

    let (mine, other) = process::duplex()?;
    let child = process::spawn(elsewhere::answer, other)?;
    mine.send("good day".to_owned())?;
    mine.send("good night".to_owned())?;
    println!("  two ways: {:?}, {:?}", mine.recv()?, mine.recv()?);
    drop(mine);
    println!("  closed here: it ends there, after {} answers", child.join()?);

    let (sender, receiver) = process::pipe()?;
    let (ready, is_ready) = process::pipe()?;
    let child = process::spawn(elsewhere::wait, (receiver, ready))?;
    is_ready.recv()?;
    drop(sender);
    println!("  closed, nothing sent: who waits there is told {}", child.join()?);

    let (sender, receiver) = process::pipe()?;
    sender.send("sent before".to_owned())?;
    drop(sender);
    println!("  closed after a message: {:?}, {:?}", receiver.recv(), receiver.recv());
    let (sender, receiver) = process::pipe()?;
    drop(receiver);
    let Err(PutError::ShutDown(message)) = sender.send("for nobody".to_owned()) else {
        panic!("sent")
    };
    println!("  the receiver is gone: the sender has its message back: {message:?}");

    let (sender, receiver) = process::pipe()?;
    let child = process::spawn(elsewhere::send_on, sender)?;
    assert_eq!(receiver.recv()?.len(), 100_000);
    child.kill();
    assert!(receiver.iter().all(|message| message == vec![7; 100_000]));
    assert!(matches!(receiver.recv(), Err(GetError::ShutDown)));
    println!(
        "  the sender is killed: whole messages, and then the end; {}",
        child.join().unwrap_err().kind()
    );
    Ok(())
}
