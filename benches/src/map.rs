//! A great many no-ops through a pool of two processes, pipelined, beside procspawn's pool.

use fourfold::process;

use crate::Failure;
use crate::contest::{Contest, Verdict, each};
use crate::submit::nothing;

const TASKS: u32 = 100_000;
/// Fewer for the peer, which takes as long for each of them.
const PEER_TASKS: u32 = 5_000;
const ROUNDS: usize = 7;

pub(crate) fn run() -> Result<Vec<Verdict>, Failure> {
    let ours = process::Executor::builder().workers(2).build()?;
    let theirs = procspawn::Pool::new(2)?;
    let mut contest = Contest::new(format!("{TASKS} no-ops, pipelined, 2 processes, a task"));
    contest.entry("fourfold map", || {
        let whole = each(1, || {
            for outcome in ours.map(nothing_of, 0..TASKS) {
                outcome?;
            }
            Ok(())
        })?;
        Ok(whole / f64::from(TASKS))
    });
    contest.entry("fourfold submit, then join", || {
        let whole = each(1, || {
            let handles: Vec<_> = (0..TASKS).map(|_| ours.submit(nothing, ())).collect();
            Ok(handles.into_iter().try_for_each(|handle| handle.join())?)
        })?;
        Ok(whole / f64::from(TASKS))
    });
    contest.entry("procspawn, 5000 at once", || {
        let whole = each(1, || {
            let handles: Vec<_> =
                (0..PEER_TASKS).map(|_| procspawn::spawn!(in theirs, () || ())).collect();
            Ok(handles.into_iter().try_for_each(|handle| handle.join())?)
        })?;
        Ok(whole / f64::from(PEER_TASKS))
    });
    let results = contest.run(ROUNDS)?;
    theirs.shutdown();
    Ok(vec![
        results.ahead(30.0, "fourfold map", "procspawn, 5000 at once"),
        results.within(2e-6, "fourfold map"),
    ])
}

fn nothing_of(_: u32) {}
