//! A process of one connection hears of the shutdown and keeps its limits, while the connection is young and afterwards.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use fourfold::process::{Lock, shared_memory};
use fourfold::server::{self, Builder, Conn, Ended, Portable, Processes, Server};

/// Longer than anything here takes; who waits so long has failed.
const LONG: Duration = Duration::from_secs(30);
/// More turns than a young connection has.
const MANY: usize = 150;

fn shout(conn: &mut Conn) -> io::Result<()> {
    for line in BufReader::new(&*conn).lines() {
        writeln!(&*conn, "{}", line?.to_uppercase())?;
    }
    Ok(())
}

fn builder() -> Builder {
    Server::builder().listen("127.0.0.1:0").unwrap()
}

fn start(handler: impl Portable) -> Server {
    builder().start(Processes, handler).unwrap()
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn of(server: &Server) -> Client {
        let stream = TcpStream::connect(server.addresses()[0].tcp().unwrap()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(BufReader::new(stream))
    }

    fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The next line, empty at the end of the connection.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    fn turns(&mut self, count: usize) {
        for _ in 0..count {
            self.say("hello\n");
            assert_eq!(self.line(), "HELLO\n");
        }
    }
}

/// The shutdown, which finds nothing to cut and takes no time to speak of.
fn ends_by_itself(server: &Server) {
    let began = Instant::now();
    let Ended { cut, abandoned, .. } = server.shutdown(LONG);
    assert_eq!((cut, abandoned), (0, 0));
    assert!(began.elapsed() < LONG, "it waited for its connections to be cut");
    assert_eq!(server.counters().workers_lost, 0);
}

#[test]
fn an_idle_connection_ends_with_the_server_however_many_turns_it_has_had() {
    for turns in [1, 3, MANY] {
        let server = start(shout);
        let mut client = Client::of(&server);
        client.turns(turns);
        ends_by_itself(&server);
        assert_eq!(client.line(), "", "after {turns} turns");
        assert_eq!(server.counters().turns, turns as u64);
    }
}

#[test]
fn a_connection_that_has_said_nothing_ends_with_the_server() {
    let server = start(|conn: &mut Conn| {
        writeln!(conn, "welcome")?;
        shout(conn)
    });
    let mut client = Client::of(&server);
    // The process is there, and reads.
    assert_eq!(client.line(), "welcome\n");
    ends_by_itself(&server);
    assert_eq!(client.line(), "");
}

#[test]
fn a_turn_that_has_begun_is_read_and_answered() {
    for turns in [1, MANY] {
        let server = start(shout);
        let mut client = Client::of(&server);
        client.turns(turns);
        client.say("half a ");
        // The other end has read it: nothing is on its way any more.
        wait_until(|| unread(&client) == 0);
        thread::scope(|scope| {
            let end = scope.spawn(|| ends_by_itself(&server));
            // It accepts no more: the shutdown has begun.
            wait_until(|| TcpStream::connect(server.addresses()[0].tcp().unwrap()).is_err());
            client.say("line\n");
            assert_eq!(client.line(), "HALF A LINE\n", "after {turns} turns");
            assert_eq!(client.line(), "");
            end.join().unwrap();
        });
    }
}

/// How many bytes wait to be read at the other end, as the kernel tells of its socket.
fn unread(client: &Client) -> usize {
    let stream = client.0.get_ref();
    let ends = [stream.peer_addr(), stream.local_addr()];
    let [its, ours] = ends.map(|end| format!(":{:04X}", end.unwrap().port()));
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let found = table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields[1].ends_with(&its) && fields[2].ends_with(&ours);
        is_it.then(|| fields[4].split_once(':').unwrap().1.to_owned())
    });
    usize::from_str_radix(&found.expect("it is connected"), 16).unwrap()
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "it has not come to that");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_handler_at_work_is_told_when_it_asks() {
    for turns in [1, MANY] {
        let server = start(|conn: &mut Conn| {
            let mut reader = BufReader::new(&*conn);
            let mut line = String::new();
            while reader.read_line(&mut line)? > 0 {
                if line == "work\n" {
                    writeln!(&*conn, "at work")?;
                    while !conn.draining() {
                        thread::sleep(Duration::from_millis(1));
                    }
                    return writeln!(&*conn, "told");
                }
                writeln!(&*conn, "{}", line.trim().to_uppercase())?;
                line.clear();
            }
            Ok(())
        });
        let mut client = Client::of(&server);
        client.turns(turns);
        client.say("work\n");
        assert_eq!(client.line(), "at work\n");
        ends_by_itself(&server);
        assert_eq!(client.line(), "told\n");
    }
}

