//! Tests of the words: each order of events under the model checker, and without it states, cancellations and stress.

mod once;

#[cfg(loom)]
mod models;
#[cfg(loom)]
mod queue_models;

#[cfg(not(loom))]
mod cancel;
#[cfg(not(loom))]
mod orders;
#[cfg(not(loom))]
mod starved;
#[cfg(not(loom))]
mod states;
#[cfg(not(loom))]
mod stress;
#[cfg(not(loom))]
mod support;
