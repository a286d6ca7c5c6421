//! A brood in a process of its own, as it has to be.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::Command;
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use super::code::{self, Code};
use super::forks::KEPT;
use super::place::CHUNK;
use super::*;
use crate::error::ErrorKind;
use crate::process::{Fd, current, spawn, sys};

const LIMIT: Duration = Duration::from_secs(60);

fn brood() -> Brood<()> {
    // SAFETY: this function runs in a process that has been started for it, and has one thread.
    unsafe { Brood::begin("young", 7) }.unwrap()
}

/// Forks for each of these, and gives their ends.
fn run(brood: &mut Brood<()>, works: impl IntoIterator<Item = fn() -> u8>) -> Vec<Ended<()>> {
    let mut ends = Vec::new();
    for work in works {
        if let Side::Child(newborn) = brood.fork().unwrap() {
            newborn.answer(&[work()]);
        }
    }
    let began = Instant::now();
    while brood.len() > 0 {
        assert!(began.elapsed() < LIMIT, "{} have not ended", brood.len());
        sys::wait_for_input(brood.ends(), Instant::now() + Duration::from_secs(1));
        brood.look_again();
        ends.extend(std::iter::from_fn(|| brood.ended()));
    }
    ends
}

fn overflow(depth: u64) -> u64 {
    if depth == u64::MAX {
        return 0;
    }
    let here = std::hint::black_box([depth; 256]);
    here[0] + overflow(depth + 1) + here[255]
}

fn each_end() -> BTreeMap<String, usize> {
    let works: [fn() -> u8; 7] = [
        || 42,
        || std::process::exit(3),
        || std::process::exit(0),
        || std::process::abort(),
        || {
            // SAFETY: a call on numbers.
            unsafe { libc::raise(libc::SIGKILL) };
            0
        },
        || overflow(0) as u8,
        || {
            // A fork that comes back gives no answer: that is its parent's.
            // SAFETY: the copy has one thread, as this process has, and does nothing but return.
            if unsafe { libc::fork() } == 0 {
                return 1;
            }
            // SAFETY: a call on numbers, of this process's own child.
            unsafe { libc::wait(ptr::null_mut()) };
            2
        },
    ];
    let mut seen = BTreeMap::new();
    for ended in run(&mut brood(), works) {
        let what = match ended.answer {
            Ok(answer) => format!("{answer:?}"),
            Err(error) => {
                assert_eq!(error.pid(), Some(ended.pid));
                format!("{:?}", error.kind())
            }
        };
        *seen.entry(what).or_default() += 1;
    }
    seen
}

#[test]
fn each_end_is_told_exactly() {
    let seen = spawn(each_end, ()).unwrap().join().unwrap();
    let kinds = [
        ErrorKind::Exited(3),
        ErrorKind::Exited(0),
        ErrorKind::Signaled(libc::SIGABRT),
        ErrorKind::Signaled(libc::SIGKILL),
        ErrorKind::StackOverflow,
    ];
    let mut wanted: BTreeMap<String, usize> =
        kinds.iter().map(|kind| (format!("{kind:?}"), 1)).collect();
    wanted.extend([("[42]".into(), 1), ("[2]".into(), 1)]);
    assert_eq!(seen, wanted);
}

/// More than there are places in a piece, all there at once; and again, in the same places.
fn crowd() -> (usize, usize, bool) {
    let mut brood = brood();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut writer = Some(writer);
    for index in 0..CHUNK as u8 * 3 {
        if let Side::Child(newborn) = brood.fork().unwrap() {
            drop(writer.take());
            // Until all have been forked.
            let _ = reader.read(&mut [0]);
            newborn.answer(&[index]);
        }
    }
    let at_once = brood.len();
    drop(writer);
    let mut answers: Vec<u8> =
        run(&mut brood, []).into_iter().map(|e| e.answer.unwrap()[0]).collect();
    answers.sort();
    let places = brood.free.len();
    assert!(
        brood.kept == KEPT && brood.free.iter().filter(|seat| seat.has_readers()).count() == KEPT
    );
    let again = run(&mut brood, [(|| 1) as fn() -> u8; 90]);
    let is_right = answers == (0..CHUNK as u8 * 3).collect::<Vec<_>>()
        && again.iter().all(|ended| matches!(ended.answer.as_deref(), Ok([1])));
    (at_once, places.max(brood.free.len()), is_right)
}