#[test]
fn a_limit_of_the_connections_own_is_kept() {
    let server = start(|conn: &mut Conn| {
        conn.set_read_timeout(Some(Duration::from_millis(30)))?;
        let error = conn.read(&mut [0; 8]).unwrap_err();
        writeln!(conn, "{:?}", error.kind())?;
        conn.set_read_timeout(None)?;
        shout(conn)
    });
    let mut client = Client::of(&server);
    assert_eq!(client.line(), format!("{:?}\n", ErrorKind::TimedOut));
    client.turns(2);
    ends_by_itself(&server);
}

#[test]
fn a_deadline_is_kept() {
    let server = start(|conn: &mut Conn| {
        conn.set_deadline(Some(Instant::now() + Duration::from_millis(50)));
        let error = conn.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        Err(error)
    });
    let began = Instant::now();
    let mut client = Client::of(&server);
    assert_eq!(client.line(), "");
    assert!(began.elapsed() >= Duration::from_millis(50));
    wait_until(|| server.counters().timed_out == 1);
}

#[test]
fn the_servers_limits_are_kept() {
    let idle = Duration::from_millis(100);
    let server = builder().idle_timeout(idle).start(Processes, shout).unwrap();
    let mut client = Client::of(&server);
    // The client may hear of its answer long after the server has begun to wait again.
    let began = Instant::now();
    client.turns(1);
    assert_eq!(client.line(), "");
    assert!(began.elapsed() >= idle, "it was over early");
    wait_until(|| server.counters().timed_out == 1);
}

extern "C" fn nothing(_signal: i32) {}

/// Says who it is, and is not ended by the signal that comes then.
fn interruptible(conn: &mut Conn) -> io::Result<()> {
    // SAFETY: zeroes are an action without flags and with an empty mask; the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        assert_eq!(libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()), 0);
    }
    writeln!(conn, "{}", std::process::id())?;
    shout(conn)
}

/// How often it has begun to wait for something.
fn waits(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    field.unwrap().trim().parse().unwrap()
}

#[test]
fn a_signal_of_somebody_elses_does_not_keep_the_shutdown_from_it() {
    let server = start(interruptible);
    let mut client = Client::of(&server);
    let pid: u32 = client.line().trim().parse().unwrap();
    client.turns(1);
    let is_asleep = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(')').unwrap().1.starts_with(" S")
    };
    wait_until(is_asleep);
    let before = waits(pid);
    let number = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(number, rustix::process::Signal::ALARM).unwrap();
    wait_until(|| waits(pid) > before && is_asleep());
    ends_by_itself(&server);
    assert_eq!(client.line(), "");
}

/// Cannot be read.
#[derive(Clone)]
struct Unreadable;

impl serde::Serialize for Unreadable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> serde::Deserialize<'de> for Unreadable {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Unreadable, D::Error> {
        Err(serde::de::Error::custom("it cannot be read"))
    }
}

#[test]
fn words_among_arguments_that_nobody_has_read_are_given_back() {
    // No other test here has words.
    let before = shared_memory().unwrap();
    let lock = Lock::new(0_u32).unwrap();
    let handler =
        server::with((Unreadable, lock), |_: &mut Conn, _: &(Unreadable, Lock<u32>)| Ok(()));
    let server = builder().on_event(|_| {}).start(Processes, handler).unwrap();
    let mut most = 0;
    for count in 1..=100 {
        assert_eq!(Client::of(&server).line(), "");
        wait_until(|| server.counters().rejected == count);
        most = most.max(shared_memory().unwrap().bytes);
    }
    assert!(most < before.bytes + 4096, "{most} bytes");
    ends_by_itself(&server);
    drop(server);
    wait_until(|| {
        let now = shared_memory().unwrap();
        (now.words, now.bytes) == (before.words, before.bytes)
    });
}
