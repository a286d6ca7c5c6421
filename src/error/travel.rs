//! An error as a value that crosses to another process: a task may return a `fourfold::Result`.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Error, ErrorKind, Inner, Panic, Scale};

#[derive(Serialize, Deserialize)]
#[serde(rename = "Error")]
struct Travelling<'a> {
    kind: ErrorKind,
    message: Option<Cow<'a, str>>,
    panic: Option<Cow<'a, Panic>>,
    signal: Option<i32>,
    task: Option<Cow<'a, str>>,
    pid: Option<u32>,
    scale: Option<Scale>,
    source: Option<String>,
}

/// What a source said, where it was.
#[derive(Debug)]
struct Told(String);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Told {}

/// Its source goes as text: the type of it is known to who made it only.
impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inner = &*self.inner;
        Travelling {
            kind: inner.kind,
            message: inner.message.as_deref().map(Cow::from),
            panic: inner.panic.as_ref().map(Cow::Borrowed),
            signal: inner.signal,
            task: inner.task.as_deref().map(Cow::from),
            pid: inner.pid,
            scale: inner.scale,
            source: inner.source.as_ref().map(ToString::to_string),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Error, D::Error> {
        let error = Travelling::deserialize(deserializer)?;
        Ok(Error {
            inner: Box::new(Inner {
                kind: error.kind,
                message: error.message.map(Cow::into_owned),
                panic: error.panic.map(Cow::into_owned),
                signal: error.signal,
                task: error.task.map(Cow::into_owned),
                pid: error.pid,
                scale: error.scale,
                source: error.source.map(|text| Told(text).into()),
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_the_same_on_the_other_side() {
        let panic =
            Panic { message: "m".into(), location: Some("a.rs:1:2".into()), backtrace: None };
        for error in [
            Error::panicked(panic).with_task("t").with_pid(7).with_scale(Scale::Process),
            Error::new(ErrorKind::Signaled(11)).with_signal(11).with_message("why"),
            Error::new(ErrorKind::Refused).with_message("the key is another").with_source("told"),
            std::io::Error::from(std::io::ErrorKind::NotFound).into(),
        ] {
            let text = serde_json::to_string(&error).unwrap();
            let back: Error = serde_json::from_str(&text).unwrap();
            assert_eq!(back.to_string(), error.to_string());
            assert_eq!(back.kind(), error.kind());
            assert_eq!(back.panic(), error.panic());
            assert_eq!(back.signal(), error.signal());
            assert_eq!(serde_json::to_string(&back).unwrap(), text);
        }
    }
}
