//! Looks through an arena whether all of it is in order: for tests.
#![allow(unsafe_code)]

use std::collections::{HashMap, HashSet};

use super::arena::{Arena, CLASSES, HEAP, MAX_MEMBERS};
use super::atomic::{Number64, Ordering::Acquire};
use super::heap::{class_of, size_of_class};
use super::members::REFERENCE;
use super::object::{BODY, ObjectHeader, ObjectKind};

/// Blocks that were met, with who has them.
struct Met {
    top: u64,
    blocks: Vec<(u64, u64, String)>,
}

impl Met {
    fn add(&mut self, block: u64, bytes: u64, whose: String) -> Result<(), String> {
        let inside = block >= HEAP && block + bytes <= HEAP + self.top;
        match inside && block.is_multiple_of(32) {
            true => Ok(self.blocks.push((block, bytes, whose))),
            false => Err(format!("{whose} is at {block:#x}, where no block can be")),
        }
    }
}

impl Arena {
    /// Compares what is free, what is in use, who refers to what, and the counts of these.
    pub(super) fn audit(&self) -> Result<(), String> {
        let transaction = self.begin();
        let result = self.look_through();
        transaction.end();
        result
    }

    fn look_through(&self) -> Result<(), String> {
        let header = self.header();
        if header.journaled.load(Acquire) != 0 {
            return Err("the journal is not empty".into());
        }
        let mut met = Met { top: header.top.load(Acquire), blocks: Vec::new() };
        let mut seen = HashSet::new();
        for class in 0..CLASSES {
            let mut block = header.free[class].load(Acquire);
            while block != 0 {
                met.add(block, size_of_class(class), format!("a free block of class {class}"))?;
                if !seen.insert(block) {
                    return Err(format!("the block {block:#x} is free twice"));
                }
                block = self.number(block).load(Acquire);
            }
        }
        let free = met.blocks.len();
        let mut references = HashMap::new();
        self.list(&mut met, &header.tickets, "a ticket", &mut references)?;
        let mut condemned = HashMap::new();
        self.list(&mut met, &header.condemned, "a condemned reference", &mut condemned)?;
        for index in 0..MAX_MEMBERS {
            let list = &self.slot(index).references;
            self.list(&mut met, list, &format!("a reference of {index}"), &mut references)?;
        }
        let objects = (references.len() + condemned.len()) as u64;
        if objects != header.objects.load(Acquire) {
            return Err(format!(
                "{objects} words are referred to, {} counted",
                header.objects.load(Acquire)
            ));
        }
        for (&object, &count) in &references {
            // SAFETY: atomics.
            let head: &ObjectHeader = unsafe { self.get(object) };
            if head.references.load(Acquire) != count || head.serial.load(Acquire) == 0 {
                return Err(format!("the word {object:#x} has {count} references, not as counted"));
            }
        }
        for &object in references.keys().chain(condemned.keys()) {
            self.word(&mut met, object)?;
        }
        let used: u64 = met.blocks[free..].iter().map(|(_, bytes, _)| bytes).sum();
        met.blocks.sort();
        for pair in met.blocks.windows(2) {
            if pair[0].0 + pair[0].1 > pair[1].0 {
                return Err(format!("two have the same memory: {pair:?}"));
            }
        }
        match header.used.load(Acquire) {
            counted if counted == used => Ok(()),
            counted => Err(format!("{used} bytes are in use, and {counted} counted")),
        }
    }

    fn list(
        &self,
        met: &mut Met,
        list: &Number64,
        whose: &str,
        count: &mut HashMap<u64, u64>,
    ) -> Result<(), String> {
        let (mut before, mut reference) = (self.offset_of(list), list.load(Acquire));
        while reference != 0 {
            met.add(reference, REFERENCE, whose.into())?;
            if self.number(reference + 16).load(Acquire) != before {
                return Err(format!("{whose} at {reference:#x} is not linked both ways"));
            }
            *count.entry(self.number(reference).load(Acquire)).or_default() += 1;
            if count.values().sum::<u64>() > 1 << 20 {
                return Err(format!("{whose}: a list without end"));
            }
            (before, reference) = (reference + 8, self.number(reference + 8).load(Acquire));
        }
        Ok(())
    }

    fn word(&self, met: &mut Met, object: u64) -> Result<(), String> {
        // SAFETY: atomics.
        let head: &ObjectHeader = unsafe { self.get(object) };
        let block = |size| class_of(size).map_or(u64::MAX, size_of_class);
        met.add(object, block(head.size.load(Acquire)), format!("the word {object:#x}"))?;
        if head.kind.load(Acquire) == ObjectKind::Queue as u64 {
            for (at, len) in super::queue::blocks(self, object + BODY) {
                met.add(at, block(len), format!("an item of {object:#x}"))?;
            }
        }
        Ok(())
    }
}
