//! Starting a program in a child process, at a cost that does not depend on how big this process is.
//!
//! A clone that shares memory (`CLONE_VM`) and holds the calling thread until the child has executed or ended
//! (`CLONE_VFORK`), on a stack of its own. Until then the child runs in our memory: it allocates nothing, takes no
//! lock, calls async-signal-safe functions only, and no signal handler of ours can run in it: it begins without any, or with
//! all signals blocked until they are reset. What failed it leaves in the `Context`, which is ours as well.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;

use super::lifeline::Lifeline;
use super::pidfd;

/// What to start, and how.
#[derive(Clone, Copy, Default)]
pub(crate) struct Plan<'a> {
    /// The paths to try, in order.
    pub(crate) programs: &'a [CString],
    pub(crate) argv: &'a [CString],
    /// The environment; that of this process if `None`.
    pub(crate) envp: Option<&'a [CString]>,
    pub(crate) cwd: Option<&'a CStr>,
    /// Descriptors of this process, and the numbers they get in the child.
    pub(crate) fds: &'a [(RawFd, RawFd)],
    /// Descriptors from this number on are not inherited, whether or not they were marked so.
    pub(crate) close_from: u32,
    /// Aimed at the child's group. The child leads a group of its own in any case.
    pub(crate) lifeline: Option<&'a Lifeline>,
    pub(crate) limits: &'a [(u32, libc::rlimit)],
    /// The `cgroup.procs` of the group that the child puts itself in.
    pub(crate) cgroup: Option<RawFd>,
}

/// A child that has executed its program.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) pid: u32,
    pub(crate) pidfd: OwnedFd,
}

/// What the child reads, and where it says what failed.
struct Context<'a> {
    plan: &'a Plan<'a>,
    programs: &'a [*const c_char],
    argv: *const *const c_char,
    envp: *const *const c_char,
    reset_handlers: bool,
    /// The error number, and the step that it came from; 0 while nothing has failed.
    failure: Cell<(c_int, &'static str)>,
}

/// Starts the program.
///
/// # Errors
///
/// What kept it from being executed, with the step in the text. No child is left behind.
pub(crate) fn spawn(plan: &Plan<'_>) -> io::Result<Spawned> {
    let programs: Vec<*const c_char> = plan.programs.iter().map(|path| path.as_ptr()).collect();
    let argv = pointers(plan.argv);
    let envp = plan.envp.map(pointers);
    let context = Context {
        plan,
        programs: &programs,
        argv: argv.as_ptr(),
        envp: match &envp {
            Some(envp) => envp.as_ptr(),
            // SAFETY: the C library's own variable; who changes the environment meanwhile breaks the rules of `set_var`.
            None => unsafe { environ }.cast(),
        },
        reset_handlers: false,
        failure: Cell::new((0, "")),
    };
    let (pid, pidfd) = with_stack(|stack| clone(context_of(&context), stack))?;
    // SAFETY: CLONE_PIDFD has put a fresh descriptor here.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let (number, step) = context.failure.get();
    if number != 0 {
        // Nor is anything left to be waited for where SIGCHLD is ignored.
        let _ = pidfd::reap_blocking(&pidfd);
        let error = io::Error::from_raw_os_error(number);
        return Err(match step {
            "execve" => error,
            step => io::Error::new(error.kind(), format!("{step}: {error}")),
        });
    }
    Ok(Spawned { pid: pid as u32, pidfd })
}

unsafe extern "C" {
    static environ: *const *mut c_char;
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

fn context_of(context: &Context<'_>) -> *mut c_void {
    ptr::from_ref(context).cast_mut().cast()
}

/// Runs this with all signals blocked but `but`, if there is one.
fn with_signals_blocked<R>(but: Option<c_int>, run: impl FnOnce() -> R) -> R {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut old = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are places of their type; each is filled before it is read.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        if let Some(signal) = but {
            libc::sigdelset(all.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr());
        let result = run();
        libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), ptr::null_mut());
        result
    }
}

