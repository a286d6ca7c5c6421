//! Many words in shared memory, and messages of many sizes.

use fourfold::process::{self, Queue};

use crate::support::{LIMIT, within};

/// Bytes of the context's memory that are there.
fn resident() -> u64 {
    use std::os::unix::fs::MetadataExt;
    let of_words = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.ok()?.path();
        let name = std::fs::read_link(&path).ok()?;
        let is = name.to_str()?.contains("fourfold-words");
        is.then(|| std::fs::metadata(&path).unwrap().blocks() * 512)
    };
    std::fs::read_dir("/proc/self/fd").unwrap().find_map(of_words).unwrap()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The bytes of each of so many queues, the descriptors of all, and whether they work.
fn many(count: usize) -> (f64, usize, bool) {
    let first = Queue::bounded(1).unwrap();
    first.put(0u64).unwrap();
    let (bytes, open) = (resident(), descriptors());
    let queues: Vec<Queue<u64>> = (0..count).map(|_| Queue::bounded(1).unwrap()).collect();
    let each = (resident() - bytes) as f64 / count as f64;
    let opened = descriptors() - open;
    for (number, queue) in queues.iter().enumerate() {
        queue.put(number as u64).unwrap();
    }
    let right =
        queues.iter().enumerate().all(|(number, queue)| queue.get().unwrap() == number as u64);
    (each, opened, right)
}

#[test]
fn a_hundred_thousand_queues_have_no_descriptor_each_and_little_memory() {
    within(2 * LIMIT, || {
        const ALONE: &str = "FOURFOLD_ALONE";
        if std::env::var_os(ALONE).is_none() {
            // In a tree of its own, whose memory no other test uses.
            let mut command = process::Command::new(std::env::current_exe().unwrap());
            let name = std::thread::current().name().unwrap().to_owned();
            command.args([name.as_str(), "--exact", "--nocapture"]).env(ALONE, "1");
            let done = command.timeout(LIMIT).run().unwrap();
            assert!(done.end.is_success(), "{}", done.end);
            return;
        }
        let (each, opened, right) = many(100_000);
        println!("a queue for one item: {each:.0} bytes");
        assert!(right && opened == 0, "{opened} descriptors");
        // A cell of 128 bytes, a head of as few lines of the cache, a reference.
        assert!((100.0..1000.0).contains(&each), "{each} bytes");
    });
}

fn echo(from: Queue<String>, to: Queue<String>) {
    from.iter().for_each(|text| to.put(text).unwrap());
}

#[test]
fn messages_of_no_byte_to_a_hundred_million_come_whole() {
    within(2 * LIMIT, || {
        let (there, back) = (Queue::bounded(2).unwrap(), Queue::bounded(2).unwrap());
        let child = process::spawn(echo, (there.clone(), back.clone())).unwrap();
        let around = [104, 4096, 32 << 10, 128 << 10, 1 << 20];
        let sizes = (0..130).chain(around.iter().flat_map(|size| size - 40..size + 20));
        for size in sizes.chain([100_000_000]) {
            let mut text = "every byte at its own place, ".repeat(size / 29 + 1);
            text.truncate(size);
            there.put(text.clone()).unwrap();
            let got = back.get_timeout(2 * LIMIT).unwrap();
            assert!(got == text, "{size} bytes");
        }
        there.shut_down(false);
        child.join().unwrap();
    });
}

#[test]
fn items_of_no_size_and_of_every_kind() {
    within(LIMIT, || {
        let nothing = Queue::bounded(3).unwrap();
        nothing.put_many([(), (), ()]).unwrap();
        assert_eq!(nothing.get_many(9).unwrap(), [(), (), ()]);
        let any = Queue::<serde_json::Value>::bounded(3).unwrap();
        let items = ["\"a text\"", "{\"a\":\"map\",\"of\":2}", "[1,2.5,-3]"];
        let items = items.map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
        any.put_many(items.clone()).unwrap();
        assert!(any.is_full());
        assert_eq!(any.get_many(2).unwrap(), items[..2]);
        assert_eq!(any.get().unwrap(), items[2]);
    });
}
