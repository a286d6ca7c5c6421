//! `fourfold run`, end to end: the real binary, real jobs, real faults.

mod ends;
mod faults;
mod harness;
mod inputs;
mod log;
mod outputs;
mod signals;
mod table;
