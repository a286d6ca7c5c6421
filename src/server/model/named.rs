//! All models as one type, with their names.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::core::Core;
use super::super::handler::Portable;
use super::events;
use super::{Begin, Coroutines, Crew, Prefork, Processes, Serial, ThreadPool, Threads};
use crate::error::{Error, Result};

/// Any of the models, chosen when the program runs: by its name, as from a command line.
///
/// | name | model |
/// | --- | --- |
/// | `serial` | [`Serial`] |
/// | `events`, `events:N` | [`Events`](super::Events), on one or so many loops |
/// | `coroutines`, `coroutines:N` | [`Coroutines`], on one or so many threads |
/// | `threads` | [`Threads`] |
/// | `pool:N` | [`ThreadPool`] |
/// | `processes` | [`Processes`] |
/// | `prefork:N`, `prefork:N:MODEL` | [`Prefork`], of coroutines or of another model |
///
/// It runs handlers that every model can run, but for `Events`, which are refused where the server starts if the handler is no
/// [`protocol`](super::super::protocol()).
///
/// # Examples
///
/// ```
/// use fourfold::server::Model;
///
/// let model: Model = "prefork:4:threads".parse()?;
/// assert_eq!(model, Model::Prefork(4, Box::new(Model::Threads)));
/// assert_eq!(model.to_string(), "prefork:4:threads");
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Model {
    /// See [`Serial`].
    Serial,
    /// See [`Events`](super::Events).
    Events(usize),
    /// See [`Coroutines`].
    Coroutines(usize),
    /// See [`Threads`].
    Threads,
    /// See [`ThreadPool`].
    ThreadPool(usize),
    /// See [`Processes`].
    Processes,
    /// See [`Prefork`].
    Prefork(usize, Box<Model>),
}

#[allow(private_interfaces)]
impl<H: Portable> Begin<H> for Model {
    fn crew(&self, core: &Arc<Core>, handler: H) -> Result<Box<dyn Crew>> {
        match self {
            Model::Serial => Serial.crew(core, handler),
            Model::Events(_) if !handler.is_protocol() => Err(Error::invalid(
                "events run protocols only, which need no stack of their own: pass `server::protocol(...)` or choose coroutines",
            )),
            Model::Events(loops) => events::crew(*loops, core, handler),
            Model::Coroutines(threads) => Coroutines(*threads).crew(core, handler),
            Model::Threads => Threads.crew(core, handler),
            Model::ThreadPool(threads) => ThreadPool(*threads).crew(core, handler),
            Model::Processes => Processes.crew(core, handler),
            Model::Prefork(workers, model) => {
                Prefork(*workers, (**model).clone()).crew(core, handler)
            }
        }
    }

    fn most_at_once(&self) -> Option<usize> {
        match self {
            Model::Serial => Some(1),
            Model::ThreadPool(threads) => Some(*threads),
            // Its parent counts for each worker.
            Model::Prefork(..) => None,
            Model::Events(_) | Model::Coroutines(_) | Model::Threads | Model::Processes => None,
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Model::Serial => f.write_str("serial"),
            Model::Events(loops) => write!(f, "events:{loops}"),
            Model::Coroutines(threads) => write!(f, "coroutines:{threads}"),
            Model::Threads => f.write_str("threads"),
            Model::ThreadPool(threads) => write!(f, "pool:{threads}"),
            Model::Processes => f.write_str("processes"),
            Model::Prefork(workers, model) => write!(f, "prefork:{workers}:{model}"),
        }
    }
}

impl FromStr for Model {
    type Err = Error;

    fn from_str(text: &str) -> Result<Model> {
        let unknown = || {
            Error::invalid(format!(
                "no model is called {text:?}: give serial, events[:N], coroutines[:N], threads, pool:N, processes or \
                 prefork:N[:MODEL]"
            ))
        };
        let (name, rest) = match text.split_once(':') {
            Some((name, rest)) => (name, Some(rest)),
            None => (text, None),
        };
        let number = |text: &str| match text.parse() {
            Ok(0) | Err(_) => {
                let what =
                    format!("{text:?} in {:?} is no number of 1 or more", format!("{name}:N"));
                Err(Error::invalid(what))
            }
            Ok(number) => Ok(number),
        };
        Ok(match (name, rest) {
            ("serial", None) => Model::Serial,
            ("threads", None) => Model::Threads,
            ("processes", None) => Model::Processes,
            ("events", rest) => Model::Events(rest.map_or(Ok(1), number)?),
            ("coroutines", rest) => Model::Coroutines(rest.map_or(Ok(1), number)?),
            ("pool", Some(rest)) => Model::ThreadPool(number(rest)?),
            ("prefork", Some(rest)) => match rest.split_once(':') {
                Some((workers, model)) => {
                    Model::Prefork(number(workers)?, Box::new(model.parse()?))
                }
                None => Model::Prefork(number(rest)?, Box::new(Model::Coroutines(1))),
            },
            _ => return Err(unknown()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for text in [
            "serial",
            "events:2",
            "coroutines:1",
            "threads",
            "pool:8",
            "processes",
            "prefork:2:prefork:3:events:1",
        ] {
            assert_eq!(text.parse::<Model>().unwrap().to_string(), text);
        }
        assert_eq!("events".parse::<Model>().unwrap(), Model::Events(1));
        let model: Model = "prefork:2".parse().unwrap();
        assert_eq!(model, Model::Prefork(2, Box::new(Model::Coroutines(1))));
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_names() {
        for text in ["", "thread", "serial:1", "pool", "prefork", "threads:2", "prefork:2:"] {
            let error = text.parse::<Model>().unwrap_err().to_string();
            assert!(error.contains("coroutines[:N]"), "{text}: {error}");
        }
        for text in ["events:0", "pool:x", "prefork:-1:threads", "coroutines:"] {
            let error = text.parse::<Model>().unwrap_err().to_string();
            assert!(error.contains("1 or more"), "{text}: {error}");
        }
    }
}
