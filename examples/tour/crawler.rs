//! A crawler: pages are fetched on coroutines or threads, which wait, and parsed in processes, which compute, each as it arrives.
//! And once all of it is done in processes.
//!
//! The web is a small one that this program serves itself. Those who fetch from it use the sockets of `green::net`, which suspend
//! a coroutine and block a thread. A page that cannot be fetched, and one that its parser dies of,
//! are errors of that page alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc::channel;

use fourfold::green;
use fourfold::green::net::TcpStream;
use fourfold::prelude::*;
use fourfold::server::{Conn, Coroutines, Processes, Server, Threads};

fn body(path: &str) -> Option<String> {
    let number: u32 = path.strip_prefix("/page/")?.parse().ok()?;
    let links: Vec<_> = match number {
        13 => return Some("<malformed".into()),
        0..10 => vec![2 * number + 1, 2 * number + 2],
        10 => vec![0, 404],
        11..=20 => vec![number - 1],
        _ => return None,
    };
    Some(links.iter().map(|n| format!("<a href=\"/page/{n}\">page {n}</a>\n")).collect())
}

fn serve(client: &mut Conn) -> std::io::Result<()> {
    let mut request = String::new();
    let mut reader = BufReader::new(&*client);
    // Up to the empty line: what is closed with something unread is reset.
    while reader.read_line(&mut request)? > 2 {}
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, body) = body(path).map_or(("404 Not Found", String::new()), |b| ("200 OK", b));
    write!(client, "HTTP/1.0 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn fetch(server: SocketAddr, path: String) -> Result<String, String> {
    fetch_page(server, &path).map_err(|error| error.to_string())
}

fn fetch_page(server: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(server)?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.lines().next() {
        Some(line) if line.contains("200") => Ok(body.to_owned()),
        line => Err(std::io::Error::other(line.unwrap_or_default().to_owned())),
    }
}

/// The links of a page. The parser is one of those that die of a bad page.
fn parse(page: String) -> Vec<String> {
    if !page.ends_with('\n') {
        std::process::abort();
    }
    page.split("href=\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.into())).collect()
}

/// What is told of a page: its text, or its links.
enum News {
    Fetched(String, Result<String, String>),
    Parsed(String, Result<Vec<String>, String>),
}

/// Follows all links from the first page on.
fn crawl(
    server: SocketAddr,
    fetch: impl Fn(SocketAddr, String) -> Handle<Result<String, String>>,
) -> fourfold::Result<BTreeMap<String, String>> {
    let parsers = process::Executor::builder().workers(2).build()?;
    let (tell, news) = channel();
    let (mut seen, mut under_way) = (BTreeSet::new(), 0);
    let mut results = BTreeMap::new();
    let mut new = vec!["/page/0".to_string()];
    loop {
        for path in new.drain(..).filter(|path| seen.insert(path.clone())) {
            under_way += 1;
            let (tell, asked) = (tell.clone(), path.clone());
            fetch(server, asked).on_done(move |outcome| {
                let page = match outcome {
                    Ok(Ok(page)) => Ok(page.clone()),
                    Ok(Err(error)) => Err(error.clone()),
                    Err(error) => Err(error.kind().to_string()),
                };
                tell.send(News::Fetched(path, page)).unwrap();
            });
        }
        if under_way == 0 {
            break;
        }
        match news.recv().expect("this function has a sender") {
            News::Fetched(path, Ok(page)) => {
                let tell = tell.clone();
                parsers.submit(parse, page).on_done(move |outcome| {
                    let links = match outcome {
                        Ok(links) => Ok(links.clone()),
                        Err(error) => Err(error.kind().to_string()),
                    };
                    tell.send(News::Parsed(path, links)).unwrap();
                });
            }
            News::Parsed(path, Ok(links)) => {
                under_way -= 1;
                results.insert(path, format!("{} links", links.len()));
                new = links;
            }
            News::Fetched(path, Err(error)) | News::Parsed(path, Err(error)) => {
                under_way -= 1;
                results.insert(path, error);
            }
        }
    }
    assert_eq!(results.len(), seen.len());
    Ok(results)
}

/// A web server under one model, and those who fetch from it at one scale.
macro_rules! crawl {
    ($model:expr, $fetchers:ident) => {{
        let server = Server::builder().listen("127.0.0.1:0")?.start($model, serve)?;
        let address = server.addresses()[0].tcp().expect("a port");
        let fetchers = $fetchers::Executor::builder().workers(8).build()?;
        crawl(address, |server, path| fetchers.submit(fetch, (server, path)))?
    }};
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let by_coroutines = crawl!(Coroutines(1), green);
    let by_threads = crawl!(Threads, thread);
    let by_processes = crawl!(Processes, process);
    for (path, result) in &by_coroutines {
        println!("{path:<10} {result}");
    }
    println!("{} pages, each once", by_coroutines.len());
    println!("on threads the same: {}", by_threads == by_coroutines);
    println!("in processes the same: {}", by_processes == by_coroutines);
    Ok(())
}
