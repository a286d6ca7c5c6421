//! What these tests and those of the feature `patch` share: a deadline that fails loudly, and a listener that is full.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use fourfold::green;
use fourfold::green::net::TcpStream;

/// Far more than any test takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `f` on a thread of its own, and fails if it has not ended in time.
pub(crate) fn in_time<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = sync_channel(1);
    let thread = thread::spawn(move || {
        let value = f();
        let _ = sender.send(value);
    });
    match receiver.recv_timeout(PATIENCE) {
        Ok(value) => {
            thread.join().unwrap();
            value
        }
        Err(RecvTimeoutError::Timeout) => panic!("not done within {PATIENCE:?}"),
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Ok(()) => unreachable!("it sends before it ends"),
            Err(panic) => std::panic::resume_unwind(panic),
        },
    }
}

/// Runs `f` as the first coroutine of a hub, and fails if it has not ended in time.
pub(crate) fn on_a_hub<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    in_time(|| green::run(f).unwrap())
}

/// A listener whose queue of connections is full.
pub(crate) struct Full {
    pub(crate) address: std::net::SocketAddr,
    _listener: std::os::fd::OwnedFd,
    _waiting: Vec<TcpStream>,
}

pub(crate) fn full_listener() -> Full {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&fd, &"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap()).unwrap();
    listen(&fd, 0).unwrap();
    let address = std::net::SocketAddr::try_from(getsockname(&fd).unwrap()).unwrap();
    let mut waiting = Vec::new();
    for _ in 0..100 {
        match TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
            Ok(stream) => waiting.push(stream),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
                return Full { address, _listener: fd, _waiting: waiting };
            }
        }
    }
    panic!("a queue that never is full");
}
