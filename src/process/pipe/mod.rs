//! Pipes between processes: two ends, and messages of any size that go from one to the other whole.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `ends.rs`, `duplex.rs` | the ends: their methods, and how they travel |
//! | `socket.rs` | a message on its way: one packet, whatever its size |
//!
//! A pipe is a pair of Unix sockets that keep packets apart (`SOCK_SEQPACKET`). A message is one packet, with the descriptors in it; the
//! bytes of a longer one are in a memory file that goes along as a descriptor. So each message is sent and received by one
//! system call, all of it or nothing, by however many threads and processes, and needs no lock. Who is killed has sent a
//! message or has not; the kernel closes its end, and whoever waits at the other is told.

mod duplex;
mod ends;
mod socket;

pub use self::duplex::Duplex;
pub use self::ends::{Receiver, Sender};

use crate::error::Result;

/// A pipe between processes, one way: messages come out whole, and in the order they were sent, of any size.
///
/// An end is used here, or goes to another process, as an argument or a value of a task or in a message of another pipe: it
/// is **moved** there, and closed here once it is on its way. So the receiver gets what was sent before, and then the end of the
/// pipe, as soon as every copy of the sending end is gone, whether dropped or with a process that was killed.
///
/// Several threads share an end by reference, several processes by copies made with `try_clone`: a message is received by one of
/// them, whole. A message may hold descriptors ([`Fd`](super::Fd)), up to 252, and ends of pipes.
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | messages of any type that is `Send`, not copied; the pipe has room for 1,024; no call can fail |
/// | `process` | messages of any serde type ([`Payload`](crate::task::Payload)); each call can fail; the pipe has room for some 270 small messages or 200 KiB of longer ones, one of more than 64 KiB counting as small |
///
/// After [`fork`](super::fork()) both processes have both ends: each drops those that it does not use.
///
/// # Errors
///
/// If this process has no descriptor left: a pipe takes two.
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, Receiver};
///
/// fn add(numbers: Receiver<u64>) -> u64 {
///     numbers.iter().sum()
/// }
///
/// let (sender, receiver) = process::pipe()?;
/// let child = process::spawn(add, receiver)?;
/// for n in 0..100 {
///     sender.send(n)?;
/// }
/// drop(sender);
/// assert_eq!(child.join()?, 4950);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn pipe<T>() -> Result<(Sender<T>, Receiver<T>)> {
    let (ours, theirs) = socket::pair()?;
    Ok((Sender::new(ours), Receiver::new(theirs)))
}

/// A pipe between processes that goes both ways. Each way is as that of [`pipe`].
///
/// # Errors
///
/// If this process has no descriptor left: it takes four.
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, Duplex};
///
/// fn answer(end: Duplex<String, u32>) {
///     while let Ok(number) = end.recv() {
///         end.send(format!("<{number}>")).unwrap();
///     }
/// }
///
/// let (here, there) = process::duplex::<u32, String>()?;
/// let child = process::spawn(answer, there)?;
/// here.send(7)?;
/// assert_eq!(here.recv()?, "<7>");
/// drop(here);
/// child.join()?;
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn duplex<A, B>() -> Result<(Duplex<A, B>, Duplex<B, A>)> {
    let (forth, taken_there) = pipe()?;
    let (back, taken_here) = pipe()?;
    Ok((Duplex::new(forth, taken_here), Duplex::new(back, taken_there)))
}
