//! Three workers print three lines each to one terminal: without a lock their lines mix, with it they stand together.

use std::io::{PipeWriter, Read, Write};
use std::sync::Arc;

use fourfold::cluster::manager::{Address, Client, Key, Server};
use fourfold::green;
use fourfold::prelude::*;
use fourfold::process::Value;
use fourfold::thread::{Barrier, Lock};
use serde::{Deserialize, Serialize};

/// Prints three lines. After each there is time for the others to print theirs: all of it, or, alone, a moment.
fn print(address: Address, key: String, name: String, alone: bool) -> fourfold::Result<()> {
    let client = Client::connect(address, Key::new(key))?;
    let (terminal, others) = (client.lock("terminal")?, client.barrier("others")?);
    let _guard = alone.then(|| terminal.lock()).transpose()?;
    let limit = if alone { Duration::from_millis(20) } else { Duration::from_secs(60) };
    for line in 1..=3 {
        println!("{name} {line}");
        let all_are_here = others.wait_timeout(limit)?.is_some();
        assert_ne!(all_are_here, alone);
        if alone {
            others.reset()?;
        }
    }
    Ok(())
}

/// What workers of one process share. The words of coroutines and threads are the same.
struct Place {
    screen: PipeWriter,
    terminal: Lock,
    others: Barrier,
}

/// The same within this process.
fn print_here(place: Arc<Place>, name: String, alone: bool) -> fourfold::Result<()> {
    let _guard = alone.then(|| place.terminal.lock());
    let limit = if alone { Duration::from_millis(20) } else { Duration::from_secs(60) };
    for line in 1..=3 {
        (&place.screen).write_all(format!("{name} {line}\n").as_bytes())?;
        let all_are_here = place.others.wait_timeout(limit).is_some();
        assert_ne!(all_are_here, alone);
        if alone {
            place.others.reset();
        }
    }
    Ok(())
}

macro_rules! printed_here {
    ($scale:ident, $alone:expr) => {{
        let (mut reader, screen) = std::io::pipe()?;
        let place = Arc::new(Place { screen, terminal: Lock::new(()), others: Barrier::new(3) });
        let start = |name: &str| $scale::spawn(print_here, (place.clone(), name.into(), $alone));
        let workers = ["Ann", "Bob", "Cem"].map(start);
        for worker in workers {
            worker?.join()??;
        }
        drop(place);
        let mut text = String::new();
        reader.read_to_string(&mut text)?;
        lines(&text)
    }};
}

/// What workers in processes share: for each line, how many have printed it, and that all have.
#[derive(Clone, Serialize, Deserialize)]
struct Words {
    terminal: process::Lock,
    printed: Vec<(Value<u32>, process::Event)>,
}

/// The same in a process.
fn print_there(words: Words, name: String, alone: bool) -> fourfold::Result<()> {
    let _guard = alone.then(|| words.terminal.lock()).transpose()?;
    for (line, (count, by_all)) in words.printed.iter().enumerate() {
        println!("{name} {}", line + 1);
        if count.update(|count| std::mem::replace(count, *count + 1) == 2)? {
            by_all.set();
        }
        // Alone, a moment, in which others could print.
        let limit = if alone { Duration::from_millis(20) } else { Duration::from_secs(60) };
        assert!(by_all.wait_timeout(limit) || alone);
    }
    Ok(())
}

fn printed_there(alone: bool) -> fourfold::Result<Vec<(String, u32)>> {
    let line = |_| Ok((Value::new(0)?, process::Event::new()?));
    let printed = (0..3).map(line).collect::<fourfold::Result<_>>()?;
    let words = Words { terminal: process::Lock::new(())?, printed };
    let (mut screen, terminal) = std::io::pipe()?;
    let mut workers = Vec::new();
    for name in ["Ann", "Bob", "Cem"] {
        let worker = process::Builder::new().stdout(terminal.try_clone()?);
        workers.push(worker.spawn(print_there, (words.clone(), name.to_owned(), alone))?);
    }
    drop(terminal);
    let mut text = String::new();
    screen.read_to_string(&mut text)?;
    for worker in workers {
        worker.join()??;
    }
    Ok(lines(&text))
}

/// Who printed which line, in the order of the terminal.
fn lines(text: &str) -> Vec<(String, u32)> {
    let lines = text.lines().map(|line| line.split_once(' ').expect("a name and a number"));
    lines.map(|(name, line)| (name.to_owned(), line.parse().expect("a number"))).collect()
}

fn printed(alone: bool) -> fourfold::Result<Vec<(String, u32)>> {
    let key = "the key to the terminal";
    let server = Server::builder(Key::new(key)).lock("terminal").barrier("others", 3);
    let server = server.bind("127.0.0.1:0")?;
    let (mut screen, terminal) = std::io::pipe()?;
    let mut workers = Vec::new();
    for name in ["Ann", "Bob", "Cem"] {
        let worker = process::Builder::new().stdout(terminal.try_clone()?);
        let args = (server.address().clone(), key.to_owned(), name.to_owned(), alone);
        workers.push(worker.spawn(print, args)?);
    }
    drop(terminal);
    let mut text = String::new();
    screen.read_to_string(&mut text)?;
    for worker in workers {
        worker.join()??;
    }
    Ok(lines(&text))
}

fn tell(what: &str, lines: Vec<(String, u32)>, alone: bool) {
    let together = lines.chunks(3).all(|three| three.iter().all(|(name, _)| *name == three[0].0));
    assert_eq!(together, alone);
    let numbers: Vec<_> = lines.iter().map(|(_, number)| number.to_string()).collect();
    println!("  {what:<14}  the lines of all: {}", numbers.join(" "));
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let ways = [("without a lock", false), ("with a lock", true)];
    println!("green:");
    for (what, alone) in ways {
        tell(what, printed_here!(green, alone), alone);
    }
    println!("thread:");
    for (what, alone) in ways {
        tell(what, printed_here!(thread, alone), alone);
    }
    println!("process:");
    for (what, alone) in ways {
        tell(what, printed_there(alone)?, alone);
    }
    println!("cluster:");
    for (what, alone) in ways {
        tell(what, printed(alone)?, alone);
    }
    Ok(())
}
