//! Finding a coroutine that hogs its thread, and where.
//!
//! A hub counts its turns: the number is odd while a coroutine runs. A watcher, on a thread of its own, looks at that number of each
//! hub; one that stays the same, and odd, for too long is that of a hog. It then sends the hub's thread a signal, whose handler notes
//! the name of the coroutine and the addresses that are being returned to, in atomics, and nothing else: it runs at any place of the
//! program, so it takes no lock and no memory. The watcher makes names of them.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::hub::{self, Remote};
use crate::error::{Error, ErrorKind, Result, Scale};
use crate::system::Handlers;

/// Its default is to be ignored, and hardly anybody uses it for what it is for.
const SIGNAL: c_int = libc::SIGURG;

/// How long a thread may take to answer.
const ANSWER: Duration = Duration::from_millis(200);

/// Watches over the coroutines of all hubs of this process, until the value is dropped: one that runs longer than `limit` without
/// a wait is told of on standard error, with its name and the calls that it is in. Each such run is told of once.
///
/// It costs a thread that looks four times within `limit`, and a signal, SIGURG, to the thread of the hog. (With the feature `watch`.)
///
/// # Errors
///
/// [`InvalidInput`](ErrorKind::InvalidInput) if `limit` is zero; [`NotStarted`](ErrorKind::NotStarted) if the system gives no thread.
///
/// # Examples
///
/// ```
/// use fourfold::green;
/// use std::time::Duration;
///
/// let watch = green::watch(Duration::from_millis(100))?;
/// green::run(|| green::sleep(Duration::from_millis(1)))?; // it waits: nothing to tell
/// drop(watch);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn watch(limit: Duration) -> Result<Watch> {
    watch_with(limit, |hog| crate::system::tell(format_args!("fourfold: {hog}")))
}

/// As [`watch`], but `report` is called, on the watcher's thread.
///
/// # Errors
///
/// As [`watch`].
///
/// # Examples
///
/// ```
/// use fourfold::green;
/// use std::sync::mpsc::channel;
/// use std::time::{Duration, Instant};
///
/// let (sender, hogs) = channel();
/// let _watch = green::watch_with(Duration::from_millis(10), move |hog| {
///     sender.send(hog.name().to_owned()).unwrap();
/// })?;
/// let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
/// let until = stop.clone();
/// let busy = move || while !until.load(std::sync::atomic::Ordering::Relaxed) {};
/// let child = green::Builder::new().name("busy").spawn(busy, ())?;
/// assert_eq!(hogs.recv().unwrap(), "busy");
/// stop.store(true, std::sync::atomic::Ordering::Relaxed);
/// child.join()?;
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn watch_with(limit: Duration, report: impl Fn(&Hog) + Send + 'static) -> Result<Watch> {
    if limit.is_zero() {
        return Err(Error::invalid("a limit of no time makes every coroutine a hog"));
    }
    // SAFETY: `on_signal` is async-signal-safe: it writes atomics, walks the stack, and passes the signal on.
    unsafe { HANDLERS.install(on_signal, libc::SA_RESTART) };
    let end = Arc::new((Mutex::new(false), Condvar::new()));
    let seen = end.clone();
    let look = move || look_about(limit, &seen, &report);
    let thread = std::thread::Builder::new().name("green-watch".into()).spawn(look);
    let thread = thread.map_err(|error| {
        Error::new(ErrorKind::NotStarted)
            .with_scale(Scale::Green)
            .with_message("the system gave no thread for a watcher")
            .with_source(error)
    })?;
    Ok(Watch { end, thread: Some(thread) })
}

/// A watcher over coroutines: see [`watch`]. It ends when this is dropped.
#[must_use = "the watcher ends when this is dropped"]
pub struct Watch {
    end: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.end.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = true;
        self.end.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the report's: the panic hook has told of it.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// A coroutine that holds its thread, as a [`watch`] has found it.
#[derive(Clone, Debug)]
pub struct Hog {
    id: u64,
    name: String,
    held: Duration,
    calls: Vec<String>,
}

impl Hog {
    /// The number of the coroutine.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its name; as the compiler spells its function, if it was given none. At most 128 bytes of it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long, at least, it has held its thread so far.
    pub fn held(&self) -> Duration {
        self.held
    }

    /// The calls that it is in, the innermost first, each with its place where known: at most 64.
    pub fn calls(&self) -> &[String] {
        &self.calls
    }
}

impl fmt::Display for Hog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "coroutine '{}' has held its thread for {:?}, in", self.name, self.held)?;
        self.calls.iter().try_for_each(|call| write!(f, "\n    {call}"))
    }
}

/// What is remembered of a hub between two looks.
struct Last {
    pulse: u64,
    since: Instant,
    told: bool,
}

