//! Calls of the network queue over a Unix socket, by a stock Python client and by ours, beside CPython's own manager.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fourfold::cluster::manager::{Client, Key, Queue, read_key, write_new_key};
use fourfold_wire::talk::{self, ClientOptions};

use crate::Failure;
use crate::contest::{Contest, Results, Verdict, each};
use crate::submit::Partner;
use crate::tools;

const ROUNDS: usize = 9;
/// Calls of a round by a Python client.
const CALLS: u32 = 20_000;
/// Proxies of a round.
const PROXIES: u32 = 200;
/// Calls of a round by our client.
const FAST_CALLS: u32 = 5_000;

const OURS: &str = "fourfold serve";
const ECHO: &str = "a mere echo";
const STOCK: &str = "CPython's manager";

/// A server in a process of its own.
struct Server {
    child: Child,
    address: PathBuf,
}

impl Server {
    fn start(mut command: Command, address: &Path) -> Result<Server, Failure> {
        let _ = fs::remove_file(address);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("a pipe was asked for")?;
        // It says when it listens.
        BufReader::new(stdout).read_line(&mut String::new())?;
        Ok(Server { child, address: address.to_owned() })
    }

    fn ours(folder: &Path, key: &Path) -> Result<Server, Failure> {
        let address = folder.join("ours.sock");
        let mut command = Command::new(tools::fourfold()?);
        command.args(["serve", "--queue", "get_queue", "--python"]).arg(&address);
        command.arg("--key-file").arg(key);
        Server::start(command, &address)
    }

    fn stock(folder: &Path, key: &Path) -> Result<Server, Failure> {
        let address = folder.join("stock.sock");
        let mut command = python()?;
        command.arg("serve").arg(&address).arg(key);
        Server::start(command, &address)
    }

    fn cpu(&self) -> Result<f64, Failure> {
        processor_time(self.child.id())
    }

