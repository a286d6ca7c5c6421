//! Three workers print three lines each to one terminal: without a lock their lines mix, with it they stand together.

use std::io::Read;

use fourfold::cluster::manager::{Address, Client, Key, Server};
use fourfold::prelude::*;

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

/// Who printed which line, in the order of the terminal.
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
    let lines = text.lines().map(|line| line.split_once(' ').expect("a name and a number"));
    Ok(lines.map(|(name, line)| (name.to_owned(), line.parse().expect("a number"))).collect())
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    println!("cluster:");
    for (what, alone) in [("without a lock", false), ("with a lock", true)] {
        let lines = printed(alone)?;
        let together =
            lines.chunks(3).all(|three| three.iter().all(|(name, _)| *name == three[0].0));
        assert_eq!(together, alone);
        let numbers: Vec<_> = lines.iter().map(|(_, number)| number.to_string()).collect();
        println!("  {what:<14}  the lines of all: {}", numbers.join(" "));
    }
    Ok(())
}