#[test]
fn many_are_there_at_once_and_places_are_used_again() {
    let places = CHUNK * 3;
    assert_eq!(spawn(crowd, ()).unwrap().join().unwrap(), (places, places, true));
}

fn who() -> (String, u32, bool, bool) {
    let mut brood = brood();
    if let Side::Child(newborn) = brood.fork().unwrap() {
        let me = current();
        // SAFETY: calls on numbers, and on a set that the C library fills in.
        let (leads, is_blocked) = unsafe {
            let mut mask = MaybeUninit::zeroed();
            libc::pthread_sigmask(libc::SIG_SETMASK, ptr::null(), mask.as_mut_ptr());
            (libc::getpgrp() == libc::getpid(), libc::sigismember(mask.as_ptr(), libc::SIGCHLD))
        };
        let flags = [u8::from(leads), is_blocked as u8, me.parent_pid() as u8];
        newborn.answer(&[&flags, me.name().as_bytes()].concat());
    }
    let answer = run(&mut brood, []).pop().unwrap().answer.unwrap();
    let name = String::from_utf8(answer[3..].to_vec()).unwrap();
    (name, answer[2].into(), answer[0] == 1, answer[1] == 1)
}

#[test]
fn a_child_knows_whose_it_is_and_leads_a_group() {
    assert_eq!(spawn(who, ()).unwrap().join().unwrap(), ("young".into(), 7, true, false));
}

/// Forks one that starts a program and waits; tells the numbers of both; and is killed then.
fn be_killed((numbers, is_crowded): (Fd<OwnedFd>, bool)) {
    let mut brood = brood();
    if is_crowded {
        // No descriptor is left for a line of its own.
        let spare = std::fs::File::open("/dev/null").unwrap();
        let most = libc::rlimit { rlim_cur: spare.as_raw_fd() as u64 + 1, rlim_max: 4096 };
        // SAFETY: reads a limit that is in place.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &most) }, 0);
        if let Side::Child(_newborn) = brood.fork().unwrap() {
            thread::sleep(LIMIT);
            std::process::exit(9)
        }
        let (child, (seat, ())) = brood.children.iter().next().unwrap();
        assert!(!seat.has_readers());
        drop(spare);
        rustix::io::write(&numbers.0, format!("{child} {child}\n").as_bytes()).unwrap();
    } else if let Side::Child(_newborn) = brood.fork().unwrap() {
        let program = Command::new("sleep").arg("60").spawn().unwrap();
        let both = format!("{} {}\n", std::process::id(), program.id());
        rustix::io::write(&numbers.0, both.as_bytes()).unwrap();
        thread::sleep(LIMIT);
        std::process::exit(9)
    }
    // It is killed by who has heard of the numbers.
    thread::sleep(LIMIT);
}

