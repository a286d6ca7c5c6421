//! Inputs read from a file, one after the other, in memory that does not grow with it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use super::{Next, Ring};
use crate::run::template::Input;

/// The longest input, in bytes. The kernel takes no argument longer than 128 KiB.
const LONGEST: usize = 1 << 20;

/// Bytes read at once.
const BLOCK: usize = 64 << 10;

/// How many blocks a thread reads ahead.
const AHEAD: usize = 4;

fn too_long() -> io::Error {
    let text = format!("an input longer than {LONGEST} bytes (does it need -0, or not?)");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// How many inputs a regular file holds from here on. Its position stays.
pub(super) fn count(file: &File, separator: u8) -> io::Result<u64> {
    let mut position = io::Seek::stream_position(&mut &*file)?;
    let mut block = vec![0; BLOCK];
    let (mut count, mut last) = (0, separator);
    loop {
        match file.read_at(&mut block, position)? {
            0 => return Ok(count + u64::from(last != separator)),
            n => {
                count += block[..n].iter().filter(|&&byte| byte == separator).count() as u64;
                last = block[n - 1];
                position += n as u64;
            }
        }
    }
}

/// Reads records, in place.
pub(super) struct Records {
    reader: BufReader<File>,
    record: Vec<u8>,
    separator: u8,
}

impl Records {
    pub(super) fn new(file: File, separator: u8) -> Records {
        Records { reader: BufReader::with_capacity(BLOCK, file), record: Vec::new(), separator }
    }

    /// The next record, without its end. `None` at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.record.clear();
        let mut limited = (&mut self.reader).take(LONGEST as u64 + 1);
        let read = limited.read_until(self.separator, &mut self.record)?;
        match self.record.last() {
            Some(&last) if last == self.separator => self.record.truncate(read - 1),
            _ if read > LONGEST => return Err(too_long()),
            _ => {}
        }
        Ok((read > 0).then_some(&self.record))
    }
}

/// Records that are there at once, or may be waited for.
pub(super) enum Feed {
    Direct(Records),
    Thread { blocks: Receiver<io::Result<Block>>, block: Block, taken: usize, ended: bool },
}

/// Whole records of one reading, with their ends.
#[derive(Default)]
pub(super) struct Block {
    bytes: Vec<u8>,
    /// Where each record ends, without its separator.
    ends: Vec<usize>,
}

impl Feed {
    /// Reads when asked: of a regular file, which does not keep anyone waiting.
    pub(super) fn direct(file: File, separator: u8) -> Feed {
        Feed::Direct(Records::new(file, separator))
    }

    /// Reads on a thread of its own: of a pipe or a terminal, which may take as long as it wants.
    pub(super) fn on_a_thread(file: File, separator: u8, ring: Ring) -> io::Result<Feed> {
        let (sender, blocks) = sync_channel(AHEAD);
        let read = move || {
            let mut reader = BlockReader { file, separator, rest: Vec::new(), ended: false };
            loop {
                let block = reader.next().transpose();
                let Some(block) = block else { break };
                let failed = block.is_err();
                if sender.send(block).is_err() || failed {
                    break;
                }
                ring();
            }
            drop(sender);
            ring();
        };
        std::thread::Builder::new().name("fourfold-input".into()).spawn(read)?;
        Ok(Feed::Thread { blocks, block: Block::default(), taken: 0, ended: false })
    }

    pub(super) fn next(&mut self) -> io::Result<Next> {
        match self {
            Feed::Direct(records) => Ok(match records.next()? {
                Some(record) => Next::Job(vec![Input::from(record)]),
                None => Next::End,
            }),
            Feed::Thread { blocks, block, taken, ended } => {
                if *taken == block.ends.len() {
                    if *ended {
                        return Ok(Next::End);
                    }
                    match blocks.try_recv() {
                        Ok(fresh) => (*block, *taken) = (fresh?, 0),
                        Err(TryRecvError::Empty) => return Ok(Next::Pending),
                        Err(TryRecvError::Disconnected) => return Ok(Next::End),
                    }
                }
                Ok(Next::Job(vec![block.take(taken)]))
            }
        }
    }

