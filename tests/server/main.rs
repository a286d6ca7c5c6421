//! Servers: the same transcript, the same limits and the same end under every model, and what workers do when they die.

mod faults;
mod forked;
mod forms;
mod interrupted;
mod limits;
mod listeners;
mod processes;
mod shutdown;
mod signals;
mod support;
mod talk;
mod workers;

/// Makes a test of each function of its caller for each model.
macro_rules! under_each_model {
    ($($case:ident),* $(,)?) => {
        crate::under_each_model!(@ serial, crate::support::model("serial"), $($case),*);
        crate::under_each_model!(@ events, crate::support::model("events"), $($case),*);
        crate::under_each_model!(@ events_two, crate::support::model("events:2"), $($case),*);
        crate::under_each_model!(@ coroutines, crate::support::model("coroutines"), $($case),*);
        crate::under_each_model!(@ coroutines_two, crate::support::model("coroutines:2"), $($case),*);
        crate::under_each_model!(@ threads, crate::support::model("threads"), $($case),*);
        crate::under_each_model!(@ pool, crate::support::model("pool:8"), $($case),*);
        crate::under_each_model!(@ processes, crate::support::model("processes"), $($case),*);
        crate::under_each_model!(@ prefork_coroutines, crate::support::model("prefork:2:coroutines"), $($case),*);
        crate::under_each_model!(@ prefork_events, crate::support::model("prefork:2:events"), $($case),*);
        crate::under_each_model!(@ prefork_threads, crate::support::model("prefork:2:threads"), $($case),*);
        crate::under_each_model!(@ prefork_serial, crate::support::model("prefork:6:serial"), $($case),*);
    };
    (@ $name:ident, $model:expr, $($case:ident),*) => {
        mod $name {
            $(
                #[test]
                fn $case() {
                    crate::support::within(move || super::$case(&$model));
                }
            )*
        }
    };
}
use under_each_model;