/// Bytes of the child's stack. It calls nothing deep.
const STACK: usize = 64 << 10;

struct Stack(*mut c_void);

thread_local! {
    /// The stack of this thread's next child: the thread waits while one uses it.
    static SPARE: RefCell<Option<Stack>> = const { RefCell::new(None) };
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: mapped in `with_stack`, and no child runs on it: clone returns after it has executed or ended.
        unsafe { libc::munmap(self.0, STACK) };
    }
}

fn with_stack<R>(run: impl FnOnce(*mut c_void) -> io::Result<R>) -> io::Result<R> {
    let spare = SPARE.try_with(|spare| spare.borrow_mut().take()).ok().flatten();
    let stack = match spare {
        Some(stack) => stack,
        None => {
            // SAFETY: a fresh mapping.
            let start = unsafe {
                libc::mmap(
                    ptr::null_mut(),
                    STACK,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK,
                    -1,
                    0,
                )
            };
            if start == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            Stack(start)
        }
    };
    let result = run(stack.0);
    let _ = SPARE.try_with(|spare| *spare.borrow_mut() = Some(stack));
    result
}

/// Clones, and returns once the child has executed or ended: its pid, and a descriptor for it.
fn clone(context: *mut c_void, stack: *mut c_void) -> io::Result<(libc::pid_t, RawFd)> {
    // A child that ends while SIGCHLD is blocked here would wake another thread for nothing: the kernel drops at once what
    // is ignored by default, but not where it is blocked. The child has no handler from its first moment.
    #[cfg(target_arch = "x86_64")]
    match with_signals_blocked(Some(libc::SIGCHLD), || clone_clearing(context, stack)) {
        // Before 5.5, or not let through by a filter of system calls.
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL | libc::EPERM)) => {}
        result => return result,
    }
    with_signals_blocked(None, || clone_resetting(context, stack))
}

/// `clone3` with `CLONE_CLEAR_SIGHAND`, which saves the child a call for each signal.
#[cfg(target_arch = "x86_64")]
fn clone_clearing(context: *mut c_void, stack: *mut c_void) -> io::Result<(libc::pid_t, RawFd)> {
    const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
    let mut pidfd: RawFd = -1;
    // SAFETY: all fields are numbers, for which zero is valid.
    let mut args: libc::clone_args = unsafe { MaybeUninit::zeroed().assume_init() };
    args.flags =
        (libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD) as u64 | CLONE_CLEAR_SIGHAND;
    args.pidfd = &raw mut pidfd as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    args.stack = stack as u64;
    args.stack_size = STACK as u64;
    let result: isize;
    // SAFETY: in the parent this is a system call that returns. The child comes back from it with 0 in rax, on the fresh
    // stack, whose end is aligned to 16, with the same registers, and calls `child(context)`, which never returns; what it
    // writes in our memory is its stack and the context. The parent runs on only after the child has executed or ended.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") &raw mut args,
            in("rsi") size_of::<libc::clone_args>(),
            in("r12") child as extern "C" fn(*mut c_void) -> c_int,
            in("r13") context,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    match result {
        error @ ..0 => Err(io::Error::from_raw_os_error(-error as i32)),
        pid => Ok((pid as libc::pid_t, pidfd)),
    }
}

/// The C library's `clone`; the child resets the handlers one by one.
fn clone_resetting(context: *mut c_void, stack: *mut c_void) -> io::Result<(libc::pid_t, RawFd)> {
    let mut pidfd: RawFd = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: `context` is the `Context` of `spawn`, which nothing else refers to mutably. The stack is ours, STACK bytes;
    // the child runs `child`, which keeps the rules of a child that shares memory.
    let pid = unsafe {
        (*context.cast::<Context<'_>>()).reset_handlers = true;
        libc::clone(child, stack.byte_add(STACK), flags, context, &raw mut pidfd)
    };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok((pid, pidfd)),
    }
}