fn look_about(limit: Duration, end: &(Mutex<bool>, Condvar), report: &dyn Fn(&Hog)) {
    let mut lasts: Vec<Last> = Vec::new();
    // Names are looked up in tables that are read the first time, which may take a second.
    name_calls(vec![look_about as *const () as usize]);
    let pause = (limit / 4).max(Duration::from_millis(1));
    let mut ended = end.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    while !*ended {
        drop(ended);
        let now = Instant::now();
        for (index, remote) in Remote::all().into_iter().enumerate() {
            let pulse = remote.pulse.load(Ordering::Relaxed);
            if index == lasts.len() {
                lasts.push(Last { pulse, since: now, told: false });
            }
            let last = &mut lasts[index];
            if last.pulse != pulse {
                *last = Last { pulse, since: now, told: false };
            } else if pulse % 2 == 1 && !last.told && now - last.since >= limit {
                last.told = true;
                if let Some(hog) = ask(remote, now - last.since) {
                    report(&hog);
                }
            }
        }
        ended = end.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !*ended {
            ended = end.1.wait_timeout(ended, pause).unwrap_or_else(|p| p.into_inner()).0;
        }
    }
}

/// What a handler notes. One thread is asked at a time.
struct Sample {
    /// Who is asked; 0 when it has answered, and if nobody is.
    thread: AtomicI32,
    id: AtomicU64,
    name: [AtomicU8; 128],
    name_length: AtomicUsize,
    addresses: [AtomicUsize; 64],
    count: AtomicU32,
}

static SAMPLE: Sample = Sample {
    thread: AtomicI32::new(0),
    id: AtomicU64::new(0),
    name: [const { AtomicU8::new(0) }; 128],
    name_length: AtomicUsize::new(0),
    addresses: [const { AtomicUsize::new(0) }; 64],
    count: AtomicU32::new(0),
};

/// Asks the thread of a hub what it does.
fn ask(remote: &Remote, held: Duration) -> Option<Hog> {
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let thread = remote.thread.load(Ordering::Relaxed);
    SAMPLE.thread.store(thread, Ordering::Release);
    // SAFETY: a call on numbers. A thread that has ended meanwhile is an error, or another of this process, which does not answer.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, SIGNAL) };
    let end = Instant::now() + ANSWER;
    // Acquire pairs with the Release of the handler.
    while sent == 0 && SAMPLE.thread.load(Ordering::Acquire) != 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_micros(100));
    }
    if SAMPLE.thread.swap(0, Ordering::Acquire) != 0 {
        return None;
    }
    let id = SAMPLE.id.load(Ordering::Relaxed);
    if id == 0 {
        return None;
    }
    let length = SAMPLE.name_length.load(Ordering::Relaxed);
    let name: Vec<u8> = SAMPLE.name[..length].iter().map(|b| b.load(Ordering::Relaxed)).collect();
    let count = SAMPLE.count.load(Ordering::Relaxed) as usize;
    let addresses: Vec<usize> =
        SAMPLE.addresses[..count].iter().map(|a| a.load(Ordering::Relaxed)).collect();
    // Making names may take a second, the first time.
    drop(one);
    let calls = name_calls(addresses);
    Some(Hog { id, name: String::from_utf8_lossy(&name).into_owned(), held, calls })
}

/// Makes names of addresses: those between the handler and the beginning of the coroutine.
fn name_calls(addresses: Vec<usize>) -> Vec<String> {
    let mut calls = Vec::new();
    for address in addresses {
        let mut over = false;
        // A return address is after the call, which may be the last of its function.
        backtrace::resolve(ptr::without_provenance_mut(address.saturating_sub(1)), |symbol| {
            let Some(name) = symbol.name() else { return };
            let name = format!("{name:#}");
            if name.contains("green::watch::on_signal") || name.contains("__restore_rt") {
                calls.clear();
                return;
            }
            over |= name.contains("green::body::Body");
            let place = match (symbol.filename(), symbol.lineno()) {
                (Some(file), Some(line)) => format!(" at {}:{line}", file.display()),
                _ => String::new(),
            };
            calls.push(format!("{name}{place}"));
        });
        if over {
            calls.pop();
            break;
        }
    }
    calls
}

static HANDLERS: Handlers<1> = Handlers::of([SIGNAL]);

extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: asks for a number.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) } as i32;
    if SAMPLE.thread.load(Ordering::Acquire) == thread {
        note();
        // Release: who sees the answer sees what is in it.
        SAMPLE.thread.store(0, Ordering::Release);
        return;
    }
    // By default it does nothing.
    // SAFETY: both are what the kernel gave.
    let _ = unsafe { HANDLERS.pass_on(signal, info, context) };
}

fn note() {
    let Some(running) = hub::running() else { return SAMPLE.id.store(0, Ordering::Relaxed) };
    // SAFETY: the control of a coroutine that runs, which is this thread, is alive.
    let control = unsafe { &*running.control };
    SAMPLE.id.store(control.id, Ordering::Relaxed);
    control.with_raw_name(|name| {
        let bytes = name.as_bytes().iter().take(SAMPLE.name.len());
        SAMPLE.name_length.store(bytes.len(), Ordering::Relaxed);
        for (place, byte) in SAMPLE.name.iter().zip(bytes) {
            place.store(*byte, Ordering::Relaxed);
        }
    });
    let mut count = 0;
    // SAFETY: its lock is for looking up names, which is not done here.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            SAMPLE.addresses[count].store(frame.ip().addr(), Ordering::Relaxed);
            count += 1;
            count < SAMPLE.addresses.len()
        });
    }
    SAMPLE.count.store(count as u32, Ordering::Relaxed);
}