/// Whether a process is there and no zombie.
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[test]
fn they_end_with_who_forked_them_and_so_does_what_they_started() {
    for is_crowded in [false, true] {
        let (reader, writer) = std::io::pipe().unwrap();
        let child = spawn(be_killed, (Fd(OwnedFd::from(writer)), is_crowded)).unwrap();
        let mut said = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(reader), &mut said).unwrap();
        let pids: Vec<&str> = said.split_whitespace().collect();
        assert_eq!(pids.len(), 2, "{said:?}");
        assert!(pids.iter().all(|pid| is_alive(pid)));
        // The one process alone, not its group.
        let pid = rustix::process::Pid::from_raw(child.pid() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        assert_eq!(child.join().unwrap_err().signal(), Some(libc::SIGKILL));
        let began = Instant::now();
        while pids.iter().any(|pid| is_alive(pid)) {
            assert!(began.elapsed() < LIMIT, "{said:?} are there yet, crowded: {is_crowded}");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Forks one that starts a program and fails. Gives the program's number, and whether it is there still.
fn fail() -> (String, bool) {
    let mut brood = brood();
    let (mut reader, writer) = std::io::pipe().unwrap();
    if let Side::Child(_newborn) = brood.fork().unwrap() {
        let program = Command::new("sleep").arg("60").spawn().unwrap();
        rustix::io::write(&writer, program.id().to_string().as_bytes()).unwrap();
        std::process::exit(5);
    }
    drop(writer);
    let mut program = String::new();
    reader.read_to_string(&mut program).unwrap();
    let ended = run(&mut brood, []).pop().unwrap();
    assert_eq!(ended.answer.unwrap_err().exit_code(), Some(5));
    let began = Instant::now();
    while is_alive(&program) && began.elapsed() < LIMIT {
        thread::sleep(Duration::from_millis(1));
    }
    (program.clone(), is_alive(&program))
}

#[test]
fn what_an_abnormal_end_leaves_of_a_group_goes_too() {
    let (program, is_there) = spawn(fail, ()).unwrap().join().unwrap();
    assert!(!program.is_empty() && !is_there, "{program}");
}

/// Faults of the children before and after their code is known, how many mappings there were and are, and whether the code is the same. It
/// is learnt from children that end at once, or from such as stay until many have ended.
fn learn(they_stay: bool) -> ([u64; 2], [usize; 2], bool) {
    /// Tells how many faults this process has had.
    fn faults() -> u8 {
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the kernel fills it in.
        let usage = unsafe {
            libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
            usage.assume_init()
        };
        usage.ru_minflt.min(255) as u8
    }
    let maps = || std::fs::read_to_string("/proc/self/maps").unwrap();
    let sum = |text: &str| -> u64 {
        let mut sum = 0_u64;
        for mapping in code::of_code(text) {
            for at in mapping.step_by(8) {
                // SAFETY: memory that can be read, of a program and libraries that stay.
                let word = unsafe { (at as *const u64).read_volatile() };
                sum = sum.wrapping_mul(31).wrapping_add(word);
            }
        }
        sum
    };
    let mut brood = brood();
    let text = maps();
    let before = (text.lines().count(), sum(&text));
    let some = |brood: &mut _, count| -> u64 {
        let ends = (0..count).flat_map(|_| run(brood, [faults as fn() -> u8]));
        let all: Vec<u64> = ends.map(|ended| ended.answer.unwrap()[0].into()).collect();
        all.iter().sum::<u64>() / all.len() as u64
    };
    let first = some(&mut brood, 20);
    some(&mut brood, 44);
    assert!(brood.is_learning());
    if they_stay {
        let (stays, lets_go) = std::io::pipe().unwrap();
        for _ in 0..8 {
            if let Side::Child(newborn) = brood.fork().unwrap() {
                drop(lets_go);
                let _ = (&stays).read(&mut [0]);
                newborn.answer(&[0]);
            }
        }
        // Who waits for them goes on with whole mappings.
        assert!(matches!(brood.code, Code::Asked(..)));
        drop(lets_go);
    }
    some(&mut brood, 20);
    let last = some(&mut brood, 20);
    assert!(matches!(brood.code, Code::Known));
    let now = maps();
    ([first, last], [before.0, now.lines().count()], sum(&text) == before.1)
}

#[test]
fn code_that_is_known_costs_no_faults_and_stays_as_it_is() {
    for they_stay in [false, true] {
        let learnt = spawn(learn, they_stay).unwrap().join();
        let ([first, last], [before, now], is_same) = learnt.unwrap();
        assert!(last < first, "{first} faults at first, {last} at last");
        // What the brood has made of its own since.
        assert!(now <= before + 3, "{before} mappings, and now {now}");
        assert!(is_same);
    }
}
