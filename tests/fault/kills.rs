//! SIGKILL, at each state and at random: to workers, children, jobs and the forkserver.

use super::support::{both, plain};

#[test]
fn workers_at_every_state() {
    both(&["states"]);
}

#[test]
fn workers_at_random() {
    plain(&["random-workers"]);
}

#[test]
fn children_at_random() {
    plain(&["random-children"]);
}

#[test]
fn jobs_at_random() {
    plain(&["random-jobs"]);
}

#[test]
fn users_of_words_at_random() {
    plain(&["random-words"]);
}

#[test]
fn the_forkserver_at_random() {
    plain(&["random-zygotes"]);
}