    /// Waits until `next` has something.
    pub(super) fn wait(&mut self) {
        if let Feed::Thread { blocks, block, taken, ended } = self
            && *taken == block.ends.len()
            && !*ended
        {
            match blocks.recv() {
                Ok(Ok(fresh)) => (*block, *taken) = (fresh, 0),
                // Told by `next`, which finds the channel closed; an error is kept for it as well.
                Ok(Err(error)) => {
                    let (sender, receiver) = sync_channel(1);
                    let _ = sender.send(Err(error));
                    *blocks = receiver;
                }
                Err(_) => *ended = true,
            }
        }
    }
}

impl Block {
    fn take(&self, taken: &mut usize) -> Input {
        let start = match *taken {
            0 => 0,
            taken => self.ends[taken - 1] + 1,
        };
        let end = self.ends[*taken];
        *taken += 1;
        Input::from(&self.bytes[start..end])
    }
}

/// Reads what is there, and cuts it where a record ends.
struct BlockReader {
    file: File,
    separator: u8,
    /// The begin of a record whose end was not read yet.
    rest: Vec<u8>,
    ended: bool,
}

impl BlockReader {
    /// At least one record; `None` at the end.
    fn next(&mut self) -> io::Result<Option<Block>> {
        let mut bytes = std::mem::take(&mut self.rest);
        let mut searched = 0;
        let mut ends = Vec::new();
        while !self.ended {
            let filled = bytes.len();
            bytes.resize(filled + BLOCK, 0);
            let read = loop {
                match self.file.read(&mut bytes[filled..]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => break result?,
                }
            };
            bytes.truncate(filled + read);
            self.ended = read == 0;
            ends.extend((searched..bytes.len()).filter(|&index| bytes[index] == self.separator));
            searched = bytes.len();
            if let Some(last) = ends.last() {
                self.rest = bytes.split_off(last + 1);
                return Ok(Some(Block { bytes, ends }));
            }
            if bytes.len() > LONGEST {
                return Err(too_long());
            }
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        ends.push(bytes.len());
        Ok(Some(Block { bytes, ends }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{PipeWriter, Write};
    use std::os::fd::OwnedFd;
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    fn piped(separator: u8) -> (Feed, PipeWriter, Receiver<()>) {
        let (reader, writer) = io::pipe().unwrap();
        let (rung, bell) = channel();
        let ring = Arc::new(move || {
            let _ = rung.send(());
        });
        let file = File::from(OwnedFd::from(reader));
        (Feed::on_a_thread(file, separator, ring).unwrap(), writer, bell)
    }

    fn texts(feed: &mut Feed) -> Vec<String> {
        let mut texts = Vec::new();
        loop {
            feed.wait();
            match feed.next().unwrap() {
                Next::Job(inputs) => texts.push(String::from_utf8(inputs[0].to_vec()).unwrap()),
                Next::Pending => panic!("pending after waiting"),
                Next::End => return texts,
            }
        }
    }

    #[test]
    fn what_a_pipe_has_is_given_before_it_ends() {
        let (mut feed, mut writer, bell) = piped(b'\n');
        assert!(matches!(feed.next().unwrap(), Next::Pending));
        writer.write_all(b"one\ntwo\nthr").unwrap();
        bell.recv_timeout(Duration::from_secs(20)).unwrap();
        for expected in ["one", "two"] {
            let Next::Job(inputs) = feed.next().unwrap() else { panic!("no input") };
            assert_eq!(&*inputs[0], expected.as_bytes());
        }
        assert!(matches!(feed.next().unwrap(), Next::Pending));
        writer.write_all(b"ee").unwrap();
        drop(writer);
        assert_eq!(texts(&mut feed), ["three"]);
    }

    #[test]
    fn records_longer_than_a_block_are_whole() {
        let (mut feed, mut writer, _bell) = piped(0);
        let long = "x\n".repeat(BLOCK);
        let sent = long.clone();
        let writing = std::thread::spawn(move || {
            writer.write_all(format!("{sent}\0a\0\0{sent}").as_bytes()).unwrap();
        });
        assert_eq!(texts(&mut feed), [&long, "a", "", &long]);
        writing.join().unwrap();
    }

    #[test]
    fn a_record_without_end_is_an_error_and_not_all_our_memory() {
        let (mut feed, mut writer, _bell) = piped(b'\n');
        let writing = std::thread::spawn(move || {
            let block = vec![b'x'; BLOCK];
            while writer.write_all(&block).is_ok() {}
        });
        feed.wait();
        assert!(feed.next().is_err());
        writing.join().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'x'; LONGEST + 1]).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        assert!(Records::new(file, b'\n').next().is_err());
    }
}
