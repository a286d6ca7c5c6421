//! The tasks that wait for a worker, in the order in which they get one.
//!
//! What a task of the pool submits comes before all else, and what the task submitted last has submitted comes first: so
//! a tree of tasks is gone through depth first, and the number of tasks that wait for others grows with its depth, not
//! with its size. Tasks of one submitter are taken in their order.

use std::collections::VecDeque;

use super::task::Origin;

#[derive(Default)]
pub(super) struct Queue {
    /// Submitted from outside.
    outside: VecDeque<u64>,
    /// Submitted by tasks, a group for each of them, the latest last. None is empty.
    groups: Vec<Group>,
}

struct Group {
    worker: u64,
    task: u64,
    tasks: VecDeque<u64>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.outside.is_empty() && self.groups.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.outside.len() + self.groups.iter().map(|group| group.tasks.len()).sum::<usize>()
    }

    pub(super) fn push_back(&mut self, id: u64, origin: Option<Origin>) {
        self.tasks_of(origin).push_back(id);
    }

    pub(super) fn push_front(&mut self, id: u64, origin: Option<Origin>) {
        self.tasks_of(origin).push_front(id);
    }

    pub(super) fn pop_front(&mut self) -> Option<u64> {
        let Some(group) = self.groups.last_mut() else {
            return self.outside.pop_front();
        };
        let id = group.tasks.pop_front();
        if group.tasks.is_empty() {
            self.groups.pop();
        }
        id
    }

    /// Takes out all that tasks have submitted.
    pub(super) fn drain_nested(&mut self) -> Vec<u64> {
        self.groups.drain(..).rev().flat_map(|group| group.tasks).collect()
    }

    pub(super) fn clear(&mut self) {
        self.outside.clear();
        self.groups.clear();
    }

    fn tasks_of(&mut self, origin: Option<Origin>) -> &mut VecDeque<u64> {
        let Some(origin) = origin else {
            return &mut self.outside;
        };
        let known = self
            .groups
            .iter()
            .position(|group| (group.worker, group.task) == (origin.worker, origin.task));
        let index = known.unwrap_or_else(|| {
            let (worker, task) = (origin.worker, origin.task);
            self.groups.push(Group { worker, task, tasks: VecDeque::new() });
            self.groups.len() - 1
        });
        &mut self.groups[index].tasks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_submitter_comes_first_and_its_tasks_in_order() {
        let origin = |worker, task| Some(Origin { worker, task, number: 0 });
        let mut queue = Queue::default();
        queue.push_back(1, None);
        queue.push_back(2, origin(1, 7));
        queue.push_back(3, origin(1, 7));
        queue.push_back(4, origin(2, 8));
        queue.push_back(5, origin(1, 7));
        queue.push_front(6, origin(2, 8));
        queue.push_front(7, None);
        assert_eq!(queue.len(), 7);
        let order: Vec<u64> = std::iter::from_fn(|| queue.pop_front()).collect();
        assert_eq!(order, [6, 4, 2, 3, 5, 7, 1]);
        assert!(queue.is_empty());
    }

    #[test]
    fn the_nested_leave_alone() {
        let mut queue = Queue::default();
        queue.push_back(1, None);
        queue.push_back(2, Some(Origin { worker: 1, task: 1, number: 0 }));
        assert_eq!(queue.drain_nested(), [2]);
        assert_eq!(queue.pop_front(), Some(1));
        assert!(queue.is_empty());
    }
}