/// The child's life until `execve`. Never returns.
extern "C" fn child(context: *mut c_void) -> c_int {
    // SAFETY: `spawn` gives its `Context`, and waits until this process has executed or ended.
    let context = unsafe { &*context.cast::<Context<'_>>() };
    let failure = match prepare(context) {
        Err(step) => (errno(), step),
        Ok(()) => (execute(context), "execve"),
    };
    context.failure.set(failure);
    // SAFETY: ends this process without running anything of the parent's.
    unsafe { libc::_exit(127) }
}

fn errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)
}

fn check(result: c_int, step: &'static str) -> Result<(), &'static str> {
    if result == -1 { Err(step) } else { Ok(()) }
}

fn prepare(context: &Context<'_>) -> Result<(), &'static str> {
    let plan = context.plan;
    // SAFETY: async-signal-safe calls on numbers and on memory that the parent keeps in place.
    unsafe {
        reset_signals(context.reset_handlers);
        check(libc::setpgid(0, 0), "setpgid")?;
        if let Some(lifeline) = plan.lifeline {
            Lifeline::aim(lifeline.descriptors(), libc::getpid()).map_err(|_| "lifeline")?;
        }
        if let Some(procs) = plan.cgroup {
            check(libc::write(procs, b"0".as_ptr().cast(), 1) as c_int, "memory group")?;
        }
        place_descriptors(plan.fds)?;
        if let Some(cwd) = plan.cwd {
            check(libc::chdir(cwd.as_ptr()), "working directory")?;
        }
        for (resource, limit) in plan.limits {
            check(libc::setrlimit(*resource, limit), "setrlimit")?;
        }
        // Since 5.11. Before that, what was not marked is inherited, as std's Command does.
        let from = plan.close_from;
        libc::syscall(libc::SYS_close_range, from, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
        let mut none = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        check(libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut()), "sigprocmask")
    }
}

/// Puts SIGPIPE back, which Rust programs ignore, and SIGCHLD, without which no program can wait for its children; and, where clone
/// has not done it, all that is handled.
unsafe fn reset_signals(handlers: bool) {
    // SAFETY: a `sigaction` of zeroes is the default action with an empty mask; the calls are async-signal-safe.
    unsafe {
        let default = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        if handlers {
            for signal in 1..=64 {
                let mut present = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
                if libc::sigaction(signal, ptr::null(), &mut present) == 0
                    && present.sa_sigaction != libc::SIG_DFL
                    && present.sa_sigaction != libc::SIG_IGN
                {
                    libc::sigaction(signal, &default, ptr::null_mut());
                }
            }
        }
        libc::sigaction(libc::SIGPIPE, &default, ptr::null_mut());
        libc::sigaction(libc::SIGCHLD, &default, ptr::null_mut());
    }
}

/// How many descriptors a plan may place.
pub(super) const MAX_FDS: usize = 9;

/// Puts each descriptor at its number. Those in the way of a later one are moved up first.
unsafe fn place_descriptors(fds: &[(RawFd, RawFd)]) -> Result<(), &'static str> {
    let top = fds.iter().map(|(_, target)| *target).max().unwrap_or(-1);
    let mut sources = [-1; MAX_FDS];
    for (slot, (source, target)) in sources.iter_mut().zip(fds) {
        *slot = *source;
        if *source <= top && source != target {
            // SAFETY: async-signal-safe, on numbers.
            *slot = unsafe { libc::fcntl(*source, libc::F_DUPFD_CLOEXEC, top + 1) };
            check(*slot, "descriptor")?;
        }
    }
    for (source, (_, target)) in sources.iter().zip(fds) {
        // SAFETY: async-signal-safe, on numbers.
        let result = unsafe {
            if source == target {
                libc::fcntl(*source, libc::F_SETFD, 0)
            } else {
                libc::dup2(*source, *target)
            }
        };
        check(result, "descriptor")?;
    }
    Ok(())
}

/// Tries each path, as `execvp` does. Gives the error number.
fn execute(context: &Context<'_>) -> c_int {
    let mut result = libc::ENOENT;
    for program in context.programs {
        // SAFETY: strings and arrays that end with null, kept in place by the parent.
        unsafe { libc::execve(*program, context.argv, context.envp) };
        match errno() {
            // A place where it is not: the next one.
            libc::ENOENT | libc::ENOTDIR => {}
            // A place where it is and may not be executed: told if there is no better one.
            libc::EACCES => result = libc::EACCES,
            other => return other,
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::sys::{Status, reap_blocking};
    use std::io::Read;
    use std::os::fd::AsRawFd;

    fn strings(parts: &[&str]) -> Vec<CString> {
        parts.iter().map(|part| CString::new(*part).unwrap()).collect()
    }

    #[test]
    fn a_program_runs_and_its_end_is_told() {
        let argv = strings(&["sh", "-c", "exit 7"]);
        let programs = strings(&["/nowhere/sh", "/bin/sh"]);
        let plan = Plan { programs: &programs, argv: &argv, close_from: 3, ..Plan::default() };
        let child = spawn(&plan).unwrap();
        assert_eq!(reap_blocking(&child.pidfd).unwrap().status, Status::Exited(7));
    }

    #[test]
    fn what_cannot_be_executed_is_an_error_and_no_child() {
        let programs = strings(&["/nowhere/sh"]);
        let plan = Plan { programs: &programs, argv: &programs, ..Plan::default() };
        assert_eq!(spawn(&plan).unwrap_err().kind(), io::ErrorKind::NotFound);
        let here = CString::new("/nowhere").unwrap();
        let programs = strings(&["/bin/sh"]);
        let plan =
            Plan { programs: &programs, argv: &programs, cwd: Some(&here), ..Plan::default() };
        let error = spawn(&plan).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().starts_with("working directory: "), "{error}");
    }

    #[test]
    fn descriptors_may_change_places() {
        let mut ends = Vec::new();
        for text in ["first", "second"] {
            let (reader, mut writer) = io::pipe().unwrap();
            io::Write::write_all(&mut writer, text.as_bytes()).unwrap();
            ends.push(reader);
        }
        let (mut output, writer) = io::pipe().unwrap();
        let argv = strings(&["sh", "-c", "cat <&7; cat <&8"]);
        let programs = strings(&["/bin/sh"]);
        // Numbers that are sources of one another, where they happen to be so.
        let (a, b) = (ends[0].as_raw_fd(), ends[1].as_raw_fd());
        let fds = [(b, 7), (a, 8), (writer.as_raw_fd(), 1)];
        let plan =
            Plan { programs: &programs, argv: &argv, fds: &fds, close_from: 9, ..Plan::default() };
        let child = spawn(&plan).unwrap();
        drop(writer);
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        assert_eq!(text, "secondfirst");
        assert_eq!(reap_blocking(&child.pidfd).unwrap().status, Status::Exited(0));
    }

    #[test]
    fn the_slower_way_gives_the_same() {
        let argv = strings(&["sh", "-c", "exit 9"]);
        let programs = strings(&["/bin/sh"]);
        let plan = Plan { programs: &programs, argv: &argv, close_from: 3, ..Plan::default() };
        let paths = [programs[0].as_ptr()];
        let argv = pointers(&argv);
        // SAFETY: as in `spawn`.
        let envp = unsafe { environ }.cast();
        let context = Context {
            plan: &plan,
            programs: &paths,
            argv: argv.as_ptr(),
            envp,
            reset_handlers: false,
            failure: Cell::new((0, "")),
        };
        let run = |stack| clone_resetting(context_of(&context), stack);
        let (_, pidfd) = with_signals_blocked(None, || with_stack(run)).unwrap();
        // SAFETY: a fresh descriptor of CLONE_PIDFD.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        assert_eq!(context.failure.get().0, 0);
        assert_eq!(reap_blocking(&pidfd).unwrap().status, Status::Exited(9));
    }
}
