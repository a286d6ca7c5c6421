//! The servers, as parts of this executable: ours, and those of other runtimes.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::process::ExitCode;
use std::thread;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use super::Kind;
use crate::Failure;

/// What a connection reads into.
const BUFFER: usize = 1024;

/// Plays the part of a server, until it is killed.
pub(crate) fn serve(word: &str) -> ExitCode {
    let Some(kind) = Kind::of(word) else {
        return ExitCode::FAILURE;
    };
    let result = match kind {
        Kind::Hub => by_hub(),
        Kind::Ours(model) => by_model(&model),
        Kind::Epoll => by_epoll(),
        Kind::Tokio(threads) => by_tokio(threads),
        Kind::Threads => by_threads(),
        Kind::May => by_may(),
        Kind::Python(_) => Err("that is a program of its own".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{word}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn listen() -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    // A second `listen` changes the length of the queue: as long as that of the others.
    rustix::net::listen(&listener, 1024)?;
    Ok(listener)
}

fn tell(listener: &TcpListener) -> Result<(), Failure> {
    println!("{}", listener.local_addr()?);
    Ok(())
}

fn by_hub() -> Result<(), Failure> {
    use fourfold::green::{self, net};
    let listener = listen()?;
    tell(&listener)?;
    let echo = |mut stream: net::TcpStream| {
        let mut buffer = [0; BUFFER];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    };
    green::run(|| {
        let listener = net::TcpListener::from(listener);
        for stream in listener.incoming() {
            let stream = stream?;
            stream.set_nodelay(true)?;
            green::spawn_local(echo, stream)?;
        }
        Ok(())
    })?
}

/// The handler: what one would write for a thread.
fn echo(conn: &mut fourfold::server::Conn) -> std::io::Result<()> {
    let mut buffer = [0; BUFFER];
    loop {
        match conn.read(&mut buffer)? {
            0 => return Ok(()),
            count => conn.write_all(&buffer[..count])?,
        }
    }
}

/// The same for models that have no stack for it.
struct Echo;

impl fourfold::server::Protocol for Echo {
    fn received(
        &mut self,
        input: &mut fourfold::server::Input<'_>,
        answer: &mut Vec<u8>,
    ) -> std::io::Result<fourfold::server::Flow> {
        answer.extend_from_slice(input.all());
        Ok(fourfold::server::Flow::Go)
    }
}

fn by_model(name: &str) -> Result<(), Failure> {
    use fourfold::server::{Model, Server, protocol};
    let model: Model = name.parse()?;
    let builder = Server::builder().listen("127.0.0.1:0")?;
    let server = match name.contains("events") {
        true => builder.start(model, protocol(|_| Echo))?,
        false => builder.start(model, echo)?,
    };
    println!("{}", server.addresses()[0].tcp().ok_or("it listens on TCP")?);
    loop {
        thread::park();
    }
}

fn by_epoll() -> Result<(), Failure> {
    let listener = listen()?;
    tell(&listener)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let add = |fd: &dyn std::os::fd::AsFd, token: u64| {
        epoll::add(&epoll, fd.as_fd(), epoll::EventData::new_u64(token), epoll::EventFlags::IN)
    };
    listener.set_nonblocking(true)?;
    add(&listener, u64::MAX)?;
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    let mut events = Vec::with_capacity(256);
    let mut buffer = [0; BUFFER];
    loop {
        events.clear();
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in &events {
            let token = event.data.u64();
            if token == u64::MAX {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let index = stream.as_raw_fd() as usize;
                    add(&stream, index as u64)?;
                    if streams.len() <= index {
                        streams.resize_with(index + 1, || None);
                    }
                    streams[index] = Some(stream);
                }
                continue;
            }
            let place = &mut streams[token as usize];
            let Some(stream) = place else { continue };
            let good = match stream.read(&mut buffer) {
                Ok(0) => false,
                Ok(count) => stream.write_all(&buffer[..count]).is_ok(),
                Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
            };
            if !good {
                *place = None;
            }
        }
    }
}

fn by_tokio(threads: usize) -> Result<(), Failure> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = listen()?;
    tell(&listener)?;
    listener.set_nonblocking(true)?;
    let runtime = match threads {
        1 => tokio::runtime::Builder::new_current_thread().enable_io().build()?,
        _ => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_io()
            .build()?,
    };
    let serve = async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let mut buffer = [0; BUFFER];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
            });
        }
    };
    let result: std::io::Result<()> = match threads {
        1 => runtime.block_on(serve),
        // On one of its threads, which are as many as were asked for without this one.
        _ => runtime.block_on(async { tokio::spawn(serve).await.expect("it does not panic") }),
    };
    Ok(result?)
}

fn by_threads() -> Result<(), Failure> {
    let listener = listen()?;
    tell(&listener)?;
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.set_nodelay(true)?;
        thread::Builder::new().spawn(move || {
            let mut buffer = [0; BUFFER];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..count]).is_err() {
                    return;
                }
            }
        })?;
    }
    Ok(())
}

fn by_may() -> Result<(), Failure> {
    may::config().set_workers(1);
    let listener = may::net::TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let serve = may::go!(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.set_nodelay(true);
            may::go!(move || {
                let mut buffer = [0; BUFFER];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    serve.join().map_err(|_| "a coroutine panicked".into())
}