    /// Its resident memory, in bytes.
    fn memory(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("a line of it")?;
        let kib: u64 = line.split_whitespace().nth(1).ok_or("a number")?.parse()?;
        Ok(kib << 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processor time of a process so far, in seconds.
fn processor_time(pid: u32) -> Result<f64, Failure> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit(')').next().ok_or("a line of the kernel's")?;
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<_, _>>()?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn python() -> Result<Command, Failure> {
    let mut command = Command::new(tools::system("python3", "python3")?);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/manager.py");
    command.args(["-s", "-E"]).arg(script);
    Ok(command)
}

/// What a Python client measured: the seconds of one call, or proxy.
fn by_python(verb: &str, server: &Server, key: &Path, count: u32) -> Result<f64, Failure> {
    let mut command = python()?;
    command.arg(verb).arg(&server.address).arg(key).arg(count.to_string());
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("the Python client ended with {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

pub(crate) fn run() -> Result<Vec<Verdict>, Failure> {
    let folder = tools::folder()?;
    let key_file = folder.join("manager.key");
    let _ = fs::remove_file(&key_file);
    write_new_key(&key_file)?;
    let ours = Server::ours(&folder, &key_file)?;
    let stock = Server::stock(&folder, &key_file)?;
    let mut verdicts = by_stock_client(&ours, &stock, &key_file)?;
    verdicts.extend(proxies(&ours, &stock, &key_file)?);
    verdicts.extend(by_our_client(&ours, &stock, &key_file)?);
    drop(ours);
    memory(&folder, &key_file)?;
    Ok(verdicts)
}

fn by_stock_client(ours: &Server, stock: &Server, key: &Path) -> Result<Vec<Verdict>, Failure> {
    let servers = [(OURS, ours), (STOCK, stock)];
    let cpu = servers.map(|_| RefCell::new(Vec::new()));
    let echo = RefCell::new(Vec::new());
    let mut partner = Partner::start()?;
    let title = "A put or a get by a stock Python client, Unix socket";
    let mut contest = Contest::new(title);
    for ((name, server), cpu) in servers.into_iter().zip(&cpu) {
        contest.entry(name, move || {
            let before = server.cpu()?;
            let seconds = by_python("calls", server, key, CALLS)?;
            cpu.borrow_mut().push((server.cpu()? - before) / f64::from(CALLS));
            Ok(seconds)
        });
    }
    // What waking, reading, writing and sleeping cost on this machine: no server takes less.
    contest.entry(ECHO, || {
        let before = processor_time(partner.pid())?;
        let seconds = each(CALLS, || partner.ping())?;
        echo.borrow_mut().push((processor_time(partner.pid())? - before) / f64::from(CALLS));
        Ok(seconds)
    });
    let latency = contest.run(ROUNDS)?;
    // The first round does not count.
    let samples = cpu.into_iter().chain([echo]).map(|samples| samples.into_inner().split_off(1));
    let entries = [OURS, STOCK, ECHO].map(str::to_owned).into_iter().zip(samples).collect();
    let cpu = Results::new("The same: processor time of the server, a call", entries);
    println!("{}", cpu.table());
    Ok(vec![cpu.at_most(0.1, OURS, STOCK), latency.at_most(1.0, OURS, STOCK)])
}

fn proxies(ours: &Server, stock: &Server, key: &Path) -> Result<Vec<Verdict>, Failure> {
    let mut contest = Contest::new("A proxy of a stock Python client: three handshakes and more");
    for (name, server) in [(OURS, ours), (STOCK, stock)] {
        contest.entry(name, move || by_python("proxies", server, key, PROXIES));
    }
    Ok(vec![contest.run(ROUNDS)?.ahead(3.0, OURS, STOCK)])
}

fn by_our_client(ours: &Server, stock: &Server, key: &Path) -> Result<Vec<Verdict>, Failure> {
    let client = Client::connect(ours.address.as_path(), read_key(key)?)?;
    let queue: Queue<String> = client.queue("get_queue")?;
    let mut partner = Partner::start()?;
    let put_and_get = || -> Result<(), Failure> {
        queue.put("a small item".to_owned())?;
        queue.get()?;
        Ok(())
    };
    let mut contest = Contest::new("A put or a get by our client, Unix socket");
    let half = 2.0;
    contest.entry("fourfold", || Ok(each(FAST_CALLS, put_and_get)? / half));
    contest.entry("socketpair", || each(FAST_CALLS, || partner.ping()));
    contest.entry(STOCK, || by_python("calls", stock, key, CALLS));
    let results = contest.run(ROUNDS)?;
    Ok(vec![results.at_most(1.5, "fourfold", "socketpair"), results.ahead(5.0, "fourfold", STOCK)])
}

/// A connection that waits for an item, without a thread of its own.
fn waiting_get(address: &Path, key: &Key, id: &str, wait: bool) -> Result<UnixStream, Failure> {
    let mut stream = UnixStream::connect(address)?;
    let mut talk = talk::Client::random(&ClientOptions::new(key.clone()))?;
    talk.request(None, "accept_connection", &["bench".into()], &[])?;
    loop {
        stream.write_all(talk.output())?;
        talk.sent(talk.output().len());
        if talk.next_reply()?.is_some() {
            break;
        }
        if talk.output().is_empty() {
            let count = stream.read(talk.space())?;
            if count == 0 {
                return Err("the server closed the connection".into());
            }
            talk.filled(count);
        }
    }
    if wait {
        talk.request(Some(id), "get", &[], &[])?;
        stream.write_all(talk.output())?;
    }
    Ok(stream)
}

/// What clients cost the server: those that are only there, and those that wait.
fn memory(folder: &Path, key_file: &Path) -> Result<(), Failure> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // The server inherits it.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let server = Server::ours(folder, key_file)?;
    let key = read_key(key_file)?;
    let client = Client::connect(server.address.as_path(), key.clone())?;
    let proxy = client.proxy("get_queue", &[])?;
    println!("Memory of fourfold serve, resident\n");
    let told = |what: &str| -> Result<(), Failure> {
        // Its answer to this comes after what it has been asked before.
        client.number_of_objects()?;
        println!("  {what:<32} {:>6.1} MiB", server.memory()? as f64 / f64::from(1 << 20));
        Ok(())
    };
    told("no client")?;
    let mut streams = Vec::new();
    for _ in 0..1_000 {
        streams.push(waiting_get(&server.address, &key, proxy.id(), false)?);
    }
    told("1,000 clients")?;
    let room = limit.maximum.unwrap_or(u64::MAX);
    let waiting = room.saturating_sub(1_200).min(10_000);
    for _ in 0..waiting {
        streams.push(waiting_get(&server.address, &key, proxy.id(), true)?);
    }
    told(&format!("and {waiting} that wait in a get"))?;
    println!();
    Ok(())
}
